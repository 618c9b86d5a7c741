/** FAULTS rows 4, 6 and 7: bodies that end too early, or without having said where they end. */
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { defaultEtag, type Fault, type OriginRequest, type Resource } from '../support/origin.js'
import { waitFor } from '../support/wait.js'
import { fastTuning, MiB } from './harness.js'
import { comebacks, ending, failure, keepBytes, listen, openScene, rangesOf, success } from './scene.js'

const content = randomContent(1 * MiB, 'cut')
const path = '/file.bin'
const name = 'file.bin'
const { maxAttempts } = fastTuning
const segment = (request: OriginRequest) => request.range !== null && request.range.start > 0

describe('row 4: body ends before its Content-Length', () => {
  const cuts: [string, Fault][] = [
    ['FIN', { type: 'truncate', afterBytes: 100_000 }],
    ['RST', { type: 'reset', afterBytes: 100_000 }],
  ]

  it.each(cuts)('once, by %s: goes on from the last byte', async (how, fault) => {
    const scene = await openScene({ connections: 1 })
    scene.origin.serve(path, { content, faults: [{ ...fault, times: 1 }] })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(end.told).toMatchObject({ retries: ['TRUNCATED'], restarts: [] })
    const [first, resumed, ...more] = rangesOf(scene.origin, path)
    expect([first, more]).toEqual(['none', []])
    // A reset discards what the client has not taken yet, which may be everything.
    if (how === 'RST' && resumed === `0-${content.size - 1}`) return
    expect(resumed).toBe(`100000-${content.size - 1}`)
    expect(scene.origin.requests(path)[1]?.headers['if-range']).toBe(defaultEtag(content))
    await scene.expectFile(name, content)
  })

  it.each(cuts)('every time, by %s, with some bytes each time: success', async (_, fault) => {
    const scene = await openScene({ connections: 1 })
    scene.origin.serve(path, { content, faults: [fault] })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(end.told.retries.length).toBeGreaterThan(maxAttempts)
    await scene.expectFile(name, content)
  })

  it.each(cuts)(
    'in the end without a further byte, by %s: TRUNCATED after maxAttempts, K',
    async (_, cut) => {
      const scene = await openScene({ connections: 1 })
      const manager = scene.manager()
      const dry: Fault = { type: cut.type === 'reset' ? 'reset' : 'truncate', afterBytes: 0 }
      scene.origin.serve(path, { content, faults: [{ ...cut, times: 1 }, dry] })
      const end = await scene.fetch(path, {}, manager)
      expect(failure(end, 'TRUNCATED').retryable).toBe(true)
      expect(rangesOf(scene.origin, path)).toEqual([
        'none',
        ...Array<string>(maxAttempts - 1).fill(`100000-${content.size - 1}`),
      ])
      expect(end.download.current.downloaded).toBe(100_000)
      expect(await scene.expectKept(name, content)).toBe(100_000)

      scene.origin.serve(path, { content })
      expect(success(await scene.fetch(path, {}, manager)).fetchedBytes).toBe(content.size - 100_000)
      await scene.expectFile(name, content)
    },
  )

  it('without any byte at all: TRUNCATED after maxAttempts, nothing to keep', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'truncate', afterBytes: 0 }] })
    failure(await scene.fetch(path), 'TRUNCATED')
    expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
    await scene.expectNothing()
  })

  it.each(cuts)('on one segment, by %s: only its rest is asked for again', async (_, fault) => {
    const scene = await openScene()
    const faults: Fault[] = [{ ...fault, when: segment, times: 1 }]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(end.told.restarts).toEqual([])
    const cut = scene.origin.requests(path).find(({ fault }) => fault !== null)
    expect(scene.origin.requests(path).map(({ range }) => range?.start)).toContain(
      cut!.range!.start + 100_000,
    )
    await scene.expectFile(name, content)
  })

  it('on every segment but the first: TRUNCATED, K, and only what is missing is fetched later', async () => {
    const scene = await openScene()
    const manager = scene.manager()
    scene.origin.serve(path, { content, faults: [{ type: 'truncate', afterBytes: 0, when: segment }] })
    failure(await scene.fetch(path, {}, manager), 'TRUNCATED')
    const kept = await scene.expectKept(name, content)
    scene.origin.serve(path, { content })
    expect(success(await scene.fetch(path, {}, manager)).fetchedBytes).toBe(content.size - kept)
    await scene.expectFile(name, content)
  })

  it.each(comebacks)('on a resume, %s: goes on from the last byte', async (how) => {
    const scene = await openScene({ connections: 1 })
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content, faults: [{ type: 'truncate', afterBytes: 100_000, times: 1 }] })
    const end = await resume()
    expect(success(end).fetchedBytes).toBe(content.size - 300_000)
    const last = content.size - 1
    expect(rangesOf(scene.origin, path)).toEqual([`300000-${last}`, `400000-${last}`])
    await scene.expectFile(name, content)
  })

  it('the server goes away right after the head: asked again', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'reset', afterBytes: 0, times: 2 }] })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.retries).toEqual(['TRUNCATED', 'TRUNCATED'])
    await scene.expectFile(name, content)
  })
})

describe('row 6: complete, without a length', () => {
  it.each<[string, Partial<Resource>]>([
    ['chunked', { ranges: false, contentLength: false }],
    ['chunked, and the connection is closed', { ranges: false, contentLength: false, close: true }],
    ['close-delimited', { ranges: false, faults: [{ type: 'closeDelimited' }] }],
  ])('%s: one stream, the total unknown until the end', async (_, resource) => {
    const scene = await openScene()
    const manager = scene.manager()
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, ...resource })
    const totals: (number | null)[] = []
    manager.on('progress', ({ progress }) => {
      if (progress.phase === 'downloading') totals.push(progress.total)
    })
    const end = await scene.fetch(path, {}, manager)
    expect(success(end)).toMatchObject({ size: content.size, sha256: content.sha256() })
    expect(scene.origin.requests(path)).toHaveLength(1)
    expect(totals.length).toBeGreaterThan(2)
    // The last one is reported at the end.
    expect(totals.slice(0, -1).every((total) => total === null)).toBe(true)
    expect(end.download.current).toMatchObject({ total: content.size, percent: 100 })
    await scene.expectFile(name, content)
  })

  it('chunked ranges are ranges like others: several connections', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, contentLength: false, bytesPerSecond: 4 * MiB })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    expect(scene.origin.requests(path).length).toBeGreaterThan(1)
    await scene.expectFile(name, content)
  })
})

describe('row 7: a body without length is cut', () => {
  /** All of which fetch() or curl take for a success, or nearly. */
  const cuts: [string, Fault, Partial<Resource>][] = [
    ['chunked, FIN', { type: 'chunkedCut', afterBytes: 100_000 }, {}],
    ['chunked, RST', { type: 'chunkedCut', afterBytes: 100_000, reset: true }, {}],
    ['chunked with Connection: close, FIN', { type: 'chunkedCut', afterBytes: 100_000 }, { close: true }],
    [
      'chunked with Connection: close, RST',
      { type: 'chunkedCut', afterBytes: 100_000, reset: true },
      { close: true },
    ],
    [
      'Content-Length with Connection: close, FIN',
      { type: 'truncate', afterBytes: 100_000 },
      { close: true },
    ],
    ['Content-Length with Connection: close, RST', { type: 'reset', afterBytes: 100_000 }, { close: true }],
    ['close-delimited, RST', { type: 'closeDelimited', afterBytes: 100_000, reset: true }, {}],
  ]

  describe.each(cuts)('%s', (_, fault, resource) => {
    it('once, from a server without ranges: starts over, success', async () => {
      const scene = await openScene()
      scene.origin.serve(path, { content, ranges: false, ...resource, faults: [{ ...fault, times: 1 }] })
      const end = await scene.fetch(path)
      expect(success(end).sha256).toBe(content.sha256())
      expect(end.told.retries[0]).toBe('TRUNCATED')
      await scene.expectFile(name, content)
    })

    it('always, from a server without ranges: TRUNCATED, never a success, K', async () => {
      const scene = await openScene()
      scene.origin.serve(path, { content, ranges: false, ...resource, faults: [fault] })
      failure(await scene.fetch(path), 'TRUNCATED')
      expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
      await scene.expectKept(name, content)
    })

    it('once, from a server with ranges: goes on from the last byte', async () => {
      const scene = await openScene({ connections: 1 })
      scene.origin.serve(path, { content, ...resource, faults: [{ ...fault, times: 1 }] })
      const end = await scene.fetch(path)
      expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
      const [first, second] = rangesOf(scene.origin, path)
      expect(first).toBe('none')
      expect(second).toMatch(/^100000-/)
      await scene.expectFile(name, content)
    })
  })

  it('cut by FIN, from a server that offers ranges: it is asked whether that was the end', async () => {
    const scene = await openScene({ connections: 1 })
    const faults: Fault[] = [{ type: 'closeDelimited', times: 1 }]
    scene.origin.serve('/whole.bin', { content, faults })
    scene.origin.serve(path, { content, faults: [{ type: 'closeDelimited', afterBytes: 100_000, times: 1 }] })
    success(await scene.fetch('/whole.bin'))
    expect(rangesOf(scene.origin, '/whole.bin')).toEqual(['none', `${content.size}-`])
    success(await scene.fetch(path))
    expect(rangesOf(scene.origin, path)).toEqual(['none', '100000-'])
    await scene.expectFile(name, content, ['whole.bin'])
  })

  it('a 206 whose end of connection comes before its Content-Range says: goes on from there', async () => {
    const scene = await openScene({ connections: 2 })
    const faults: Fault[] = [{ type: 'closeDelimited', afterBytes: 100_000, times: 1 }]
    scene.origin.serve(path, { content, faults })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  describe('close-delimited, cut by FIN: nothing tells it from the end, except what is known of the file', () => {
    const fault: Fault = { type: 'closeDelimited', afterBytes: 100_000 }

    it('the size: TRUNCATED, K', async () => {
      const scene = await openScene()
      scene.origin.serve(path, { content, ranges: false, faults: [fault] })
      failure(await scene.fetch(path, { size: content.size }), 'TRUNCATED')
      await scene.expectKept(name, content)
    })

    it('the size, once only: success', async () => {
      const scene = await openScene()
      scene.origin.serve(path, { content, ranges: false, faults: [{ ...fault, times: 1 }] })
      success(await scene.fetch(path, { size: content.size }))
      await scene.expectFile(name, content)
    })

    it('the digest: CHECKSUM_MISMATCH after one clean retry, X', async () => {
      const scene = await openScene()
      scene.origin.serve(path, { content, ranges: false, faults: [fault] })
      const end = await scene.fetch(path, { sha256: content.sha256() })
      failure(end, 'CHECKSUM_MISMATCH')
      expect(scene.origin.requests(path)).toHaveLength(2)
      await scene.expectDropped(name)
    })

    it('the digest, once only: success', async () => {
      const scene = await openScene()
      scene.origin.serve(path, { content, ranges: false, faults: [{ ...fault, times: 1 }] })
      expect(success(await scene.fetch(path, { sha256: content.sha256() })).verified).toBe(true)
      await scene.expectFile(name, content)
    })
  })

  it('an endless body, where the size is known: CONTENT_MISMATCH before it fills the disk, X', async () => {
    const scene = await openScene()
    const endless = randomContent(64 * MiB, 'endless')
    const resource = { content: endless, bytesPerSecond: 16 * MiB, contentLength: false, ranges: false }
    scene.origin.serve(path, resource)
    const end = await scene.fetch(path, { size: 1 * MiB })
    failure(end, 'CONTENT_MISMATCH')
    expect(scene.origin.bytesSent(path)).toBeLessThan(16 * MiB)
    await waitFor(() => scene.origin.activeRequests === 0, { what: 'the end of the endless answer' })
    await scene.expectDropped(name)
  })

  it.each<[string, Partial<Resource>]>([
    ['with a length', {}],
    ['chunked', { contentLength: false }],
    ['close-delimited', { faults: [{ type: 'closeDelimited' }] }],
    ['close-delimited and reset', { faults: [{ type: 'closeDelimited', reset: true, times: 1 }] }],
    ['cut', { faults: [{ type: 'truncate', afterBytes: 150_000, times: 1 }] }],
    ['cut by RST', { faults: [{ type: 'reset', afterBytes: 150_000, times: 1 }] }],
  ])('the end of the connection comes while we hold back, %s: success', async (_, resource) => {
    const small = randomContent(200_000, 'held back')
    const scene = await openScene()
    scene.origin.serve(path, { content: small, ranges: false, close: true, ...resource })
    const end = await scene.fetch(path, { maxBytesPerSecond: 400_000 })
    expect(success(end).sha256).toBe(small.sha256())
    await scene.expectFile(name, small)
  })

  it('a pause in the middle of a body without length keeps its bytes', async () => {
    const scene = await openScene()
    const manager = scene.manager()
    const told = listen(manager)
    scene.origin.serve(path, { content, contentLength: false, ranges: false, bytesPerSecond: 2 * MiB })
    const download = await manager.download({ url: scene.origin.url(path) })
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    await download.pause()
    await scene.expectKept(name, content)
    scene.origin.serve(path, { content })
    await download.resume()
    expect(success(await ending(download, told)).sha256).toBe(content.sha256())
    expect(told.restarts).toEqual([])
    await scene.expectFile(name, content)
  })
})

/** FAULTS rows 1, 2, 3 and 8: what servers make of ranges. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { patchedContent, randomContent } from '../support/content.js'
import { defaultEtag, type Fault, type OriginRequest } from '../support/origin.js'
import { expectInvariant, fastTuning, MiB } from './harness.js'
import { comebacks, failure, keepBytes, openScene, rangesOf, success } from './scene.js'

const content = randomContent(1 * MiB, 'ranges')
const other = randomContent(1 * MiB, 'another version')
const path = '/file.bin'
const name = 'file.bin'
/**
 * Every request but the one for the file's beginning. When these are of no use, the first connection goes on to the end if it
 * has not reached the end of its own part yet; otherwise the download starts over, once.
 */
const segment = (request: OriginRequest) => request.range !== null && request.range.start > 0

describe('row 1: range ignored on the first probe', () => {
  it.each([
    ['a server that knows no ranges', { ranges: false }],
    ['one that claims to know them', { faults: [{ type: 'ignoreRange' }] }],
    ['one that ignores the first only', { faults: [{ type: 'ignoreRange', times: 1 }] }],
    ['one that also ends the connection', { ranges: false, close: true }],
  ] as const)('one stream, success: %s', async (_, resource) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, ...resource })
    const file = success(await scene.fetch(path))
    expect(file).toMatchObject({ size: content.size, sha256: content.sha256(), fetchedBytes: content.size })
    expect(rangesOf(scene.origin, path)).toEqual(['0-'])
    await scene.expectFile(name, content)
  })
})

describe('row 2: 200 to a segment or resume request', () => {
  it('on one extra segment: never written at the offset, success', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'ignoreRange', when: segment, times: 1 }]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts).toEqual([])
    expect(scene.origin.requests(path).filter(({ status }) => status === 200)).toHaveLength(1)
    await scene.expectFile(name, content)
  })

  it.each([
    ['without a digest', {}],
    ['with a digest', { sha256: content.sha256() }],
  ])('on every segment but the first: success, with one stream, %s', async (_, options) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'ignoreRange', when: segment }] })
    const end = await scene.fetch(path, options)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts.length).toBeLessThanOrEqual(1)
    await scene.expectFile(name, content)
  })

  describe.each(comebacks)('on a resume, %s', (how) => {
    it.each([
      ['always', { ranges: false }],
      ['once', { faults: [{ type: 'ignoreRange', times: 1 }] }],
      ['without validators', { ranges: false, etag: null, lastModified: null }],
    ] as const)('%s: starts over, success', async (_, resource) => {
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content }, how, 300_000)
      scene.origin.serve(path, { content, ...resource })
      const end = await resume()
      expect(success(end).sha256).toBe(content.sha256())
      expect(end.told.restarts).toHaveLength(1)
      const [first, second] = scene.origin.requests(path)
      expect(first?.range?.start).toBe(300_000)
      expect(first?.headers['if-range']).toBe(defaultEtag(content))
      expect(second?.range?.start ?? 0).toBe(0)
      await scene.expectFile(name, content)
    })
  })
})

describe('row 3: 206 at another offset, or for another total', () => {
  it.each([
    ['further on', { type: 'wrongOffset', shift: 1000 }],
    ['without Content-Range', { type: 'headers', headers: { 'Content-Range': null } }],
    ['with garbage for a Content-Range', { type: 'headers', headers: { 'Content-Range': 'bytes 0-' } }],
    ['in another unit', { type: 'headers', headers: { 'Content-Range': 'items 0-9/10' } }],
    ['that contradicts its Content-Length', { type: 'wrongEnd', shift: -5, headerOnly: true }],
    ['with two Content-Ranges', { type: 'duplicateHeader', name: 'Content-Range', value: 'bytes 5-9/10' }],
    ['beyond its own total', { type: 'wrongTotal', total: 1000 }],
    ['as multipart', { type: 'multipartRanges' }],
  ] as const)('%s, always: never written, and the complete file is requested', async (_, fault) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [fault] })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(end.told.retries).toEqual(['PROTOCOL_ERROR', 'PROTOCOL_ERROR'])
    expect(rangesOf(scene.origin, path)).toEqual(['0-', '0-', 'none'])
    await scene.expectFile(name, content)
  })

  it('always, and nothing else: PROTOCOL_ERROR after maxAttempts requests', async () => {
    const scene = await openScene()
    const headers = { 'Content-Range': 'bytes 5-9/10' }
    scene.origin.serve(path, { content, status: 206, headers })
    const end = await scene.fetch(path)
    expect(failure(end, 'PROTOCOL_ERROR').retryable).toBe(true)
    expect(scene.origin.requests(path)).toHaveLength(fastTuning.maxAttempts)
    expect(end.told.retries).toEqual(Array(fastTuning.maxAttempts - 1).fill('PROTOCOL_ERROR'))
    await scene.expectNothing()
  })

  it.each([
    ['at the beginning', (request: OriginRequest) => request.nth === 1],
    ['on a segment', segment],
  ])('another offset once, %s: asked again, success', async (_, when) => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'wrongOffset', shift: 4096, when, times: 1 }]
    scene.origin.serve(path, { content, bytesPerSecond: 8 * MiB, faults })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    expect(scene.origin.requests(path).filter(({ fault }) => fault !== null)).toHaveLength(1)
    await scene.expectFile(name, content)
  })

  it('another offset on every segment but the first: success, with one stream', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'wrongOffset', shift: -1, when: segment }] })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts.length).toBeLessThanOrEqual(1)
    await scene.expectFile(name, content)
  })

  it('another offset, and no complete file either: K, goes on when it is mended', async () => {
    const scene = await openScene()
    const manager = scene.manager()
    const faults: Fault[] = [
      { type: 'wrongOffset', shift: -1, when: segment },
      { type: 'status', status: 503, when: ({ range }) => range === null },
    ]
    scene.origin.serve(path, { content, faults })
    failure(await scene.fetch(path, {}, manager), 'HTTP_ERROR')
    const kept = await scene.expectKept(name, content)
    scene.origin.serve(path, { content })
    expect(success(await scene.fetch(path, {}, manager)).fetchedBytes).toBe(content.size - kept)
    await scene.expectFile(name, content)
  })

  describe.each(comebacks)('on a resume, %s', (how) => {
    it.each([
      ['further on', 512],
      ['too early', -512],
      ['from the beginning', -300_000],
    ])('another offset, %s: PROTOCOL_ERROR, K, and the kept bytes untouched', async (_, shift) => {
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content }, how, 300_000)
      const refused: Fault = { type: 'status', status: 503, when: ({ range }) => range === null }
      scene.origin.serve(path, { content, faults: [refused, { type: 'wrongOffset', shift }] })
      expect((await resume()).error).toMatchObject({ retryable: true })
      expect(scene.origin.requests(path)).toHaveLength(fastTuning.maxAttempts)
      expect(await scene.expectKept(name, content)).toBe(300_000)
    })

    it('another total: SOURCE_CHANGED, starts over, success with what is there now', async () => {
      const longer = randomContent(content.size + 1000, 'longer')
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content }, how, 300_000)
      scene.origin.serve(path, { content: longer, etag: defaultEtag(content) })
      const end = await resume()
      expect(success(end).sha256).toBe(longer.sha256())
      expect(end.told.restarts).toHaveLength(1)
      await scene.expectFile(name, longer)
    })
  })

  it('another total on every segment: success, with one stream', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'wrongTotal', total: content.size + 7, when: segment }]
    scene.origin.serve(path, { content, faults })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts.length).toBeLessThanOrEqual(1)
    await scene.expectFile(name, content)
  })

  it('another total on one segment of one bad node: asked again, no restart', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'wrongTotal', total: content.size + 7, when: segment, times: 1 }]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts).toEqual([])
    await scene.expectFile(name, content)
  })

  it('an unknown total (*) or a shorter range than asked is no fault', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'wrongTotal', total: '*', times: 1 }] })
    const long = ({ range }: OriginRequest) => (range?.end ?? 0) - (range?.start ?? 0) > 60_000
    scene.origin.serve('/short.bin', { content, faults: [{ type: 'wrongEnd', shift: -30_000, when: long }] })
    success(await scene.fetch(path))
    success(await scene.fetch('/short.bin'))
    await scene.expectFile(name, content, ['short.bin'])
    await scene.expectFile('short.bin', content, [name])
  })

  it.each([
    ['with validators', {}],
    ['without validators', { etag: null, lastModified: null }],
  ])('an unknown total (*) every time, %s: the end of the ranges is the end of the file', async (_, plan) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, ...plan, faults: [{ type: 'wrongTotal', total: '*' }] })
    success(await scene.fetch(path))
    await scene.expectFile(name, content)
    expect(scene.origin.requests(path).length).toBeLessThanOrEqual(3)
  })

  it('an unknown total (*) every time, and a larger size that the caller knows: an error, bounded requests, K', async () => {
    const scene = await openScene()
    const plan = { content, etag: null, lastModified: null }
    scene.origin.serve(path, { ...plan, faults: [{ type: 'wrongTotal', total: '*' }] })
    const end = await scene.fetch(path, { size: content.size + 1 })
    expect(end.error?.code).toMatch(/^(?:PROTOCOL_ERROR|TRUNCATED|CONTENT_MISMATCH)$/)
    expect(scene.origin.requests(path).length).toBeLessThanOrEqual(2 * fastTuning.maxAttempts)
  })

  it.each([
    ['with validators', {}],
    ['without validators', { etag: null, lastModified: null }],
  ])('a total with a byte too many, every time, %s: not requested for ever', async (_, plan) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, ...plan, faults: [{ type: 'wrongTotal', total: content.size + 1 }] })
    const end = await scene.fetch(path)
    if (end.error === null) await scene.expectFile(name, content)
    else expect(end.error.code).toMatch(/^(?:PROTOCOL_ERROR|SOURCE_CHANGED)$/)
    expect(scene.origin.requests(path).length).toBeLessThanOrEqual(3 * fastTuning.maxAttempts)
  })

  it.each([content.size + 1, content.size - 1, 1, 10 * content.size])(
    'a total of %i, where the caller knows the size: a look at the complete file, success',
    async (total) => {
      const scene = await openScene()
      scene.origin.serve(path, { content, faults: [{ type: 'wrongTotal', total }] })
      expect(success(await scene.fetch(path, { size: content.size }))).toMatchObject({ size: content.size })
      await scene.expectFile(name, content)
    },
  )

  it('a size that the caller has wrong: CONTENT_MISMATCH after a look at the complete file, N', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content })
    const end = await scene.fetch(path, { size: content.size + 1 })
    expect(failure(end, 'CONTENT_MISMATCH').status).toBeUndefined()
    expect(rangesOf(scene.origin, path)).toEqual(['0-', 'none'])
    await expectInvariant(scene.directory, name, 'N')
  })

  it('a longer range than asked: no more is taken than was asked', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'wrongEnd', shift: 50_000, when: segment }]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    expect(success(await scene.fetch(path)).fetchedBytes).toBe(content.size)
    await scene.expectFile(name, content)
  })

  it('other bytes under the right Content-Range: found by the digest, CHECKSUM_MISMATCH, X', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'wrongOffset', shift: -64, silent: true, when: segment }]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    const end = await scene.fetch(path, { sha256: content.sha256() })
    failure(end, 'CHECKSUM_MISMATCH')
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectDropped(name)
  })
})

describe('row 54: ranges are refused', () => {
  const statuses = [400, 403, 404, 405, 406, 416, 501, 503]
  const ranged = ({ range }: OriginRequest) => range !== null
  const refuse = (status: number, when = ranged): Fault => ({ type: 'status', status, when })

  it.each(statuses)('with %i: the complete file is requested, success', async (status) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [refuse(status)] })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(rangesOf(scene.origin, path).at(-1)).toBe('none')
    expect(scene.origin.requests(path).length).toBeLessThanOrEqual(3)
    await scene.expectFile(name, content)
  })

  it.each(statuses)('with %i where the size is known: success', async (status) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [refuse(status)] })
    const end = await scene.fetch(path, { size: content.size, sha256: content.sha256() })
    expect(success(end).verified).toBe(true)
    await scene.expectFile(name, content)
  })

  it.each(statuses)('with %i but for the first: success, with one stream', async (status) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [refuse(status, segment)] })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts.length).toBeLessThanOrEqual(1)
    expect(scene.origin.requests(path).length).toBeLessThan(20)
    await scene.expectFile(name, content)
  })

  it.each(statuses)('with %i on a resume: starts over with one stream, success', async (status) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, 'a new manager', 300_000)
    scene.origin.serve(path, { content, faults: [refuse(status)] })
    const end = await resume()
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(name, content)
  })

  it.each(statuses)('with %i on a resume, only for a while: the kept bytes are used', async (status) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, 'a new manager', 300_000)
    scene.origin.serve(path, { content, faults: [{ ...refuse(status), times: 1 }] })
    expect(success(await resume()).fetchedBytes).toBe(content.size - 300_000)
    await scene.expectFile(name, content)
  })

  it.each(statuses)('with %i, and the stream is cut: it says so, and starts over', async (status) => {
    const scene = await openScene()
    const faults: Fault[] = [refuse(status), { type: 'truncate', afterBytes: 100_000, times: 1 }]
    scene.origin.serve(path, { content, faults })
    const manager = scene.manager()
    const warnings: string[] = []
    manager.on('log', ({ level, message }) => level === 'warn' && warnings.push(message))
    expect(success(await scene.fetch(path, {}, manager)).sha256).toBe(content.sha256())
    expect(warnings.join()).toContain('cannot be resumed')
    await scene.expectFile(name, content)
  })

  it.each([
    ['an end that is the length', 'bytes 0-1048576/1048576'],
    ['an end that is one less', 'bytes 0-1048574/1048576'],
    ['a total that is one more', 'bytes 0-1048575/1048577'],
    ['a total that is one less', 'bytes 0-1048575/1048575'],
    ['no total', 'bytes 0-1048575'],
    ['an equals sign', 'bytes=0-1048575/1048576'],
    ['nothing in it', ''],
  ])('a Content-Range with %s: success', async (_, value) => {
    const scene = await openScene()
    const headers = { 'Content-Range': value }
    scene.origin.serve(path, { content, faults: [{ type: 'headers', headers, when: ranged }] })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it.each([
    ['no Content-Range', { type: 'headers', headers: { 'Content-Range': null } }],
    ['an odd one', { type: 'headers', headers: { 'Content-Range': 'bytes=300000-1048575/1048576' } }],
    ['a multipart body', { type: 'multipartRanges' }],
  ] as const)('%s on a resume: starts over with one stream, success', async (_, fault) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, 'a new manager', 300_000)
    scene.origin.serve(path, { content, faults: [{ ...fault, when: ranged }] })
    const end = await resume()
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(name, content)
  })

  it('416 without Content-Range for an empty file: success', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content: randomContent(0, 'empty'), faults: [refuse(416)] })
    expect(success(await scene.fetch(path)).size).toBe(0)
  })

  it.each([
    ['unknown', {}, ['0-', 'none', '0-67108863']],
    ['known', { size: content.size }, ['0-', '0-67108863']],
  ] as const)('400 to everything but a bounded range, size %s: success', async (_, options, first) => {
    const scene = await openScene()
    const faults = [refuse(400, ({ range }) => (range?.end ?? null) === null)]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    expect(success(await scene.fetch(path, options)).fetchedBytes).toBe(content.size)
    expect(rangesOf(scene.origin, path).slice(0, first.length)).toEqual(first)
    await scene.expectFile(name, content)
  })

  it('one connection asks for no range at a fresh start, and resumes all the same', async () => {
    const scene = await openScene({ connections: 1 })
    const faults: Fault[] = [{ type: 'truncate', afterBytes: 100_000, times: 1 }]
    scene.origin.serve(path, { content, faults })
    expect(success(await scene.fetch(path)).fetchedBytes).toBe(content.size)
    expect(rangesOf(scene.origin, path)).toEqual(['none', `100000-${content.size - 1}`])
    await scene.expectFile(name, content)
  })

  it('everything is refused on a resume: K', async () => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, 'a new manager', 300_000)
    scene.origin.serve(path, { status: 403 })
    failure(await resume(), 'ACCESS_DENIED')
    expect(rangesOf(scene.origin, path).at(-1)).toBe('none')
    expect(await scene.expectKept(name, content)).toBe(300_000)
  })
})

describe('row 8: 416', () => {
  describe.each(comebacks)('on a resume, %s', (how) => {
    it('the remote is smaller than what is kept: X, starts over, success', async () => {
      const small = randomContent(100_000, 'smaller')
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content }, how, 300_000)
      scene.origin.serve(path, { content: small })
      const end = await resume()
      expect(success(end).sha256).toBe(small.sha256())
      expect(end.told.restarts).toHaveLength(1)
      // It starts over only after a second look.
      const [first, second, third] = rangesOf(scene.origin, path)
      expect([first, second].every((range) => range?.startsWith('300000-'))).toBe(true)
      expect(['0-', 'none']).toContain(third)
      await scene.expectFile(name, small)
    })

    it('the remote is as long as what is kept, but was longer: starts over, success', async () => {
      const cut = randomContent(300_000, 'cut')
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content }, how, 300_000)
      scene.origin.serve(path, { content: cut })
      const end = await resume()
      expect(success(end).sha256).toBe(cut.sha256())
      await scene.expectFile(name, cut)
    })

    it('the part turns out to be complete: verified and published', async () => {
      const scene = await openScene()
      // All bytes come, but neither a length nor the end of the message.
      const begin: Fault = {
        type: 'raw',
        handle: (socket) => {
          const head = `HTTP/1.1 200 OK\r\nETag: ${defaultEtag(content)}\r\nTransfer-Encoding: chunked\r\n\r\n`
          socket.write(`${head}${content.size.toString(16)}\r\n`)
          socket.write(content.slice(0, content.size))
          socket.write('\r\n')
          if (how === 'a failure and retry()') socket.end()
        },
      }
      const resume = await keepBytes(scene, path, { content }, how, content.size, {}, begin)
      scene.origin.serve(path, { content })
      expect(success(await resume())).toMatchObject({ sha256: content.sha256(), fetchedBytes: 0 })
      expect(scene.origin.requests(path).map(({ status }) => status)).toEqual([416])
      await scene.expectFile(name, content)
    })
  })

  it('with a wrong 416 for every range: PROTOCOL_ERROR, never an empty file', async () => {
    const scene = await openScene()
    const headers = { 'Content-Range': `bytes */${content.size}` }
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 416, headers }] })
    failure(await scene.fetch(path), 'PROTOCOL_ERROR')
    await scene.expectNothing()
  })

  it('416 of an empty file although a size is expected: CONTENT_MISMATCH, N', async () => {
    const scene = await openScene()
    scene.origin.serve(path, {})
    failure(await scene.fetch(path, { size: 5 }), 'CONTENT_MISMATCH')
    expect(scene.origin.requests(path)).toHaveLength(1)
    await scene.expectNothing()
  })
})

describe('known failures of others: two versions are never mixed', () => {
  it.each(comebacks)('a replaced file on a resume, %s', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content: other })
    expect(success(await resume()).sha256).toBe(other.sha256())
    await scene.expectFile(name, other)
  })

  it('an old file under the name stays as it was until the new one is right', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content })
    success(await scene.fetch(path))
    const old = Buffer.from('an old file')
    await writeFile(join(scene.directory, name), old)
    const wrong = patchedContent(content, [{ at: 5, data: 'wrong' }])
    scene.origin.serve(path, { content: wrong })
    failure(await scene.fetch(path, { sha256: content.sha256() }), 'CHECKSUM_MISMATCH')
    await expectInvariant(scene.directory, name, 'X', { old })
  })
})

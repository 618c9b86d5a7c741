/** FAULTS rows 9, 10 and 12: whether it is still the same file, and still available. */
import { describe, expect, it } from 'vitest'
import { patchedContent, randomContent } from '../support/content.js'
import { defaultEtag, type Fault, type OriginRequest, type Resource } from '../support/origin.js'
import { MiB } from './harness.js'
import { comebacks, failure, keepBytes, openScene, rangesOf, success, type Scene } from './scene.js'

const content = randomContent(1 * MiB, 'first version')
/** As long as the first. */
const other = randomContent(1 * MiB, 'second version')
const path = '/file.bin'
const name = 'file.bin'
const overlap = 64 * 1024
const segment = (request: OriginRequest) => request.range !== null && request.range.start > 0

describe('row 9: file replaced mid-way, same size', () => {
  const swap: Fault = { type: 'swapContent', content: other }

  it('between segments: SOURCE_CHANGED, starts over once, all of the new one', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults: [{ ...swap, when: segment }] })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(other.sha256())
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(name, other)
  })

  it('after a cut: starts over once, all of the new one', async () => {
    const scene = await openScene({ connections: 1 })
    const faults: Fault[] = [{ type: 'truncate', afterBytes: 500_000, times: 1 }, swap]
    scene.origin.serve(path, { content, faults })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(other.sha256())
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(name, other)
  })

  it('again and again: SOURCE_CHANGED after starting over once, X', async () => {
    const scene = await openScene({ connections: 1 })
    scene.origin.serve(path, ({ nth }) => {
      const version = randomContent(1 * MiB, `version ${nth}`)
      return { content: version, faults: [{ type: 'truncate', afterBytes: 100_000 }] }
    })
    const end = await scene.fetch(path)
    failure(end, 'SOURCE_CHANGED')
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectDropped(name)
  })

  it('by a server that doesn’t know If-Range: the new ETag is seen, never a mixture', async () => {
    const scene = await openScene({ connections: 1 })
    // Old tag for If-Range, so that the 206 comes; new tag in the answer.
    const replaced: Resource = {
      content: other,
      etag: defaultEtag(content),
      headers: { ETag: defaultEtag(other) },
    }
    scene.origin.serve(path, ({ nth }) => {
      if (nth > 1) return replaced
      return { content, faults: [{ type: 'truncate', afterBytes: 100_000 }] }
    })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(other.sha256())
    expect(scene.origin.requests(path)[1]?.status).toBe(206)
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(name, other)
  })

  it('with a strong Last-Modified as the only validator: seen as well', async () => {
    const scene = await openScene({ connections: 1 })
    scene.origin.serve(path, ({ nth }) => {
      if (nth > 1) return { content: other, etag: null, lastModified: new Date('2024-02-02T00:00:00Z') }
      return { content, etag: null, faults: [{ type: 'truncate', afterBytes: 100_000 }] }
    })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(other.sha256())
    expect(scene.origin.requests(path)[1]?.headers['if-range']).toBe('Mon, 01 Jan 2024 00:00:00 GMT')
    await scene.expectFile(name, other)
  })

  it('under the same validators: the digest of the old one finds it, CHECKSUM_MISMATCH, X', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ ...swap, etag: defaultEtag(content), when: segment }]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    const end = await scene.fetch(path, { sha256: content.sha256() })
    failure(end, 'CHECKSUM_MISMATCH')
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectDropped(name)
  })

  it('under the same validators, with the digest of the new one: one clean try gets it', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ ...swap, etag: defaultEtag(content), when: segment }]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    const end = await scene.fetch(path, { sha256: other.sha256() })
    expect(success(end).verified).toBe(true)
    await scene.expectFile(name, other)
  })

  it.each(comebacks)('before a resume, %s: starts over, all of the new one', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content: other })
    const end = await resume()
    expect(success(end).sha256).toBe(other.sha256())
    await scene.expectFile(name, other)
  })

  it.each(comebacks)('before a resume, %s, with the digest of the new one', async (how) => {
    const options = { sha256: other.sha256() }
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000, options)
    scene.origin.serve(path, { content: other })
    expect(success(await resume()).verified).toBe(true)
    await scene.expectFile(name, other)
  })
})

describe('row 10: only a weak ETag, or a different one per node', () => {
  const weak: [string, Partial<Resource>][] = [
    ['a weak ETag', { etag: 'W/"1"', lastModified: null }],
    ['no validator at all', { etag: null, lastModified: null }],
    ['a Last-Modified of this very second', { etag: null, lastModified: new Date(), date: new Date() }],
    ['a Last-Modified without a Date', { etag: null, date: null }],
  ]

  it.each(weak)('%s: one stream', async (_, validators) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, ...validators })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    expect(rangesOf(scene.origin, path)).toEqual(['0-'])
    await scene.expectFile(name, content)
  })

  it.each(weak)('%s, but a digest: it decides, so several connections are fine', async (_, validators) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, ...validators })
    expect(success(await scene.fetch(path, { sha256: content.sha256() })).verified).toBe(true)
    expect(scene.origin.requests(path).length).toBeGreaterThan(1)
    await scene.expectFile(name, content)
  })

  describe.each(comebacks)('on a resume, %s', (how) => {
    it.each(weak)('%s: the last 64 KiB are compared; equal, so it goes on', async (_, validators) => {
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content, ...validators }, how, 300_000)
      scene.origin.serve(path, { content, ...validators })
      const end = await resume()
      expect(success(end).sha256).toBe(content.sha256())
      expect(end.told.restarts).toEqual([])
      const [first] = scene.origin.requests(path)
      expect(first?.range?.start).toBe(300_000 - overlap)
      expect(first?.headers['if-range']).toBeUndefined()
      expect(scene.origin.bytesSent(path)).toBe(content.size - 300_000 + overlap)
      await scene.expectFile(name, content)
    })

    it('a weak ETag that stayed the same over another file: found, starts over', async () => {
      const validators = { etag: 'W/"1"', lastModified: null }
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content, ...validators }, how, 300_000)
      scene.origin.serve(path, { content: other, ...validators })
      const end = await resume()
      expect(success(end).sha256).toBe(other.sha256())
      expect(end.told.restarts).toHaveLength(1)
      await scene.expectFile(name, other)
    })

    it('a difference in the last byte that is kept is enough', async () => {
      const validators = { etag: null, lastModified: null }
      const patched = patchedContent(content, [
        { at: 299_999, data: Buffer.of(content.slice(299_999, 300_000)[0]! ^ 1) },
      ])
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content, ...validators }, how, 300_000)
      scene.origin.serve(path, { content: patched, ...validators })
      expect(success(await resume()).sha256).toBe(patched.sha256())
      await scene.expectFile(name, patched)
    })

    it('less than 64 KiB kept: all of it is compared', async () => {
      const validators = { etag: null, lastModified: null }
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content, ...validators }, how, 10_000)
      scene.origin.serve(path, { content, ...validators })
      expect(success(await resume()).sha256).toBe(content.sha256())
      expect(scene.origin.requests(path)[0]?.range?.start).toBe(0)
      await scene.expectFile(name, content)
    })

    it('a strong ETag before, none now: compared as well', async () => {
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content }, how, 300_000)
      const faults: Fault[] = [{ type: 'headers', headers: { ETag: null, 'Last-Modified': null } }]
      scene.origin.serve(path, { content, faults })
      expect(success(await resume()).sha256).toBe(content.sha256())
      await scene.expectFile(name, content)
    })

    it('a digest needs no comparison', async () => {
      const validators = { etag: null, lastModified: null }
      const options = { sha256: content.sha256() }
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content, ...validators }, how, 300_000, options)
      scene.origin.serve(path, { content, ...validators })
      expect(success(await resume())).toMatchObject({ verified: true, fetchedBytes: content.size - 300_000 })
      expect(scene.origin.requests(path)[0]?.range?.start).toBe(300_000)
      await scene.expectFile(name, content)
    })
  })

  const perNode: Partial<Resource> = { etag: (nth) => `"node ${nth % 2}"` }

  it('a different ETag per node: ends with one stream', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, ...perNode })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts).toEqual([])
    await scene.expectFile(name, content)
  })

  it.each([
    ['per node', perNode],
    ['per request', { etag: (nth: number) => `"request ${nth}"` }],
    ['per node, and weak dates', { ...perNode, lastModified: new Date(), date: new Date() }],
  ] as const)(
    'a different ETag %s, and cut connections: equal bytes at the seam go on',
    async (_, validators) => {
      const scene = await openScene({ tuning: { maxAttempts: 12 } })
      const faults: Fault[] = [{ type: 'truncate', afterBytes: 200_000, times: 6 }]
      scene.origin.serve(path, { content, ...validators, faults })
      const end = await scene.fetch(path)
      expect(success(end).sha256).toBe(content.sha256())
      expect(end.told.restarts).toEqual([])
      expect(end.told.retries).not.toContain('SOURCE_CHANGED')
      await scene.expectFile(name, content)
    },
  )

  it.each(comebacks)('a different ETag per node on a resume, %s: goes on', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content, etag: '"one node"' }, how, 300_000)
    scene.origin.serve(path, { content, etag: '"another node"' })
    const end = await resume()
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts).toEqual([])
    expect(scene.origin.bytesSent(path)).toBeLessThan(2 * content.size)
    await scene.expectFile(name, content)
  })

  it('a different ETag per node, but a digest: it decides, no restart', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, ...perNode })
    const end = await scene.fetch(path, { sha256: content.sha256() })
    expect(success(end)).toMatchObject({ verified: true, fetchedBytes: content.size })
    expect(end.told.restarts).toEqual([])
    await scene.expectFile(name, content)
  })
})

/**
 * A path that leads to `/signed?key=n`, with a new key each time. The first key is good for `firstUses`
 * requests, every later one always, or never if `shut`.
 */
function signed(
  scene: Scene,
  resource: Resource,
  { refusal, firstUses = 1, shut = false }: { refusal: number; firstUses?: number; shut?: boolean },
): void {
  let uses = 0
  scene.origin.serve(path, { redirect: ({ nth }) => `/signed?key=${nth}` })
  scene.origin.serve('/signed', {
    ...resource,
    requires: ({ query }) => {
      const good = query.get('key') === '1' ? (uses += 1) <= firstUses : !shut
      return good ? undefined : refusal
    },
  })
}

describe('row 12: signed URL expires mid-way', () => {
  const refusals = [400, 401, 403, 410]
  const cut: Fault = { type: 'truncate', afterBytes: 100_000, times: 1 }

  it.each(refusals)(
    '%i while segments are asked for: resolves the first URL again, goes on',
    async (refusal) => {
      const scene = await openScene()
      signed(scene, { content, bytesPerSecond: 1 * MiB }, { refusal })
      const end = await scene.fetch(path)
      expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
      expect(end.told.restarts).toEqual([])
      expect(scene.origin.requests('/signed').some(({ status }) => status === refusal)).toBe(true)
      expect(scene.origin.requests(path).length).toBeGreaterThan(1)
      await scene.expectFile(name, content)
    },
  )

  it.each(refusals)('%i for the rest of one stream: goes on from the last byte', async (refusal) => {
    const scene = await openScene({ connections: 1 })
    // The first URL serves the beginning itself, then leads to an address that has expired already.
    scene.origin.serve(path, ({ nth }) => {
      if (nth === 1) return { content, faults: [cut] }
      return nth === 2 ? { redirect: '/expired' } : { redirect: '/fresh' }
    })
    scene.origin.serve('/expired', { status: refusal })
    scene.origin.serve('/fresh', { content })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(scene.origin.requests('/fresh')[0]?.range?.start).toBe(100_000)
    await scene.expectFile(name, content)
  })

  it.each([
    [400, 'HTTP_ERROR'],
    [401, 'ACCESS_DENIED'],
    [403, 'ACCESS_DENIED'],
    [410, 'NOT_FOUND'],
  ] as const)('%i for every new one too: %s, K, and no storm of requests', async (refusal, code) => {
    const scene = await openScene({ connections: 2 })
    signed(scene, { content, faults: [cut] }, { refusal, shut: true })
    failure(await scene.fetch(path), code)
    expect(scene.origin.requests().length).toBeLessThan(20)
    await scene.expectKept(name, content)
  })

  it('the new address has another file: starts over, never a mixture', async () => {
    const scene = await openScene({ connections: 1 })
    scene.origin.serve(path, { redirect: ({ nth }) => (nth === 1 ? '/old' : '/new') })
    scene.origin.serve('/old', { content, faults: [cut] })
    scene.origin.serve('/new', { content: other })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(other.sha256())
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(name, other)
  })

  it('without redirects: the same URL is asked again, and goes on once access is back', async () => {
    const scene = await openScene({ connections: 1 })
    const faults: Fault[] = [cut, { type: 'status', status: 403, times: 1 }]
    scene.origin.serve(path, { content, faults })
    expect(success(await scene.fetch(path)).fetchedBytes).toBe(content.size)
    await scene.expectFile(name, content)
  })

  it.each(comebacks)('before a resume, %s: goes on at a new address', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    signed(scene, { content }, { refusal: 403, firstUses: 0 })
    expect(success(await resume()).fetchedBytes).toBe(content.size - 300_000)
    await scene.expectFile(name, content)
  })

  it.each(comebacks)('for good before a resume, %s: ACCESS_DENIED, K', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    signed(scene, { content }, { refusal: 403, firstUses: 0, shut: true })
    failure(await resume(), 'ACCESS_DENIED')
    expect(scene.origin.requests().length).toBeLessThan(10)
    expect(await scene.expectKept(name, content)).toBe(300_000)
  })
})

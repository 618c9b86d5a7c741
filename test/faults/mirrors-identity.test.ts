/** Mirrors that serve something else: never a mixture, and the right ones go on. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { patchedContent, randomContent } from '../support/content.js'
import { defaultEtag, type Fault, type Resource } from '../support/origin.js'
import { waitFor } from '../support/wait.js'
import { KiB, MiB } from './harness.js'
import { openMirrors, path, type MirrorScene } from './mirror-scene.js'
import { failure, success } from './scene.js'

const content = randomContent(2 * MiB, 'the file')
/** As long. */
const other = randomContent(2 * MiB, 'another file')
const shorter = randomContent(1 * MiB, 'a shorter file')
const never: Fault = { type: 'hangUp', reset: true }
const cut: Fault = { type: 'truncate', afterBytes: 300 * KiB, times: 1 }
const digest = { sha256: content.sha256() }
const one = { connections: 1 }
const slowly = { bytesPerSecond: 2 * MiB }

/** Serves its first bytes, is down for the time that others need, and comes back. */
const interrupted: Resource = {
  content,
  faults: [cut, { type: 'status', status: 503, retryAfter: 1, times: 1 }],
}

/** How others lie about what they have. */
const lies: [string, Partial<Resource>][] = [
  ['under an ETag of its own', {}],
  ['under the ETag of the right one', { etag: defaultEtag(content) }],
  ['under a weak ETag', { etag: 'W/"1"' }],
  ['without validators', { etag: null, lastModified: null }],
  ['without ranges', { ranges: false }],
]

/** The log line that says that a mirror is excluded. */
const leftOut = (scene: MirrorScene, index: number) => {
  const host = new URL(scene.urls[index] ?? '').host
  return scene.log.filter((line) => line.startsWith(`No longer fetching from ${host}`))
}

describe.each([
  ['without a digest', {}],
  ['with a digest', digest],
])('%s', (_, given) => {
  it.each(lies)('another file of the same size, %s: left out, the first goes on', async (__, lie) => {
    const scene = await openMirrors(interrupted, { content: other, ...lie })
    const end = await scene.fetch({ ...given, ...one })
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts).toEqual([])
    expect(leftOut(scene, 1)).toHaveLength(1)
    await scene.expectFile(content)
  })

  it.each(lies)('the same when all are used at once, %s', async (__, lie) => {
    const scene = await openMirrors(
      { content, ...slowly },
      { content: other, ...slowly, ...lie },
      { content },
    )
    const end = await scene.fetch({ ...given, spread: true })
    expect(success(end).sha256).toBe(content.sha256())
    expect(scene.sent(2)).toBeGreaterThan(0)
    await scene.expectFile(content)
  })

  it('a file of another size: left out', async () => {
    const scene = await openMirrors(interrupted, { content: shorter }, { content })
    const end = await scene.fetch({ ...given, ...one })
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.restarts).toEqual([])
    expect(leftOut(scene, 1)).toHaveLength(1)
    await scene.expectFile(content)
  })

  it('the right file at each, whatever the validators say', async () => {
    const tags = ['"a"', '"b"', 'W/"c"', null]
    const dying = tags.map((etag) => ({ content, etag, lastModified: null, faults: [cut, never] }))
    const scene = await openMirrors(...dying, { content })
    const end = await scene.fetch({ ...given, ...one })
    expect(success(end).fetchedBytes).toBe(content.size)
    expect(end.told.restarts).toEqual([])
    expect([0, 1, 2, 3, 4].every((index) => scene.sent(index) > 0)).toBe(true)
    await scene.expectFile(content)
  })

  it('the first is replaced in the middle: the second still has the version that was begun', async () => {
    const swap: Fault = { type: 'swapContent', content: other }
    const scene = await openMirrors({ content, faults: [cut, swap] }, { content, faults: [] })
    const end = await scene.fetch({ ...given, ...one })
    expect(success(end).sha256).toBe(content.sha256())
    await scene.expectFile(content)
  })
})

it('everywhere another version than the one that was begun: SOURCE_CHANGED, starts over once, all of one', async () => {
  const swap: Fault = { type: 'swapContent', content: other }
  const scene = await openMirrors({ content, faults: [cut, swap] }, { content: other })
  const end = await scene.fetch(one)
  expect(success(end).sha256).toBe(other.sha256())
  expect(end.told.restarts).toHaveLength(1)
  await scene.expectFile(other)
})

describe('with a digest', () => {
  it('the first has another file: left out when that shows, and the second serves it', async () => {
    const scene = await openMirrors({ content: other }, { content })
    const end = await scene.fetch(digest)
    expect(success(end).verified).toBe(true)
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(content)
  })

  it('the first has a file of another size, or a page', async () => {
    const page: Fault = { type: 'htmlPage' }
    const scene = await openMirrors({ content: shorter }, { content, faults: [page] }, { content })
    const end = await scene.fetch(digest)
    expect(success(end).verified).toBe(true)
    await scene.expectFile(content)
  })

  it('one differs where nobody looks: found in the end, and the right one serves it', async () => {
    const flipped = patchedContent(content, [{ at: 1_900_000, data: Buffer.from('wrong') }])
    const scene = await openMirrors(
      { content, faults: [cut, never, never], etag: '"a"' },
      { content: flipped },
      { content },
    )
    const end = await scene.fetch({ ...digest, ...one })
    expect(success(end).verified).toBe(true)
    await scene.expectFile(content)
  })

  it('all of them have another file: CHECKSUM_MISMATCH', async () => {
    const scene = await openMirrors({ content: other }, { content: other }, { content: other })
    failure(await scene.fetch(digest), 'CHECKSUM_MISMATCH')
  })
})

it('with a size: those with another one are left out', async () => {
  const scene = await openMirrors({ content: shorter }, { content })
  const end = await scene.fetch({ size: content.size })
  success(end)
  expect(end.told.restarts).toEqual([])
  await scene.expectFile(content)
})

describe('bytes of an earlier run', () => {
  /** Fetches about 1 MiB, and closes the manager. */
  const begin = async (scene: MirrorScene, options = {}) => {
    const manager = scene.manager()
    const download = await manager.download({ urls: scene.urls, ...one, ...options })
    await waitFor(() => download.current.downloaded >= MiB, { what: 'a mebibyte' })
    await manager.close()
    for (const origin of scene.origins) origin.clearRequests()
  }

  describe.each([
    ['without a digest', {}],
    ['with a digest', digest],
  ])('%s', (_, given) => {
    it('go on whichever mirror is first then', async () => {
      const [a, b] = [
        { content, etag: '"a"' },
        { content, etag: '"b"' },
      ]
      const scene = await openMirrors({ ...a, ...slowly }, { ...b, ...slowly })
      await begin(scene, given)
      const end = await scene.fetch({ ...given, urls: scene.urls.toReversed() })
      expect(success(end).fetchedBytes).toBeLessThan(content.size - MiB + 1)
      expect(scene.sent(1)).toBeGreaterThan(0)
      await scene.expectFile(content)
    })

    it('of a mirror go on at another one, and never by its validators', async () => {
      // The second run knows only the one that was asked for nothing in the first; it has another file, under
      // the tag that the kept bytes have.
      const scene = await openMirrors({ content, faults: [never] }, { content, ...slowly, etag: '"same"' })
      await begin(scene, given)
      scene.origins[0]?.serve(path, { content: other, etag: '"same"' })
      scene.origins[1]?.serve(path, { content, etag: '"same"' })
      const end = await scene.fetch({ ...given })
      expect(success(end).sha256).toBe(content.sha256())
      await scene.expectFile(content)
    })

    it('of a mirror that is gone go on at the others', async () => {
      const scene = await openMirrors({ content, faults: [never] }, { content, ...slowly }, { content })
      await begin(scene, given)
      scene.origins[1]?.serve(path, { content, faults: [never] })
      const end = await scene.fetch({ ...given })
      expect(success(end).fetchedBytes).toBeLessThan(content.size - MiB + 1)
      await scene.expectFile(content)
    })
  })

  it('of a single URL go on when it gets mirrors, with a journal of an older version', async () => {
    const scene = await openMirrors({ content, ...slowly }, { content })
    const [first = ''] = scene.urls
    await begin(scene, { urls: [first] })
    const file = join(scene.directory, 'model.bin.part.json')
    const journal: unknown = JSON.parse(await readFile(file, 'utf8'))
    expect(journal).not.toHaveProperty('mirror')
    await writeFile(file, JSON.stringify(journal))
    scene.origins[0]?.serve(path, { content, faults: [never] })
    const end = await scene.fetch()
    expect(success(end).fetchedBytes).toBeLessThan(content.size - MiB + 1)
    await scene.expectFile(content)
  })

  it('of a mirror that has lost its place in the list are compared, and dropped when they are others', async () => {
    const scene = await openMirrors({ content, faults: [never] }, { content, ...slowly, etag: '"same"' })
    await begin(scene)
    const [first = ''] = scene.urls
    scene.origins[0]?.serve(path, { content: other, etag: '"same"' })
    const end = await scene.fetch({ urls: [first] })
    expect(success(end).sha256).toBe(other.sha256())
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(other)
  })
})

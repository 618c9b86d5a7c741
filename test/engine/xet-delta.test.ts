/** What a new revision shares with the verified version on disk is copied from there, wherever that is. */
import { rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type DownloadManagerOptions, huggingFace } from '../../src/index.js'
import { arrives, fails, KiB, makeManager } from '../faults/harness.js'
import { type Cas, startCas } from '../support/cas.js'
import { bufferContent, type Content, randomContent, textContent } from '../support/content.js'
import { type Hub, startHub } from '../support/hub.js'
import { sha256File, tempDir } from '../support/temp.js'

const large = 'weights/model.bin'
const other = 'weights/other.bin'

/** Plans and other small answers, per file that is compared. */
const overheadBytes = 16 * KiB

const edited = (content: Content, at: number) => {
  const data = content.slice(0, content.size)
  return bufferContent(Buffer.concat([data.subarray(0, at), Buffer.from('edit'), data.subarray(at)]))
}

/** The same, at the same length. */
const overwritten = (content: Content, at: number) => {
  const data = Buffer.from(content.slice(0, content.size))
  return bufferContent(data.fill('edit', at, at + 16))
}

interface World extends AsyncDisposable {
  hub: Hub
  cas: Cas
  directory: string
  old: Content
  /** Runs a task with a manager that finds what earlier ones have recorded. */
  run: <T>(task: (manager: ReturnType<typeof makeManager>) => Promise<T>) => Promise<T>
  /** Commits another version of the large file, and returns how many bytes of it are new to the store. */
  commit: (content: Content) => number
}

async function world(more: DownloadManagerOptions = {}): Promise<World> {
  const [hub, cas] = await Promise.all([startHub(), startCas()])
  const old = randomContent(500 * KiB, 'old')
  const same = randomContent(100 * KiB, 'same')
  const files = { [large]: old, [other]: same, 'config.json': textContent('{"version":1}') }
  cas.add(old)
  cas.add(same)
  hub.cas = cas
  hub.add('owner/model', { files })
  const directory = tempDir('xet-delta')
  let version = 1
  return {
    hub,
    cas,
    directory,
    old,
    run: async (task) => {
      await using manager = makeManager(directory, {
        sources: [huggingFace({ endpoint: hub.url, token: null })],
        adopt: false,
        store: 'file',
        ...more,
      })
      return await task(manager)
    },
    commit: (content) => {
      version += 1
      const before = cas.storedBytes
      cas.add(content)
      const config = textContent(`{"version":${version}}`)
      hub.commit('owner/model', { ...files, [large]: content, 'config.json': config })
      return cas.storedBytes - before
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([hub[Symbol.asyncDispose](), cas[Symbol.asyncDispose]()])
    },
  }
}

const blob = (content: Content) => join('models--owner--model', 'blobs', content.sha256())

const ways = [
  ['a file', `hf:owner/model/${large}`, 'flat'],
  ['a file in a cache', `hf:owner/model/${large}`, 'hf-cache'],
  ['a repository', 'hf:owner/model', 'flat'],
  ['a repository in a cache', 'hf:owner/model', 'hf-cache'],
] as const

/** Downloads what is there now. Returns how many bytes came over the network, and the path of the large file. */
async function get(at: World, url: string): Promise<{ fetchedBytes: number; path: string }> {
  return await at.run(async (manager) => {
    const { fetchedBytes, path, verified } = await arrives(await manager.download({ url }))
    expect(verified).toBe(true)
    return { fetchedBytes, path: url.endsWith('.bin') ? path : join(path, ...large.split('/')) }
  })
}

describe('what has moved on', () => {
  it.each(ways)(
    'takes all that is not new from the version on disk, also when it has failed before: %s',
    async (_, url, layout) => {
      await using at = await world({ layout })
      const { path: before } = await get(at, url)
      const fresh = edited(at.old, 200_000)
      const freshBytes = at.commit(fresh)
      at.cas.edgeBehaviour = { status: 404 }
      at.hub.cdnBehaviour = { status: 404 }
      await at.run(async (manager) => await fails(await manager.download({ url })))
      expect(await sha256File(before), 'the old one is there until the new one is').toBe(at.old.sha256())
      at.cas.edgeBehaviour = {}
      at.hub.cdnBehaviour = {}
      const sent = { http: at.hub.cdn.bytesSent(), xet: at.cas.edge.bytesSent() }
      const { path, fetchedBytes } = await get(at, url)
      expect(await sha256File(path)).toBe(fresh.sha256())
      expect(at.hub.cdn.bytesSent(), 'over HTTP').toBe(sent.http)
      expect(at.cas.edge.bytesSent() - sent.xet).toBeLessThanOrEqual(freshBytes + overheadBytes)
      expect(fetchedBytes).toBeLessThanOrEqual(freshBytes + overheadBytes)
      if (layout === 'hf-cache')
        expect(await sha256File(join(at.directory, blob(at.old))), 'of the old snapshot').toBe(
          at.old.sha256(),
        )
    },
  )

  const spoiled: [string, (path: string) => void][] = [
    ['is cut off', (path) => truncateSync(path, 150_000)],
    ['has changed', (path) => writeFileSync(path, Buffer.alloc(statSync(path).size, 1))],
  ]
  describe.each([ways[1], ways[2]])('of which the version on disk is spoiled: %s', (_, url, layout) => {
    const olderOf = (at: World, path: string) =>
      layout === 'hf-cache' ? join(at.directory, blob(at.old)) : path

    it.each([['is gone', (path: string) => rmSync(path)] as const, ...spoiled.slice(1)])(
      'is fetched whole when that %s',
      async (__, spoil) => {
        await using at = await world({ layout })
        const { path: before } = await get(at, url)
        const fresh = overwritten(at.old, 150_000)
        at.commit(fresh)
        spoil(olderOf(at, before))
        const { path, fetchedBytes } = await get(at, url)
        expect(await sha256File(path)).toBe(fresh.sha256())
        expect(fetchedBytes).toBeGreaterThanOrEqual(fresh.size)
      },
    )

    it.each(spoiled)('is right when that %s while it is read', async (__, spoil) => {
      await using at = await world({ layout })
      const { path: before } = await get(at, url)
      const fresh = overwritten(at.old, 450_000)
      at.commit(fresh)
      let isSpoiled = false
      // When plans are compared, the version on disk is open.
      at.cas.planBehaviour = {
        requires: () => {
          if (!isSpoiled) spoil(olderOf(at, before))
          isSpoiled = true
          return undefined
        },
      }
      const { path } = await get(at, url)
      expect(isSpoiled).toBe(true)
      expect(await sha256File(path)).toBe(fresh.sha256())
    })
  })
})

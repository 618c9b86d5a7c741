import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  createMemoryStore,
  DownloadError,
  DownloadManager,
  type DownloadRecord,
  type DownloadStore,
} from '../../src/index.js'
import { arrives, expectInvariant, KiB, MiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { EventLog } from './events.js'

const content = randomContent(128 * KiB)
const broken = () => Promise.reject(new Error('the database is away'))
const storeError = { code: 'STORE_ERROR', cause: { message: 'the database is away' } }

describe('a store of the caller', () => {
  it('is told of every state that lasts, and of what is forgotten', async () => {
    const memory = createMemoryStore()
    const saved: DownloadRecord[] = []
    const removed: string[] = []
    let closed = 0
    const store: DownloadStore = {
      load: () => memory.load(),
      save: (record) => {
        saved.push(structuredClone(record))
        return memory.save(record)
      },
      remove: (id) => {
        removed.push(id)
        return memory.remove(id)
      },
      close: () => {
        closed += 1
        return Promise.resolve()
      },
    }
    await using bench = await startBench({ store })
    const { manager, origin } = bench
    origin.serve('/a.bin', { content, bytesPerSecond: 256 * KiB })
    const download = await manager.download({ url: origin.url('/a.bin'), sha256: content.sha256() })
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    await download.pause()
    expect(saved.at(-1)).toMatchObject({ state: 'paused', downloaded: download.current.downloaded })
    await download.resume()
    await arrives(download)
    await manager.onIdle()
    expect(saved[0]).toMatchObject({
      state: 'queued',
      url: download.url,
      sha256: content.sha256(),
      named: true,
    })
    expect(saved.at(-1)).toMatchObject({
      state: 'completed',
      resultSha256: content.sha256(),
      verified: true,
      downloaded: content.size,
      total: content.size,
      stamp: { size: content.size, sha256: content.sha256() },
    })
    expect(new Set(saved.map(({ id }) => id)).size).toBe(1)
    await manager.remove(download.url)
    expect(removed).toEqual([saved[0]?.id])
    await manager.close()
    expect(closed).toBe(1)
  })

  it('hands downloads from one manager to the next', async () => {
    const store = createMemoryStore()
    await using bench = await startBench({ store })
    const { manager, origin, directory } = bench
    const slow = { content: randomContent(2 * MiB), bytesPerSecond: MiB }
    origin.serve('/a.bin', slow)
    const first = await manager.download({ url: origin.url('/a.bin') })
    await waitFor(() => first.current.downloaded > 0, { what: 'some bytes' })
    await manager.close()
    origin.serve('/a.bin', { content: slow.content })
    await using next = new DownloadManager({ directory, store, defaultMode: null, proxy: false })
    await next.ready
    const [second] = next.list()
    if (second === undefined) throw new Error('It is not known.')
    const file = await arrives(second)
    expect(file.fetchedBytes).toBeLessThan(slow.content.size)
    await expectInvariant(directory, 'a.bin', 'done', slow)
  })
})

describe('a store that fails', () => {
  it('to load: ready rejects with STORE_ERROR, and so does every call', async () => {
    await using bench = await startBench({ store: { ...createMemoryStore(), load: broken } })
    const { manager, origin, directory } = bench
    await expect(manager.ready).rejects.toMatchObject(storeError)
    const url = origin.url('/a.bin')
    await expect(manager.download({ url })).rejects.toMatchObject(storeError)
    for (const verb of ['pause', 'resume', 'cancel', 'retry', 'remove'] as const)
      await expect(manager[verb](url)).rejects.toMatchObject(storeError)
    await expect(manager.onIdle()).rejects.toMatchObject(storeError)
    expect(manager.list()).toEqual([])
    await withTimeout(manager.close(), 5_000, 'close')
    await expectInvariant(directory, 'a.bin', 'N')
  })

  it('to load: an error of its own code is passed on', async () => {
    const own = new DownloadError('STORE_ERROR', 'The database is away.', { retryable: true })
    await using manager = new DownloadManager({
      directory: join(tempDir('store'), 'models'),
      store: { ...createMemoryStore(), load: () => Promise.reject(own) },
    })
    await expect(manager.ready).rejects.toBe(own)
  })

  it('to load: nobody who does not ask gets an unhandled rejection', async () => {
    const unhandled: unknown[] = []
    const listener = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', listener)
    try {
      const store = { ...createMemoryStore(), load: broken }
      const manager = new DownloadManager({ directory: tempDir('store'), store })
      await manager.close()
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      process.off('unhandledRejection', listener)
    }
    expect(unhandled).toEqual([])
  })

  it('to save a new download: it is refused, and not known', async () => {
    await using bench = await startBench({ store: { ...createMemoryStore(), save: broken } })
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', { content })
    const log = new EventLog(manager)
    await expect(manager.download({ url: origin.url('/a.bin') })).rejects.toMatchObject(storeError)
    expect(manager.list()).toEqual([])
    expect(log.names()).toEqual([])
    expect(origin.requests()).toEqual([])
    await expectInvariant(directory, 'a.bin', 'N')
  })

  it.each([
    ['with a rejection', broken],
    [
      'with a throw',
      () => {
        throw new Error('the database is away')
      },
    ],
  ])('to save later, %s: that is logged, and the download goes on', async (_, save) => {
    const memory = createMemoryStore()
    let saves = 0
    const store = {
      ...memory,
      save: (record: DownloadRecord) => (saves++ === 0 ? memory.save(record) : save()),
    }
    await using bench = await startBench({ store })
    const { manager, origin, directory } = bench
    const log = new EventLog(manager)
    origin.serve('/a.bin', { content })
    const download = await manager.download({ url: origin.url('/a.bin') })
    await arrives(download)
    await withTimeout(manager.onIdle(), 1_000, 'onIdle')
    await expectInvariant(directory, 'a.bin', 'done', { content })
    expect(saves).toBeGreaterThan(1)
    expect(log.logs.length).toBeGreaterThan(0)
    for (const line of log.logs) {
      expect(line).toMatchObject({ download, level: 'error' })
      expect(line.message).toContain('the database is away')
    }
  })

  it('to remove: it stays known, and can be removed later', async () => {
    const memory = createMemoryStore()
    let away = true
    const store = { ...memory, remove: (id: string) => (away ? broken() : memory.remove(id)) }
    await using bench = await startBench({ store })
    const { manager, origin } = bench
    const log = new EventLog(manager)
    origin.serve('/a.bin', { content })
    const download = await manager.download({ url: origin.url('/a.bin') })
    await arrives(download)
    await expect(manager.remove(download.url)).rejects.toMatchObject(storeError)
    expect(manager.get(download.url)).toBe(download)
    away = false
    await manager.remove(download.url)
    expect(manager.list()).toEqual([])
    expect(log.count('removed')).toBe(1)
  })

  it('to close: close rejects with STORE_ERROR, and what is pending is let go of all the same', async () => {
    const store = { ...createMemoryStore(), close: broken }
    const manager = new DownloadManager({ directory: tempDir('store'), store, concurrency: 1 })
    const download = await manager.download({ url: 'http://127.0.0.1:9/a.bin' })
    await expect(manager.close()).rejects.toMatchObject(storeError)
    await expect(withTimeout(download.finished, 1_000)).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

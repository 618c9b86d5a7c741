import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DownloadManager } from '../../src/index.js'
import { arrives, expectInvariant, fails, KiB, makeManager, MiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { EventLog } from './events.js'

const content = randomContent(512 * KiB)
const slow = { content: randomContent(4 * MiB), bytesPerSecond: 1 * MiB }

describe('a lucky download', () => {
  it('tells its events in order, and ends with the file', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const log = new EventLog(manager)
    origin.serve('/a.bin', { content, bytesPerSecond: 2 * MiB })
    const download = await manager.download({ url: origin.url('/a.bin'), sha256: content.sha256() })
    const file = await arrives(download)
    expect(log.runs(download)).toEqual([
      'queued',
      'started',
      'progress',
      'verifying',
      'progress',
      'completed',
    ])
    expect(file).toEqual({
      url: origin.url('/a.bin'),
      path: join(directory, 'a.bin'),
      filename: 'a.bin',
      size: content.size,
      sha256: content.sha256(),
      verified: true,
      verification: { algorithm: 'sha256', value: content.sha256(), from: 'caller' },
      existed: false,
      fetchedBytes: content.size,
      adoptedFrom: null,
      files: null,
    })
    await expectInvariant(directory, 'a.bin', 'done', { content })
  })

  it('can be looked at from all sides afterwards', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const url = origin.url('/a.bin')
    origin.serve('/a.bin', { content })
    const before = Date.now()
    const download = await manager.download({ url, priority: 7 })
    expect(download).toMatchObject({ url, mode: null, named: true, priority: 7, error: null, file: null })
    const file = await arrives(download)
    expect(download).toMatchObject({ state: 'completed', filename: 'a.bin', path: join(directory, 'a.bin') })
    expect(download).toMatchObject({ sha256: content.sha256(), verified: false, file, error: null })
    for (const date of [download.createdAt, download.startedAt, download.finishedAt]) {
      expect(date?.getTime()).toBeGreaterThanOrEqual(before)
      expect(date?.getTime()).toBeLessThanOrEqual(Date.now())
    }
    expect(download.current).toEqual({
      downloaded: content.size,
      total: content.size,
      percent: 100,
      bytesPerSecond: 0,
      etaSeconds: 0,
      connections: 0,
      phase: 'completed',
    })
    expect(manager.get(url)).toBe(download)
    expect(manager.list()).toEqual([download])
  })
})

describe('pause, resume, cancel, retry, remove', () => {
  it('pause keeps the bytes, and resume goes on from there', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const log = new EventLog(manager)
    origin.serve('/a.bin', slow)
    const download = await manager.download({ url: origin.url('/a.bin') })
    await waitFor(() => download.current.downloaded > 256 * KiB, { what: 'some bytes' })
    expect(await download.pause()).toBe(download)
    expect(download.state).toBe('paused')
    const kept = download.current.downloaded
    expect(kept).toBeGreaterThan(256 * KiB)
    await expectInvariant(directory, 'a.bin', 'K')
    await manager.pause(download.url)
    origin.serve('/a.bin', { content: slow.content })
    await download.resume()
    const file = await arrives(download)
    expect(file.fetchedBytes).toBe(slow.content.size - kept)
    await expectInvariant(directory, 'a.bin', 'done', slow)
    const expected = ['queued', 'started', 'paused', 'resumed', 'queued', 'started', 'verifying', 'completed']
    expect(log.names(download)).toEqual(expected)
  })

  it('cancel deletes the bytes; retry starts anew, with a new promise', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const log = new EventLog(manager)
    origin.serve('/a.bin', slow)
    const download = await manager.download({ url: origin.url('/a.bin') })
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    const { finished } = download
    await download.cancel()
    await expect(finished).rejects.toMatchObject({ code: 'CANCELED' })
    expect(download).toMatchObject({ state: 'canceled', current: { downloaded: 0, percent: 0 } })
    await expectInvariant(directory, 'a.bin', 'N')
    await download.cancel()
    origin.serve('/a.bin', { content })
    await download.retry()
    expect(download.finished).not.toBe(finished)
    await arrives(download)
    await expectInvariant(directory, 'a.bin', 'done', { content })
    expect(log.count('canceled')).toBe(1)
  })

  it('retry of a failed one goes on from its kept bytes', async () => {
    await using bench = await startBench({ connections: 1 })
    const { manager, origin, directory } = bench
    const faults = [{ type: 'status', status: 500, after: 1 } as const]
    origin.serve('/a.bin', { ...slow, faults: [{ type: 'truncate', afterBytes: MiB, times: 1 }, ...faults] })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const error = await fails(download)
    expect(error).toMatchObject({ code: 'HTTP_ERROR', status: 500 })
    expect(download.error).toMatchObject({ code: 'HTTP_ERROR', status: 500, retryable: true })
    await expectInvariant(directory, 'a.bin', 'K')
    origin.serve('/a.bin', { content: slow.content })
    await manager.retry(download.url)
    expect(download.error).toBeNull()
    const file = await arrives(download)
    expect(file.fetchedBytes).toBe(slow.content.size - MiB)
    await expectInvariant(directory, 'a.bin', 'done', slow)
  })

  it('remove forgets a live one with its bytes, and a finished one with or without its file', async () => {
    await using bench = await startBench({ concurrency: 3 })
    const { manager, origin, directory } = bench
    const log = new EventLog(manager)
    origin.serve('/live.bin', slow)
    for (const name of ['kept', 'gone']) origin.serve(`/${name}.bin`, { content })
    const get = (name: string) => manager.download({ url: origin.url(`/${name}.bin`) })
    const [live, kept, gone] = await Promise.all([get('live'), get('kept'), get('gone')])
    await Promise.all([arrives(kept), arrives(gone)])
    await waitFor(() => live.current.downloaded > 0, { what: 'some bytes' })
    await manager.remove(live.url)
    await manager.remove(kept.url)
    await manager.remove(gone.url, { deleteFile: true })
    await manager.remove(gone.url)
    expect(manager.list()).toEqual([])
    expect(manager.get(live.url)).toBeUndefined()
    await expect(live.finished).rejects.toMatchObject({ code: 'CANCELED' })
    expect(await listTree(directory)).toEqual(['kept.bin'])
    expect(log.order('removed')).toEqual(['live.bin', 'kept.bin', 'gone.bin'])
  })

  it('remove of a failed one deletes what was kept', async () => {
    await using bench = await startBench({ connections: 1 })
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', {
      content,
      faults: [
        { type: 'truncate', afterBytes: 100_000, times: 1 },
        { type: 'status', status: 500 },
      ],
    })
    const download = await manager.download({ url: origin.url('/a.bin') })
    await fails(download)
    await expectInvariant(directory, 'a.bin', 'K')
    await manager.remove(download.url)
    expect(await listTree(directory)).toEqual([])
  })

  it('refuse what makes no sense', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content })
    const done = await manager.download({ url: origin.url('/a.bin') })
    await arrives(done)
    const lost = await manager.download({ url: origin.url('/lost.bin') })
    await fails(lost)
    const state = { code: 'INVALID_STATE' }
    await expect(done.pause()).rejects.toMatchObject(state)
    await expect(done.resume()).rejects.toMatchObject(state)
    await expect(done.cancel()).rejects.toMatchObject(state)
    await expect(done.retry()).rejects.toMatchObject(state)
    await expect(lost.pause()).rejects.toMatchObject(state)
    await expect(lost.resume()).rejects.toMatchObject(state)
    for (const verb of ['pause', 'resume', 'cancel', 'retry'] as const)
      await expect(manager[verb]('http://127.0.0.1/unknown')).rejects.toMatchObject({
        code: 'UNKNOWN_DOWNLOAD',
      })
    await manager.remove('http://127.0.0.1/unknown')
  })
})

describe('finished', () => {
  it('is never an unhandled rejection', async () => {
    const unhandled: unknown[] = []
    const listener = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', listener)
    try {
      await using bench = await startBench()
      const { manager, origin } = bench
      const log = new EventLog(manager)
      origin.serve('/slow.bin', slow)
      const lost = await manager.download({ url: origin.url('/lost.bin') })
      const slowly = await manager.download({ url: origin.url('/slow.bin') })
      await waitFor(() => lost.state === 'failed' && slowly.current.downloaded > 0)
      await slowly.cancel()
      await manager.retry(lost.url)
      await waitFor(() => log.count('failed') === 2)
      await slowly.retry()
      await manager.close()
      // Node reports unhandled rejections after the microtasks of a turn.
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      process.off('unhandledRejection', listener)
    }
    expect(unhandled).toEqual([])
  })
})

describe('onIdle', () => {
  it('resolves at once when there is nothing to do', async () => {
    await using bench = await startBench()
    await withTimeout(bench.manager.onIdle(), 1_000, 'onIdle')
  })

  it('waits for what is queued and what works, however it ends', async () => {
    await using bench = await startBench({ concurrency: 1 })
    const { manager, origin } = bench
    origin.serve('/a.bin', { content })
    const downloads = await Promise.all(
      ['a', 'lost'].map((name) => manager.download({ url: origin.url(`/${name}.bin`) })),
    )
    await withTimeout(manager.onIdle(), 5_000, 'onIdle')
    expect(downloads.map((download) => download.state)).toEqual(['completed', 'failed'])
  })

  it('does not wait for paused ones', async () => {
    await using bench = await startBench({ concurrency: 1 })
    const { manager, origin } = bench
    for (const name of ['a', 'b']) origin.serve(`/${name}.bin`, slow)
    const a = await manager.download({ url: origin.url('/a.bin') })
    const b = await manager.download({ url: origin.url('/b.bin') })
    const idle = manager.onIdle()
    await b.pause()
    await a.pause()
    await withTimeout(idle, 5_000, 'onIdle')
    expect([a.state, b.state]).toEqual(['paused', 'paused'])
  })
})

describe('close', () => {
  it('keeps the bytes, rejects what is pending with CLOSED, and is idempotent', async () => {
    await using bench = await startBench({ concurrency: 1 })
    const { manager, origin, directory } = bench
    for (const name of ['a', 'b']) origin.serve(`/${name}.bin`, slow)
    const running = await manager.download({ url: origin.url('/a.bin') })
    const queued = await manager.download({ url: origin.url('/b.bin') })
    await waitFor(() => running.current.downloaded > 0, { what: 'some bytes' })
    const idle = manager.onIdle()
    const closing = manager.close()
    expect(manager.close()).toBe(closing)
    await withTimeout(closing, 5_000, 'close')
    await withTimeout(idle, 1_000, 'onIdle')
    for (const { finished } of [running, queued])
      await expect(finished).rejects.toMatchObject({ code: 'CLOSED', retryable: true })
    await manager.close()
    await expectInvariant(directory, 'a.bin', 'K')
    await waitFor(() => origin.openConnections === 0, { what: 'all connections to be closed' })
  })

  it('refuses every later call with CLOSED', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content })
    const download = await manager.download({ url: origin.url('/a.bin') })
    await arrives(download)
    await manager.close()
    const closed = { code: 'CLOSED' }
    await expect(manager.download({ url: origin.url('/b.bin') })).rejects.toMatchObject(closed)
    for (const verb of ['pause', 'resume', 'cancel', 'retry', 'remove'] as const)
      await expect(manager[verb](download.url)).rejects.toMatchObject(closed)
    await withTimeout(manager.onIdle(), 1_000, 'onIdle')
    expect(manager.list()).toEqual([download])
    await expect(download.finished).resolves.toMatchObject({ size: content.size })
  })

  it('comes with the end of an await using block', async () => {
    const directory = tempDir('using')
    let outside: DownloadManager | undefined
    {
      await using manager = makeManager(directory)
      outside = manager
    }
    await expect(outside.download({ url: 'http://127.0.0.1/a.bin' })).rejects.toMatchObject({
      code: 'CLOSED',
    })
    expect(DownloadManager.prototype[Symbol.asyncDispose]).toBeTypeOf('function')
  })

  it('touches nothing when nothing was asked for', async () => {
    const directory = join(tempDir('untouched'), 'models')
    const manager = new DownloadManager({ directory })
    await manager.ready
    await manager.close()
    await expect(readFile(directory)).rejects.toMatchObject({ code: 'ENOENT' })
    await writeFile(directory, 'a file may take the place')
  })
})

import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createFileStore, isDownloadError } from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { dist, RunningProcess, spawnCli } from '../support/process.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { deadline, waitFor, withTimeout } from '../support/wait.js'
import { arrives, expectInvariant, makeManager, MiB, startBench } from './harness.js'

const content = randomContent(2 * MiB, 'one target')
const path = '/model.bin'
const name = 'model.bin'

describe('row 35: the same URL many times at once', () => {
  it('50 calls: one download, one transfer, one file', async () => {
    await using bench = await startBench({ store: 'file' })
    const { manager, origin, directory } = bench
    origin.serve(path, { content, bytesPerSecond: 4 * MiB })
    let started = 0
    let completed = 0
    manager.on('started', () => (started += 1))
    manager.on('completed', () => (completed += 1))
    const url = origin.url(path)
    const downloads = await Promise.all(Array.from({ length: 50 }, () => manager.download({ url })))
    expect(new Set(downloads).size).toBe(1)
    const files = await Promise.all(downloads.map((download) => arrives(download)))
    expect(new Set(files).size).toBe(1)
    expect(files[0]?.fetchedBytes).toBe(content.size)
    expect({ started, completed }).toEqual({ started: 1, completed: 1 })
    expect(origin.requests(path).filter(({ range }) => range?.start === 0)).toHaveLength(1)
    expect(manager.list()).toHaveLength(1)
    // Idle means that the record is saved, too.
    await manager.onIdle()
    const others = ['.model-downloader/', `.model-downloader/${downloads[0]?.record.id ?? ''}.json`]
    await expectInvariant(directory, name, 'done', { content, others })
  })

  it('50 calls, half of them with another digest: those get CONFLICT, the others the file', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve(path, { content })
    const url = origin.url(path)
    const ends = await Promise.allSettled(
      Array.from({ length: 50 }, async (_, index) => {
        const sha256 = index % 2 === 0 ? content.sha256() : 'a'.repeat(64)
        return arrives(await manager.download({ url, sha256 }))
      }),
    )
    expect(ends.filter((end) => end.status === 'fulfilled')).toHaveLength(25)
    for (const end of ends)
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'CONFLICT' })
    await expectInvariant(directory, name, 'done', { content })
  })

  it('two URLs, one file: the second gets CONFLICT', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve(path, { content, bytesPerSecond: 4 * MiB })
    const first = await manager.download({ url: origin.url(path) })
    const second = manager.download({ url: origin.url('/other.bin'), filename: name })
    await expect(second).rejects.toMatchObject({ code: 'CONFLICT' })
    await arrives(first)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('a store that fails: every one of the callers hears of it, nobody waits for ever', async () => {
    const store = {
      load: async () => ({ records: [], problems: [] }),
      save: async () => {
        throw new Error('the disk of the store is full')
      },
      remove: async () => undefined,
    }
    await using bench = await startBench({ store })
    const { manager, origin } = bench
    origin.serve(path, { content })
    const url = origin.url(path)
    const calls = Array.from({ length: 5 }, () => manager.download({ url }))
    const ends = await withTimeout(Promise.allSettled(calls), 5_000, 'the callers')
    for (const end of ends) {
      if (end.status === 'fulfilled') throw new Error('A download that could not be stored was accepted.')
      expect(end.reason).toMatchObject({ code: 'STORE_ERROR' })
    }
    expect(manager.list()).toEqual([])
  })
})

describe('row 36: several managers, one target', () => {
  it('20 at once: one writes, the others get TARGET_LOCKED', async () => {
    await using origin = await startOrigin()
    // The file is there only after all others have tried.
    let ended = 0
    const until = () => ended >= 19
    origin.serve(path, { content, faults: [{ type: 'stallBody', afterBytes: 1_000, until }] })
    const directory = join(tempDir('managers'), 'models')
    const managers = Array.from({ length: 20 }, () =>
      makeManager(directory, { connections: 1, tuning: { bodyTimeoutMs: deadline(30_000) } }),
    )
    const ends = await Promise.all(
      managers.map(async (manager) => {
        const download = await manager.download({ url: origin.url(path) })
        const end = await download.finished.then(
          () => 'done',
          (error: unknown) => (isDownloadError(error) ? error.code : String(error)),
        )
        ended += 1
        return end
      }),
    )
    expect(ends.filter((end) => end === 'done')).toHaveLength(1)
    expect(ends.filter((end) => end === 'TARGET_LOCKED')).toHaveLength(19)
    await Promise.all(managers.map((manager) => manager.close()))
    await expectInvariant(directory, name, 'done', { content })
  })

  it('although the lock was deleted under it: never a mixture', async () => {
    await using origin = await startOrigin()
    const other = randomContent(content.size, 'another')
    origin.serve(path, { content, bytesPerSecond: MiB })
    origin.serve('/other.bin', { content: other, bytesPerSecond: MiB })
    const directory = join(tempDir('managers'), 'models')
    await using first = makeManager(directory)
    await using second = makeManager(directory)
    const one = await first.download({ url: origin.url(path) })
    await origin.waitForBytes(path, MiB / 4)
    await unlink(join(directory, `${name}.part.lock`))
    const two = await second.download({ url: origin.url('/other.bin'), filename: name })
    const ends = await withTimeout(Promise.allSettled([one.finished, two.finished]), 10_000, 'both ends')
    // Any of them may win, even one after the other; the losers report it.
    for (const end of ends)
      if (end.status === 'rejected') expect(end.reason.code).toMatch(/^(?:TARGET_LOCKED|DISK_IO)$/)
    const digest = await sha256File(join(directory, name))
    const right = [content, other].filter((_, index) => ends[index]?.status === 'fulfilled')
    expect(right.map((each) => each.sha256())).toContain(digest)
    const final = right.find((each) => each.sha256() === digest)
    await expectInvariant(directory, name, 'done', final === undefined ? {} : { content: final })
  })
})

describe('row 36: two processes, one target', () => {
  const args = (url: string, directory: string) => [
    'get',
    url,
    '-d',
    directory,
    '--connections',
    '2',
    '--json',
  ]

  it('the second gets TARGET_LOCKED, the first is not disturbed', async () => {
    await using origin = await startOrigin()
    origin.serve(path, { content, bytesPerSecond: MiB / 2 })
    const directory = join(tempDir('processes'), 'models')
    await using first = spawnCli(args(origin.url(path), directory))
    await origin.waitForBytes(path, MiB / 4)
    // However long the second one takes to start, the first one still writes then.
    first.signal('SIGSTOP')
    await using second = spawnCli(args(origin.url(path), directory))
    const { code, stdout } = await second.finished()
    first.signal('SIGCONT')
    expect(code).toBe(1)
    expect(stdout).toContain('TARGET_LOCKED')
    expect(await listTree(directory)).toContain(`${name}.part.lock`)
    expect(await first.finished()).toMatchObject({ code: 0 })
    await expectInvariant(directory, name, 'done', { content })
  })

  it('five started together: exactly one writes at a time, one file in the end', async () => {
    await using origin = await startOrigin()
    origin.serve(path, { content, bytesPerSecond: MiB / 2 })
    const directory = join(tempDir('processes'), 'models')
    const runs = Array.from({ length: 5 }, () => spawnCli(args(origin.url(path), directory)))
    const ends = await Promise.all(runs.map((run) => run.finished()))
    // One that starts when the file is there already finds it, which is fine.
    expect(ends.filter(({ code }) => code === 0).length).toBeGreaterThanOrEqual(1)
    for (const { code, stdout } of ends) if (code !== 0) expect(stdout).toContain('TARGET_LOCKED')
    // The file was transferred once, by one of them; a little more may be in buffers.
    expect(origin.bytesSent(path)).toBeLessThan(2 * content.size)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('the owner is killed: the next one takes over at once, with its bytes', async () => {
    await using origin = await startOrigin()
    origin.serve(path, { content, bytesPerSecond: MiB / 2 })
    const directory = join(tempDir('processes'), 'models')
    await using first = spawnCli(args(origin.url(path), directory))
    await origin.waitForBytes(path, MiB)
    await first.kill('SIGKILL')
    expect(await listTree(directory)).toContain(`${name}.part.lock`)
    await waitFor(() => origin.activeRequests === 0, { what: 'the origin to notice' })
    const sent = origin.bytesSent(path)
    origin.serve(path, { content })
    await using second = spawnCli(args(origin.url(path), directory))
    // A lock that only a silent heartbeat frees would take a minute.
    expect(await second.finished(10_000)).toMatchObject({ code: 0 })
    expect(origin.bytesSent(path) - content.size).toBeLessThan(sent)
    await expectInvariant(directory, name, 'done', { content })
  })
})

describe('two managers of different processes on one folder', () => {
  it('leave each other the record and the bytes of what one of them is downloading', async () => {
    await using origin = await startOrigin()
    origin.serve(path, { content, bytesPerSecond: MiB / 2 })
    const directory = join(tempDir('processes'), 'models')
    const url = origin.url(path)
    const script = `
      import { DownloadManager } from ${JSON.stringify(`${dist}/index.js`)}
      const manager = new DownloadManager({ directory: ${JSON.stringify(directory)}, connections: 2, proxy: false })
      const download = await manager.download({ url: ${JSON.stringify(url)}, mode: null })
      await download.finished
      await manager.close()`
    await using first = new RunningProcess(process.execPath, ['--input-type=module', '-e', script])
    await origin.waitForBytes(path, MiB / 4)
    const stored = async () => {
      const [record] = (await createFileStore(join(directory, '.model-downloader')).load()).records
      return record?.state
    }
    const state = await stored()
    expect(['queued', 'resolving', 'downloading']).toContain(state)
    {
      await using second = makeManager(directory, { store: 'file' })
      await second.ready
      expect(second.get(url)).toBeUndefined()
      const download = await second.download({ url, mode: null })
      await expect(download.finished).rejects.toMatchObject({ code: 'TARGET_LOCKED' })
      await second.onIdle()
      expect(await stored()).toBe(state)
      // What it does with its own failed download does not reach the bytes of the other one.
      await second.cancel(url)
      expect(await listTree(directory)).toContain(`${name}.part`)
    }
    expect(await first.finished()).toMatchObject({ code: 0, stderr: '' })
    expect(await stored()).toBe('completed')
    expect(await sha256File(join(directory, name))).toBe(content.sha256())
  })
})

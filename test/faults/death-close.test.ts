import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { DownloadManager, DownloadOptions } from '../../src/index.js'
import { parseJournal } from '../../src/engine/part/journal.js'
import { readText } from '../../src/engine/part/journal.js'
import { randomContent } from '../support/content.js'
import { startOrigin, type Resource } from '../support/origin.js'
import { dist, openFds, spawnCli, spawnNode } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { arrives, expectInvariant, makeManager, MiB, startBench } from './harness.js'
import { lengthOf } from './leftovers.js'

const content = randomContent(8 * MiB, 'close')
const path = '/model.bin'
const name = 'model.bin'
const deadlineMs = 5_000

/** Bytes that the journal has. */
async function journalled(directory: string): Promise<number> {
  const journal = parseJournal((await readText(join(directory, `${name}.part.json`))) ?? '')
  return lengthOf(journal?.written ?? [])
}

describe('row 33: SIGTERM', () => {
  it('flushes the bytes, brings the journal up to date, closes the sockets, and ends within 5 s', async () => {
    await using origin = await startOrigin()
    origin.serve(path, { content, bytesPerSecond: MiB })
    const directory = join(tempDir('sigterm'), 'models')
    const command = ['get', origin.url(path), '-d', directory, '--connections', '4', '--quiet']
    await using run = spawnCli(command)
    await origin.waitForBytes(path, 3 * MiB)
    const { code } = await run.kill('SIGTERM', deadlineMs)
    expect(code).toBe(143)
    await waitFor(() => origin.openConnections === 0, { what: 'the sockets to close' })
    const sent = origin.bytesSent(path)
    const kept = await journalled(directory)
    // Only data in transit at that moment is lost, not an interval of the journal.
    expect(sent - kept).toBeLessThan(0.5 * MiB)
    await expectInvariant(directory, name, 'K')

    origin.serve(path, { content })
    await using again = spawnCli(command)
    expect(await again.finished()).toMatchObject({ code: 0 })
    expect(origin.bytesSent(path) - sent).toBe(content.size - kept)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('ends within 5 s although the server is silent and the retries are long', async () => {
    await using origin = await startOrigin()
    origin.serve('/silent', { content, faults: [{ type: 'stallBeforeHeaders' }] })
    origin.serve('/stalled', { content, faults: [{ type: 'stallBody', afterBytes: 100_000 }] })
    origin.serve('/busy', { content, faults: [{ type: 'status', status: 503, retryAfter: 500 }] })
    const directory = tempDir('sigterm')
    const urls = ['/silent', '/stalled', '/busy'].map((each) => origin.url(each))
    await using run = spawnCli(['get', ...urls, '-d', directory, '--quiet', '--concurrency', '3'])
    for (const each of ['/silent', '/stalled', '/busy']) {
      await origin.waitForRequest((request) => request.path === each)
    }
    const { code } = await run.kill('SIGTERM', deadlineMs)
    expect(code).toBe(143)
    await waitFor(() => origin.openConnections === 0, { what: 'the sockets to close' })
  })
})

describe('row 33: close()', () => {
  const phases: Record<string, { resource: Resource; options?: Partial<DownloadOptions>; bytes?: number }> = {
    'the server is silent': { resource: { content, faults: [{ type: 'stallBeforeHeaders' }] } },
    'the body has stalled': {
      resource: { content, faults: [{ type: 'stallBody', afterBytes: 100_000 }] },
      bytes: 1,
    },
    'it waits for a retry': {
      resource: { content, faults: [{ type: 'status', status: 503, retryAfter: 300 }] },
    },
    'a rate limit holds it back': { resource: { content }, options: { maxBytesPerSecond: 1000 }, bytes: 1 },
    'bytes flow': { resource: { content, bytesPerSecond: MiB }, bytes: MiB },
  }

  it.each(Object.entries(phases))('while %s: leaves nothing open', async (_what, phase) => {
    await using bench = await startBench({
      tuning: { headersTimeoutMs: 60_000, bodyTimeoutMs: 60_000 },
      store: 'file',
    })
    const { manager, origin } = bench
    const before = await diskFds()
    origin.serve(path, phase.resource)
    const download = await manager.download({ url: origin.url(path), ...phase.options })
    await origin.waitForRequest((request) => request.bytesSent >= (phase.bytes ?? 0))
    await withTimeout(manager.close(), deadlineMs, 'close()')
    await expect(download.finished).rejects.toMatchObject({ code: 'CLOSED' })
    await waitFor(() => origin.openConnections === 0, { what: 'the sockets to close' })
    expect(await diskFds()).toEqual(before)
    await expect(manager.download({ url: origin.url('/other') })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('brings the journal up to date: a second manager fetches only the rest', async () => {
    await using bench = await startBench({ tuning: { journalIntervalMs: 60_000 }, store: 'file' })
    const { manager, origin, directory } = bench
    origin.serve(path, { content, bytesPerSecond: MiB })
    const download = await manager.download({ url: origin.url(path), sha256: content.sha256() })
    await origin.waitForBytes(path, 3 * MiB)
    await manager.close()
    const kept = await journalled(directory)
    expect(kept).toBe(download.current.downloaded)
    origin.serve(path, { content })
    await using second = makeManager(directory, { store: 'file' })
    await second.ready
    const resumed = second.get(origin.url(path))
    if (resumed === undefined) throw new Error('The download was forgotten.')
    expect((await arrives(resumed)).fetchedBytes).toBe(content.size - kept)
  })

  it('while verifying or publishing: either completed or kept, never in between', async () => {
    for (const moment of ['verifying', 'completed'] as const) {
      await using bench = await startBench()
      const { manager, origin, directory } = bench
      origin.serve(path, { content })
      const closing = new Promise<void>((resolve, reject) => {
        manager.on(moment, () => {
          manager.close().then(resolve, reject)
        })
      })
      const download = await manager.download({ url: origin.url(path), sha256: content.sha256() })
      const end = await withTimeout(
        download.finished.then(
          () => 'done' as const,
          () => 'K' as const,
        ),
        deadlineMs,
        'the end',
      )
      await withTimeout(closing, deadlineMs, 'close()')
      await expectInvariant(directory, name, end, { content })
      expect(download.state).toBe(end === 'done' ? 'completed' : 'queued')
    }
  })

  it('twice, three times, and before anything is loaded', async () => {
    const manager: DownloadManager = makeManager(join(tempDir('close'), 'models'), { store: 'file' })
    await withTimeout(Promise.all([manager.close(), manager.close(), manager.close()]), deadlineMs, 'close()')
    await expect(manager.download({ url: 'http://127.0.0.1:9/x' })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('lets the process end by itself, from the middle of a download', async () => {
    await using origin = await startOrigin()
    origin.serve(path, { content, bytesPerSecond: MiB })
    const directory = tempDir('exit')
    const script = join(directory, 'script.mjs')
    const models = join(directory, 'models')
    await writeFile(
      script,
      `import { DownloadManager } from ${JSON.stringify(pathToFileURL(join(dist, 'index.js')).href)}
      const manager = new DownloadManager({ directory: ${JSON.stringify(models)}, proxy: false })
      const download = await manager.download({ url: ${JSON.stringify(origin.url(path))} })
      download.finished.catch((error) => console.log(error.code))
      while (download.current.downloaded < 1_000_000) await new Promise((done) => setTimeout(done, 10))
      await manager.close()
      console.log('closed')`,
    )
    await using run = spawnNode(script)
    await run.waitForOutput(/closed/)
    // exit() is not called: anything left open would keep the process alive.
    const { code, stdout } = await run.finished(deadlineMs)
    expect(code).toBe(0)
    expect(stdout).toContain('CLOSED')
  })
})

/** Open files of this process that lie in folders of tests. */
async function diskFds(): Promise<string[]> {
  return (await openFds()).filter((target) => target.includes('model-downloader-'))
}

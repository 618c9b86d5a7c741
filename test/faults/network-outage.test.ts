/** FAULTS.md row 22: the network goes away in the middle, and comes back. */
import { describe, expect, it } from 'vitest'
import type { Download, DownloadManager } from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { waitFor } from '../support/wait.js'
import { arrives, expectInvariant, fails, startBench, type Bench } from './harness.js'

const content = randomContent(3_000_000)

/** Scaled-down limits: the attempts are used up long before the outage is over. */
const tuning = { minDelayMs: 20, maxDelayMs: 40, maxAttempts: 2, outageMs: 30_000 }

/** Codes of what was waited after, as they come. */
function retriesOf(manager: DownloadManager): string[] {
  const codes: string[] = []
  manager.on('retrying', ({ error }) => codes.push(error.code))
  return codes
}

/** A download of a throttled file, about a third of it there. */
async function underWay({ origin, manager }: Bench, cable: TcpProxy | null): Promise<Download> {
  origin.serve('/model.bin', { content, bytesPerSecond: 500_000 })
  const url = cable === null ? origin.url('/model.bin') : `http://127.0.0.1:${cable.port}/model.bin`
  const download = await manager.download({ url })
  await waitFor(() => download.current.downloaded > 1_000_000, { what: 'the first third' })
  return download
}

/** The file is there, and not a byte of it was fetched twice. */
async function expectNothingTwice({ directory }: Bench, download: Download): Promise<void> {
  const file = await arrives(download)
  expect(file.fetchedBytes).toBe(content.size)
  await expectInvariant(directory, 'model.bin', 'done', { content })
}

describe('row 22: the network goes away in the middle', () => {
  it('row 22: connections cut, new ones refused for a while: goes on by itself, nothing twice', async () => {
    await using bench = await startBench({ tuning })
    const retries = retriesOf(bench.manager)
    const download = await underWay(bench, null)
    const before = bench.origin.requests().length
    bench.origin.stopListening()
    bench.origin.destroyConnections({ reset: true })
    await waitFor(() => retries.length >= 10, { what: 'ten attempts in vain' })
    expect(download.state).toBe('downloading')
    expect(new Set(retries.slice(1))).toEqual(new Set(['CONNECT_FAILED']))
    await bench.origin.listenAgain()
    await expectNothingTwice(bench, download)
    // What came before the cut is not asked for again: the first request after it begins where bytes are missing.
    const after = bench.origin.requests().slice(before)
    expect(after[0]?.range?.start).toBeGreaterThan(0)
    // And the connections that were refused during the outage are opened again immediately.
    expect(after.filter(({ at, endedAt }) => at < (after[0]?.endedAt ?? 0) && endedAt !== null)).toHaveLength(
      4,
    )
  })

  it('row 22: connections and every new one reset on the way: goes on by itself, nothing twice', async () => {
    await using bench = await startBench({ tuning })
    await using cable = await startTcpProxy(bench.origin.port)
    const retries = retriesOf(bench.manager)
    const download = await underWay(bench, cable)
    cable.refuse()
    cable.resetAll()
    await waitFor(() => retries.length >= 10, { what: 'ten attempts in vain' })
    expect(download.state).toBe('downloading')
    cable.restore()
    await expectNothingTwice(bench, download)
  })

  it('row 22: silence without any RST is noticed; when it ends the rest is fetched', async () => {
    await using bench = await startBench({
      tuning: { ...tuning, maxAttempts: 8, bodyTimeoutMs: 200, headersTimeoutMs: 200 },
    })
    await using cable = await startTcpProxy(bench.origin.port)
    const retries = retriesOf(bench.manager)
    const download = await underWay(bench, cable)
    cable.cut()
    await waitFor(() => retries.length >= 3, { what: 'three attempts in vain' })
    expect(new Set(retries)).toEqual(new Set(['STALLED']))
    cable.restore()
    await expectNothingTwice(bench, download)
  })

  it('row 22: an outage that outlasts the retry budget is CONNECT_FAILED, and a retry fetches only the rest', async () => {
    await using bench = await startBench({ tuning: { ...tuning, outageMs: 300 } })
    const download = await underWay(bench, null)
    bench.origin.stopListening()
    bench.origin.destroyConnections({ reset: true })
    const cutAt = performance.now()
    const error = await fails(download)
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: true })
    expect(performance.now() - cutAt).toBeGreaterThan(250)
    await expectInvariant(bench.directory, 'model.bin', 'K')
    const kept = download.current.downloaded
    expect(kept).toBeGreaterThan(1_000_000)
    await bench.origin.listenAgain()
    await bench.manager.retry(download.url)
    const file = await arrives(download)
    expect(file.fetchedBytes).toBe(content.size - kept)
    await expectInvariant(bench.directory, 'model.bin', 'done', { content })
  })

  it('row 22: paused during an outage it stops at once and keeps its bytes', async () => {
    await using bench = await startBench({ tuning: { ...tuning, minDelayMs: 600_000, maxDelayMs: 600_000 } })
    const download = await underWay(bench, null)
    const waits = new Promise<void>((resolve) => {
      bench.manager.once('retrying', () => {
        resolve()
      })
    })
    bench.origin.stopListening()
    bench.origin.destroyConnections({ reset: true })
    await waits
    // Ten minutes are longer than any test may take.
    await bench.manager.pause(download.url)
    await expectInvariant(bench.directory, 'model.bin', 'K')
  })
})

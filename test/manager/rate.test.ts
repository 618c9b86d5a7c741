import { describe, expect, it } from 'vitest'
import type { Download } from '../../src/index.js'
import { arrives, expectInvariant, KiB, MiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { waitFor } from '../support/wait.js'

/** The long-run rate may be above the limit by so much, and below it by what a busy machine takes. */
const tolerance = { above: 0.25, below: 0.4 }

/** Milliseconds from the first request at the origin to the end of the download. */
async function durationOf(origin: Origin, download: Download): Promise<number> {
  await arrives(download, 15_000)
  return performance.now() - Math.min(...origin.requests().map((request) => request.at))
}

/** Bytes per second on disk, from now on over so much time. */
async function rateFromNow(lastingMs: number, ...downloads: readonly Download[]): Promise<number> {
  const bytes = () => downloads.reduce((sum, { current }) => sum + current.downloaded, 0)
  const begin = { at: performance.now(), bytes: bytes() }
  await waitFor(() => performance.now() - begin.at >= lastingMs, { timeoutMs: lastingMs + 5_000 })
  return ((bytes() - begin.bytes) * 1000) / (performance.now() - begin.at)
}

function expectRate(measured: number, limit: number): void {
  expect(measured / limit).toBeGreaterThan(1 - tolerance.below)
  expect(measured / limit).toBeLessThan(1 + tolerance.above)
}

describe('maxBytesPerSecond', () => {
  it('of the manager holds over all downloads together', async () => {
    const limit = 3 * MiB
    await using bench = await startBench({ maxBytesPerSecond: limit })
    const { manager, origin } = bench
    const names = ['a', 'b', 'c']
    for (const name of names) origin.serve(`/${name}.bin`, { content: randomContent(12 * MiB, name) })
    const downloads = await Promise.all(
      names.map((name) => manager.download({ url: origin.url(`/${name}.bin`) })),
    )
    await waitFor(() => downloads.every(({ current }) => current.downloaded > 0), { what: 'some bytes' })
    await rateFromNow(300, ...downloads)
    expectRate(await rateFromNow(2_500, ...downloads), limit)
  })

  it.each([1, 4])('of a download holds over its connections (%d), and for it alone', async (connections) => {
    await using bench = await startBench({ connections })
    const { manager, origin } = bench
    const limit = 8 * MiB
    const content = randomContent(32 * MiB)
    origin.serve('/slow.bin', { content })
    const slow = await manager.download({ url: origin.url('/slow.bin'), maxBytesPerSecond: limit })
    const duration = durationOf(origin, slow)
    await using free = await startOrigin()
    free.serve('/fast.bin', { content: randomContent(16 * MiB, 'fast') })
    await arrives(await manager.download({ url: free.url('/fast.bin') }))
    expect(slow.state).toBe('downloading')
    // What arrives with the last chunks is never waited for, so this takes many MiB.
    expectRate((content.size * 1000) / (await duration), limit)
    expect(slow.file?.fetchedBytes).toBe(content.size)
    if (connections === 1) expect(origin.bytesSent()).toBe(content.size)
  })

  it.each([
    [64 * MiB, MiB],
    [MiB, 64 * MiB],
  ])('is the smaller one when the manager has %d and the download %d', async (ours, its) => {
    await using bench = await startBench({ maxBytesPerSecond: ours })
    const { manager, origin } = bench
    origin.serve('/a.bin', { content: randomContent(8 * MiB) })
    const download = await manager.download({ url: origin.url('/a.bin'), maxBytesPerSecond: its })
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    await rateFromNow(300, download)
    expectRate(await rateFromNow(1_500, download), MiB)
  })

  it.each([
    ['the manager', 'manager'],
    ['the download', 'download'],
  ] as const)('of %s can be raised, lowered and lifted while it runs', async (_, whose) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const content = randomContent(40 * MiB)
    origin.serve('/a.bin', { content })
    const first = 256 * KiB
    const url = origin.url('/a.bin')
    if (whose === 'manager') manager.maxBytesPerSecond = first
    const download = await manager.download({
      url,
      ...(whose === 'download' ? { maxBytesPerSecond: first } : {}),
    })
    const limited = whose === 'manager' ? manager : download
    expect(limited.maxBytesPerSecond).toBe(first)
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })

    limited.maxBytesPerSecond = 4 * MiB
    await waitFor(() => download.current.downloaded > MiB, { what: 'the raised limit' })
    expectRate(await rateFromNow(1_500, download), 4 * MiB)

    limited.maxBytesPerSecond = MiB
    // The debt from the old rate is paid off first.
    await rateFromNow(300, download)
    expectRate(await rateFromNow(2_500, download), MiB)

    const { downloaded } = download.current
    expect(downloaded).toBeLessThan(content.size / 2)
    limited.maxBytesPerSecond = null
    expect(limited.maxBytesPerSecond).toBeNull()
    await arrives(download, 5_000)
    await expectInvariant(directory, 'a.bin', 'done', { content })
    expect(origin.requests('/a.bin').every(({ fault }) => fault === null)).toBe(true)
  })

  it('does not make a slow connection look like a stalled one', async () => {
    await using bench = await startBench({ tuning: { bodyTimeoutMs: 200, lowSpeedTimeMs: 300 } })
    const { manager, origin } = bench
    origin.serve('/a.bin', { content: randomContent(192 * KiB) })
    const retries: string[] = []
    manager.on('retrying', ({ error }) => retries.push(error.code))
    const download = await manager.download({ url: origin.url('/a.bin'), maxBytesPerSecond: 96 * KiB })
    const file = await arrives(download)
    expect(file.fetchedBytes).toBe(192 * KiB)
    expect(retries).toEqual([])
  })

  it('stays with a download over a pause', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content: randomContent(16 * MiB) })
    const download = await manager.download({ url: origin.url('/a.bin') })
    download.maxBytesPerSecond = MiB
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    await download.pause()
    await download.resume()
    await waitFor(() => download.state === 'downloading')
    await rateFromNow(200, download)
    expectRate(await rateFromNow(1_500, download), MiB)
  })
})

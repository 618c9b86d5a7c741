import { describe, expect, it } from 'vitest'
import type { Progress } from '../../src/index.js'
import { arrives, fails, KiB, MiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { waitFor, withTimeout } from '../support/wait.js'

const content = randomContent(MiB)
const intervalMs = 100
const options = { tuning: { progressIntervalMs: intervalMs } }

/** Reads an async iterator to its end. */
async function collect(values: AsyncIterable<Progress>, timeoutMs = 10_000): Promise<Progress[]> {
  const all: Progress[] = []
  const reading = (async () => {
    for await (const value of values) all.push(value)
  })()
  await withTimeout(reading, timeoutMs, 'the end of the progress')
  return all
}

function expectMonotonic(all: readonly Progress[]): void {
  for (const [index, { downloaded, percent, total }] of all.entries()) {
    const before = all[index - 1]
    expect(downloaded).toBeGreaterThanOrEqual(before?.downloaded ?? 0)
    expect(percent).toBeGreaterThanOrEqual(before?.percent ?? 0)
    if (total !== null) expect(downloaded).toBeLessThanOrEqual(total)
  }
}

describe('progress()', () => {
  it('gives the present first, then rises, and says 100 only at the end', async () => {
    await using bench = await startBench(options)
    const { manager, origin } = bench
    origin.serve('/a.bin', { content, bytesPerSecond: 256 * KiB })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const all = await collect(download.progress())
    expect(all[0]).toMatchObject({ downloaded: 0, percent: 0 })
    expect(['queued', 'resolving']).toContain(all[0]?.phase)
    expectMonotonic(all)
    expect(all.length).toBeGreaterThan(4)
    for (const value of all.slice(0, -1)) {
      expect(value.percent).toBeLessThan(100)
      expect(value.phase).not.toBe('completed')
    }
    expect(all.at(-1)).toEqual(download.current)
    expect(all.at(-1)).toMatchObject({ percent: 100, downloaded: content.size, phase: 'completed' })
  })

  it('tells speed, time left and connections while it moves', async () => {
    await using bench = await startBench({ ...options, connections: 2 })
    const { manager, origin } = bench
    origin.serve('/a.bin', { content, bytesPerSecond: 256 * KiB })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const all = await collect(download.progress())
    const moving = all.filter(({ phase, bytesPerSecond }) => phase === 'downloading' && bytesPerSecond > 0)
    expect(moving.length).toBeGreaterThan(2)
    for (const { bytesPerSecond, etaSeconds, downloaded, total } of moving) {
      expect(total).toBe(content.size)
      expect(etaSeconds).toBe(Math.ceil((content.size - downloaded) / bytesPerSecond))
    }
    expect(Math.max(...all.map(({ connections }) => connections))).toBe(2)
    expect(all.at(-1)).toMatchObject({ bytesPerSecond: 0, etaSeconds: 0, connections: 0 })
  })

  it('does not know the total, nor the percentage, of a body without length until the end', async () => {
    await using bench = await startBench(options)
    const { manager, origin } = bench
    origin.serve('/a.bin', { content, ranges: false, contentLength: false, bytesPerSecond: 2 * MiB })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const all = await collect(download.progress())
    expectMonotonic(all)
    const moving = all.filter(({ phase }) => phase === 'downloading')
    expect(moving.length).toBeGreaterThan(2)
    for (const { total, percent, etaSeconds } of moving) {
      expect([total, percent, etaSeconds]).toEqual(
        total === null ? [null, 0, null] : [content.size, expect.anything(), expect.anything()],
      )
    }
    expect(all.at(-1)).toMatchObject({ total: content.size, percent: 100 })
  })

  it('lets a slow reader miss what lies between, not the end', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content, bytesPerSecond: 512 * KiB })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const values = download.progress()
    const first = await values.next()
    expect(first.value?.percent).toBe(0)
    await arrives(download)
    const rest = await collect(values)
    expect(rest.map(({ percent }) => percent)).toEqual([100])
  })

  it('gives several readers the same end, and lets one leave early', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content, bytesPerSecond: MiB })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const readers = [collect(download.progress()), collect(download.progress())]
    for await (const value of download.progress()) if (value.downloaded > 0) break
    const [one, two] = await Promise.all(readers)
    expect(one?.at(-1)).toEqual(two?.at(-1))
    expect(one?.at(-1)?.percent).toBe(100)
  })

  it('of a settled download is one value', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content })
    const download = await manager.download({ url: origin.url('/a.bin') })
    await arrives(download)
    expect(await collect(download.progress())).toEqual([download.current])
  })

  it('ends with a failure below 100', async () => {
    await using bench = await startBench({ connections: 1 })
    const { manager, origin } = bench
    const cut = { type: 'truncate', afterBytes: content.size - 1, times: 1 } as const
    origin.serve('/a.bin', { content, faults: [cut, { type: 'status', status: 400 }] })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const all = await collect(download.progress())
    await fails(download)
    expectMonotonic(all)
    expect(all.at(-1)).toMatchObject({ phase: 'failed', percent: 99.9, downloaded: content.size - 1 })
  })

  it('goes on over a pause', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content, bytesPerSecond: MiB })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const reading = collect(download.progress())
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    await download.pause()
    await download.resume()
    const all = await reading
    expectMonotonic(all)
    expect(all.map(({ phase }) => phase)).toContain('paused')
    expect(all.at(-1)?.percent).toBe(100)
  })

  it('ends when the manager closes', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content, bytesPerSecond: 256 * KiB })
    const download = await manager.download({ url: origin.url('/a.bin') })
    const reading = collect(download.progress())
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    await manager.close()
    expect((await reading).at(-1)?.percent).toBeLessThan(100)
    expect(await collect(download.progress())).toHaveLength(0)
  })
})

describe('the progress event', () => {
  it('is throttled, rises, and comes a last time with 100', async () => {
    await using bench = await startBench(options)
    const { manager, origin } = bench
    const told: { at: number; progress: Progress }[] = []
    manager.on('progress', ({ progress }) => told.push({ at: performance.now(), progress }))
    origin.serve('/a.bin', { content, bytesPerSecond: 256 * KiB })
    const download = await manager.download({ url: origin.url('/a.bin') })
    await arrives(download)
    expectMonotonic(told.map(({ progress }) => progress))
    expect(told.at(-1)?.progress).toMatchObject({ percent: 100, phase: 'completed' })
    expect(told.filter(({ progress }) => progress.percent === 100)).toHaveLength(1)
    const lasted = (told.at(-1)?.at ?? 0) - (told[0]?.at ?? 0)
    // One at the beginning, one per interval, one at the end.
    expect(told.length).toBeLessThanOrEqual(lasted / intervalMs + 3)
    expect(told.length).toBeGreaterThan(4)
  })

  it('comes once for a file that is there already', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    await arrives(await manager.download({ url }))
    const told: Progress[] = []
    manager.on('progress', ({ progress }) => told.push(progress))
    await arrives(await manager.download({ url }))
    expect(told).toMatchObject([{ percent: 100, downloaded: content.size, total: content.size }])
  })
})

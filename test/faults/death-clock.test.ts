import { afterEach, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { arrives, expectInvariant, fails, KiB, MiB, startBench } from './harness.js'

const RealDate = Date
const yearMs = 365 * 24 * 3_600_000

/** From now on the wall clock jumps by a year, ahead and back in turn, each time that it is read. */
function jumpingClock(): { readonly jumps: number } {
  const state = { jumps: 0 }
  const jumped = () => {
    state.jumps += 1
    return RealDate.now() + (state.jumps % 2 === 0 ? -yearMs : yearMs)
  }
  globalThis.Date = class extends RealDate {
    constructor(...args: [] | [string | number | Date]) {
      if (args.length === 0) super(jumped())
      else super(...args)
    }

    static override now(): number {
      return jumped()
    }
    // The type of Date has a call signature, which a class can't have; nobody here calls it without new.
  } as unknown as DateConstructor
  return state
}

afterEach(() => {
  globalThis.Date = RealDate
})

const path = '/model.bin'

it('row 34: a limited download is as fast as its limit, whatever the wall clock says', async () => {
  await using bench = await startBench({ store: 'file', maxBytesPerSecond: 2 * MiB })
  const { manager, origin, directory } = bench
  const content = randomContent(2 * MiB, 'clock')
  origin.serve(path, { content })
  const clock = jumpingClock()
  const began = performance.now()
  const download = await manager.download({ url: origin.url(path) })
  const speeds: number[] = []
  for await (const progress of download.progress()) {
    speeds.push(progress.bytesPerSecond)
    expect(progress.etaSeconds ?? 0).toBeLessThan(3_600)
  }
  await arrives(download)
  const seconds = (performance.now() - began) / 1000
  expect(clock.jumps).toBeGreaterThan(0)
  expect(seconds).toBeGreaterThan(0.7)
  // A busy machine lets much arrive at once; a clock that went wrong gives no number, or one of another kind.
  expect(speeds.every((speed) => speed >= 0 && speed < 1024 * MiB)).toBe(true)
  expect(origin.requests(path).every(({ outcome }) => outcome === 'done')).toBe(true)
  await manager.close()
  const others = ['.model-downloader/', `.model-downloader/${download.record.id}.json`]
  await expectInvariant(directory, 'model.bin', 'done', { content, others })
})

it('row 34: a slow body is no stall, a silent one is, whatever the wall clock says', async () => {
  await using bench = await startBench({ connections: 1, tuning: { bodyTimeoutMs: 400, maxAttempts: 2 } })
  const { manager, origin } = bench
  const content = randomContent(256 * KiB, 'slow')
  origin.serve(path, { content, bytesPerSecond: 300 * KiB })
  origin.serve('/silent', { content, faults: [{ type: 'stallBody', afterBytes: 0 }] })
  jumpingClock()
  const [slow, silent] = await Promise.all([
    manager.download({ url: origin.url(path) }),
    manager.download({ url: origin.url('/silent'), filename: 'silent.bin' }),
  ])
  const began = performance.now()
  expect((await fails(silent)).code).toBe('STALLED')
  expect(performance.now() - began).toBeGreaterThan(750)
  await arrives(slow)
  expect(origin.requests(path)).toHaveLength(1)
})

it('row 34: a Retry-After in seconds is waited for, not skipped and not prolonged', async () => {
  await using bench = await startBench()
  const { manager, origin, directory } = bench
  const content = randomContent(64 * KiB, 'retry')
  origin.serve(path, { content, faults: [{ type: 'status', status: 503, retryAfter: 1, times: 1 }] })
  const delays: number[] = []
  manager.on('retrying', ({ delayMs }) => delays.push(delayMs))
  jumpingClock()
  const download = await manager.download({ url: origin.url(path) })
  await arrives(download)
  expect(delays).toEqual([1_000])
  const [first, second] = origin.requests(path)
  expect((second?.at ?? 0) - (first?.endedAt ?? 0)).toBeGreaterThan(900)
  await expectInvariant(directory, 'model.bin', 'done', { content })
})

it('row 34: bytes that were kept before the jump are taken up after it', async () => {
  await using bench = await startBench()
  const { manager, origin, directory } = bench
  const content = randomContent(MiB, 'ahead')
  origin.serve(path, { content, bytesPerSecond: 256 * KiB })
  const url = origin.url(path)
  const download = await manager.download({ url })
  await origin.waitForBytes(path, 256 * KiB)
  await manager.pause(url)
  const kept = download.current.downloaded
  expect(kept).toBeGreaterThan(0)
  jumpingClock()
  origin.serve(path, { content })
  await manager.resume(url)
  expect((await arrives(download)).fetchedBytes).toBe(content.size - kept)
  await expectInvariant(directory, 'model.bin', 'done', { content })
})

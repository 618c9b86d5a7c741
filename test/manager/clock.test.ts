/** A manager takes all time from one clock, so these tests move hours by hand. */
import { describe, expect, it } from 'vitest'
import { internals } from '../../src/manager/internals.js'
import { arrives, KiB, MiB, startBench } from '../faults/harness.js'
import { ManualClock } from '../support/clock.js'
import { randomContent } from '../support/content.js'
import type { DownloadManagerOptions } from '../../src/index.js'
import type { Fault } from '../support/origin.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(2 * MiB)

const hourMs = 3_600_000

async function begin(options: DownloadManagerOptions, ...faults: Fault[]) {
  const clock = new ManualClock()
  // A worker has a clock of its own.
  const services = { worker: false, [internals]: { clock } }
  const bench = await startBench({ connections: 1, ...options, ...services })
  const { manager, origin } = bench
  origin.serve('/a.bin', { content, faults })
  const retries: { code: string; message: string; delayMs: number }[] = []
  manager.on('retrying', ({ error: { code, message }, delayMs }) => retries.push({ code, message, delayMs }))
  const download = await manager.download({ url: origin.url('/a.bin') })
  /** Lets the time pass until the condition holds. */
  const pass = (condition: () => boolean) => waitFor(() => (clock.advance(25), condition()))
  return {
    ...{ clock, origin, download, retries, pass },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  }
}

const slow = { lowSpeedTimeMs: 2 * hourMs, bodyTimeoutMs: 2 * hourMs, headersTimeoutMs: 2 * hourMs }

describe('the clock of a manager', () => {
  it('decides when a Retry-After is over', async () => {
    const tuning = { ...slow, maxRetryAfterMs: hourMs }
    await using scene = await begin({ tuning }, { type: 'status', status: 503, retryAfter: 3_600, times: 1 })
    const { clock, origin, download, retries } = scene
    await waitFor(() => retries.length === 1)
    expect(retries).toMatchObject([{ code: 'HTTP_ERROR', delayMs: hourMs }])
    await clock.advanceAsync(hourMs - 1)
    expect(origin.requests()).toHaveLength(1)
    clock.advance(1)
    await arrives(download)
    expect(origin.requests()).toHaveLength(2)
  })

  it.each([
    ['silent', { ...slow, bodyTimeoutMs: hourMs }, 'stopped sending'],
    ['slow', { ...slow, lowSpeedTimeMs: hourMs }, 'too slowly'],
  ])('decides when a server has been %s for too long', async (_name, tuning, message) => {
    const stall: Fault = { type: 'stallBody', afterBytes: MiB, times: 1 }
    await using scene = await begin({ tuning: { ...tuning, lowSpeedBytesPerSecond: MiB } }, stall)
    const { clock, download, retries, pass } = scene
    await pass(() => download.current.downloaded > 0)
    clock.advance(hourMs / 2)
    expect(retries).toEqual([])
    clock.advance(hourMs)
    await waitFor(() => retries.length === 1)
    expect(retries[0]?.code).toBe('STALLED')
    expect(retries[0]?.message).toContain(message)
    await pass(() => download.state === 'completed')
  })

  it('decides when a server has not answered for too long', async () => {
    const tuning = { ...slow, headersTimeoutMs: hourMs }
    await using scene = await begin({ tuning }, { type: 'stallBeforeHeaders', times: 1 })
    const { clock, origin, download, retries, pass } = scene
    await waitFor(() => origin.requests().length === 1)
    clock.advance(hourMs - 1_000)
    expect(retries).toEqual([])
    clock.advance(1_000)
    await waitFor(() => retries.length === 1)
    expect(retries[0]?.code).toBe('STALLED')
    await pass(() => download.state === 'completed')
  })

  it('gives a server that has not answered more time, up to four times as much', async () => {
    const tuning = { ...slow, headersTimeoutMs: hourMs, maxAttempts: 5 }
    await using scene = await begin({ tuning }, { type: 'stallBeforeHeaders', times: 4 })
    const { clock, origin, download, retries, pass } = scene
    for (const [nth, hours] of [1, 2, 4, 4].entries()) {
      await pass(() => origin.requests().length === nth + 1)
      clock.advance(hours * hourMs - 10_000)
      expect(retries).toHaveLength(nth)
      clock.advance(10_000)
      await waitFor(() => retries.length === nth + 1)
    }
    await pass(() => download.state === 'completed')
  })

  it('decides when one connection has held up the end for too long, although it still sends', async () => {
    const trickle: Fault = { type: 'trickle', bytesPerSecond: 2_000, when: ({ nth }) => nth === 2 }
    await using scene = await begin({ connections: 4, tuning: slow }, trickle)
    const { origin, download, retries, pass } = scene
    await pass(() => download.state === 'completed')
    expect(retries).toEqual([])
    expect(download.file).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    const requests = origin.requests('/a.bin')
    const slowOne = requests[1]!
    const last = requests.at(-1)!
    expect(slowOne.outcome).toBe('aborted')
    // What it had not sent was fetched by another one.
    expect(last.range?.start).toBeGreaterThan(slowOne.range?.start ?? 0)
    expect(last.range?.start).toBeLessThan((slowOne.range?.start ?? 0) + slowOne.bytesSent + 1)
  })

  it('measures the speed and the time that is left', async () => {
    const trickle: Fault = { type: 'trickle', bytesPerSecond: 200 * KiB, afterBytes: MiB }
    await using scene = await begin({ tuning: { ...slow, progressIntervalMs: 1_000 } }, trickle)
    const { clock, download, pass } = scene
    await pass(() => download.current.bytesPerSecond > 0)
    const { downloaded, bytesPerSecond, etaSeconds } = download.current
    expect(etaSeconds).toBe(Math.ceil((content.size - downloaded) / bytesPerSecond))
    // Nothing can arrive while this call moves the time.
    clock.advance(60_000)
    expect(download.current.bytesPerSecond).toBe(0)
    expect(download.current.etaSeconds).toBeNull()
  })

  it('holds a limit of the rate', async () => {
    const limit = 16 * KiB
    await using scene = await begin({ maxBytesPerSecond: limit, tuning: slow })
    const { clock, download, pass } = scene
    const begun = clock.now()
    await pass(() => download.current.downloaded > 0)
    const { downloaded } = download.current
    await waitFor(() => (clock.advance(1_000), download.state === 'completed'))
    expect(clock.now() - begun).toBeGreaterThan(((content.size - downloaded) * 1_000) / limit / 2)
  })
})

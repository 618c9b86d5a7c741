import { afterEach, describe, expect, it, vi } from 'vitest'
import { LoopMeter, PendingReports, reportMs } from '../../../src/engine/report.js'
import { systemClock } from '../../../src/util/clock.js'
import { ManualClock } from '../../support/clock.js'

describe('the event loop of an engine', () => {
  const meter = new LoopMeter()

  it('is measured from the first look on', async () => {
    expect(meter.read()).toBeNull()
    await vi.waitFor(() => {
      const delay = meter.read()
      expect(delay?.max).toBeGreaterThanOrEqual(delay?.mean ?? Infinity)
      expect(delay?.mean).toBeGreaterThanOrEqual(0)
    })
  })

  it('shows that it was blocked', async () => {
    await vi.waitFor(async () => {
      await systemClock.sleep(30)
      const until = systemClock.now() + 60
      while (systemClock.now() < until);
      await systemClock.sleep(30)
      expect(meter.read()?.max).toBeGreaterThan(0.03)
    })
  })
})

describe('the reports of a worker', () => {
  const clock = new ManualClock()
  const reports = new PendingReports(clock)
  const asked: number[] = []
  const nothing = { loopDelay: null, receivedBytes: 0 }
  const ask = () => reports.ask((id) => asked.push(id))
  afterEach(() => {
    asked.length = 0
  })

  it('reach those who asked for them', async () => {
    const [first, second] = [ask(), ask()]
    const measured = { loopDelay: { mean: 0, p99: 0.1, max: 0.2 }, receivedBytes: 5 }
    reports.answer(asked[1] ?? 0, measured)
    await expect(second).resolves.toEqual({ thread: 'worker', ...measured })
    reports.answer(asked[0] ?? 0, nothing)
    await expect(first).resolves.toEqual({ thread: 'worker', ...nothing })
  })

  it('are missed after five seconds, and an answer after that is for nobody', async () => {
    const report = ask()
    const missed = expect(report).rejects.toMatchObject({ code: 'INTERNAL', retryable: true })
    clock.advance(reportMs)
    await missed
    reports.answer(asked[0] ?? 0, nothing)
  })

  it('fail with the worker', async () => {
    const failed = expect(ask()).rejects.toThrow('it exited')
    reports.fail('it exited')
    await failed
    clock.advance(reportMs)
  })
})

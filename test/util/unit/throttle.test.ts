import { describe, expect, it, vi } from 'vitest'
import { Throttle } from '../../../src/util/schedule.js'
import { ManualClock } from '../../support/clock.js'

describe('a throttle', () => {
  it('does at once what is asked for first, and the rest together when its time has come', async () => {
    const clock = new ManualClock()
    const task = vi.fn()
    const throttle = new Throttle(() => 100, task, clock)
    for (let count = 0; count < 5; count += 1) throttle.ask()
    expect(task).toHaveBeenCalledTimes(1)
    await clock.advanceAsync(99)
    expect(task).toHaveBeenCalledTimes(1)
    await clock.advanceAsync(1)
    expect(task).toHaveBeenCalledTimes(2)
    await clock.advanceAsync(1_000)
    expect(task).toHaveBeenCalledTimes(2)
  })

  it('never does it twice at a time, and nothing any more after its end', async () => {
    const clock = new ManualClock()
    let running = 0
    let most = 0
    let times = 0
    const throttle = new Throttle(
      () => 10,
      async () => {
        running += 1
        times += 1
        most = Math.max(most, running)
        await clock.sleep(50)
        running -= 1
      },
      clock,
    )
    for (let at = 0; at < 20; at += 1) {
      throttle.ask()
      await clock.advanceAsync(10)
    }
    expect(most).toBe(1)
    expect(times).toBeGreaterThan(2)
    throttle.ask()
    throttle.end()
    const before = times
    await clock.advanceAsync(1_000)
    expect(times).toBe(before)
  })

  it('serves who asks while it waits with the run that it waits for', async () => {
    const clock = new ManualClock()
    const task = vi.fn()
    const throttle = new Throttle(() => 100, task, clock)
    throttle.ask()
    await clock.advanceAsync(1)
    for (let at = 0; at < 9; at += 1) {
      throttle.ask()
      await clock.advanceAsync(10)
    }
    expect(task).toHaveBeenCalledTimes(1)
    await clock.advanceAsync(1_000)
    expect(task).toHaveBeenCalledTimes(2)
    // Long ago by now.
    throttle.ask()
    expect(task).toHaveBeenCalledTimes(3)
  })

  it('forgets what it waits for when it ends', async () => {
    const clock = new ManualClock()
    const task = vi.fn()
    const throttle = new Throttle(() => 100, task, clock)
    throttle.ask()
    throttle.ask()
    await clock.advanceAsync(50)
    throttle.end()
    throttle.ask()
    await clock.advanceAsync(1_000)
    expect(task).toHaveBeenCalledTimes(1)
    expect(clock.pending).toEqual([])
  })

  it('starts no timer for what was asked for during a run, when it ends before that run does', async () => {
    const clock = new ManualClock()
    let times = 0
    const throttle = new Throttle(
      () => 100,
      async () => {
        times += 1
        await clock.sleep(50)
      },
      clock,
    )
    throttle.ask()
    throttle.ask()
    throttle.end()
    await clock.advanceAsync(50)
    expect(clock.pending).toEqual([])
    await clock.advanceAsync(1_000)
    expect(times).toBe(1)
  })
})

import { describe, expect, it, vi } from 'vitest'
import { type Clock, systemClock } from '../../../src/util/clock.js'
import { ManualClock } from '../../support/clock.js'
import { waitFor, withTimeout } from '../../support/wait.js'

describe.each<[string, Clock, (ms: number) => void]>([
  ['the clock of the system', systemClock, () => undefined],
  ...[new ManualClock()].map((clock): [string, Clock, (ms: number) => void] => [
    'a clock that is moved by hand',
    clock,
    (ms) => {
      clock.advance(ms)
    },
  ]),
])('%s', (_name, clock, advance) => {
  it('fires a timer once, when its time has come', async () => {
    const begin = clock.now()
    const wallBegin = clock.wallNow()
    let firedAt = 0
    let fired = 0
    clock.timer(() => {
      firedAt = clock.now()
      fired += 1
    }, 20)
    expect(fired).toBe(0)
    await waitFor(() => (advance(7), fired > 0))
    // Timers of Node may fire a fraction of a millisecond early.
    expect(firedAt - begin).toBeGreaterThanOrEqual(19)
    expect(clock.wallNow()).toBeGreaterThanOrEqual(wallBegin)
    advance(100)
    expect(fired).toBe(1)
  })

  it('fires an interval until it is cancelled', async () => {
    let fired = 0
    const timer = clock.interval(() => {
      fired += 1
      if (fired === 3) timer.cancel()
    }, 2)
    let after = 0
    await waitFor(() => {
      advance(2)
      if (fired === 3) after += 1
      return after === 3
    })
    expect(fired).toBe(3)
  })

  it('fires no timer that was cancelled, and lets it be cancelled again', async () => {
    const run = vi.fn()
    const timer = clock.timer(run, 1).unref()
    timer.cancel()
    let later = false
    clock.timer(() => {
      later = true
    }, 10)
    await waitFor(() => (advance(10), later))
    timer.cancel()
    expect(run).not.toHaveBeenCalled()
  })

  it('sleeps until the time is over', async () => {
    let awake = false
    void clock.sleep(5).then(() => (awake = true))
    expect(awake).toBe(false)
    await waitFor(() => (advance(5), awake))
  })

  it('wakes a sleeper whose signal is aborted, before or meanwhile', async () => {
    await withTimeout(clock.sleep(3_600_000, AbortSignal.abort()), 1_000, 'a sleep that was aborted before')
    const controller = new AbortController()
    const sleeping = clock.sleep(3_600_000, controller.signal)
    controller.abort()
    await withTimeout(sleeping, 1_000, 'a sleep that was aborted')
  })
})

describe('a clock that is moved by hand', () => {
  it('shows each timer the time at which it was due', () => {
    const clock = new ManualClock(1_000, 50_000)
    const seen: [string, number][] = []
    const note = (name: string) => () => void seen.push([name, clock.now()])
    clock.timer(note('b'), 200)
    clock.timer(note('a'), 100)
    clock.timer(note('b too'), 200)
    clock.timer(note('later'), 401)
    const every = clock.interval(note('every'), 150)
    expect(clock.pending).toEqual([100, 150, 200, 200, 401])
    clock.advance(400)
    every.cancel()
    expect(seen).toEqual([
      ['a', 1_100],
      ['every', 1_150],
      ['b', 1_200],
      ['b too', 1_200],
      ['every', 1_300],
    ])
    expect([clock.now(), clock.wallNow()]).toEqual([1_400, 50_400])
    expect(clock.pending).toEqual([1])
  })

  it('fires timers that others start, also after promises have had their turn', async () => {
    const clock = new ManualClock(0)
    const times: number[] = []
    const loop = async () => {
      for (let round = 0; round < 3; round += 1) {
        await clock.sleep(10)
        times.push(clock.now())
      }
    }
    const looping = loop()
    await clock.advanceAsync(100)
    await looping
    expect(times).toEqual([10, 20, 30])
    expect(clock.now()).toBe(100)
    clock.timer(() => {
      clock.timer(() => void times.push(clock.now()), 5)
    }, 5)
    clock.advance(10)
    expect(times.at(-1)).toBe(110)
  })

  it('goes back when it is told to', () => {
    const clock = new ManualClock(1_000)
    clock.advance(-300)
    expect(clock.now()).toBe(700)
  })
})

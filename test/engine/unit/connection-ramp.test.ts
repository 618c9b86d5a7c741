import { describe, expect, it } from 'vitest'
import { ConnectionRamp, FoundConnections } from '../../../src/engine/fetch/connection-ramp.js'
import fc from '../../support/properties.js'

/** What connections of some number get together, in bytes per second. */
type Link = (connections: number, now: number) => number

interface Run {
  max?: number
  initial?: number
  answerMs?: number
  ms: number
  /** How many of the allowed connections receive. */
  receiving?: (size: number, now: number) => number
  isHeldBack?: (now: number) => boolean
  ramp?: ConnectionRamp
}

/** Looks every 10 ms at a link without any noise. */
function run(link: Link, given: Run) {
  const { max = 32, initial = 4, answerMs = 30, ms } = given
  const { receiving = (size: number) => size, isHeldBack = () => false } = given
  const ramp = given.ramp ?? new ConnectionRamp(max, initial)
  let bytes = 0
  const sizes: { at: number; size: number }[] = []
  for (let now = 0; now < ms; now += 10) {
    const open = receiving(ramp.size, now)
    bytes += link(open, now) / 100
    if (ramp.take({ now, bytes, receiving: open, answerMs, isHeldBack: isHeldBack(now) }))
      sizes.push({ at: now, size: ramp.size })
  }
  return { ramp, bytes, sizes: sizes.map(({ size }) => size), settledAt: sizes.at(-1)?.at ?? 0 }
}

const perConnection =
  (each: number, all = Infinity): Link =>
  (connections) =>
    Math.min(all, connections * each)

describe('ConnectionRamp', () => {
  it('uses all connections where each one is limited, within a dozen round trips', () => {
    const { sizes, settledAt } = run(perConnection(5e6), { ms: 5_000 })
    expect(sizes).toEqual([8, 16, 32])
    expect(settledAt).toBeLessThan(12 * 30)
  })

  it('takes back those that bring nothing', () => {
    const { sizes, ramp } = run(perConnection(50e6, 100e6), { ms: 5_000 })
    expect(sizes).toEqual([8, 4])
    expect(ramp.proven).toBe(4)
  })

  it('stops where the sum stops growing', () => {
    expect(run(perConnection(5e6, 60e6), { ms: 5_000 }).sizes).toEqual([8, 16, 32, 16])
    // 8 connections get 40 MB/s, and 16 get no tenth more.
    expect(run(perConnection(5e6, 43e6), { ms: 5_000 }).sizes).toEqual([8, 16, 8])
    expect(run(perConnection(5e6, 44e6), { ms: 5_000 }).sizes).toEqual([8, 16, 32, 16])
  })

  it('tries again after ten seconds, and less and less often in vain', () => {
    const trials: number[] = []
    const ramp = new ConnectionRamp(32, 4)
    run(
      (connections, now) => {
        if (connections === 8 && (trials.at(-1) ?? -Infinity) < now - 1_000) trials.push(now)
        return perConnection(50e6, 100e6)(connections, now)
      },
      { ms: 200_000, ramp },
    )
    const gaps = trials.slice(1).map((at, index) => Math.round((at - (trials[index] ?? 0)) / 1_000))
    expect(gaps).toEqual([10, 20, 40, 80])
  })

  it('finds more when the link has become better', () => {
    const { ramp } = run(
      (connections, now) => perConnection(5e6, now < 5_000 ? 20e6 : 160e6)(connections, now),
      {
        ms: 30_000,
      },
    )
    expect(ramp.size).toBe(32)
  })

  it('does not count what a rate limit or the disk holds back', () => {
    const isHeldBack = () => true
    expect(run(perConnection(5e6), { ms: 20_000, isHeldBack }).sizes).toEqual([])
    const { sizes } = run(perConnection(5e6), { ms: 20_000, isHeldBack: (now) => now < 10_000 })
    expect(sizes).toEqual([8, 16, 32])
  })

  it('gives up connections that never receive', () => {
    const { sizes, ramp } = run(perConnection(5e6), { ms: 8_000, receiving: (size) => Math.min(size, 6) })
    expect(sizes).toEqual([8, 4])
    expect(ramp.proven).toBe(4)
  })

  it('never has fewer than one or more than are allowed, whatever it sees', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 0, max: 80 }),
        fc.array(
          fc.record({
            ms: fc.nat(3_000),
            more: fc.nat(10_000_000),
            receiving: fc.nat(64),
            answerMs: fc.nat(5_000),
            isHeldBack: fc.boolean(),
            max: fc.option(fc.integer({ min: 1, max: 64 })),
            event: fc.constantFrom('none', 'none', 'forget', 'begin'),
          }),
          { maxLength: 60 },
        ),
        (max, initial, steps) => {
          const ramp = new ConnectionRamp(max, initial)
          let limit = max
          let now = 0
          let bytes = 0
          for (const { ms, more, receiving, answerMs, isHeldBack, max: other, event } of steps) {
            now += ms
            bytes += more
            if (other !== null) ramp.max = limit = other
            if (event === 'forget') ramp.forget()
            if (event === 'begin') ramp.begin(initial)
            const before = ramp.size
            const hasChanged = ramp.take({ now, bytes, receiving, answerMs, isHeldBack })
            expect(hasChanged).toBe(ramp.size !== before)
            expect(ramp.size).toBeGreaterThanOrEqual(1)
            expect(ramp.size).toBeLessThanOrEqual(limit)
          }
        },
      ),
    )
  })

  it('begins with what was found before, and can be widened', () => {
    const ramp = new ConnectionRamp(32, 4)
    ramp.begin(16)
    expect(ramp.size).toBe(16)
    ramp.max = 8
    expect(ramp.size).toBe(8)
    const widened = new ConnectionRamp(2, 4)
    run(perConnection(5e6), { ms: 2_000, ramp: widened })
    expect(widened.size).toBe(2)
    widened.max = 16
    run(perConnection(5e6), { ms: 5_000, ramp: widened })
    expect(widened.size).toBe(16)
  })

  it('measures again after an outage', () => {
    const { ramp } = run(perConnection(50e6, 100e6), { ms: 5_000 })
    ramp.forget()
    run(perConnection(5e6), { ms: 5_000, ramp })
    expect(ramp.size).toBe(32)
  })
})

describe('each step', () => {
  /** A ramp that is read by hand, with connections that all receive. */
  function byHand(max: number, initial: number) {
    const ramp = new ConnectionRamp(max, initial)
    const take = (now: number, bytes: number, { receiving = ramp.size, answerMs = 30 } = {}) =>
      ramp.take({ now, bytes, receiving, answerMs, isHeldBack: false })
    return { ramp, take }
  }

  /** A ramp that rests from `at` on, since no more than four connections have ever received. */
  function resting(max: number, at = 2_120) {
    const { ramp, take } = byHand(max, 4)
    take(at - 1_120, 0, { receiving: 3 })
    take(at, 0, { receiving: 3 })
    return { ramp, take }
  }

  it.each([
    [30, 60],
    [100, 200],
    [5_000, 2_000],
  ])('measures with responses after %i ms for %i ms', (answerMs, windowMs) => {
    const { ramp, take } = byHand(32, 4)
    expect(ramp.proven).toBeNull()
    expect(take(1_000, 0, { answerMs })).toBe(false)
    expect(take(1_000 + windowMs - 1, 1e6, { answerMs })).toBe(false)
    expect(take(1_000 + windowMs, 1e6, { answerMs })).toBe(true)
    expect([ramp.size, ramp.proven]).toEqual([8, 4])
  })

  it('compares speeds, and not what was received in times of different length', () => {
    const { ramp, take } = byHand(32, 4)
    take(1_000, 0)
    take(1_060, 6e6)
    take(1_100, 6e6)
    expect(take(1_700, 66e6)).toBe(true)
    expect([ramp.size, ramp.proven]).toEqual([4, 4])
  })

  it('waits a second and four responses for those that were added', () => {
    const { ramp, take } = byHand(32, 4)
    take(1_000, 0, { receiving: 3, answerMs: 50 })
    take(2_199, 0, { receiving: 3, answerMs: 50 })
    expect(ramp.proven).toBeNull()
    take(2_200, 0, { receiving: 3, answerMs: 50 })
    expect([ramp.size, ramp.proven]).toEqual([4, 4])
  })

  it('rests for ten seconds', () => {
    const { ramp, take } = resting(32)
    expect(ramp.proven).toBe(4)
    for (const now of [2_130, 12_119, 12_120, 12_179]) expect(take(now, 1e6), `${now}`).toBe(false)
    expect(take(12_180, 2e6)).toBe(true)
  })

  it('goes on resting when the maximum changes, unless it was in the way', () => {
    for (const max of [64, 16, 32]) {
      const { ramp, take } = resting(32)
      ramp.max = max
      for (let now = 2_130; now < 12_000; now += 10) expect(take(now, now)).toBe(false)
    }
    const { ramp, take } = resting(4)
    ramp.max = 2
    for (let now = 2_130; now < 4_000; now += 10) take(now, now)
    expect([ramp.size, ramp.proven]).toEqual([2, 4])
  })

  it('does not begin again while it measures', () => {
    const { ramp, take } = byHand(4, 4)
    take(1_000, 0)
    take(1_050, 1)
    ramp.max = 8
    expect(take(1_060, 1e6)).toBe(true)
    expect(ramp.size).toBe(8)
  })

  it('keeps what it has measured itself', () => {
    const rested = resting(32).ramp
    rested.begin(16)
    expect(rested.size).toBe(4)
    const { ramp, take } = byHand(32, 4)
    take(1_000, 0)
    take(1_060, 1e6)
    ramp.begin(16)
    expect(ramp.size).toBe(8)
  })

  /** When a ramp tries more than four connections, of which only four are ever of use. */
  function trials({ ramp, take }: ReturnType<typeof byHand>, from: number, until: number): number[] {
    const found: number[] = []
    for (let now = from; now < until; now += 10) {
      const before = ramp.size
      if (take(now, now * 1_000) && ramp.size > before) found.push(now)
    }
    return found
  }

  it('counts no vain try while it may have no more', () => {
    const scene = resting(4)
    for (let now = 2_130; now < 100_000; now += 10) {
      if (now % 1_000 === 0) scene.ramp.max = 4
      expect(scene.take(now, now * 1_000)).toBe(false)
    }
    scene.ramp.max = 8
    const [first = 0, second = 0] = trials(scene, 100_000, 200_000)
    expect(first).toBeLessThan(100_500)
    expect(Math.round((second - first) / 1_000)).toBe(20)
  })

  it('tries again after ten seconds once more connections were of use', () => {
    const scene = resting(32)
    const vain = trials(scene, 2_130, 80_000)
    expect(vain.slice(1).map((at, index) => Math.round((at - vain[index]!) / 1_000))).toEqual([20, 40])
    // Now eight are twice as fast as four, and sixteen no faster than eight.
    let bytes = 80_000_000
    const sizes: [number, number][] = []
    for (let now = 80_000; now < 250_000; now += 10) {
      bytes += Math.min(scene.ramp.size, 8) * 1_000
      if (scene.take(now, bytes)) sizes.push([now, scene.ramp.size])
    }
    const sixteens = sizes.filter(([, size]) => size === 16).map(([now]) => now)
    expect(Math.round((sixteens[1]! - sixteens[0]!) / 1_000)).toBe(10)
  })
})

describe('FoundConnections', () => {
  it('remembers a thousand servers', () => {
    const found = new FoundConnections()
    for (let index = 0; index < 1_001; index += 1) found.note(`http://host-${index}`, index)
    expect(found.of('http://host-0')).toBeNull()
    expect(found.of('http://host-1')).toBe(1)
    expect(found.of('http://host-1000')).toBe(1_000)
    found.note('http://host-1', 7)
    found.note('http://more', 1)
    expect(found.of('http://host-1')).toBe(7)
    expect(found.of('http://host-2')).toBeNull()
  })
})

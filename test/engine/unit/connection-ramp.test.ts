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

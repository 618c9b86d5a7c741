import { ManualClock } from '../../support/clock.js'
import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import { TokenBucket } from '../../../src/engine/fetch/rate-limit.js'

const KiB = 1024

describe('TokenBucket', () => {
  it('never waits without a limit', () => {
    const bucket = new TokenBucket(null, new ManualClock())
    expect(bucket.limit).toBeNull()
    expect(bucket.take(1e12)).toBe(0)
    expect(bucket.take(1e12)).toBe(0)
  })

  it('lets a burst through, then asks to pay the debt', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(1_000_000, clock)
    expect(bucket.take(100_000)).toBe(0)
    expect(bucket.take(50_000)).toBe(50)
    clock.advance(20)
    expect(bucket.take(0)).toBe(30)
    clock.advance(30)
    expect(bucket.take(0)).toBe(0)
    expect(bucket.take(1)).toBe(1)
  })

  it('saves up no more than one burst', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(1_000_000, clock)
    clock.advance(3_600_000)
    expect(bucket.take(100_000)).toBe(0)
    expect(bucket.take(1_000)).toBe(1)
  })

  it('allows a slow rate a burst of 16 KiB', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(1_000, clock)
    expect(bucket.take(16 * KiB)).toBe(0)
    expect(bucket.take(10)).toBe(10)
  })

  it('keeps the rate within 3 % in the long run, with several takers and late timers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 50_000, max: 200_000_000 }),
        fc.integer({ min: 1, max: 16 }),
        fc.array(fc.integer({ min: 1, max: 1024 * KiB }), { minLength: 1, maxLength: 20 }),
        fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { minLength: 1, maxLength: 20 }),
        (rate, takers, chunks, lateness) => {
          const clock = new ManualClock()
          const bucket = new TokenBucket(rate, clock)
          const begin = clock.now()
          const wakesAt = Array.from({ length: takers }, () => begin)
          // Chunks and the first burst must be small against the whole, or they blur the average.
          const enough = Math.max(rate * 10, 1024 * KiB, 40 * takers * Math.max(...chunks))
          let taken = 0
          for (let turn = 0; taken < enough; turn++) {
            // The next one to wake; it may be late by up to 20 ms.
            const who = wakesAt.indexOf(Math.min(...wakesAt))
            const due = wakesAt[who] ?? 0
            if (due > clock.now()) clock.advance(due - clock.now() + (lateness[turn % lateness.length] ?? 0))
            if (bucket.take(0) > 0) {
              wakesAt[who] = clock.now() + bucket.take(0)
              continue
            }
            // As much as arrives in one go, but in pieces that make a simulated second a few thousand turns at most.
            const bytes = Math.max(chunks[turn % chunks.length] ?? 1, enough / 2_000)
            taken += bytes
            wakesAt[who] = clock.now() + bucket.take(bytes)
          }
          const seconds = (Math.max(...wakesAt, clock.now()) - begin) / 1000
          expect(taken / seconds).toBeLessThan(rate * 1.03)
          expect(taken / seconds).toBeGreaterThan(rate * 0.97)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('pays a debt at the new rate when the limit changes', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(1_000_000, clock)
    expect(bucket.take(1_100_000)).toBe(1_000)
    clock.advance(500)
    bucket.limit = 5_000_000
    expect(bucket.limit).toBe(5_000_000)
    expect(bucket.take(0)).toBe(100)
    bucket.limit = 500_000
    expect(bucket.take(0)).toBe(1_000)
  })

  it('forgives the debt when the limit is lifted', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(1_000, clock)
    expect(bucket.take(1_000_000)).toBeGreaterThan(900_000)
    bucket.limit = null
    expect(bucket.take(1_000_000)).toBe(0)
    clock.advance(10)
    bucket.limit = 1_000_000
    expect(bucket.take(100_000)).toBe(0)
    expect(bucket.take(1_000)).toBe(1)
  })

  it('does not keep a fast burst when the limit falls', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(1_000_000_000, clock)
    bucket.limit = 1_000
    expect(bucket.take(17 * KiB)).toBeGreaterThan(1_000)
  })

  it('never asks for a wait that a timer can not do, nor a negative one', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(0.001, clock)
    expect(bucket.take(1e12)).toBe(0x7fffffff)
    clock.advance(-1_000)
    expect(bucket.take(0)).toBe(0x7fffffff)
  })

  it.each([0, -1, Number.NaN, Infinity])('refuses a rate of %d', (rate) => {
    const refused = (run: () => unknown) => {
      try {
        run()
      } catch (error) {
        return isDownloadError(error, 'INVALID_OPTIONS')
      }
      return false
    }
    expect(refused(() => new TokenBucket(rate, new ManualClock()))).toBe(true)
    const bucket = new TokenBucket(10, new ManualClock())
    expect(refused(() => (bucket.limit = rate))).toBe(true)
    expect(bucket.limit).toBe(10)
  })

  it('has something to spare while half a burst or more is saved up', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(1_000_000, clock)
    expect(bucket.spare).toBe(true)
    bucket.take(50_000)
    expect(bucket.spare).toBe(true)
    bucket.take(50_001)
    expect(bucket.spare).toBe(false)
    clock.advance(50)
    expect(bucket.spare).toBe(false)
    clock.advance(1)
    expect(bucket.spare).toBe(true)
    bucket.take(100_000)
    expect(bucket.spare).toBe(false)
    bucket.limit = null
    expect(bucket.spare).toBe(true)
  })
})

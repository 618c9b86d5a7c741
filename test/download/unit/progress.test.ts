import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { etaSeconds, percentOf, SpeedMeter } from '../../../src/download/progress.js'

describe('percentOf', () => {
  it.each([
    [0, 100, 0],
    [1, 1000, 0.1],
    [29, 100, 29],
    [57, 100, 57],
    [999, 1000, 99.9],
    [9999, 10_000, 99.9],
    [100, 100, 99.9],
    [200, 100, 99.9],
    [0, 0, 0],
    [5, null, 0],
    [250e9, 500e9, 50],
  ])('%d of %s bytes are %d %', (downloaded, total, expected) => {
    expect(percentOf(downloaded, total, false)).toBe(expected)
  })

  it('is 100 once published, and only then', () => {
    expect(percentOf(0, null, true)).toBe(100)
    expect(percentOf(0, 0, true)).toBe(100)
    const bytes = fc.integer({ min: 0, max: 500e9 })
    fc.assert(
      fc.property(bytes, bytes, (downloaded, total) => {
        const percent = percentOf(downloaded, total, false)
        expect(percent).toBeGreaterThanOrEqual(0)
        expect(percent).toBeLessThan(100)
      }),
    )
  })

  it('never falls while bytes arrive, and is never ahead of them', () => {
    const bytes = fc.integer({ min: 0, max: 500e9 })
    fc.assert(
      fc.property(bytes, bytes, fc.integer({ min: 1, max: 500e9 }), (a, b, total) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)]
        expect(percentOf(more, total, false)).toBeGreaterThanOrEqual(percentOf(less, total, false))
        expect(percentOf(more, total, false)).toBeLessThanOrEqual((more / total) * 100 + 1e-9)
      }),
    )
  })

  it('shows whole percents as such', () => {
    for (let percent = 0; percent < 100; percent++) expect(percentOf(percent, 100, false)).toBe(percent)
  })
})

describe('SpeedMeter', () => {
  it('knows nothing before the second sample', () => {
    const meter = new SpeedMeter()
    expect(meter.bytesPerSecond()).toBe(0)
    meter.add(1_000, 500)
    expect(meter.bytesPerSecond()).toBe(0)
    meter.add(1_000, 900)
    expect(meter.bytesPerSecond()).toBe(0)
  })

  it('measures a steady stream exactly', () => {
    const meter = new SpeedMeter()
    for (let tick = 0; tick <= 200; tick++) {
      meter.add(tick * 250, tick * 1_000)
      if (tick > 0) expect(meter.bytesPerSecond()).toBe(4_000)
    }
  })

  it('forgets what is older than its window', () => {
    const meter = new SpeedMeter(5_000)
    meter.add(0, 0)
    meter.add(1_000, 1_000_000)
    for (let at = 2_000; at <= 6_000; at += 1_000) meter.add(at, 1_000_000)
    expect(meter.bytesPerSecond()).toBe(0)
  })

  it('starts over when the count falls', () => {
    const meter = new SpeedMeter()
    meter.add(0, 0)
    meter.add(1_000, 5_000)
    meter.add(2_000, 100)
    expect(meter.bytesPerSecond()).toBe(0)
    meter.add(3_000, 300)
    expect(meter.bytesPerSecond()).toBe(200)
  })

  it('forgets all on reset', () => {
    const meter = new SpeedMeter()
    meter.add(0, 0)
    meter.add(1_000, 5_000)
    meter.reset()
    expect(meter.bytesPerSecond()).toBe(0)
  })

  it('is never negative, nor faster than the fastest moment', () => {
    const moves = fc.array(fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 0, max: 1e9 })))
    fc.assert(
      fc.property(moves, (list) => {
        const meter = new SpeedMeter()
        let at = 0
        let bytes = 0
        let fastest = 0
        meter.add(at, bytes)
        for (const [ms, more] of list) {
          at += ms
          bytes += more
          fastest = Math.max(fastest, (more * 1000) / ms)
          meter.add(at, bytes)
          expect(meter.bytesPerSecond()).toBeGreaterThanOrEqual(0)
          expect(meter.bytesPerSecond()).toBeLessThanOrEqual(Math.ceil(fastest))
        }
      }),
    )
  })
})

describe('etaSeconds', () => {
  it.each([
    [0, 1_000, 100, 10],
    [0, 1_001, 100, 11],
    [1_000, 1_000, 100, 0],
    [2_000, 1_000, 100, 0],
    [0, null, 100, null],
    [0, 1_000, 0, null],
    [0, 1_000, -5, null],
  ])('%d of %s at %d B/s: %s s', (downloaded, total, speed, expected) => {
    expect(etaSeconds(downloaded, total, speed)).toBe(expected)
  })
})

describe('SpeedMeter, at the limits of its window', () => {
  const speedOf = (...samples: [at: number, bytes: number][]) => {
    const meter = new SpeedMeter(5_000)
    for (const [at, bytes] of samples) meter.add(at, bytes)
    return meter.bytesPerSecond()
  }

  it('goes by the newest sample, and by the oldest within the window', () => {
    expect(speedOf([0, 0], [1_000, 1_000], [2_000, 4_000])).toBe(2_000)
    expect(speedOf([0, 0], [5_000, 5_000], [9_999, 20_000])).toBe(2_000)
    expect(speedOf([0, 0], [5_000, 5_000], [10_000, 20_000])).toBe(3_000)
    expect(speedOf([0, 0], [10_000, 10_000])).toBe(1_000)
  })

  it('starts a new window with fewer bytes than before, and not with as many', () => {
    expect(speedOf([0, 0], [1_000, 1_000], [2_000, 5_000], [3_000, 4_000])).toBe(0)
    expect(speedOf([0, 100], [1_000, 200], [2_000, 200])).toBe(50)
  })

  it('knows no speed without two samples', () => {
    expect(speedOf()).toBe(0)
    expect(speedOf([0, 5])).toBe(0)
    const meter = new SpeedMeter()
    meter.add(0, 0)
    meter.add(1_000, 1_000)
    meter.reset()
    expect(meter.bytesPerSecond()).toBe(0)
    meter.add(2_000, 1_000)
    meter.add(3_000, 1_500)
    expect(meter.bytesPerSecond()).toBe(500)
  })
})

import { describe, expect, it } from 'vitest'
import { Pace, readLimit, refuseSize, slowWindowMs } from '../../../src/engine/fetch/remote-bounds.js'
import fc from '../../support/properties.js'

const bounds = { maxFileBytes: 1_000, minBytesPerSecond: null }
const none = { maxFileBytes: null, minBytesPerSecond: null }

describe('the size of a file', () => {
  it.each([
    [1_000, bounds, null],
    [1_001, bounds, 'NO_SPACE'],
    [0, bounds, null],
    [Number.MAX_SAFE_INTEGER, bounds, 'NO_SPACE'],
    [null, bounds, null],
    [undefined, bounds, null],
    [1e12, none, null],
    [1e12, null, null],
    [1e12, undefined, null],
  ])('%s with %j: %s', (size, limits, code) => {
    expect(refuseSize(size, limits)?.code ?? null).toBe(code)
  })

  it('is named by its limit, and the refusal is final', () => {
    expect(refuseSize(1_001, bounds)).toMatchObject({ retryable: false })
    expect(refuseSize(1_001, bounds)?.message).toContain('1000 bytes')
  })

  it('is known to be too large after one byte more than the limit', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (limit, size) => {
        const limits = { maxFileBytes: limit, minBytesPerSecond: null }
        const read = Math.min(size, readLimit(limits) ?? Infinity)
        if (size <= limit) expect(read).toBe(size)
        else expect(refuseSize(read, limits)).not.toBeNull()
      }),
    )
    expect([readLimit(none), readLimit(null), readLimit(undefined)]).toEqual([null, null, null])
  })
})

describe('the pace of a download', () => {
  const least = 1_000
  /** Reports every 25 ms, and returns when the download was found too slow, in milliseconds; null if never. */
  function run(
    pace: Pace,
    ms: number,
    bytesAt: (ms: number) => number,
    heldAt: (ms: number) => boolean = () => false,
  ) {
    let foundAt: number | null = null
    for (let at = 0; at <= ms; at += 25)
      if (pace.note(5_000 + at, bytesAt(at), heldAt(at)) !== null) foundAt ??= at
    return foundAt
  }

  it('is judged after a minute, and for good', () => {
    const pace = new Pace(least)
    expect(run(pace, 2 * slowWindowMs, () => 24)).toBe(slowWindowMs)
    expect(pace.error).toMatchObject({ code: 'STALLED', retryable: true })
    const { error } = pace
    expect(pace.note(1e9, 1e9, false)).toBe(error)
  })

  it('may be exactly the minimum, and uneven within a minute', () => {
    expect(run(new Pace(least), 5 * slowWindowMs, () => 25)).toBeNull()
    const once = (ms: number) => (ms % slowWindowMs === 30_000 ? 60_000 : 0)
    expect(run(new Pace(least), 5 * slowWindowMs, once)).toBeNull()
  })

  it('counts silence, whatever came before', () => {
    const early = (ms: number) => (ms < 1_000 ? 1e6 : 0)
    expect(run(new Pace(least), 5 * slowWindowMs, early)).toBe(2 * slowWindowMs)
  })

  it('does not count the time in which this machine holds it back', () => {
    expect(
      run(
        new Pace(least),
        10 * slowWindowMs,
        () => 1,
        () => true,
      ),
    ).toBeNull()
    // A rate limit that is shared with others is no excuse for a server that leaves most of the time unused.
    const third = (ms: number) => ms % 75 === 0
    const found = run(new Pace(least), 10 * slowWindowMs, () => 1, third) ?? 0
    expect(found).toBeGreaterThan(1.4 * slowWindowMs)
    expect(found).toBeLessThan(1.6 * slowWindowMs)
  })

  it('does not count a gap between two transfers of the download, nor a sleep of the machine', () => {
    const pace = new Pace(least)
    for (let hour = 0; hour < 50; hour += 1) expect(pace.note(hour * 3_600_000, 0, false)).toBeNull()
  })

  it('adds up all transfers of the download', () => {
    const pace = new Pace(least)
    for (let at = 0; at <= 3 * slowWindowMs; at += 1_000)
      for (let file = 0; file < 5; file += 1) expect(pace.note(at, 200, false)).toBeNull()
  })
})

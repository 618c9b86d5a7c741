import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { defaultTuning } from '../../../src/net/tuning.js'
import {
  backoffMs,
  growingTimeout,
  initialRetryState,
  onFailure,
  onProgress,
  othersServedSince,
  parseRetryAfter,
  type RetryState,
} from '../../../src/net/retry.js'

const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const delays = fc.record({
  minDelayMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
  maxDelayMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
})

describe('backoffMs', () => {
  it('doubles its ceiling up to the maximum', () => {
    const almostOne = () => 1 - 2 ** -53
    const ceilings = [1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => backoffMs(attempt, defaultTuning, almostOne))
    expect(ceilings).toEqual([499, 999, 1999, 3999, 7999, 15999, 29999, 29999])
  })

  it('stays within 0 and the maximum, for any attempt', () => {
    const attempts = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constantFrom(1e6, Number.MAX_SAFE_INTEGER))
    fc.assert(
      fc.property(attempts, delays, dice, (attempt, tuning, random) => {
        const delay = backoffMs(attempt, tuning, () => random)
        expect(Number.isInteger(delay)).toBe(true)
        expect(delay).toBeGreaterThanOrEqual(0)
        expect(delay).toBeLessThanOrEqual(tuning.maxDelayMs)
      }),
    )
  })

  it('has a ceiling that never falls', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), delays, dice, (attempt, tuning, random) => {
        const here = backoffMs(attempt, tuning, () => random)
        expect(backoffMs(attempt + 1, tuning, () => random)).toBeGreaterThanOrEqual(here)
      }),
    )
  })
})

it('backoffMs of attempt 0 is that of the first', () => {
  expect(backoffMs(0, defaultTuning, () => 0.5)).toBe(backoffMs(1, defaultTuning, () => 0.5))
})

describe('parseRetryAfter', () => {
  const now = Date.UTC(2030, 5, 15, 12, 0, 0)

  it.each([
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7_000],
    ['99999999999999999999999', Number.MAX_SAFE_INTEGER],
    ['Sat, 15 Jun 2030 12:01:30 GMT', 90_000],
    ['Saturday, 15-Jun-30 12:01:30 GMT', 90_000],
    ['Sat Jun 15 12:01:30 2030', 90_000],
    ['Sat Jun  1 12:01:30 2030', 0],
    ['Sat, 15 Jun 2030 12:00:60 GMT', 60_000],
    ['Sat, 15 Jun 2030 23:59:59 GMT', Date.UTC(2030, 5, 15, 23, 59, 59) - now],
    ['sat, 15 jun 2030 12:01:30 gmt', 90_000],
    ['Tuesday, 01-Jan-30 00:00:00 GMT', 0],
    // RFC 9110's own example, in its three forms; long past.
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Sun Nov  6 08:49:37 1994', 0],
    // Two digits: at most 50 years ahead, else past.
    ['Saturday, 15-Jun-80 12:00:00 GMT', Date.UTC(2080, 5, 15, 12) - now],
    ['Saturday, 15-Jun-81 12:00:00 GMT', 0],
  ])('%s → %d ms', (header, expected) => {
    expect(parseRetryAfter(header, now)).toBe(expected)
  })

  it.each([
    '',
    ' ',
    '-1',
    '+5',
    '1.5',
    '1e3',
    '0x10',
    '5 seconds',
    'soon',
    'NaN',
    'Infinity',
    '2030-06-15T12:01:30Z',
    'Sat, 31 Feb 2030 12:00:00 GMT',
    'Sat, 00 Jun 2030 12:00:00 GMT',
    'Sat, 31 Jun 2030 12:00:00 GMT',
    'Sat, 99 Dec 2030 12:00:00 GMT',
    'Sat, 15 Foo 2030 12:00:00 GMT',
    'Sat, 15 Jun 2030 24:00:00 GMT',
    'Sat, 15 Jun 2030 12:60:00 GMT',
    'Sat, 15 Jun 2030 12:00:61 GMT',
    'Sat, 15 Jun 2030 12:00:00 PST',
    'Sat, 15 Jun 2030 12:00:00',
    // More than a date.
    '5 s',
    's 5',
    'on Sat, 15 Jun 2030 12:01:30 GMT',
    'Sat, 15 Jun 2030 12:01:30 GMT or later',
    'on Saturday, 15-Jun-30 12:01:30 GMT',
    'Saturday, 15-Jun-30 12:01:30 GMT or later',
    'on Sat Jun 15 12:01:30 2030',
    'Sat Jun 15 12:01:30 2030 or later',
  ])('%j is garbage', (header) => {
    expect(parseRetryAfter(header, now)).toBeNull()
  })

  it('takes a missing field for no wish', () => {
    expect(parseRetryAfter(undefined, now)).toBeNull()
    expect(parseRetryAfter(null, now)).toBeNull()
  })

  it('reads back every date that JavaScript writes in the preferred form', () => {
    const seconds = fc.integer({ min: 0, max: 4_000_000_000 })
    fc.assert(
      fc.property(seconds, seconds, (at, from) => {
        const wait = parseRetryAfter(new Date(at * 1000).toUTCString(), from * 1000)
        expect(wait).toBe(Math.max(0, at - from) * 1000)
      }),
    )
  })

  it('never throws and never asks for a negative or endless wait', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        const wait = parseRetryAfter(header, now)
        if (wait !== null) expect(Number.isFinite(wait) && wait >= 0).toBe(true)
      }),
    )
  })
})

describe('onFailure', () => {
  const half = () => 0.5
  const failure = { now: 1_000, networkFailure: false }

  it('gives up at the last attempt of the budget', () => {
    let state = initialRetryState(0)
    for (let attempt = 1; attempt < defaultTuning.maxAttempts; attempt++) {
      const result = onFailure(state, failure, defaultTuning, half)
      expect(result.verdict).toMatchObject({ kind: 'wait', attempt })
      state = result.state
    }
    expect(onFailure(state, failure, defaultTuning, half).verdict).toEqual({
      kind: 'give-up',
      reason: 'attempts',
    })
  })

  it('begins without progress, so a network that is down from the start is not outlasted', () => {
    const begin = initialRetryState(5)
    expect(begin).toEqual({ attempts: 0, lastProgressAt: 5, hadProgress: false })
    const lastAttempt = { ...begin, attempts: defaultTuning.maxAttempts - 1 }
    expect(onFailure(lastAttempt, { now: 6, networkFailure: true }, defaultTuning, half).verdict.kind).toBe(
      'give-up',
    )
  })

  it('has its whole budget again after progress', () => {
    let state = initialRetryState(0)
    for (let turn = 0; turn < 50; turn++) {
      for (let attempt = 1; attempt < defaultTuning.maxAttempts; attempt++) {
        const result = onFailure(state, failure, defaultTuning, half)
        expect(result.verdict).toMatchObject({ kind: 'wait', attempt })
        state = result.state
      }
      state = onProgress(state, turn)
    }
    expect(state).toEqual({ attempts: 0, lastProgressAt: 49, hadProgress: true })
  })

  it('waits exactly as long as the server asks', () => {
    const result = onFailure(initialRetryState(0), { ...failure, retryAfterMs: 7_000 }, defaultTuning, half)
    expect(result.verdict).toEqual({ kind: 'wait', attempt: 1, delayMs: 7_000 })
    const longest = { ...failure, retryAfterMs: defaultTuning.maxRetryAfterMs }
    expect(onFailure(initialRetryState(0), longest, defaultTuning, half).verdict).toMatchObject({
      delayMs: defaultTuning.maxRetryAfterMs,
    })
  })

  it('gives up when the server asks for too much', () => {
    const tooLong = { ...failure, retryAfterMs: defaultTuning.maxRetryAfterMs + 1 }
    expect(onFailure(initialRetryState(0), tooLong, defaultTuning, half).verdict).toEqual({
      kind: 'give-up',
      reason: 'retry-after',
    })
  })

  describe('of a server that limits the rate and serves others meanwhile', () => {
    const state: RetryState = { attempts: 7, lastProgressAt: 1_000, hadProgress: false }
    const turn = { now: 3_600_999, networkFailure: false, retryAfterMs: 9_000, othersServed: true }

    it('is not counted for an hour', () => {
      const result = onFailure(state, turn, defaultTuning, half)
      expect(result.verdict).toEqual({ kind: 'wait', attempt: 8, delayMs: 9_000 })
      expect(result.state).toBe(state)
    })

    it.each([
      ['after that hour', { now: 3_601_000 }],
      ['when nobody was served', { othersServed: false }],
      ['when it asks for no wait', { retryAfterMs: 0 }],
    ])('is counted %s', (_name, changes) => {
      expect(onFailure(state, { ...turn, ...changes }, defaultTuning, half).verdict).toEqual({
        kind: 'give-up',
        reason: 'attempts',
      })
    })

    it('is not counted either when it says no more than that (429), but the pauses get longer', () => {
      const limited = { now: 3_600_999, networkFailure: false, othersServed: true, limited: true }
      const { maxAttempts } = defaultTuning
      let budget = { ...state, attempts: 0 }
      for (let attempt = 1; attempt < 3 * maxAttempts; attempt += 1) {
        const result = onFailure(budget, limited, defaultTuning, half)
        const counted = Math.min(attempt, maxAttempts)
        expect(result.verdict).toEqual({
          kind: 'wait',
          attempt: counted,
          delayMs: backoffMs(counted, defaultTuning, half),
        })
        budget = result.state
      }
      // When the others have ended, there is one more attempt.
      expect(budget.attempts).toBe(maxAttempts - 1)
      for (const changes of [{ now: 3_601_000 }, { othersServed: false }, { limited: false }])
        expect(onFailure(budget, { ...limited, ...changes }, defaultTuning, half).verdict).toEqual({
          kind: 'give-up',
          reason: 'attempts',
        })
      const asked = onFailure(budget, { ...limited, retryAfterMs: 9_000 }, defaultTuning, half)
      expect(asked).toEqual({
        state: budget,
        verdict: { kind: 'wait', attempt: maxAttempts, delayMs: 9_000 },
      })
    })

    it('is a matter of others that are served: since the last failure or lately, and after its own data', () => {
      const fresh = { attempts: 0, lastProgressAt: 100_000, hadProgress: false }
      expect(othersServedSince(fresh, 20_000, 110_000)).toBe(20_000)
      expect(othersServedSince(fresh, 109_000, 110_000)).toBe(105_000)
      const had = { ...fresh, hadProgress: true }
      expect(othersServedSince(had, 20_000, 110_000)).toBe(100_001)
      expect(othersServedSince(had, 109_000, 110_000)).toBe(105_000)
    })

    it('is final all the same if the wait would be too long', () => {
      const long = { ...turn, retryAfterMs: defaultTuning.maxRetryAfterMs + 1 }
      expect(onFailure(state, long, defaultTuning, half).verdict.kind).toBe('give-up')
    })
  })

  describe('with the attempts used up', () => {
    const usedUp: RetryState = { attempts: 40, lastProgressAt: 10_000, hadProgress: true }
    const end = 10_000 + defaultTuning.outageMs

    it('outlasts a dead network for outageMs', () => {
      const early = onFailure(usedUp, { now: end - 1, networkFailure: true }, defaultTuning, half)
      expect(early.verdict).toMatchObject({ kind: 'wait', attempt: 41 })
      const late = onFailure(usedUp, { now: end, networkFailure: true }, defaultTuning, half)
      expect(late.verdict).toEqual({ kind: 'give-up', reason: 'attempts' })
    })

    it('does not outlast a server that answers', () => {
      const { verdict } = onFailure(usedUp, { now: 10_001, networkFailure: false }, defaultTuning, half)
      expect(verdict).toEqual({ kind: 'give-up', reason: 'attempts' })
    })

    it('does not outlast a network that never worked', () => {
      const state = { ...usedUp, hadProgress: false }
      const { verdict } = onFailure(state, { now: 10_001, networkFailure: true }, defaultTuning, half)
      expect(verdict).toEqual({ kind: 'give-up', reason: 'attempts' })
    })
  })

  it('always ends, never waits longer than the caps, and leaves the old state alone', () => {
    const events = fc.array(
      fc.record({
        networkFailure: fc.boolean(),
        retryAfterMs: fc.option(fc.integer({ min: 0, max: 1_000_000 }), { nil: undefined }),
      }),
      { minLength: 1, maxLength: 20 },
    )
    const cap = Math.max(defaultTuning.maxDelayMs, defaultTuning.maxRetryAfterMs)
    fc.assert(
      fc.property(events, fc.boolean(), dice, (failures, hadProgress, random) => {
        let state = hadProgress ? onProgress(initialRetryState(0), 0) : initialRetryState(0)
        let now = 0
        for (let turn = 0; ; turn++) {
          const { networkFailure, retryAfterMs } = failures[turn % failures.length] ?? {
            networkFailure: false,
          }
          const before = { ...state }
          const result = onFailure(
            state,
            { now, networkFailure, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
            defaultTuning,
            () => random,
          )
          expect(state).toEqual(before)
          if (result.verdict.kind === 'give-up') break
          expect(result.verdict.delayMs).toBeGreaterThanOrEqual(0)
          expect(result.verdict.delayMs).toBeLessThanOrEqual(cap)
          if (retryAfterMs !== undefined) expect(result.verdict.delayMs).toBe(retryAfterMs)
          state = result.state
          // A failure takes time too; 50 ms is a fast one.
          now += result.verdict.delayMs + 50
          expect(turn).toBeLessThan(defaultTuning.maxAttempts + defaultTuning.outageMs / 50)
        }
      }),
    )
  })
})

describe('growingTimeout', () => {
  it('doubles after each silence, up to four times the base', () => {
    expect([0, 1, 2, 3, 100].map((silences) => growingTimeout(30_000, silences))).toEqual([
      30_000, 60_000, 120_000, 120_000, 120_000,
    ])
  })

  it('stays within what a timer can wait', () => {
    expect(growingTimeout(0x7fffffff, 2)).toBe(0x7fffffff)
  })
})

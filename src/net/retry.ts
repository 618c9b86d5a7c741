/**
 * When to try again, and when to give up. Pure: the clock and the dice come from the caller. All times in
 * milliseconds; `now` is monotonic unless it says otherwise.
 */
import type { TransferTuning } from './tuning.js'

/**
 * Full-jitter backoff: anything between 0 and a ceiling that doubles with each attempt.
 *
 * @param attempt - 1 for the wait after the first failure.
 * @param tuning - `minDelayMs` is the first ceiling, `maxDelayMs` the last.
 * @param random - gives a number in [0, 1), like `Math.random`.
 * @returns whole milliseconds.
 */
export function backoffMs(
  attempt: number,
  { minDelayMs, maxDelayMs }: Pick<TransferTuning, 'minDelayMs' | 'maxDelayMs'>,
  random: () => number,
): number {
  // The exponent is bounded because 0 × Infinity would be NaN.
  const exponent = Math.min(Math.max(0, attempt - 1), 60)
  return Math.floor(random() * Math.min(maxDelayMs, minDelayMs * 2 ** exponent))
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

const imfFixdate = /^(?:mon|tue|wed|thu|fri|sat|sun), (\d\d) ([a-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) gmt$/i

const rfc850Date =
  /^(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\d\d)-([a-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) gmt$/i

const asctimeDate = /^(?:mon|tue|wed|thu|fri|sat|sun) ([a-z]{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/i

/**
 * Reads a `Retry-After` field (RFC 9110 section 10.2.3): seconds, or a date in any of the three forms of section
 * 5.6.7.
 *
 * @param header - the field's value.
 * @param nowMs - milliseconds since the epoch. Best the answer's own `Date`, so that a wrong clock here does no harm.
 * @returns how long to wait; 0 for a date that has passed; null for a missing field or garbage.
 */
export function parseRetryAfter(header: string | null | undefined, nowMs: number): number | null {
  const value = header?.trim() ?? ''
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1000, Number.MAX_SAFE_INTEGER)
  const at = parseHttpDate(value, nowMs)
  return at === null ? null : Math.max(0, at - nowMs)
}

function parseHttpDate(value: string, nowMs: number): number | null {
  let match = imfFixdate.exec(value)
  if (match !== null) return utc(match[3], match[2], match[1], match.slice(4))
  match = asctimeDate.exec(value)
  if (match !== null) return utc(match[6], match[1], match[2], match.slice(3, 6))
  match = rfc850Date.exec(value)
  if (match === null) return null
  // A two-digit year that seems more than 50 years ahead is meant to be past (RFC 9110 section 5.6.7).
  const thisYear = new Date(nowMs).getUTCFullYear()
  let year = Math.floor(thisYear / 100) * 100 + Number(match[3])
  if (year > thisYear + 50) year -= 100
  return utc(String(year), match[2], match[1], match.slice(4))
}

function utc(
  year: string | undefined,
  month: string | undefined,
  day: string | undefined,
  time: readonly string[],
): number | null {
  const monthIndex = months.indexOf(month?.toLowerCase() ?? '')
  const [hour, minute, second] = time.map(Number)
  if (monthIndex < 0 || hour === undefined || minute === undefined || second === undefined) return null
  // 60 is a leap second.
  if (hour > 23 || minute > 59 || second > 60) return null
  const dayNumber = Number(day)
  const midnight = new Date(Date.UTC(Number(year), monthIndex, dayNumber))
  if (midnight.getUTCMonth() !== monthIndex || midnight.getUTCDate() !== dayNumber) return null
  return midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1000
}

/** What is remembered between failures. Plain data, never changed in place. */
export interface RetryState {
  /** Failures since the last progress. */
  attempts: number
  /** When the last byte arrived; before that, when the transfer began. */
  lastProgressAt: number
  /** Whether any byte has arrived yet. */
  hadProgress: boolean
}

/** The state of a transfer that begins. */
export function initialRetryState(now: number): RetryState {
  return { attempts: 0, lastProgressAt: now, hadProgress: false }
}

/** Bytes arrived: the whole budget is there again. */
export function onProgress(_state: RetryState, now: number): RetryState {
  return { attempts: 0, lastProgressAt: now, hadProgress: true }
}

/** A failure that may pass, as {@link onFailure} needs to know it. */
export interface RetryableFailure {
  now: number
  /** The network itself failed: refused, reset, unreachable, no DNS. */
  networkFailure: boolean
  /** What the server asked for, when it did. */
  retryAfterMs?: number
}

/**
 * What to do about a failure. `wait`: try again after `delayMs`; `attempt` counts the failures since the last
 * progress. `give-up`: the budget is used up (`attempts`), or the server asks for more patience than
 * `maxRetryAfterMs` (`retry-after`).
 */
export type RetryVerdict =
  { kind: 'wait'; attempt: number; delayMs: number } | { kind: 'give-up'; reason: 'attempts' | 'retry-after' }

/**
 * Decides about a failure that may pass (transfer rule 5).
 *
 * `maxAttempts` failures in a row without progress are the end. Only a dead network is given more time: a transfer
 * that had bytes already goes on until `outageMs` have passed since the last one.
 *
 * @param random - gives a number in [0, 1), like `Math.random`.
 */
export function onFailure(
  state: RetryState,
  failure: RetryableFailure,
  tuning: Pick<TransferTuning, 'maxAttempts' | 'minDelayMs' | 'maxDelayMs' | 'outageMs' | 'maxRetryAfterMs'>,
  random: () => number,
): { state: RetryState; verdict: RetryVerdict } {
  const attempt = state.attempts + 1
  const next: RetryState = { ...state, attempts: attempt }
  if (failure.retryAfterMs !== undefined && failure.retryAfterMs > tuning.maxRetryAfterMs) {
    return { state: next, verdict: { kind: 'give-up', reason: 'retry-after' } }
  }
  const outage =
    failure.networkFailure && state.hadProgress && failure.now - state.lastProgressAt < tuning.outageMs
  if (attempt >= tuning.maxAttempts && !outage) {
    return { state: next, verdict: { kind: 'give-up', reason: 'attempts' } }
  }
  const delayMs = failure.retryAfterMs ?? backoffMs(attempt, tuning, random)
  return { state: next, verdict: { kind: 'wait', attempt, delayMs } }
}

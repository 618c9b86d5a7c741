/**
 * Decides when to retry and when to give up. Pure: the caller supplies the time and the random numbers. All
 * times are in milliseconds, and `now` is monotonic unless stated otherwise.
 */
import type { TransferTuning } from './tuning.js'

/**
 * Full-jitter backoff: a random delay between 0 and a ceiling that doubles with each attempt.
 *
 * @param attempt - 1 for the wait after the first failure.
 * @param tuning - `minDelayMs` is the first ceiling, `maxDelayMs` the highest.
 * @param random - returns a number in [0, 1), like `Math.random`.
 * @returns an integer, in milliseconds.
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

/**
 * How long to wait for a response after some that did not come in time. It doubles with each, up to four times the
 * base, since a cold store behind a CDN may need minutes for the first byte of a file.
 *
 * @param baseMs - the wait for the first request, in milliseconds.
 * @param timeouts - requests in a row that got no response in time.
 */
export function growingTimeout(baseMs: number, timeouts: number): number {
  return Math.min(baseMs * 2 ** Math.min(timeouts, 2), 0x7fffffff)
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

const imfFixdate = /^(?:mon|tue|wed|thu|fri|sat|sun), (\d\d) ([a-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) gmt$/i

const rfc850Date =
  /^(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\d\d)-([a-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) gmt$/i

const asctimeDate = /^(?:mon|tue|wed|thu|fri|sat|sun) ([a-z]{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/i

/**
 * Parses a `Retry-After` field (RFC 9110 section 10.2.3): seconds, or a date in any of the three formats of
 * section 5.6.7.
 *
 * @param header - the field's value.
 * @param nowMs - milliseconds since the epoch, preferably from the response's `Date`, so that a wrong local
 * clock does no harm.
 * @returns milliseconds to wait; 0 for a date in the past; null when the field is missing or malformed.
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
  // A two-digit year that appears to be more than 50 years in the future is in the past (RFC 9110 section 5.6.7).
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
  const monthIndex = months.indexOf(String(month).toLowerCase())
  const [hour = 0, minute = 0, second = 0] = time.map(Number)
  // 60 is a leap second.
  if (hour > 23 || minute > 59 || second > 60) return null
  const midnight = new Date(Date.UTC(Number(year), monthIndex, Number(day)))
  // A day that the month does not have is one of another month, and no date is in the month −1 of an unknown name.
  if (midnight.getUTCMonth() !== monthIndex) return null
  return midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1000
}

/** The retry budget of a transfer. Immutable. */
export interface RetryState {
  /** Failures since the last progress. */
  attempts: number
  /** When the last data arrived or, before that, when the transfer began. */
  lastProgressAt: number
  /** Whether any data has arrived yet. */
  hadProgress: boolean
}

/** The state at the beginning of a transfer. */
export function initialRetryState(now: number): RetryState {
  return { attempts: 0, lastProgressAt: now, hadProgress: false }
}

/** Data arrived, which restores the full retry budget. */
export function onProgress(_state: RetryState, now: number): RetryState {
  return { attempts: 0, lastProgressAt: now, hadProgress: true }
}

/** What {@link onFailure} needs to know about a retryable failure. */
export interface RetryableFailure {
  now: number
  /** Whether the network itself failed: connection refused or reset, host unreachable, no DNS. */
  networkFailure: boolean
  /** Delay that the server requested, if any; see `requestedWaitMs`. */
  retryAfterMs?: number
  /** Whether the server has served others lately; see {@link othersServedSince}. Default false. */
  othersServed?: boolean
  /** Whether the server says that there are too many requests (429). Default false. */
  limited?: boolean
}

/** A server that has served others within this time is serving them, in milliseconds. */
const servingMs = 5_000

/**
 * Since when a server must have served anybody so that it serves others than this transfer: since its last failure, or
 * lately, but not before its own last data.
 *
 * @param failedAt - when the failure before this one was, or when the transfer began.
 */
export function othersServedSince(
  { hadProgress, lastProgressAt }: RetryState,
  failedAt: number,
  now: number,
): number {
  const since = Math.min(failedAt, now - servingMs)
  return hadProgress ? Math.max(since, lastProgressAt + 1) : since
}

/**
 * How long it is no failure that a server limits the rate while it serves others, in milliseconds since the last
 * progress.
 */
const turnMs = 3_600_000

/**
 * What to do after a failure. `wait`: retry after `delayMs`, where `attempt` is the number of failures since
 * the last progress. `give-up`: the retry budget is used up (`attempts`), or the server requested a longer
 * delay than `maxRetryAfterMs` (`retry-after`).
 */
export type RetryVerdict =
  { kind: 'wait'; attempt: number; delayMs: number } | { kind: 'give-up'; reason: 'attempts' | 'retry-after' }

/**
 * Decides what to do after a retryable failure (transfer rule 5).
 *
 * The transfer fails after `maxAttempts` failures in a row without progress. A network outage is given more time: a
 * transfer that has already received data is retried until `outageMs` have passed since the last data. And when a
 * server limits the rate and serves others meanwhile, they have only been faster: with many files, some would otherwise
 * fail by bad luck. It says so by 429, or by the wait that it asks for.
 *
 * @param random - returns a number in [0, 1), like `Math.random`.
 */
export function onFailure(
  state: RetryState,
  failure: RetryableFailure,
  tuning: Pick<TransferTuning, 'maxAttempts' | 'minDelayMs' | 'maxDelayMs' | 'outageMs' | 'maxRetryAfterMs'>,
  random: () => number,
): { state: RetryState; verdict: RetryVerdict } {
  const attempt = state.attempts + 1
  const { retryAfterMs = 0, othersServed = false, limited = false } = failure
  const isTaken = othersServed && limited && failure.now - state.lastProgressAt < turnMs
  // Without a wait that the server asks for, more attempts make the next one longer, and one remains for the end.
  const next: RetryState = {
    ...state,
    attempts: isTaken ? Math.max(state.attempts, Math.min(attempt, tuning.maxAttempts - 1)) : attempt,
  }
  if (retryAfterMs > tuning.maxRetryAfterMs) {
    return { state: next, verdict: { kind: 'give-up', reason: 'retry-after' } }
  }
  if (retryAfterMs > 0 && othersServed && failure.now - state.lastProgressAt < turnMs) {
    return { state, verdict: { kind: 'wait', attempt, delayMs: retryAfterMs } }
  }
  const outage =
    failure.networkFailure && state.hadProgress && failure.now - state.lastProgressAt < tuning.outageMs
  if (attempt >= tuning.maxAttempts && !outage && !isTaken) {
    return { state: next, verdict: { kind: 'give-up', reason: 'attempts' } }
  }
  const delayMs = failure.retryAfterMs ?? backoffMs(attempt, tuning, random)
  return { state: next, verdict: { kind: 'wait', attempt, delayMs } }
}

/** Reads from a response how long its server asks the client to wait. Pure. */
import type { ResponseHead } from './exchange.js'
import { parseRetryAfter } from './retry.js'

/** The headers of a response; names are in lower case. */
type Headers = ResponseHead['headers']

/**
 * How long a server asks the client to wait before the next request.
 *
 * `Retry-After` (RFC 9110 section 10.2.3) comes first. Without it, a 429 or 503 is explained by the limit that is used
 * up: `RateLimit` (draft-ietf-httpapi-ratelimit-headers), its older forms, or `X-RateLimit-*`. Of several limits that
 * are used up, the one that lasts longest counts. With other statuses these headers only describe the limits, as they
 * do on successful responses.
 *
 * @param wallNow - milliseconds since the epoch, for a server that does not send its own time.
 * @returns milliseconds; null if the server does not ask for any wait.
 */
export function requestedWaitMs(
  { status, headers }: Pick<ResponseHead, 'status' | 'headers'>,
  wallNow: number,
): number | null {
  const now = serverTime(headers) ?? wallNow
  const retryAfter = headers['retry-after']
  const asked = parseRetryAfter(typeof retryAfter === 'string' ? retryAfter : null, now)
  if (asked !== null) return asked
  if (status !== 429 && status !== 503) return null
  const waits = limitsOf(headers, now)
    .filter(({ remaining }) => (remaining ?? 0) <= 0)
    .map(({ resetMs }) => resetMs ?? 0)
  const longest = waits.reduce((longer, wait) => Math.max(longer, wait), 0)
  // A window that ends at this moment says no more than a response without these headers.
  return longest > 0 ? longest : null
}

/** The time according to the server, so that a wrong local clock does not matter; null if it does not say. */
export function serverTime({ date }: Headers): number | null {
  const at = typeof date === 'string' ? Date.parse(date) : Number.NaN
  return Number.isNaN(at) ? null : at
}

/** What is left of a limit, and when it is restored. Null for what the server does not say. */
interface Limit {
  remaining: number | null
  resetMs: number | null
}

function limitsOf(headers: Headers, now: number): readonly Limit[] {
  const limits = parseLimits(textOf(headers, 'ratelimit'), now)
  if (limits.length > 0) return limits
  for (const prefix of ['ratelimit', 'x-ratelimit', 'x-rate-limit']) {
    const reset = textOf(headers, `${prefix}-reset`)
    if (reset !== '') {
      return [{ remaining: numberOf(textOf(headers, `${prefix}-remaining`)), resetMs: resetOf(reset, now) }]
    }
  }
  return []
}

/** All lines of a header as one list (RFC 9110 section 5.3). */
function textOf(headers: Headers, name: string): string {
  return [headers[name] ?? []].flat().join(', ')
}

/**
 * Parses a `RateLimit` field: a list of limits such as `"api";r=0;t=55` or, in older drafts, one limit such as
 * `limit=100, remaining=0, reset=50`.
 */
function parseLimits(text: string, now: number): readonly Limit[] {
  const limits: Limit[] = []
  const older: Limit = { remaining: null, resetMs: null }
  for (const member of split(text, ',')) {
    const limit: Limit = { remaining: null, resetMs: null }
    for (const part of split(member, ';')) {
      const equals = part.indexOf('=')
      const name = part.slice(0, Math.max(0, equals)).trim().toLowerCase()
      const value = part.slice(equals + 1).trim()
      if (name === 'r') limit.remaining = numberOf(value)
      else if (name === 't') limit.resetMs = resetOf(value, now)
      else if (name === 'remaining') older.remaining = numberOf(value)
      else if (name === 'reset') older.resetMs = resetOf(value, now)
    }
    limits.push(limit)
  }
  return [...limits, older].filter(({ resetMs }) => resetMs !== null)
}

/** Splits a text at a separator outside of quoted strings. */
function split(text: string, separator: string): string[] {
  const parts: string[] = []
  let begin = 0
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (quoted && character === '\\') at += 1
    else if (character === '"') quoted = !quoted
    else if (character === separator && !quoted) {
      parts.push(text.slice(begin, at))
      begin = at + 1
    }
  }
  return [...parts, text.slice(begin)]
}

/** The number at the beginning of a value, which may be quoted and may be followed by parameters. */
function numberOf(value: string): number | null {
  const digits = /^"?(-?\d{1,15}(?:\.\d{1,15})?)"?(?:[\s;,]|$)/.exec(value)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** A time in seconds that is later than this is a date in seconds since the epoch (2001), not a wait (30 years). */
const firstEpochSeconds = 1e9

/** The same for dates in milliseconds since the epoch. */
const firstEpochMs = 1e12

/** Milliseconds until a limit is restored. Drafts use seconds from now, but many servers send a date. */
function resetOf(value: string, now: number): number | null {
  const number = numberOf(value)
  if (number === null) {
    const at = /^"?(?:\d{4}-\d\d-\d\dT|[A-Z][a-z]{2}, )/.test(value)
      ? Date.parse(value.replaceAll('"', ''))
      : Number.NaN
    return Number.isNaN(at) ? null : Math.max(0, at - now)
  }
  if (number >= firstEpochMs) return Math.max(0, Math.ceil(number - now))
  if (number >= firstEpochSeconds) return Math.max(0, Math.ceil(number * 1000 - now))
  return Math.max(0, Math.ceil(number * 1000))
}

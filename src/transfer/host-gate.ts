import { DownloadError } from '../errors.js'
import { parseRetryAfter } from './retry.js'
import type { ResponseHead } from './rules.js'

/** Hosts that asked to be left alone for a while (`Retry-After`), for all transfers together. */
export class HostGate {
  readonly #until = new Map<string, number>()

  /**
   * Closes the gate of an origin.
   *
   * @param until - monotonic time in milliseconds; an earlier one than known is ignored.
   */
  close(origin: string, until: number): void {
    this.#until.set(origin, Math.max(until, this.#until.get(origin) ?? 0))
  }

  /** Milliseconds to wait before the next request to an origin. */
  wait(origin: string, now: number): number {
    const until = this.#until.get(origin)
    if (until === undefined) return 0
    if (until > now) return until - now
    this.#until.delete(origin)
    return 0
  }

  /**
   * Heeds the `Retry-After` of an answer, if it has one that isn't longer than `maxMs`.
   *
   * @returns the error, with the time to wait in it.
   */
  heed(
    origin: string,
    head: ResponseHead,
    error: DownloadError,
    { now, maxMs }: { now: number; maxMs: number },
  ): DownloadError {
    const header = head.headers['retry-after']
    const retryAfterMs = parseRetryAfter(typeof header === 'string' ? header : null, serverTime(head))
    if (retryAfterMs === null) return error
    if (retryAfterMs <= maxMs) this.close(origin, now + retryAfterMs)
    const { code, message, status } = error
    const details = { retryable: true, retryAfterMs, ...(status === undefined ? {} : { status }) }
    return new DownloadError(code, message, details)
  }
}

/** The server's own clock, so that a wrong one of ours doesn't matter. */
function serverTime(head: ResponseHead): number {
  const { date } = head.headers
  const at = typeof date === 'string' ? Date.parse(date) : Number.NaN
  return Number.isNaN(at) ? Date.now() : at
}

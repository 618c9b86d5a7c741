/** The retry budget of a transfer, across all its connections and restarts. */
import { isOutOfHandles } from '../../disk/errors.js'
import { DownloadError } from '../../errors.js'
import { isNetworkFailure, isRepeated } from '../../net/errors.js'
import type { ResponseHead } from '../../net/http.js'
import {
  initialRetryState,
  onFailure,
  onProgress,
  parseRetryAfter,
  type RetryState,
  type RetryVerdict,
} from '../../net/retry.js'
import type { TransferTuning } from '../../net/tuning.js'

/** How long running out of file handles is not counted as a failure while no bytes arrive, in milliseconds. */
const handlesMs = 600_000

/** Holds the retry state of a transfer; the rules are in `net/retry.ts`. */
export class RetryBudget {
  readonly #tuning: TransferTuning
  #state: RetryState
  /** Most bytes on disk so far: receiving the same bytes again is not progress. */
  #best = 0
  #lastError: DownloadError | null = null
  /** Bytes and attempts at the last failure. */
  #before = { bytes: 0, attempts: 0 }

  constructor(tuning: TransferTuning, now: number) {
    this.#tuning = tuning
    this.#state = initialRetryState(now)
  }

  /** Number of failures since the last progress. */
  get attempts(): number {
    return this.#state.attempts
  }

  /** The last failure passed to {@link failed}. */
  get lastError(): DownloadError | null {
    return this.#lastError
  }

  /** Notes how many bytes are on disk. */
  noteBytes(bytes: number, now: number): void {
    if (bytes <= this.#best) return
    this.#best = bytes
    this.#state = onProgress(this.#state, now)
  }

  /** Resets the known progress, because the download starts over. */
  forgetBytes(): void {
    this.#best = 0
    this.#before = { ...this.#before, bytes: 0 }
  }

  /** Notes a failure and decides whether to wait or to give up. */
  failed(error: DownloadError, now: number): RetryVerdict {
    const before = this.#state.attempts === 0 ? null : this.#lastError
    this.#lastError = error
    // A server that has worked in this run will do so again, once its handshakes succeed.
    const hasWorked = error.code === 'TLS_ERROR' && this.#state.hadProgress
    if (isRepeated(error, before) && !hasWorked) return { kind: 'give-up', reason: 'attempts' }
    if (isOutOfHandles(error) && now - this.#state.lastProgressAt < handlesMs) {
      // Other parts of this process will free handles soon, and no server is at fault.
      return {
        kind: 'wait',
        attempt: this.#state.attempts + 1,
        delayMs: 100 + Math.floor(Math.random() * 400),
      }
    }
    if (error.code === 'STALLED' && this.#best - this.#before.bytes < this.#trickleBytes) {
      this.#state = { ...this.#state, attempts: Math.max(this.#state.attempts, this.#before.attempts) }
    }
    const failure = {
      now,
      networkFailure: isNetworkFailure(error),
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    }
    const { state, verdict } = onFailure(this.#state, failure, this.#tuning, Math.random)
    this.#state = state
    this.#before = { bytes: this.#best, attempts: state.attempts }
    return verdict
  }

  /** A server that stalls again before it has sent this many bytes has not made progress: it might do so forever. */
  get #trickleBytes(): number {
    const { lowSpeedBytesPerSecond, lowSpeedTimeMs } = this.#tuning
    return (lowSpeedBytesPerSecond * lowSpeedTimeMs) / 1000
  }
}

// ---- host-gate

/** Origins that sent `Retry-After`, shared by all transfers. */
export class HostGate {
  readonly #until = new Map<string, number>()

  /**
   * Blocks requests to an origin.
   *
   * @param until - monotonic time in milliseconds; ignored if a later one is known.
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
   * Applies the `Retry-After` of a response to its origin, unless it is longer than `maxMs`.
   *
   * @param times - `now`: monotonic time; `wallNow`: time of day, for a server that does not send its own.
   * @returns the error, with the time to wait added if the response has one.
   */
  heed(
    origin: string,
    head: ResponseHead,
    error: DownloadError,
    { now, wallNow, maxMs }: { now: number; wallNow: number; maxMs: number },
  ): DownloadError {
    const header = head.headers['retry-after']
    const retryAfterMs = parseRetryAfter(
      typeof header === 'string' ? header : null,
      serverTime(head) ?? wallNow,
    )
    if (retryAfterMs === null) return error
    if (retryAfterMs <= maxMs) this.close(origin, now + retryAfterMs)
    const { code, message, status } = error
    const details = { retryable: true, retryAfterMs, ...(status === undefined ? {} : { status }) }
    return new DownloadError(code, message, details)
  }
}

/** The time according to the server, so that a wrong local clock does not matter; null if it does not say. */
function serverTime(head: ResponseHead): number | null {
  const { date } = head.headers
  const at = typeof date === 'string' ? Date.parse(date) : Number.NaN
  return Number.isNaN(at) ? null : at
}

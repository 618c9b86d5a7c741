/** How long a transfer goes on failing: its retry budget, over all its connections and restarts. */
import { isOutOfHandles } from '../../disk/errors.js'
import { DownloadError } from '../../errors.js'
import { isNetworkFailure } from '../../net/errors.js'
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

/** How long this process may be without a free file handle, no byte coming in, before that counts as a failure. */
const handlesMs = 600_000

/** A thin owner of the pure state in `retry.ts`. */
export class RetryBudget {
  readonly #tuning: TransferTuning
  #state: RetryState
  /** Most bytes ever had: getting the same ones once more is no progress. */
  #best = 0
  #lastError: DownloadError | null = null
  /** As it was at the last failure. */
  #before = { bytes: 0, attempts: 0 }

  constructor(tuning: TransferTuning, now: number) {
    this.#tuning = tuning
    this.#state = initialRetryState(now)
  }

  /** Failures since the last progress. */
  get attempts(): number {
    return this.#state.attempts
  }

  /** The failure that was asked about last. */
  get lastError(): DownloadError | null {
    return this.#lastError
  }

  /** Tells how many bytes there are. */
  noteBytes(bytes: number, now: number): void {
    if (bytes <= this.#best) return
    this.#best = bytes
    this.#state = onProgress(this.#state, now)
  }

  /** The file is another one now: what was had before counts no more. */
  forgetBytes(): void {
    this.#best = 0
    this.#before = { ...this.#before, bytes: 0 }
  }

  /** Asks what to do about a failure. */
  failed(error: DownloadError, now: number): RetryVerdict {
    this.#lastError = error
    if (isOutOfHandles(error) && now - this.#state.lastProgressAt < handlesMs) {
      // Others of this process give theirs back soon, and no server is to blame.
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

  /** A server that stalls again before it has sent so much may do so for ever: that is no progress. */
  get #trickleBytes(): number {
    const { lowSpeedBytesPerSecond, lowSpeedTimeMs } = this.#tuning
    return (lowSpeedBytesPerSecond * lowSpeedTimeMs) / 1000
  }
}

// ---- host-gate

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

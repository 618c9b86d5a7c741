/** The retry budget of a transfer, across all its connections and restarts. */
import { isOutOfHandles } from '../../disk/errors.js'
import type { DownloadError } from '../../errors.js'
import { isNetworkFailure, isRepeated } from '../../net/errors.js'
import {
  initialRetryState,
  onFailure,
  onProgress,
  othersServedSince,
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
  /** When the last failure was, or when the transfer began. */
  #failedAt: number

  constructor(tuning: TransferTuning, now: number) {
    this.#tuning = tuning
    this.#state = initialRetryState(now)
    this.#failedAt = now
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

  /**
   * Notes a failure and decides whether to wait or to give up.
   *
   * @param hasServed - whether the server has answered any request of this manager as wanted since then.
   */
  failed(
    error: DownloadError,
    now: number,
    hasServed: (since: number) => boolean = () => false,
  ): RetryVerdict {
    const othersServed = hasServed(othersServedSince(this.#state, this.#failedAt, now))
    this.#failedAt = now
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
      othersServed,
      limited: error.status === 429,
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

import { DownloadError } from '../../errors.js'
import type { Clock } from '../../util/clock.js'

/** How much of the rate may be saved up, in seconds. */
const burstSeconds = 0.1

/** Smallest burst, in bytes: a single chunk from a socket is about as large. */
const minBurstBytes = 16 * 1024

/** The longest delay that a timer supports, in milliseconds. */
const maxWaitMs = 0x7fffffff

/**
 * Limits a byte rate. Bytes that have arrived can't be sent back, so taking always succeeds. It may leave a debt,
 * and the caller waits until the debt is paid. Up to 100 ms worth of the rate (at least 16 KiB) may be saved up, so
 * that timers that fire late don't reduce the speed.
 */
export class TokenBucket {
  readonly #clock: Clock
  #limit: number | null
  /** Bytes that may be taken without waiting; negative while there is a debt. */
  #balance: number
  #refilledAt: number

  /**
   * @param bytesPerSecond - the rate, or null for none.
   * @throws DownloadError `INVALID_OPTIONS` for a rate that isn't a positive finite number.
   */
  constructor(bytesPerSecond: number | null, clock: Clock) {
    this.#clock = clock
    this.#limit = checkedLimit(bytesPerSecond)
    this.#balance = burstOf(this.#limit)
    this.#refilledAt = clock.now()
  }

  /** The rate in bytes per second, or null for none. */
  get limit(): number | null {
    return this.#limit
  }

  /**
   * Changes the rate from now on. An existing debt remains and is paid at the new rate.
   *
   * @throws DownloadError `INVALID_OPTIONS` for a rate that isn't a positive finite number.
   */
  set limit(bytesPerSecond: number | null) {
    const limit = checkedLimit(bytesPerSecond)
    this.#refill()
    // There is no debt without a rate.
    if (this.#limit === null) this.#balance = burstOf(limit)
    this.#limit = limit
  }

  /**
   * Takes bytes.
   *
   * @param bytes - how many arrived; with 0, only the remaining wait is returned.
   * @returns milliseconds to wait before taking more, an integer; 0 to continue at once. A caller should split a long
   * wait and call `take(0)` in between, so that a raised limit takes effect soon.
   */
  take(bytes: number): number {
    if (this.#limit === null) return 0
    this.#refill()
    this.#balance -= bytes
    if (this.#balance >= 0) return 0
    return Math.min(maxWaitMs, Math.ceil((-this.#balance / this.#limit) * 1000))
  }

  /** Whether the rate is not used up: at least half of the possible burst is saved up. True without a rate. */
  get spare(): boolean {
    this.#refill()
    return this.#limit === null || this.#balance >= burstOf(this.#limit) / 2
  }

  #refill(): void {
    const now = this.#clock.now()
    const elapsedMs = Math.max(0, now - this.#refilledAt)
    this.#refilledAt = now
    if (this.#limit === null) return
    this.#balance = Math.min(burstOf(this.#limit), this.#balance + (elapsedMs / 1000) * this.#limit)
  }
}

function burstOf(limit: number | null): number {
  return limit === null ? 0 : Math.max(minBurstBytes, limit * burstSeconds)
}

function checkedLimit(limit: number | null): number | null {
  if (limit === null || (Number.isFinite(limit) && limit > 0)) return limit
  const message = 'must be a positive number of bytes per second, or null'
  throw new DownloadError('INVALID_OPTIONS', `The rate ${message}.`, {
    issues: [{ path: 'maxBytesPerSecond', message }],
  })
}

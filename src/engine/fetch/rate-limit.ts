import { DownloadError } from '../../errors.js'

const burstSeconds = 0.1

/** Below this a socket's own chunks would overshoot the bucket anyway. */
const minBurstBytes = 16 * 1024

/** The longest that a timer can wait. */
const maxWaitMs = 0x7fffffff

/**
 * Keeps a byte rate. Bytes that have arrived can't be sent back, so taking always succeeds: it may leave a debt, and
 * whoever takes waits until the debt is paid. Up to 100 ms worth of the rate (at least 16 KiB) may be saved up, so
 * that timers which fire late don't cost speed.
 */
export class TokenBucket {
  readonly #now: () => number
  #limit: number | null
  /** Bytes that may be taken at once; below zero: the debt. */
  #balance: number
  #refilledAt: number

  /**
   * @param bytesPerSecond - the rate, or null for none.
   * @param now - monotonic clock in milliseconds. Default `performance.now`.
   * @throws DownloadError `INVALID_OPTIONS` for a rate that isn't a positive finite number.
   */
  constructor(bytesPerSecond: number | null, now: () => number = () => performance.now()) {
    this.#now = now
    this.#limit = checkedLimit(bytesPerSecond)
    this.#balance = burstOf(this.#limit)
    this.#refilledAt = now()
  }

  /** The rate in bytes per second, or null for none. */
  get limit(): number | null {
    return this.#limit
  }

  /**
   * Changes the rate from now on. A debt stays, and is paid at the new rate.
   *
   * @throws DownloadError `INVALID_OPTIONS` for a rate that isn't a positive finite number.
   */
  set limit(bytesPerSecond: number | null) {
    const limit = checkedLimit(bytesPerSecond)
    this.#refill()
    // Without a rate there was no debt.
    if (this.#limit === null) this.#balance = burstOf(limit)
    this.#limit = limit
  }

  /**
   * Takes bytes.
   *
   * @param bytes - how many arrived; 0 asks how long there is still to wait.
   * @returns whole milliseconds to wait before taking more, 0 to go on. A caller that waits long does so in slices
   * and asks again with `take(0)`, so that a raised limit is felt soon.
   */
  take(bytes: number): number {
    if (this.#limit === null) return 0
    this.#refill()
    this.#balance -= bytes
    if (this.#balance >= 0) return 0
    return Math.min(maxWaitMs, Math.ceil((-this.#balance / this.#limit) * 1000))
  }

  /** Whether the rate is more than what is taken: at least half of what may be saved up is there. True without a rate. */
  get spare(): boolean {
    this.#refill()
    return this.#limit === null || this.#balance >= burstOf(this.#limit) / 2
  }

  #refill(): void {
    const now = this.#now()
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

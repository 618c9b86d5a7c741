import type { TokenBucket } from './rate-limit.js'

/** Tracks how many connections a server accepts. */
export class PoolSize {
  #max: number
  #size: number
  #changedAt = 0
  #widened = false

  /** @param max - connections that the caller allows. */
  constructor(max: number) {
    this.#max = max
    this.#size = max
  }

  /** Number of connections to use. */
  get size(): number {
    return this.#size
  }

  /** Changes the maximum. The size follows, unless a refused connection has reduced it. */
  set max(max: number) {
    this.#widened ||= this.#size === this.#max && max > this.#max
    if (this.#widened) this.#size = max
    this.#max = max
  }

  /** Notes that a connection was refused while `others` were open; the size is reduced to that number for now. */
  refused(others: number, now: number): void {
    this.#size = Math.max(1, Math.min(this.#size, others))
    this.#changedAt = now
  }

  /** Restores the maximum, after a network failure: earlier refusals may have had the same cause. */
  reset(): void {
    this.#size = this.#max
  }

  /**
   * Allows one more connection when none has been refused for 15 seconds.
   *
   * @returns whether the size has changed.
   */
  grow(now: number): boolean {
    if (this.#widened) {
      this.#widened = false
      return true
    }
    if (this.#size >= this.#max || now - this.#changedAt < growAfterMs) return false
    this.#size += 1
    this.#changedAt = now
    return true
  }
}

/** How long after the last change one more connection is tried, in milliseconds. */
const growAfterMs = 15_000

/**
 * While a rate limit is set, connections are added one by one, and only while the limit is not used up. More of them
 * would not be faster, and each one fills its buffers with bytes that are lost when the download is paused or killed.
 */
export class LimitedGrowth {
  readonly #buckets: readonly Pick<TokenBucket, 'limit' | 'spare'>[]
  #joinedAt = 0

  /** @param buckets - the rate limits that apply. */
  constructor(buckets: readonly Pick<TokenBucket, 'limit' | 'spare'>[]) {
    this.#buckets = buckets
  }

  /** Whether any limit is set. */
  get limited(): boolean {
    return this.#buckets.some(({ limit }) => limit !== null)
  }

  /** Whether another connection may be opened now. Call it once for each connection that is then opened. */
  admits(others: number, now: number): boolean {
    if (!this.limited) return true
    if (others > 0 && (now - this.#joinedAt < joinEveryMs || !this.#buckets.every(({ spare }) => spare)))
      return false
    this.#joinedAt = now
    return true
  }
}

/** Shortest time between two new connections, in milliseconds. */
const joinEveryMs = 200

import type { TokenBucket } from './rate-limit.js'

/** How many connections a server puts up with. */
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

  /** Connections to use. */
  get size(): number {
    return this.#size
  }

  /** Allows more: from the next look on, unless the server has shown its limit. */
  set max(max: number) {
    this.#widened ||= this.#size === this.#max && max > this.#max
    if (this.#widened) this.#size = max
    this.#max = max
  }

  /** A further connection was refused while `others` were at work: that many it is, for now. */
  refused(others: number, now: number): void {
    this.#size = Math.max(1, Math.min(this.#size, others))
    this.#changedAt = now
  }

  /** Nobody gets through, so that the refusals before were the network's and say nothing about the server. */
  reset(): void {
    this.#size = this.#max
  }

  /** Tries one more after a quiet while; whether the size has changed. */
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

const growAfterMs = 15_000

/**
 * While a rate limit holds, connections join one by one, and only as long as the limit leaves them something to do: more
 * of them bring no speed, but each fills its buffers with bytes that a kill or a pause loses.
 */
export class LimitedGrowth {
  readonly #buckets: readonly Pick<TokenBucket, 'limit' | 'spare'>[]
  #joinedAt = 0

  /** @param buckets - the limits that hold. */
  constructor(buckets: readonly Pick<TokenBucket, 'limit' | 'spare'>[]) {
    this.#buckets = buckets
  }

  /** Whether any limit is set. */
  get limited(): boolean {
    return this.#buckets.some(({ limit }) => limit !== null)
  }

  /** Whether a further connection may be opened now, beside those that are at work; to be asked once for each. */
  admits(others: number, now: number): boolean {
    if (!this.limited) return true
    if (others > 0 && (now - this.#joinedAt < joinEveryMs || !this.#buckets.every(({ spare }) => spare)))
      return false
    this.#joinedAt = now
    return true
  }
}

const joinEveryMs = 200

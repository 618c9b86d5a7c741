/** How many connections a server puts up with. */
export class PoolSize {
  readonly #max: number
  #size: number
  #changedAt = 0

  /** @param max - connections that the caller allows. */
  constructor(max: number) {
    this.#max = max
    this.#size = max
  }

  /** Connections to use. */
  get size(): number {
    return this.#size
  }

  /** A further connection was refused while `others` were at work: that many it is, for now. */
  refused(others: number, now: number): void {
    this.#size = Math.max(1, Math.min(this.#size, others))
    this.#changedAt = now
  }

  /** Nobody gets through, so that the refusals before were the network's and say nothing about the server. */
  forgive(): void {
    this.#size = this.#max
  }

  /** Tries one more after a quiet while; whether the size has changed. */
  grow(now: number): boolean {
    if (this.#size >= this.#max || now - this.#changedAt < growAfterMs) return false
    this.#size += 1
    this.#changedAt = now
    return true
  }
}

const growAfterMs = 15_000

/** A stream of random numbers that one seed decides, for everything in a world that chance decides. */
export class Random {
  #state: number

  /** @param seed - any integer. */
  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** An integer from 0 to 2^32 - 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let value = this.#state
    value = Math.imul(value ^ (value >>> 15), value | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return (value ^ (value >>> 14)) >>> 0
  }

  /** A number from 0 up to, not including, 1. */
  fraction(): number {
    return this.next() / 2 ** 32
  }

  /** An integer from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit)
  }

  /** Whether something happens that has this probability. */
  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  /** Bytes, for identifiers. */
  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let at = 0; at < length; at++) bytes[at] = this.below(256)
    return bytes
  }

  /** A stream of its own, so that drawing more here does not shift what is drawn there. */
  fork(): Random {
    return new Random(this.next())
  }
}

/** Bounded buffer of the latest messages of a stream, numbered consecutively. Pure. */

/** A buffered message. */
export interface BacklogMessage {
  readonly number: number
  readonly topic: string
  readonly bytes: Uint8Array
  /** Encodes the message for readers of this topic alone, if they get different data. */
  readonly encodeForTopic?: ((number: number) => Uint8Array) | undefined
}

interface Entry {
  readonly number: number
  readonly topic: string
  bytes: Uint8Array
  readonly encodeForTopic?: ((number: number) => Uint8Array) | undefined
  /** Messages with the same value replace each other; null if the message is never replaced. */
  replaces: string | null
  /** Whether the message has been replaced or dropped. */
  stale: boolean
}

const nothing = new Uint8Array(0)

/** A message to add. */
export interface Added {
  topic: string
  /**
   * Only the newest message with the same value is kept; null to keep the message regardless of later ones.
   */
  replaces: string | null
  /** Encodes the message once its number is known. */
  encode: (number: number) => Uint8Array
  /** See {@link BacklogMessage.encodeForTopic}. */
  encodeForTopic?: (number: number) => Uint8Array
}

/**
 * Numbers start at 1 and are never reused. {@link reaches} tells whether messages after a number were dropped
 * to make room; replaced messages do not count as lost.
 */
export class Backlog {
  readonly #maxMessages: number
  readonly #maxBytes: number
  /** Ordered by number, oldest first. Stale entries are removed from time to time. */
  #entries: Entry[] = []
  /** All entries before this index are stale. */
  #head = 0
  readonly #newest = new Map<string, Entry>()
  #live = 0
  #bytes = 0
  #last = 0
  /** Number of the newest message that was dropped. */
  #floor = 0

  constructor(bounds: { maxMessages: number; maxBytes: number }) {
    this.#maxMessages = bounds.maxMessages
    this.#maxBytes = bounds.maxBytes
  }

  /** Number of the newest message; 0 when there was none. */
  get last(): number {
    return this.#last
  }

  /** Number of buffered messages. */
  get size(): number {
    return this.#live
  }

  /** Total bytes of the buffered messages. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether all messages after a number are still buffered, or were replaced by newer ones. */
  reaches(number: number): boolean {
    return number >= this.#floor && number <= this.#last
  }

  /** Adds a message, and drops the oldest ones when there is no room. */
  add({ topic, replaces, encode, encodeForTopic }: Added): void {
    this.#last += 1
    const entry: Entry = {
      number: this.#last,
      topic,
      bytes: encode(this.#last),
      encodeForTopic,
      replaces,
      stale: false,
    }
    if (replaces !== null) {
      const old = this.#newest.get(replaces)
      if (old !== undefined) this.#retire(old)
      this.#newest.set(replaces, entry)
    }
    this.#entries.push(entry)
    this.#live += 1
    this.#bytes += entry.bytes.byteLength
    while (this.#live > this.#maxMessages || this.#bytes > this.#maxBytes) this.#dropOldest()
    // Amortized cost: each removal of stale entries is preceded by as many additions.
    if (this.#entries.length > 2 * this.#live + 64) {
      this.#entries = this.#entries.filter(({ stale }) => !stale)
      this.#head = 0
    }
  }

  /**
   * The first message after a number about a topic, or about any topic if it is null; null when there is
   * none.
   */
  next(number: number, topic: string | null): BacklogMessage | null {
    for (let at = this.#indexAfter(number); at < this.#entries.length; at += 1) {
      const entry = this.#entries[at]
      if (entry !== undefined && !entry.stale && (topic === null || entry.topic === topic)) return entry
    }
    return null
  }

  /** Drops all messages. */
  clear(): void {
    this.#entries = []
    this.#head = 0
    this.#newest.clear()
    this.#live = 0
    this.#bytes = 0
    this.#floor = this.#last
  }

  #dropOldest(): void {
    const oldest = this.#entries[this.#head]
    if (oldest === undefined) return
    this.#head += 1
    if (oldest.stale) return
    this.#floor = oldest.number
    this.#retire(oldest)
    if (oldest.replaces !== null) this.#newest.delete(oldest.replaces)
  }

  #retire(entry: Entry): void {
    entry.stale = true
    this.#live -= 1
    this.#bytes -= entry.bytes.byteLength
    entry.bytes = nothing
  }

  /** Binary search: the first entry with a higher number. */
  #indexAfter(number: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#entries[middle]?.number ?? Infinity) <= number) low = middle + 1
      else high = middle
    }
    return low
  }
}

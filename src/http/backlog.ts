/** The last messages of a stream, within bounds, each with a number. Pure. */

/** A message that is kept. */
export interface BacklogMessage {
  readonly number: number
  readonly topic: string
  readonly bytes: Uint8Array
  /** Makes the bytes for readers of the topic alone, where theirs are others. */
  readonly encodeForTopic?: ((number: number) => Uint8Array) | undefined
}

interface Entry {
  readonly number: number
  readonly topic: string
  bytes: Uint8Array
  readonly encodeForTopic?: ((number: number) => Uint8Array) | undefined
  /** What it replaces, and is replaced by; null: nothing. */
  replaces: string | null
  /** A newer one has taken its place. */
  stale: boolean
}

const nothing = new Uint8Array(0)

/** What is added. */
export interface Added {
  topic: string
  /** Of all messages with the same name here, only the newest is kept; null keeps this one whatever comes. */
  replaces: string | null
  /** Makes the bytes once the number is known. */
  encode: (number: number) => Uint8Array
  /** See {@link BacklogMessage.encodeForTopic}. */
  encodeForTopic?: (number: number) => Uint8Array
}

/**
 * Numbers count up from 1 and are never given twice. What is dropped for want of room can be told by asking
 * {@link reaches}; what was replaced is not missed by anybody.
 */
export class Backlog {
  readonly #maxMessages: number
  readonly #maxBytes: number
  /** By number, oldest first; stale ones are swept out now and then. */
  #entries: Entry[] = []
  /** All before this index are stale. */
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

  /** Messages that are kept. */
  get size(): number {
    return this.#live
  }

  /** Bytes of the messages that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether everything after a number is still here, or was replaced by something that is. */
  reaches(number: number): boolean {
    return number >= this.#floor && number <= this.#last
  }

  /** Adds a message; older ones go when there is no room. */
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
    // Each sweep is paid for by as many additions.
    if (this.#entries.length > 2 * this.#live + 64) {
      this.#entries = this.#entries.filter(({ stale }) => !stale)
      this.#head = 0
    }
  }

  /** The first message after a number that is about a topic (null: about any); null when there is none. */
  next(number: number, topic: string | null): BacklogMessage | null {
    for (let at = this.#indexAfter(number); at < this.#entries.length; at += 1) {
      const entry = this.#entries[at]
      if (entry !== undefined && !entry.stale && (topic === null || entry.topic === topic)) return entry
    }
    return null
  }

  /** Drops all. */
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

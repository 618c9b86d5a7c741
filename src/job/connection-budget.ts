/** Who of a group's files gets how many of its connections. Pure. */

/** A file smaller than so many segments has no use for a second connection. */
const segmentsPerConnection = 4

/**
 * How many connections a file can make use of.
 *
 * @param size - in bytes; null when nobody knows, and it may be large.
 */
export function usefulConnections(size: number | null, minSegmentBytes: number, budget: number): number {
  if (size === null) return budget
  return Math.max(1, Math.min(budget, Math.floor(size / (minSegmentBytes * segmentsPerConnection))))
}

/** What is handed out, and to whom. */
interface Holder {
  useful: number
  held: number
}

/** A change that {@link ConnectionBudget.next} asks for. */
export type ConnectionGrant<T> =
  /** Start the file that was taken from the waiting ones. */
  | { kind: 'start'; file: T; connections: number }
  /** Let a running file have more. */
  | { kind: 'widen'; file: T; connections: number }

/**
 * Hands out connections. Small files go many at once over one connection each. Large ones go two at a time, so that the
 * end of one costs no pause, and leave half to the small ones as long as there are any. What is left over when nothing
 * waits goes to those that run; nothing is ever taken back before a file gives it.
 */
export class ConnectionBudget<T> {
  readonly #total: number
  readonly #useful: (file: T) => number
  readonly #small: T[] = []
  readonly #large: T[] = []
  readonly #holders = new Map<T, Holder>()
  #free: number
  #heldByLarge = 0

  /**
   * @param total - connections in all.
   * @param useful - how many a file can make use of.
   */
  constructor(total: number, useful: (file: T) => number, files: readonly T[]) {
    this.#total = total
    this.#useful = useful
    this.#free = total
    // Taken from the end.
    for (const file of [...files].reverse()) (useful(file) === 1 ? this.#small : this.#large).push(file)
  }

  /** Files that wait. */
  get waiting(): number {
    return this.#small.length + this.#large.length
  }

  /** Takes all that wait. */
  drain(): T[] {
    return [...this.#small.splice(0).reverse(), ...this.#large.splice(0).reverse()]
  }

  /** The next change, which is made by the time it is told; null when there is none now. */
  next(): ConnectionGrant<T> | null {
    if (this.#free === 0) return null
    return this.#startLarge() ?? this.#startSmall() ?? this.#widen()
  }

  /** A file needs its connections no more. Harmless when it has none. */
  release(file: T): void {
    const holder = this.#holders.get(file)
    if (holder === undefined) return
    this.#holders.delete(file)
    this.#free += holder.held
    if (holder.useful > 1) this.#heldByLarge -= holder.held
  }

  /** How many large ones may hold together. */
  #largeShare(): number {
    return this.#small.length === 0 ? this.#total : Math.max(1, Math.floor(this.#total / 2))
  }

  #startLarge(): ConnectionGrant<T> | null {
    const file = this.#large.at(-1)
    if (file === undefined) return null
    // With a single connection they take turns, the small ones first.
    if (this.#total === 1 && this.#small.length > 0) return null
    const share = this.#largeShare()
    const room = Math.min(this.#free, share - this.#heldByLarge)
    if (room < 1) return null
    const fair = this.#large.length > 1 ? Math.max(1, Math.ceil(share / 2)) : room
    this.#large.pop()
    return this.#start(file, Math.min(room, fair, this.#useful(file)))
  }

  #startSmall(): ConnectionGrant<T> | null {
    const file = this.#small.pop()
    return file === undefined ? null : this.#start(file, 1)
  }

  #start(file: T, held: number): ConnectionGrant<T> {
    const useful = this.#useful(file)
    this.#holders.set(file, { useful, held })
    this.#free -= held
    if (useful > 1) this.#heldByLarge += held
    return { kind: 'start', file, connections: held }
  }

  #widen(): ConnectionGrant<T> | null {
    if (this.waiting > 0) return null
    for (const [file, holder] of this.#holders) {
      const more = Math.min(this.#free, holder.useful - holder.held)
      if (more < 1) continue
      holder.held += more
      this.#free -= more
      this.#heldByLarge += more
      return { kind: 'widen', file, connections: holder.held }
    }
    return null
  }
}

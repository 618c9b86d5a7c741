/** Divides a group's connections among its files. Pure. */

/** Segments that a file must have for each connection that it uses. */
const segmentsPerConnection = 4

/**
 * Returns how many connections a file can make use of.
 *
 * @param size - in bytes; null if unknown, in which case the file may be large.
 */
export function usefulConnections(size: number | null, minSegmentBytes: number, budget: number): number {
  if (size === null) return budget
  return Math.max(1, Math.min(budget, Math.floor(size / (minSegmentBytes * segmentsPerConnection))))
}

/** Connections that a running file can use, and those that it holds. */
interface Holder {
  useful: number
  held: number
}

/** A change that {@link ConnectionBudget.next} requests. */
export type ConnectionGrant<T> =
  /** Start this file, which has been taken from the waiting ones. */
  | { kind: 'start'; file: T; connections: number }
  /** Give a running file more connections. */
  | { kind: 'widen'; file: T; connections: number }

/**
 * Distributes connections. Many small files run at the same time, with one connection each. Large files run
 * two at a time, so that there is no gap when one ends, and they leave half of the connections to small files
 * as long as there are any. Connections that are left over when no file waits go to the running files. A
 * connection is never taken from a file before the file releases it.
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
   * @param total - total number of connections.
   * @param useful - returns how many connections a file can make use of.
   */
  constructor(total: number, useful: (file: T) => number, files: readonly T[]) {
    this.#total = total
    this.#useful = useful
    this.#free = total
    // Reversed, because files are taken from the end.
    for (const file of [...files].reverse()) (useful(file) === 1 ? this.#small : this.#large).push(file)
  }

  /** Number of waiting files. */
  get waiting(): number {
    return this.#small.length + this.#large.length
  }

  /** Removes and returns all waiting files. */
  drain(): T[] {
    return [...this.#small.splice(0).reverse(), ...this.#large.splice(0).reverse()]
  }

  /**
   * Returns the next change, which the budget has already accounted for; null if there is none at the moment.
   */
  next(): ConnectionGrant<T> | null {
    if (this.#free === 0) return null
    return this.#startLarge() ?? this.#startSmall() ?? this.#widen()
  }

  /** Releases the connections of a file. Does nothing if it holds none. */
  release(file: T): void {
    const holder = this.#holders.get(file)
    if (holder === undefined) return
    this.#holders.delete(file)
    this.#free += holder.held
    if (holder.useful > 1) this.#heldByLarge -= holder.held
  }

  /** Number of connections that large files may hold together. */
  #largeShare(): number {
    return this.#small.length === 0 ? this.#total : Math.max(1, Math.floor(this.#total / 2))
  }

  #startLarge(): ConnectionGrant<T> | null {
    const file = this.#large.at(-1)
    if (file === undefined) return null
    // With a single connection files run one at a time, the small ones first.
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

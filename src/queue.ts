import pLimit, { type LimitFunction } from 'p-limit'

/** What can wait in a {@link DownloadQueue}. */
export interface Queued {
  readonly priority: number
  /** Order of arrival. */
  readonly sequence: number
}

/** Which of two takes a free slot first: higher priority, then earlier arrival. */
export function compareQueued(a: Queued, b: Queued): number {
  return b.priority - a.priority || a.sequence - b.sequence
}

/**
 * Slots from p-limit; who takes a free one is ours. Each entry adds one ticket to p-limit, and a ticket that gets its
 * turn takes the best entry of that moment, not the one that it was drawn for.
 */
export class DownloadQueue<T extends object> {
  readonly #slots: LimitFunction
  readonly #run: (item: T) => Promise<void>
  readonly #order: (item: T) => Queued
  /** In the order in which they will take their turns. */
  readonly #waiting: T[] = []

  /**
   * @param concurrency - slots.
   * @param order - by what items are ordered; it doesn't change while one waits.
   * @param run - works on an item; never rejects.
   */
  constructor(concurrency: number, order: (item: T) => Queued, run: (item: T) => Promise<void>) {
    this.#slots = pLimit(concurrency)
    this.#order = order
    this.#run = run
  }

  /** Slots. May change at any time; running items are not stopped. */
  get concurrency(): number {
    return this.#slots.concurrency
  }

  set concurrency(slots: number) {
    this.#slots.concurrency = slots
  }

  /** Items that wait. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Lets an item wait for a slot. */
  add(item: T): void {
    if (this.#waiting.includes(item)) return
    const order = this.#order(item)
    // Who comes last mostly goes last.
    const before = this.#waiting.findLastIndex((other) => compareQueued(this.#order(other), order) <= 0)
    this.#waiting.splice(before + 1, 0, item)
    void this.#slots(async () => {
      const next = this.#waiting.shift()
      if (next !== undefined) await this.#run(next)
    })
  }

  /** Takes an item out; whether it was waiting. */
  delete(item: T): boolean {
    const index = this.#waiting.indexOf(item)
    if (index !== -1) this.#waiting.splice(index, 1)
    return index !== -1
  }
}

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
  readonly #waiting = new Set<T>()

  /**
   * @param concurrency - slots.
   * @param order - by what items are ordered.
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
    return this.#waiting.size
  }

  /** Lets an item wait for a slot. */
  add(item: T): void {
    if (this.#waiting.has(item)) return
    this.#waiting.add(item)
    void this.#slots(async () => {
      const next = this.#take()
      if (next !== null) await this.#run(next)
    })
  }

  /** Takes an item out; whether it was waiting. */
  delete(item: T): boolean {
    return this.#waiting.delete(item)
  }

  #take(): T | null {
    let best: T | null = null
    for (const item of this.#waiting) {
      if (best === null || compareQueued(this.#order(item), this.#order(best)) < 0) best = item
    }
    if (best !== null) this.#waiting.delete(best)
    return best
  }
}

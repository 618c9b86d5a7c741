/** The queue in which downloads wait for a slot. */
import pLimit, { type LimitFunction } from 'p-limit'

/** Order of an item in a {@link DownloadQueue}. */
export interface Queued {
  readonly priority: number
  /** Order of arrival; lower numbers come first. */
  readonly sequence: number
  /** Set for a download of a remote caller. */
  readonly remote?: object | null
}

/**
 * Compares two items by the order in which they take free slots: those of trusted callers before those of remote
 * ones, whatever priority these ask for, then higher priority first, then earlier arrival.
 */
export function compareQueued(a: Queued, b: Queued): number {
  return rankOf(a) - rankOf(b) || b.priority - a.priority || a.sequence - b.sequence
}

function rankOf({ remote = null }: Queued): number {
  return remote === null ? 0 : 1
}

/** Items that may not take all slots of a {@link DownloadQueue}. */
export interface QueueLimit<T> {
  /** Whether the limit applies to an item. Must not change while the item waits or runs. */
  applies: (item: T) => boolean
  /** Returns the number of slots for such items, given that of all slots. */
  slots: (all: number) => number
}

/**
 * A priority queue on top of p-limit, which provides the slots. Each item adds one task to p-limit. When a
 * task runs, it takes the first waiting item of that moment, which is not necessarily the one that it was
 * added with.
 */
export class DownloadQueue<T extends object> {
  readonly #slots: LimitFunction
  readonly #run: (item: T) => Promise<void>
  readonly #order: (item: T) => Queued
  readonly #limit: QueueLimit<T> | null
  /** Running items that the limit applies to. */
  #limited = 0
  /** Sorted in the order in which the items will run. */
  readonly #waiting: T[] = []

  /**
   * @param concurrency - number of slots.
   * @param order - returns the order of an item, which must not change while the item waits.
   * @param run - runs an item; must not reject.
   * @param limit - items that may not take all slots. Default: none.
   */
  constructor(
    concurrency: number,
    order: (item: T) => Queued,
    run: (item: T) => Promise<void>,
    limit: QueueLimit<T> | null = null,
  ) {
    this.#slots = pLimit(concurrency)
    this.#limit = limit
    this.#order = order
    this.#run = run
  }

  /** Number of slots. Can be changed at any time; running items are not stopped. */
  get concurrency(): number {
    return this.#slots.concurrency
  }

  set concurrency(slots: number) {
    this.#slots.concurrency = slots
    // A limit may have risen as well, and items that it held back have no task of their own any more.
    for (let item = 0; item < this.#waiting.length; item += 1) this.#addTask()
  }

  /** Number of waiting items. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Adds an item to the queue. */
  add(item: T): void {
    if (this.#waiting.includes(item)) return
    const order = this.#order(item)
    // Most new items belong at the end, so the search starts there.
    const before = this.#waiting.findLastIndex((other) => compareQueued(this.#order(other), order) <= 0)
    this.#waiting.splice(before + 1, 0, item)
    this.#addTask()
  }

  #addTask(): void {
    void this.#slots(async () => {
      const next = this.#take()
      if (next === undefined) return
      if (this.#limit?.applies(next) !== true) {
        await this.#run(next)
        return
      }
      this.#limited += 1
      try {
        await this.#run(next)
      } finally {
        this.#limited -= 1
        // The tasks of the items that the limit held back have ended without running any.
        this.#addTask()
      }
    })
  }

  /** Removes and returns the first item that may run now. */
  #take(): T | undefined {
    const limit = this.#limit
    const isFull = limit !== null && this.#limited >= limit.slots(this.concurrency)
    const index = isFull ? this.#waiting.findIndex((item) => !limit.applies(item)) : 0
    return index === -1 ? undefined : this.#waiting.splice(index, 1)[0]
  }

  /** Removes an item from the queue. Returns whether it was waiting. */
  delete(item: T): boolean {
    const index = this.#waiting.indexOf(item)
    if (index !== -1) this.#waiting.splice(index, 1)
    return index !== -1
  }
}

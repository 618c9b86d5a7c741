/** Virtual time: nothing waits, and the next event happens as soon as everything before it is done. */

/** An event that has been scheduled. */
export interface ScheduledEvent {
  at: number
  readonly order: number
  readonly run: () => void
  /** Position in the heap, -1 when it is not in it. */
  index: number
  /** What it belongs to; all events of an owner can be dropped at once. */
  readonly owner: object | null
}

/** Turns of the real event loop, in which promises and ticks settle. */
const settle = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

/** A queue of events in the order of their times, and of their scheduling where these are equal. */
export class VirtualClock {
  /** Milliseconds since the world began. */
  now = 0
  /** Events that have happened. */
  events = 0
  readonly #heap: ScheduledEvent[] = []
  #order = 0

  schedule(delayMs: number, run: () => void, owner: object | null = null): ScheduledEvent {
    const event = { at: this.now + Math.max(0, delayMs), order: this.#order++, run, index: -1, owner }
    this.#push(event)
    return event
  }

  cancel(event: ScheduledEvent): void {
    const { index } = event
    if (index < 0) return
    event.index = -1
    const last = this.#heap.pop()
    if (last === undefined || last === event) return
    this.#put(index, last)
    this.#up(index)
    this.#down(last.index)
  }

  /** Drops all events of an owner. */
  cancelAll(owner: object): void {
    for (const event of this.#heap.filter((each) => each.owner === owner)) this.cancel(event)
  }

  /** How many events of an owner are scheduled. */
  countOf(owner: object): number {
    return this.#heap.filter((event) => event.owner === owner).length
  }

  /**
   * Runs events until a condition holds.
   *
   * @returns false when it does not hold though nothing more will happen, or when time or events run out.
   */
  async runUntil(isDone: () => boolean, limits: { untilMs: number; maxEvents: number }): Promise<boolean> {
    for (;;) {
      await settle()
      if (isDone()) return true
      const event = this.#heap[0]
      if (event === undefined || event.at > limits.untilMs || this.events >= limits.maxEvents) return false
      this.cancel(event)
      this.now = Math.max(this.now, event.at)
      this.events++
      event.run()
    }
  }

  #push(event: ScheduledEvent): void {
    this.#heap.push(event)
    event.index = this.#heap.length - 1
    this.#up(event.index)
  }

  #put(index: number, event: ScheduledEvent): void {
    this.#heap[index] = event
    event.index = index
  }

  #up(from: number): void {
    let index = from
    for (;;) {
      const parent = (index - 1) >> 1
      const event = this.#heap[index]
      const above = this.#heap[parent]
      if (event === undefined || above === undefined || !isBefore(event, above)) return
      this.#put(index, above)
      this.#put(parent, event)
      index = parent
    }
  }

  #down(from: number): void {
    let index = from
    for (;;) {
      const event = this.#heap[index]
      if (event === undefined) return
      const left = this.#heap[2 * index + 1]
      const right = this.#heap[2 * index + 2]
      const child = right !== undefined && left !== undefined && isBefore(right, left) ? right : left
      if (child === undefined || !isBefore(child, event)) return
      const place = child.index
      this.#put(index, child)
      this.#put(place, event)
      index = place
    }
  }
}

function isBefore(a: ScheduledEvent, b: ScheduledEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

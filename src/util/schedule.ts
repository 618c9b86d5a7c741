/** Runs tasks of one key one after the other; keys don't wait for each other. */
export class Serial<K extends object> {
  readonly #tails = new WeakMap<K, Promise<unknown>>()
  readonly #pending = new Set<Promise<unknown>>()

  /** Runs a task when those before it have ended, however they ended. */
  run<T>(key: K, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const result = before.then(task, task)
    const tail = result.catch(() => undefined)
    this.#tails.set(key, tail)
    this.#pending.add(tail)
    void tail.then(() => this.#pending.delete(tail))
    return result
  }

  /** Resolves when all tasks that were given so far have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending)
  }
}

// ---- pace

/** Does something as often as it is asked for, but no more often than a pace allows; what was asked for last is done. */
export class Pace {
  readonly #intervalMs: () => number
  readonly #task: () => void | Promise<void>
  #timer: NodeJS.Timeout | null = null
  #lastAt = -Infinity
  #running = false
  #again = false
  #ended = false

  /**
   * @param intervalMs - from one time to the next, at least; in milliseconds.
   * @param task - never rejects.
   */
  constructor(intervalMs: () => number, task: () => void | Promise<void>) {
    this.#intervalMs = intervalMs
    this.#task = task
  }

  /** Asks for it: now, or as soon as the pace allows. */
  ask(): void {
    if (this.#ended || this.#timer !== null) return
    if (this.#running) {
      this.#again = true
      return
    }
    const waitMs = this.#lastAt + this.#intervalMs() - performance.now()
    if (waitMs <= 0) void this.#do()
    else {
      this.#timer = setTimeout(() => {
        this.#timer = null
        void this.#do()
      }, Math.ceil(waitMs))
    }
  }

  /** Nothing more is done from now on. */
  end(): void {
    this.#ended = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  async #do(): Promise<void> {
    this.#running = true
    await this.#task()
    this.#running = false
    this.#lastAt = performance.now()
    if (!this.#again) return
    this.#again = false
    this.ask()
  }
}

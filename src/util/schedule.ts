import type { Clock, Timer } from './clock.js'

/** Runs the tasks of one key one after another; different keys do not wait for each other. */
export class Serial<K extends object> {
  readonly #tails = new WeakMap<K, Promise<unknown>>()
  readonly #pending = new Set<Promise<unknown>>()

  /** Runs a task after all earlier tasks of its key have settled, whether or not they failed. */
  run<T>(key: K, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const result = before.then(task, task)
    const tail = result.catch(() => undefined)
    this.#tails.set(key, tail)
    this.#pending.add(tail)
    void tail.then(() => this.#pending.delete(tail))
    return result
  }

  /** Resolves when all tasks that have been added so far have settled. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending)
  }
}

// ---- arrivals

/** Lets tasks that run at the same time pass one point in the order in which they arrived. */
export class Arrivals {
  #last: Promise<unknown> = Promise.resolve()

  /**
   * Runs a task. `pass` resolves when all tasks that arrived earlier have passed, or ended without.
   *
   * @param task - calls `pass` at most once.
   */
  async run<T>(task: (pass: () => Promise<void>) => Promise<T>): Promise<T> {
    const earlier = this.#last
    let leave = () => undefined as void
    const left = new Promise<void>((resolve) => (leave = resolve))
    this.#last = earlier.then(() => left)
    try {
      return await task(async () => {
        await earlier
        // What follows in the task without waiting is done before any later task continues.
        queueMicrotask(leave)
      })
    } finally {
      leave()
    }
  }
}

// ---- latest

/**
 * Runs one task repeatedly, one run at a time, for callers that need the current state to be processed.
 *
 * A call during a run is not served by that run, which may already have read the state. One more run follows,
 * and it serves all calls made before it begins.
 */
export class Latest {
  readonly #task: () => void | Promise<void>
  /** The current run. A run that has just ended also stays here until the following one begins. */
  #current: Promise<void> | null = null
  #following: Promise<void> | null = null

  /** @param task - must not wait for a run that it requested itself, because that run waits for the task. */
  constructor(task: () => void | Promise<void>) {
    this.#task = task
  }

  /** Whether no run is in progress or pending. */
  get isIdle(): boolean {
    return this.#current === null
  }

  /**
   * Requests a run. It begins before this method returns, unless another run is in progress.
   *
   * @returns a promise that resolves when a run that began after this call has ended. It rejects with the
   * error of that run; errors of other runs do not affect it. A rejection that nobody handles is not reported
   * as unhandled.
   */
  ask(): Promise<void> {
    if (this.#current === null) return this.#begin()
    if (this.#following === null) {
      const begin = () => this.#begin()
      this.#following = this.#current.then(begin, begin)
      this.#following.catch(() => undefined)
    }
    return this.#following
  }

  /** Resolves when no run is in progress or pending, whether or not the runs failed. */
  async settled(): Promise<void> {
    while (this.#current !== null) await (this.#following ?? this.#current).catch(() => undefined)
  }

  #begin(): Promise<void> {
    let follow: (run: Promise<void>) => void = () => undefined
    const current = new Promise<void>((resolve) => (follow = resolve))
    this.#following = null
    this.#current = current
    // Registered first, so that everyone else who awaits the run finds the updated state.
    const end = () => {
      if (this.#following === null) this.#current = null
    }
    current.then(end, end)
    // Started last, because the task itself may request another run.
    follow(this.#run())
    return current
  }

  async #run(): Promise<void> {
    await this.#task()
  }
}

/** One {@link Latest} per key; different keys do not wait for each other. */
export class LatestByKey<K> {
  readonly #task: (key: K) => void | Promise<void>
  readonly #busy = new Map<K, Latest>()

  /** @param task - see {@link Latest}. */
  constructor(task: (key: K) => void | Promise<void>) {
    this.#task = task
  }

  /** See {@link Latest.ask}. */
  ask(key: K): Promise<void> {
    const latest = this.#busy.get(key) ?? new Latest(() => this.#task(key))
    this.#busy.set(key, latest)
    const run = latest.ask()
    const forget = () => {
      if (latest.isIdle && this.#busy.get(key) === latest) this.#busy.delete(key)
    }
    run.then(forget, forget)
    return run
  }

  /** See {@link Latest.settled}. */
  async settledOf(key: K): Promise<void> {
    await this.#busy.get(key)?.settled()
  }

  /** Resolves when no key has a run in progress or pending, whether or not the runs failed. */
  async settled(): Promise<void> {
    while (this.#busy.size > 0) {
      await Promise.all([...this.#busy.values()].map((latest) => latest.settled()))
    }
  }
}

// ---- throttle

/** Runs a task when requested, but at most once per interval. */
export class Throttle {
  readonly #intervalMs: () => number
  readonly #task: () => void | Promise<void>
  readonly #clock: Clock
  // A run that was requested during another one begins after it, by which time the throttle may have ended.
  readonly #runs = new Latest(() => (this.#ended ? undefined : this.#run()))
  #lastAt = -Infinity
  #timer: Timer | null = null
  #ended = false

  /**
   * @param intervalMs - minimum time from the end of one run to the beginning of the next, in milliseconds.
   * @param task - must not reject.
   */
  constructor(intervalMs: () => number, task: () => void | Promise<void>, clock: Clock) {
    this.#intervalMs = intervalMs
    this.#task = task
    this.#clock = clock
  }

  /** Requests a run, which begins immediately or as soon as the interval has passed. */
  ask(): void {
    // A run that is still waiting for the interval serves this call as well.
    if (this.#ended || this.#timer !== null) return
    void this.#runs.ask()
  }

  /** Stops the throttle: no further run begins. */
  end(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#timer = null
  }

  async #run(): Promise<void> {
    const waitMs = this.#lastAt + this.#intervalMs() - this.#clock.now()
    if (waitMs > 0) {
      await new Promise<void>((resolve) => {
        this.#timer = this.#clock.timer(resolve, Math.ceil(waitMs))
      })
      this.#timer = null
    }
    if (this.#ended) return
    await this.#task()
    this.#lastAt = this.#clock.now()
  }
}

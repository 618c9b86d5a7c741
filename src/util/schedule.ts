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

// ---- latest

/**
 * Runs one task again and again, one run at a time, for those who need the state as it is now to be dealt with.
 *
 * Whoever asks during a run is not served by it, because the run may have looked at the state already: one more run
 * follows, which serves all who have asked until it begins.
 */
export class Latest {
  readonly #task: () => void | Promise<void>
  /** The run under way. Until the following one begins it also stands for a run that has just ended. */
  #current: Promise<void> | null = null
  #following: Promise<void> | null = null

  /** @param task - must not wait for a run of its own, which would wait for the task in turn. */
  constructor(task: () => void | Promise<void>) {
    this.#task = task
  }

  /** Whether no run is under way and none is to follow. */
  get isIdle(): boolean {
    return this.#current === null
  }

  /**
   * Asks for a run. It begins before this returns, unless another one is under way.
   *
   * @returns resolves when a run that began after the call has ended. Rejects with what that run threw; the runs of
   * others are not affected. Nobody has to look at it: a rejection is never an unhandled one.
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

  /** Resolves when no run is under way and none is to follow, however the runs have ended. */
  async settled(): Promise<void> {
    while (this.#current !== null) await (this.#following ?? this.#current).catch(() => undefined)
  }

  #begin(): Promise<void> {
    let follow: (run: Promise<void>) => void = () => undefined
    const current = new Promise<void>((resolve) => (follow = resolve))
    this.#following = null
    this.#current = current
    // The first to hear of the end, so that everybody else finds the state as it is afterwards.
    const end = () => {
      if (this.#following === null) this.#current = null
    }
    current.then(end, end)
    // Only now, because the task itself may ask for one more run.
    follow(this.#run())
    return current
  }

  async #run(): Promise<void> {
    await this.#task()
  }
}

/** One {@link Latest} for each key; keys don't wait for each other. */
export class LatestByKey<K> {
  readonly #task: (key: K) => void | Promise<void>
  readonly #busy = new Map<K, Latest>()

  /** @param task - as that of {@link Latest}. */
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

  /** Resolves when no key has a run under way or to follow, however the runs have ended. */
  async settled(): Promise<void> {
    while (this.#busy.size > 0) {
      await Promise.all([...this.#busy.values()].map((latest) => latest.settled()))
    }
  }
}

// ---- throttle

/** Does something as often as it is asked for, but not more often than once in an interval. */
export class Throttle {
  readonly #intervalMs: () => number
  readonly #task: () => void | Promise<void>
  readonly #runs = new Latest(() => this.#run())
  #lastAt = -Infinity
  #timer: NodeJS.Timeout | null = null
  #ended = false

  /**
   * @param intervalMs - from the end of one run to the beginning of the next, at least; in milliseconds.
   * @param task - never rejects.
   */
  constructor(intervalMs: () => number, task: () => void | Promise<void>) {
    this.#intervalMs = intervalMs
    this.#task = task
  }

  /** Asks for it: now, or as soon as the interval is over. */
  ask(): void {
    // A run that still waits for its time serves this call, too.
    if (this.#ended || this.#timer !== null) return
    void this.#runs.ask()
  }

  /** Nothing more is done from now on. */
  end(): void {
    this.#ended = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  async #run(): Promise<void> {
    const waitMs = this.#lastAt + this.#intervalMs() - performance.now()
    if (waitMs > 0) {
      await new Promise<void>((resolve) => {
        this.#timer = setTimeout(resolve, Math.ceil(waitMs))
      })
      this.#timer = null
    }
    if (this.#ended) return
    await this.#task()
    this.#lastAt = performance.now()
  }
}

/** A clock that stands still until a test moves it. */
import { setImmediate } from 'node:timers/promises'
import type { Clock, Timer } from '../../src/util/clock.js'

interface Pending {
  at: number
  run: () => void
  /** Null for a timer that fires once. */
  everyMs: number | null
}

/** Timers fire inside {@link ManualClock.advance}, each at its own time, those of one moment in order of their start. */
export class ManualClock implements Clock {
  #now: number
  readonly #wallOffset: number
  readonly #timers = new Set<Pending>()

  /**
   * @param now - what {@link now} returns at first, in milliseconds.
   * @param wallNow - what {@link wallNow} returns at first, in milliseconds since the Unix epoch.
   */
  constructor(now = 5_000, wallNow = Date.UTC(2026, 0, 1)) {
    this.#now = now
    this.#wallOffset = wallNow - now
  }

  now = (): number => this.#now

  wallNow = (): number => this.#now + this.#wallOffset

  /** Milliseconds until each pending timer fires, soonest first. */
  get pending(): number[] {
    return [...this.#timers].map(({ at }) => at - this.#now).sort((a, b) => a - b)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve()
        return
      }
      const end = () => {
        timer.cancel()
        signal?.removeEventListener('abort', end)
        resolve()
      }
      const timer = this.timer(end, ms)
      signal?.addEventListener('abort', end)
    })
  }

  timer(run: () => void, ms: number): Timer {
    return this.#start({ at: this.#now + ms, run, everyMs: null })
  }

  interval(run: () => void, ms: number): Timer {
    return this.#start({ at: this.#now + ms, run, everyMs: ms })
  }

  #start(pending: Pending): Timer {
    this.#timers.add(pending)
    const timer = { cancel: () => void this.#timers.delete(pending), unref: () => timer }
    return timer
  }

  /** Moves the time forward and fires what is due. A negative time moves it back and fires nothing. */
  advance(ms: number): void {
    const until = this.#now + ms
    while (this.#fireNext(until));
    this.#now = until
  }

  /** The same, but promises get their turn before each timer and at the end. Input and output is not awaited. */
  async advanceAsync(ms: number): Promise<void> {
    const until = this.#now + ms
    do await setImmediate()
    while (this.#fireNext(until))
    this.#now = until
  }

  #fireNext(until: number): boolean {
    let next: Pending | null = null
    for (const pending of this.#timers) {
      if (pending.at <= until && (next === null || pending.at < next.at)) next = pending
    }
    if (next === null) return false
    this.#now = Math.max(this.#now, next.at)
    this.#timers.delete(next)
    if (next.everyMs !== null) {
      next.at = this.#now + Math.max(1, next.everyMs)
      this.#timers.add(next)
    }
    next.run()
    return true
  }
}

import { setTimeout as sleep } from 'node:timers/promises'

/** A timer of a {@link Clock}. */
export interface Timer {
  /** Stops the timer. It may have fired or been stopped already. */
  cancel(): void
  /** Lets the process end while the timer is pending. */
  unref(): this
}

/**
 * The time, as code that decides by it sees it. Its owner passes it in, so that a test can move the time by hand
 * instead of waiting.
 */
export interface Clock {
  /** Monotonic time in milliseconds since an arbitrary moment. All durations are measured with it. */
  now(): number
  /** Time of day in milliseconds since the Unix epoch. It may jump, so it only serves to compare with dates. */
  wallNow(): number
  /** Resolves after `ms` milliseconds, or as soon as the signal is aborted. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls `run` once after `ms` milliseconds. */
  timer(run: () => void, ms: number): Timer
  /** Calls `run` every `ms` milliseconds. */
  interval(run: () => void, ms: number): Timer
}

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout

  constructor(timeout: NodeJS.Timeout) {
    this.#timeout = timeout
  }

  cancel(): void {
    // Stops intervals as well.
    clearTimeout(this.#timeout)
  }

  unref(): this {
    this.#timeout.unref()
    return this
  }
}

/**
 * Monotonic time in milliseconds that all threads of a process count from the same moment, unlike that of a {@link Clock}.
 * Where each thread counts from its own start, as in Bun and Deno, the time of a younger thread is less.
 */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** The clock and the timers of this process. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
  timer: (run, ms) => new SystemTimer(setTimeout(run, ms)),
  interval: (run, ms) => new SystemTimer(setInterval(run, ms)),
}

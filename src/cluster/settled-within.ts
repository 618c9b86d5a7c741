import type { Clock } from '../util/clock.js'

/** Waits for a promise, but no longer than `ms` milliseconds. It may go on after that, and its failure is not reported. */
export async function settledWithin(clock: Clock, ms: number, promise: Promise<unknown>): Promise<void> {
  const done = new AbortController()
  const ended = promise.then(
    () => undefined,
    () => undefined,
  )
  await Promise.race([ended, clock.sleep(ms, done.signal)])
  done.abort()
}

/** Time for property tests that work with disks and sockets. */

/**
 * A property that does nothing any more when its time is up. fast-check's own `interruptAfterTimeLimit` leaves the run
 * that is under way to itself, and its files and sockets to the next test.
 *
 * @param ms - from the first run on; a run that has begun ends in peace.
 */
export function within<T extends unknown[]>(
  ms: number,
  property: (...args: T) => Promise<void>,
): (...args: T) => Promise<void> {
  let until: number | null = null
  return async (...args) => {
    until ??= performance.now() + ms
    if (performance.now() < until) await property(...args)
  }
}

/** A time limit for property tests that use disks and sockets. */

/**
 * A property that skips all further runs when its time is up. fast-check's own `interruptAfterTimeLimit` abandons the
 * current run, whose files and sockets would then leak into the next test.
 *
 * @param ms - time from the start of the first run. A run that has started is completed.
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

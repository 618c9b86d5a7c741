/** Waiting for something that somebody may give up. */

/**
 * Settles as the task does, or rejects as soon as the signal is aborted, whatever becomes of the task then.
 *
 * @param reason - makes the error to reject with. Default: the reason of the signal.
 */
export async function unlessAborted<T>(
  task: Promise<T>,
  signal: AbortSignal,
  reason?: () => Error,
): Promise<T> {
  let onAbort: () => void = () => undefined
  const aborted = new Promise<void>((resolve) => (onAbort = resolve))
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  try {
    await Promise.race([aborted, task])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
  if (signal.aborted) {
    // Nobody looks at it any more.
    task.catch(() => undefined)
    if (reason !== undefined) throw reason()
  }
  signal.throwIfAborted()
  return await task
}

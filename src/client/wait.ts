import { DownloadError, isDownloadError } from '../errors.js'

/** With more than this, timers fire at once. */
const longestTimerMs = 0x7fffffff

/**
 * The outcome of work, unless the signal or the clock comes first. Holds even for work that never ends and heeds no
 * signal; whoever began it stops it.
 *
 * @param work - begins the work; not called when the signal is aborted already.
 * @param ms - longest wait in milliseconds. More than a timer can count (24 days) is that.
 * @throws DownloadError `CANCELED` with the signal's reason as its cause; `STALLED` when the time is up.
 */
export async function within<T>(work: () => Promise<T>, ms: number, signal?: AbortSignal): Promise<T> {
  let end: () => void = () => undefined
  const canceled = () => new DownloadError('CANCELED', 'The call was aborted.', { cause: signal?.reason })
  if (signal?.aborted === true) throw canceled()
  const limit = new Promise<never>((_, reject) => {
    const onAbort = () => {
      reject(canceled())
    }
    const timer = setTimeout(
      () => {
        reject(new DownloadError('STALLED', `The server took longer than ${ms} ms.`, { retryable: true }))
      },
      Math.min(ms, longestTimerMs),
    )
    signal?.addEventListener('abort', onAbort)
    end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  })
  try {
    // The race listens to both, so that neither's late rejection goes unhandled.
    return await Promise.race([work(), limit])
  } finally {
    end()
  }
}

/**
 * Waits.
 *
 * @throws DownloadError `CANCELED` at once when the signal is aborted.
 */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await within(() => new Promise<never>(() => undefined), ms, signal)
  } catch (error) {
    if (!isDownloadError(error, 'STALLED')) throw error
  }
}

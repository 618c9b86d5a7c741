/** Bounds how many questions to sources callers can make the host ask at the same time. */
import pLimit from 'p-limit'
import { DownloadError } from '../../errors.js'

/** How many questions are asked at the same time, and how many more may wait. */
const maxRunning = 4
const maxWaiting = 16

/** Longest time of a question, in milliseconds. Proxies give up after about a minute. */
export const lookupTimeoutMs = 45_000

/** Asks sources for callers, a few at a time. */
export class Lookups {
  readonly #slots = pLimit(maxRunning)

  /**
   * Runs a task when it is its turn.
   *
   * @param signal - aborted when the caller has left.
   * @throws DownloadError `QUEUE_FULL`; `CANCELED`; whatever the task throws.
   */
  async run<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    if (this.#slots.activeCount + this.#slots.pendingCount >= maxRunning + maxWaiting) {
      throw new DownloadError(
        'QUEUE_FULL',
        'Too many requests to sources are already waiting; try again later.',
        {
          retryable: true,
        },
      )
    }
    return await this.#slots(async () => {
      if (signal.aborted) throw new DownloadError('CANCELED', 'The caller has left.')
      return await task()
    })
  }
}

import { DownloadError } from '../errors.js'

/** The part of the manager that {@link Admission} needs. */
interface Waiting {
  /** Number of downloads that wait for a slot. */
  readonly waiting: number
}

/** Admits download requests while the queue has room, and keeps track of those that are being admitted. */
export class Admission {
  readonly #queue: Waiting
  readonly #maxQueued: number
  readonly #entering = new Map<string, number>()

  /**
   * @param queue - the manager.
   * @param maxQueued - maximum number of waiting downloads.
   */
  constructor(queue: Waiting, maxQueued: number) {
    this.#queue = queue
    this.#maxQueued = maxQueued
  }

  /** Whether another request for the URL is being admitted. */
  isEntering(url: string): boolean {
    return this.#entering.has(url)
  }

  /**
   * Admits a request and runs its task.
   *
   * @param url - URL of the download.
   * @param adds - whether the request adds a download to the queue.
   * @param task - passes the request to the manager.
   * @throws DownloadError `QUEUE_FULL`; whatever the task throws.
   */
  async enter<T>(url: string, adds: boolean, task: () => Promise<T>): Promise<T> {
    if (adds && this.#queue.waiting + this.#entering.size >= this.#maxQueued) {
      throw new DownloadError('QUEUE_FULL', 'Too many downloads are already waiting; try again later.', {
        retryable: true,
      })
    }
    this.#entering.set(url, (this.#entering.get(url) ?? 0) + 1)
    try {
      return await task()
    } finally {
      const left = (this.#entering.get(url) ?? 1) - 1
      if (left === 0) this.#entering.delete(url)
      else this.#entering.set(url, left)
    }
  }
}

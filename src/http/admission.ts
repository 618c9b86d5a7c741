import { DownloadError } from '../errors.js'

/** What an {@link Admission} asks of the manager. */
interface Waiting {
  /** Downloads that wait for a slot. */
  readonly waiting: number
}

/** Lets requests for downloads in, as long as the queue has room, and knows which are on their way in. */
export class Admission {
  readonly #queue: Waiting
  readonly #maxQueued: number
  readonly #entering = new Map<string, number>()

  /**
   * @param queue - the manager.
   * @param maxQueued - how many may wait.
   */
  constructor(queue: Waiting, maxQueued: number) {
    this.#queue = queue
    this.#maxQueued = maxQueued
  }

  /** Whether somebody else's request for a URL is on its way in. */
  isEntering(url: string): boolean {
    return this.#entering.has(url)
  }

  /**
   * Takes a request in.
   *
   * @param url - what is asked for.
   * @param adds - whether the queue grows by it.
   * @param task - asks the manager.
   * @throws DownloadError `QUEUE_FULL`; whatever the task throws.
   */
  async enter<T>(url: string, adds: boolean, task: () => Promise<T>): Promise<T> {
    if (adds && this.#queue.waiting + this.#entering.size >= this.#maxQueued) {
      throw new DownloadError('QUEUE_FULL', 'Too many downloads are waiting already; ask again later.', {
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

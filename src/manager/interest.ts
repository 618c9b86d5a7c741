import type { Download } from '../download/download.js'
import { isSettled } from '../download/states.js'

/** Counts the callers of a download. Each call counts until its signal aborts or the download settles. */
export class Interest {
  /** Keyed by `finished`, which is a new promise each time a settled download is requested again. */
  readonly #callers = new WeakMap<Promise<unknown>, number>()
  readonly #abandoned: (download: Download) => void

  /** @param abandoned - called when the last caller of a download that has not settled has aborted. */
  constructor(abandoned: (download: Download) => void) {
    this.#abandoned = abandoned
  }

  /** Adds a caller. A caller without a signal counts until the download settles. */
  add(download: Download, signal: AbortSignal | undefined): void {
    const { finished } = download
    this.#callers.set(finished, (this.#callers.get(finished) ?? 0) + 1)
    if (signal === undefined) return
    const aborted = () => {
      const left = (this.#callers.get(finished) ?? 1) - 1
      this.#callers.set(finished, left)
      if (left <= 0 && download.finished === finished && !isSettled(download.state)) this.#abandoned(download)
    }
    signal.addEventListener('abort', aborted)
    const forget = () => {
      signal.removeEventListener('abort', aborted)
    }
    finished.then(forget, forget)
    if (signal.aborted) aborted()
  }
}

import type { Download } from './download.js'
import { isSettled } from './states.js'

/** Who still wants a download: each call that asked for it, until its signal aborts or the download settles. */
export class Interest {
  /** By `finished`, which is another one each time that a settled download is asked for again. */
  readonly #callers = new WeakMap<Promise<unknown>, number>()
  readonly #abandoned: (download: Download) => void

  /** @param abandoned - called when the last caller of a live download has aborted. */
  constructor(abandoned: (download: Download) => void) {
    this.#abandoned = abandoned
  }

  /** Notes a caller. One without a signal stays interested to the end. */
  add(download: Download, signal: AbortSignal | undefined): void {
    const { finished } = download
    this.#callers.set(finished, (this.#callers.get(finished) ?? 0) + 1)
    if (signal === undefined) return
    const aborted = () => {
      const left = (this.#callers.get(finished) ?? 1) - 1
      this.#callers.set(finished, left)
      if (left <= 0 && download.finished === finished && !isSettled(download.state)) this.#abandoned(download)
    }
    signal.addEventListener('abort', aborted, { once: true })
    const forget = () => {
      signal.removeEventListener('abort', aborted)
    }
    finished.then(forget, forget)
    if (signal.aborted) aborted()
  }
}

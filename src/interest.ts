import type { Download } from './download.js'
import { isSettled } from './states.js'

/** Who still wants a download: each call that asked for it, until its signal aborts. */
export class Interest {
  readonly #callers = new WeakMap<Download, number>()
  readonly #abandoned: (download: Download) => void

  /** @param abandoned - called when the last caller of a live download has aborted. */
  constructor(abandoned: (download: Download) => void) {
    this.#abandoned = abandoned
  }

  /** Notes a caller. One without a signal stays interested for good. */
  add(download: Download, signal: AbortSignal | undefined): void {
    this.#callers.set(download, (this.#callers.get(download) ?? 0) + 1)
    if (signal === undefined) return
    const aborted = () => {
      const left = (this.#callers.get(download) ?? 1) - 1
      this.#callers.set(download, left)
      if (left <= 0 && !isSettled(download.state)) this.#abandoned(download)
    }
    signal.addEventListener('abort', aborted, { once: true })
    const forget = () => {
      signal.removeEventListener('abort', aborted)
    }
    download.finished.then(forget, forget)
    if (signal.aborted) aborted()
  }
}

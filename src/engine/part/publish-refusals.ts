/** What is refused while a file is published, without harm to it. */
import { fsError } from '../../disk/errors.js'
import type { DownloadError } from '../../errors.js'

/** Folders of which it was reported that their file system refuses what is only a courtesy. */
const reported = new Set<string>()

const maxReported = 10_000

/** Collects the refusals that one file meets. */
export class PublishRefusals {
  readonly #folder: string
  #ofFile: DownloadError | null = null
  #ofFolder: DownloadError | null = null

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Tries a step that concerns this file only, such as deleting its journal. Never rejects. */
  async attempt(what: string, step: () => Promise<unknown>): Promise<void> {
    await step().catch((error: unknown) => {
      this.#ofFile ??= fsError(error, what)
    })
  }

  /** Tries a step that other files of the folder would fail in as well, such as setting permissions. Never rejects. */
  async attemptCourtesy(what: string, step: () => Promise<unknown>): Promise<void> {
    await step().catch((error: unknown) => {
      this.add(fsError(error, what))
    })
  }

  /** Notes a refusal that other files of the folder meet as well. */
  add(refusal: DownloadError): void {
    this.#ofFolder ??= refusal
  }

  /** Takes what is to be reported; null if nothing was refused, or if it has been reported for another file. */
  take(): DownloadError | null {
    if (this.#ofFile !== null) return this.#ofFile
    if (this.#ofFolder === null || reported.has(this.#folder)) return null
    if (reported.size >= maxReported) reported.clear()
    reported.add(this.#folder)
    return this.#ofFolder
  }
}

import { join } from 'node:path'
import { DownloadError } from './errors.js'
import type { DownloadRecord } from './store/store.js'
import { partPaths, removeFiles } from './transfer/leftover.js'

/** Where files of a manager go: `<directory>/<mode>/<filename>`. */
export class Places {
  readonly directory: string
  readonly #modes: ReadonlySet<string>
  readonly #defaultMode: string | null

  constructor(directory: string, modes: readonly string[], defaultMode: string | null) {
    this.directory = directory
    this.#modes = new Set(defaultMode === null ? modes : [...modes, defaultMode])
    this.#defaultMode = defaultMode
  }

  /**
   * The mode to use for one that was given, or not.
   *
   * @throws DownloadError `INVALID_OPTIONS` for one that isn't registered.
   */
  modeOf(given: string | null | undefined): string | null {
    if (given === undefined) return this.#defaultMode
    if (given === null || this.#modes.has(given)) return given
    const message = `must be one of ${[...this.#modes].join(', ')}`
    throw new DownloadError('INVALID_OPTIONS', `download options: mode: ${message}`, {
      issues: [{ path: 'mode', message }],
    })
  }

  /** The folder of a mode. */
  folderOf(mode: string | null): string {
    return mode === null ? this.directory : join(this.directory, mode)
  }

  /** The path of a file. */
  pathOf(record: Pick<DownloadRecord, 'mode' | 'filename'>): string {
    return join(this.folderOf(record.mode), record.filename)
  }

  /** Deletes what a stopped transfer kept. */
  async discardBytes(record: Pick<DownloadRecord, 'mode' | 'filename' | 'named'>): Promise<void> {
    if (!record.named) return
    const { part, journal } = partPaths(this.folderOf(record.mode), record.filename)
    await removeFiles([part, journal])
  }

  /** Deletes a finished file. */
  async deleteFile(record: Pick<DownloadRecord, 'mode' | 'filename'>): Promise<void> {
    await removeFiles([this.pathOf(record)])
  }
}

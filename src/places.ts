import { join } from 'node:path'
import type { Download } from './download.js'
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

/**
 * Two URLs must not meet in one file: the second would be told that its file is there already. Names that differ in
 * case only count as one, since many file systems think so.
 *
 * @throws DownloadError `CONFLICT`.
 */
export function requireFreeTarget(
  downloads: Iterable<Download>,
  wanted: { url: string; mode: string | null; filename: string },
): void {
  const name = wanted.filename.toLowerCase()
  for (const other of downloads) {
    if (other.url === wanted.url || other.mode !== wanted.mode || !other.named) continue
    if (other.state === 'failed' || other.state === 'canceled' || other.filename.toLowerCase() !== name)
      continue
    throw new DownloadError(
      'CONFLICT',
      `Another download goes to the file ${wanted.filename}; give a filename.`,
    )
  }
}

/** What a manager tells about the files on disk. */
import * as z from 'zod'
import type { Download } from '../download/download.js'
import { sentenceError } from '../download/error-text.js'
import { SafeEmitter } from '../download/events.js'
import { parseOptions } from '../download/options.js'
import { DownloadError } from '../errors.js'
import { maxLanes } from '../files/hash-pool.js'
import { takeInventory } from '../files/inventory.js'
import { findEntries, type StoredFile } from '../files/stored.js'
import {
  sizesOf,
  targetsOf,
  type VerifiedFile,
  verifyFiles,
  type VerifyProgress,
  type VerifyReport,
} from '../files/verify.js'
import { internals, type ManagerInternals } from './internals.js'

/** Options of {@link DownloadManager.verify}. */
export interface VerifyOptions {
  /**
   * What to check: names as in {@link StoredFile.name}, URLs or refs, or the last part of a name if no other entry ends
   * with it. Default: everything.
   */
  names?: readonly string[] | undefined
  /** How many files are read at the same time, 1 to 16. Default: number of processors, at most 4. */
  concurrency?: number | undefined
  /** Stops the check when it is aborted. */
  signal?: AbortSignal | undefined
  /** Called for each file when it was checked. */
  onFile?: ((file: VerifiedFile) => void) | undefined
  /** Called about every 16 MiB, and for each file. */
  onProgress?: ((progress: VerifyProgress) => void) | undefined
}

const optionsSchema = z.object({
  names: z.array(z.string().min(1).max(16_384)).max(10_000).optional(),
  concurrency: z.number().int().min(1).max(maxLanes).optional(),
  signal: z.instanceof(AbortSignal).optional(),
  onFile: z.custom<(file: VerifiedFile) => void>(isFunction, 'must be a function').optional(),
  onProgress: z.custom<(progress: VerifyProgress) => void>(isFunction, 'must be a function').optional(),
})

function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}

/** The part of a `DownloadManager` that looks at the files on disk. */
export abstract class ManagerFiles extends SafeEmitter {
  /** Resolves once the store is loaded. */
  abstract readonly ready: Promise<void>
  /** Absolute path of the root folder of all files. */
  abstract readonly directory: string
  /** @internal */
  abstract readonly [internals]: ManagerInternals
  /** Returns all known downloads. */
  abstract list(): Download[]

  /**
   * Lists what is on disk: the files of all downloads, wherever they are, and every other file in the manager's folder.
   * Unfinished downloads are listed as `partial`, and completed ones whose files were deleted as `missing`. Hidden files
   * and folders, `node_modules`, and what is behind symbolic links are left out.
   *
   * Only metadata is read, so a file that was damaged is found by {@link verify} only.
   *
   * @returns the entries in order of their names.
   * @throws DownloadError `STORE_ERROR`, `CLOSED`.
   */
  async files(): Promise<StoredFile[]> {
    await this.ready
    const { closed, destinations } = this[internals]
    if (closed.aborted) throw closedError()
    const { entries, unreadable, isCut } = await takeInventory({
      places: destinations,
      records: this.list().map((download) => download.toRecord()),
      modes: new Set(destinations.modeFolders.flatMap(({ mode }) => mode ?? [])),
    })
    if (unreadable.length > 0)
      this.emit('log', { level: 'warn', message: `${unreadable.length} folders of models can't be read.` })
    if (isCut)
      this.emit('log', { level: 'warn', message: 'The folder of models has more files than are listed.' })
    return entries
  }

  /**
   * Reads files on disk again, and compares them with what is known of them: the digest that was given or that the source
   * stated, otherwise the one that was computed when the file was downloaded. Files are hashed in worker threads. Nothing is
   * written, and downloads go on meanwhile. What unfinished ones have yet to fetch is missing if they are named, and
   * otherwise left out.
   *
   * @throws DownloadError `INVALID_OPTIONS`; `NOT_FOUND` for a name that no entry has, `CONFLICT` for the last part of
   * several names; `CANCELED` when the signal is aborted; `STORE_ERROR`, `CLOSED`. A file that can't be read is a result
   * and no error.
   */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    const { names, concurrency, signal, onFile, onProgress } = parseOptions(
      optionsSchema,
      options,
      'Options of verify',
    )
    const entries = await this.files()
    const { closed } = this[internals]
    const chosen = names === undefined ? entries : chooseEntries(entries, names)
    const ends = signal === undefined ? [closed] : [closed, signal]
    try {
      return await verifyFiles(
        targetsOf(chosen, names !== undefined),
        { lanes: concurrency, signal: AbortSignal.any(ends), onFile, onProgress },
        sizesOf(chosen),
      )
    } catch (error) {
      throw closed.aborted ? closedError() : error
    }
  }
}

/**
 * The entries that somebody names, each once and in their order.
 *
 * @throws DownloadError `NOT_FOUND`, `CONFLICT`.
 */
export function chooseEntries(entries: readonly StoredFile[], names: readonly string[]): StoredFile[] {
  const chosen = new Set<StoredFile>()
  for (const name of names) {
    const found = findEntries(entries, name)
    const [first] = found
    if (first === undefined) throw unknownFile()
    const isAmbiguous = found.length > 1 && found.some((entry) => entry.url !== name)
    if (isAmbiguous) throw sentenceError('CONFLICT', 'ambiguousFile', [])
    for (const entry of found) chosen.add(entry)
  }
  return entries.filter((entry) => chosen.has(entry))
}

/** The error for a name that no entry has. */
export function unknownFile(): DownloadError {
  return sentenceError('NOT_FOUND', 'unknownFile', [])
}

/** The error of calls that the end of the manager interrupts. */
export function closedError(): DownloadError {
  return new DownloadError('CLOSED', 'The manager was closed.', { retryable: true })
}

import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { DownloadError } from './errors.js'
import { io } from './files/io.js'
import { blobFolder } from './layouts/hf-cache.js'
import { removeBlobs } from './layouts/hf-remove.js'
import type { DownloadRecord } from './store/store.js'
import { partPaths, removeFiles } from './transfer/leftover.js'

/** What says where a file goes. */
export type Place = Pick<DownloadRecord, 'directory' | 'mode' | 'filename'> &
  Partial<Pick<DownloadRecord, 'cache'>>

/** The file that people open, below the folder of its mode or the cache, as segments. */
export function pathBelow({ filename, cache = null }: Place): readonly string[] {
  if (cache === null) return [filename]
  // Of several files the name of what the source calls them all comes first, which is no folder there.
  const inside = cache.path ?? filename.split('/').slice(1).join('/')
  return [cache.folder, 'snapshots', cache.commit, ...inside.split('/')]
}

/** Where files of a manager go: `<directory>/<mode>/<filename>`, or into a cache. */
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

  /**
   * One spelling for a folder that was given: null for the manager's own; relative when inside it, so that it still
   * means the same when all of it is moved; else absolute.
   */
  directoryOf(given: string): string | null {
    const absolute = resolve(this.directory, given)
    const inside = relative(this.directory, absolute)
    if (inside === '') return null
    return inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside) ? absolute : inside
  }

  /** The folder that a file goes to. */
  folderOf(place: Pick<Place, 'directory' | 'mode'>): string {
    const { directory, mode } = place
    return directory === null && mode === null
      ? this.directory
      : resolve(this.directory, directory ?? '', mode ?? '')
  }

  /** The path of a file. */
  pathOf(place: Place): string {
    return join(this.folderOf(place), ...pathBelow(place))
  }

  /** The file that is written; null for several. In a cache that is the blob. */
  #written(place: Place): { folder: string; filename: string } | null {
    const { cache = null, filename } = place
    const folder = this.folderOf(place)
    if (cache === null) return { folder, filename }
    return cache.blob === null ? null : { folder: join(folder, ...blobFolder(cache)), filename: cache.blob }
  }

  /**
   * Whether the file lies there as it should, as far as that can be told without hashing it. It may still change before
   * the transfer looks, so this decides about order only.
   */
  async holds(record: Readonly<DownloadRecord>): Promise<boolean> {
    const { named, force, size, sha256, stamp } = record
    if (!named || force) return false
    const written = this.#written(record)
    if (written === null) return false
    const stat = await io.lstatIfThere(join(written.folder, written.filename)).catch(() => null)
    if (stat?.isFile() !== true || (size !== null && size !== stat.size)) return false
    if (sha256 === null) return true
    return sha256 === stamp?.sha256 && stamp.size === stat.size && stamp.mtimeMs === stat.mtimeMs
  }

  /** Deletes what a stopped transfer kept. */
  async discardBytes(record: Place & Pick<DownloadRecord, 'named'>): Promise<void> {
    const written = record.named ? this.#written(record) : null
    if (written === null) return
    const { part, journal } = partPaths(written.folder, written.filename)
    await removeFiles([part, journal])
  }

  /** Deletes a finished file. */
  async deleteFile(place: Place): Promise<void> {
    await removeFiles([this.pathOf(place)])
    const { cache = null } = place
    if (cache !== null && cache.blob !== null)
      await removeBlobs(join(this.folderOf(place), cache.folder), [cache.blob])
  }
}

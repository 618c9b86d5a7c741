/** Where one resolved file goes: the one place that turns what a source tells into the beginning of a transfer. */
import { homedir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { isInside } from '../disk/inside.js'
import { io } from '../disk/io.js'
import { checkFilename } from '../disk/names.js'
import { partPaths, removeFiles } from '../disk/part-paths.js'
import { isSame } from '../disk/stamp.js'
import type { AdoptSpec, TransferSpec } from '../engine/protocol.js'
import { DownloadError, invalidOption } from '../errors.js'
import { removeBlobs } from '../layouts/hf-files.js'
import { blobFolder, cachePlaceOf, snapshotPath } from '../layouts/hf-paths.js'
import { hubCache, type KnownCaches, knownCaches } from '../layouts/known-caches.js'
import type { ResolvedFile } from '../sources/source.js'
import type { DownloadRecord } from './record.js'

/** Where a file comes from, what it must be, and where it goes. */
export type Destination = Pick<TransferSpec, 'url' | 'urls' | 'headers' | 'sha256' | 'size' | 'directory'> &
  Placement & { filename: string }

/**
 * The destination of one file.
 *
 * @param root - absolute; the folder of the download, or the cache.
 * @param folder - absolute; of the group. Default: `root`.
 * @param path - inside that folder, with slashes; every segment is safe. In a cache the blob lies elsewhere.
 * @param caches - that it may be taken from, as `machineCaches` says.
 * @throws DownloadError `CHECKSUM_MISMATCH` or `CONTENT_MISMATCH` when the source has another file than the caller expects.
 */
export function destinationOf(
  file: ResolvedFile,
  record: Pick<DownloadRecord, 'urls' | 'headers' | 'sha256' | 'size' | 'layout' | 'adopt'>,
  { root, folder = root, path, caches }: { root: string; folder?: string; path: string; caches: KnownCaches },
): Destination {
  if (record.sha256 !== null && file.sha256 !== undefined && record.sha256 !== file.sha256) {
    throw new DownloadError(
      'CHECKSUM_MISMATCH',
      `The source has a file with the SHA-256 ${file.sha256}, but ${record.sha256} is expected.`,
    )
  }
  if (record.size !== null && file.size !== undefined && record.size !== file.size) {
    throw new DownloadError(
      'CONTENT_MISMATCH',
      `The source has a file of ${file.size} bytes, but ${record.size} are expected.`,
    )
  }
  const target = join(folder, ...path.split('/'))
  return {
    ...addressOf(file, record.headers),
    urls: [...file.urls, ...record.urls],
    sha256: record.sha256 ?? file.sha256 ?? null,
    size: record.size ?? file.size ?? null,
    directory: dirname(target),
    filename: path.slice(path.lastIndexOf('/') + 1),
    ...placementOf(file, record, root, caches),
  }
}

/**
 * What a file is called by itself, when nobody gave it a name.
 *
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function ownName({ filename }: ResolvedFile): string {
  return checkFilename(filename.slice(filename.lastIndexOf('/') + 1))
}

/** The caller's headers outrank the source's, whatever their case. */
export function addressOf(
  file: ResolvedFile,
  given: Readonly<Record<string, string>>,
): { url: string; headers: Record<string, string> } {
  const taken = new Set(Object.keys(given).map((name) => name.toLowerCase()))
  const own = Object.entries(file.headers).filter(([name]) => !taken.has(name.toLowerCase()))
  return { url: file.urls[0] ?? '', headers: { ...Object.fromEntries(own), ...given } }
}

// ---- What a transfer is told of the layout, and of the caches that it may take its file from.

/** What depends on the layout. */
export type Placement = Pick<TransferSpec, 'adopt' | 'cache' | 'gitOid'> &
  Partial<{ directory: string; filename: string }>

/**
 * Where a resolved file goes, when that is not where its name says, and where it may be taken from.
 *
 * @param root - the folder of the download.
 * @param caches - of this machine.
 * @throws DownloadError as `cachePlaceOf` says.
 */
export function placementOf(
  file: ResolvedFile,
  record: Pick<DownloadRecord, 'layout' | 'adopt'>,
  root: string,
  caches: KnownCaches,
): Placement {
  const { gitOid = null, filename, repository = null } = file
  const adopt = adoptSpecOf(record, caches, filename, repository?.name)
  if (record.layout === 'flat') return { gitOid, adopt }
  const cache = { root, ...cachePlaceOf(file) }
  return { gitOid, adopt, cache, directory: join(root, ...blobFolder(cache)), filename: cache.blob }
}

/**
 * The caches that a file may be taken from; null when it must be fetched.
 *
 * @param caches - of this machine.
 * @param filename - what its source calls it.
 */
export function adoptSpecOf(
  { adopt }: Pick<DownloadRecord, 'adopt'>,
  caches: KnownCaches,
  filename: string | null,
  repository: string | null = null,
): AdoptSpec | null {
  if (adopt === false) return null
  return { caches, share: adopt === true, filename, repository }
}

/** The cache of the Hugging Face libraries, as the environment says. */
export function environmentCache(): string {
  return hubCache({ env: process.env, home: homedir(), platform: process.platform })
}

/** The caches of this machine. */
export function machineCaches(): KnownCaches {
  return knownCaches({ env: process.env, home: homedir(), platform: process.platform })
}

// ---- places

/** What says where a file goes. */
export type Place = Pick<DownloadRecord, 'directory' | 'mode' | 'filename'> &
  Partial<Pick<DownloadRecord, 'cache'>>

/** The file that people open, below the folder of its mode or the cache, as segments. */
export function pathBelow({ filename, cache = null }: Place): readonly string[] {
  if (cache === null) return [filename]
  // Of several files the name of what the source calls them all comes first, which is no folder there.
  const path = cache.path ?? filename.split('/').slice(1).join('/')
  return snapshotPath({ ...cache, path })
}

/** Where files of a manager go: `<directory>/<mode>/<filename>`, or into a cache. */
export class Destinations {
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
    throw invalidOption('mode', `must be one of ${[...this.#modes].join(', ')}`)
  }

  /**
   * One spelling for a folder that was given: null for the manager's own; relative when inside it, so that it still
   * means the same when all of it is moved; else absolute.
   */
  directoryOf(given: string): string | null {
    const absolute = resolve(this.directory, given)
    if (!isInside(this.directory, absolute)) return absolute
    const inside = relative(this.directory, absolute)
    return inside === '' ? null : inside
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
    return sha256 === stamp?.sha256 && isSame(stat, stamp)
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

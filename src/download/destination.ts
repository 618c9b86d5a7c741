/**
 * Decides where a resolved file is stored: the only place that turns the answer of a source into the spec of
 * a transfer.
 */
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { isInside } from '../disk/inside.js'
import { io } from '../disk/io.js'
import { linkBelow, requireNoLinks } from '../disk/links.js'
import { checkFilename, cleanFilename, requireNoConfig } from '../disk/names.js'
import { discardIfFree, partPaths, removeFiles } from '../disk/part-paths.js'
import { type FileStamp, isSame } from '../disk/stamp.js'
import { homeFolder } from '../disk/system.js'
import type { AdoptSpec, TransferSpec } from '../engine/protocol.js'
import { DownloadError, invalidOption } from '../errors.js'
import { removeBlobs } from '../layouts/hf-files.js'
import { blobFolder, cachePlaceOf, snapshotPath } from '../layouts/hf-paths.js'
import { hubCache, type KnownCaches, knownCaches, programCache } from '../layouts/known-caches.js'
import type { ResolvedFile } from '../sources/source.js'
import { digestText, type ExpectedDigest, parseDigest } from '../util/digests.js'
import type { DownloadRecord } from './record.js'
import { xetSpecOf } from './xet.js'

/** Where a file comes from, what it must match, and where it is stored. */
export type Destination = Pick<
  TransferSpec,
  'url' | 'urls' | 'headers' | 'otherHeaders' | 'directory' | 'xet'
> &
  Expected &
  Placement & { filename: string }

/** What a file must be found to be. */
type Expected = Pick<TransferSpec, 'sha256' | 'sha256From' | 'digests' | 'size'>

/**
 * Returns the destination of one file.
 *
 * @param root - absolute path of the download's folder, or of the cache.
 * @param folder - absolute path of the group's folder. Default: `root`.
 * @param path - path inside that folder, with slashes; every segment is safe. In a cache, the blob is stored
 * elsewhere.
 * @param caches - caches that the file may be adopted from, see {@link machineCaches}.
 * @param older - stamp of the version of the file that is on disk. Default: there is none.
 * @throws DownloadError `CHECKSUM_MISMATCH` or `CONTENT_MISMATCH` when the source has a different file than
 * the caller expects.
 */
export function destinationOf(
  file: ResolvedFile,
  record: Pick<
    DownloadRecord,
    'urls' | 'headers' | 'sha256' | 'digest' | 'size' | 'layout' | 'adopt' | 'xet'
  >,
  {
    root,
    folder = root,
    path,
    caches,
    older = null,
  }: { root: string; folder?: string; path: string; caches: KnownCaches; older?: FileStamp | null },
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
  const placement = placementOf(file, record, root, caches)
  const { cache = null } = placement
  // In a cache, the older version is a blob of its own, which has its digest as its name.
  const before = (stamp: FileStamp) =>
    cache === null ? target : join(root, ...blobFolder(cache), stamp.sha256)
  return {
    ...addressOf(file, record.headers),
    urls: [...file.urls, ...record.urls],
    ...(file.otherHeaders === undefined ? {} : { otherHeaders: otherHeadersOf(file.otherHeaders) }),
    ...expectedOf(record, file),
    xet: xetSpecOf(file, record.xet, older === null ? null : { path: before(older), stamp: older }),
    directory: dirname(target),
    filename: path.slice(path.lastIndexOf('/') + 1),
    ...placement,
  }
}

/** Returns what a file must be found to be. Where the caller and the source both say something, the caller counts. */
export function expectedOf(
  { sha256, digest, size }: Pick<DownloadRecord, 'sha256' | 'digest' | 'size'>,
  file: Pick<ResolvedFile, 'sha256' | 'digests' | 'size'> = {},
): Expected {
  const given = digest === undefined ? null : parseDigest(digest)
  const own: ExpectedDigest[] = given === null ? [] : [{ ...given, from: 'caller' }]
  const others = (file.digests ?? []).filter(({ algorithm }) => algorithm !== given?.algorithm)
  return {
    sha256: sha256 ?? file.sha256 ?? null,
    sha256From: sha256 === null ? 'source' : 'caller',
    digests: [
      ...own,
      ...others.map(({ algorithm, value }) => ({ algorithm, value, from: 'source' }) as const),
    ],
    size: size ?? file.size ?? null,
  }
}

function otherHeadersOf(
  given: NonNullable<ResolvedFile['otherHeaders']>,
): Record<string, Record<string, string>> {
  return Object.fromEntries(Object.entries(given).map(([origin, headers]) => [origin, { ...headers }]))
}

/**
 * Returns the name of the only file of a ref, for downloads without a name of their own. It is cleaned, unless the
 * file goes into a cache, where other programs look it up.
 *
 * @throws DownloadError `UNSAFE_FILENAME`, also for a file that would configure programs: the caller may have chosen
 * the repository, but not this name.
 */
export function ownName({ filename }: ResolvedFile, layout: DownloadRecord['layout']): string {
  const segment = filename.slice(filename.lastIndexOf('/') + 1)
  if (layout !== 'flat') return checkFilename(segment)
  const name = cleanFilename(segment) ?? checkFilename(segment)
  requireNoConfig(name)
  return name
}

/**
 * Returns the address of a file with its headers. Those of the caller take precedence over those of the
 * source, regardless of case.
 */
export function addressOf(
  file: ResolvedFile,
  given: Readonly<Record<string, string>>,
): { url: string; headers: Record<string, string> } {
  const taken = new Set(Object.keys(given).map((name) => name.toLowerCase()))
  const own = Object.entries(file.headers).filter(([name]) => !taken.has(name.toLowerCase()))
  return { url: file.urls[0] ?? '', headers: { ...Object.fromEntries(own), ...given } }
}

// ---- The layout, and the caches that a file may be adopted from.

/** The fields of a transfer's spec that depend on the layout. */
export type Placement = Pick<TransferSpec, 'adopt' | 'cache' | 'gitOid'> &
  Partial<{ directory: string; filename: string }>

/**
 * Returns where a resolved file is stored, if its name alone does not determine that, and where it may be
 * adopted from.
 *
 * @param root - the folder of the download.
 * @param caches - caches of this machine.
 * @throws DownloadError the errors of {@link cachePlaceOf}.
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
 * Returns which caches to search for a copy of the file, and whether a hard link is acceptable; null if it
 * must be fetched.
 *
 * @param caches - caches of this machine.
 * @param filename - the name that its source uses.
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

/**
 * Returns the cache of the Hugging Face libraries that the environment selects.
 *
 * @throws DownloadError `INVALID_OPTIONS` if the environment names none and the user has no home folder.
 */
export function environmentCache(): string {
  const cache = hubCache({ env: process.env, home: homeFolder(), platform: process.platform })
  if (cache !== null) return cache
  throw invalidOption('directory', 'is needed, since there is no home folder; or set HF_HOME')
}

/** Returns the folder of this package in the user's cache folder; null if there is none. */
export function userCache(): string | null {
  return programCache(
    { env: process.env, home: homeFolder(), platform: process.platform },
    'model-downloader',
  )
}

/** Returns the caches of this machine. */
export function machineCaches(): KnownCaches {
  return knownCaches({ env: process.env, home: homeFolder(), platform: process.platform })
}

// ---- places

/** The fields of a record that determine where its file is stored. */
export type Place = Pick<DownloadRecord, 'directory' | 'mode' | 'filename'> &
  Partial<Pick<DownloadRecord, 'cache'>>

/** Returns the path of the file that users open, below the folder of its mode or the cache, as segments. */
export function pathBelow({ filename, cache = null }: Place): readonly string[] {
  if (cache === null) return [filename]
  // For several files, the first segment is the source's name for all of them, which is not a folder in a
  // cache.
  const path = cache.path ?? filename.split('/').slice(1).join('/')
  return snapshotPath({ ...cache, path })
}

/** Maps the files of a manager to paths: `<directory>/<mode>/<filename>`, or a place in a cache. */
export class Destinations {
  readonly directory: string
  readonly #modes: ReadonlySet<string>
  readonly #defaultMode: string | null
  readonly #linkedModes: boolean

  /** @param linkedModes - whether the folders of the modes may be symbolic links. */
  constructor(directory: string, modes: readonly string[], defaultMode: string | null, linkedModes = false) {
    this.directory = directory
    this.#modes = new Set(defaultMode === null ? modes : [...modes, defaultMode])
    this.#defaultMode = defaultMode
    this.#linkedModes = linkedModes
  }

  /**
   * Returns the mode to use, given the caller's, which may be missing.
   *
   * @throws DownloadError `INVALID_OPTIONS` for a mode that is not registered.
   */
  modeOf(given: string | null | undefined): string | null {
    if (given === undefined) return this.#defaultMode
    if (given === null || this.#modes.has(given)) return given
    throw invalidOption('mode', `must be one of ${[...this.#modes].join(', ')}`)
  }

  /** The manager's own folder, and that of each mode. */
  get modeFolders(): { mode: string | null; folder: string }[] {
    return [null, ...this.#modes].map((mode) => ({ mode, folder: this.folderOf({ directory: null, mode }) }))
  }

  /**
   * Normalizes a folder: null for the manager's own; a relative path if it is inside that, so that the record
   * stays valid when the manager's folder is moved; otherwise an absolute path.
   */
  directoryOf(given: string): string | null {
    const absolute = resolve(this.directory, given)
    if (!isInside(this.directory, absolute)) return absolute
    const inside = relative(this.directory, absolute)
    return inside === '' ? null : inside
  }

  /** Returns the folder that a file is stored in. */
  folderOf(place: Pick<Place, 'directory' | 'mode'>): string {
    const { directory, mode } = place
    return directory === null && mode === null
      ? this.directory
      : resolve(this.directory, directory ?? '', mode ?? '')
  }

  /**
   * Returns the folder that the host application has named for a file. It may be a symbolic link, but no
   * folder below it may: whoever can write there could otherwise choose where files are written and deleted.
   */
  rootOf(place: Pick<Place, 'directory' | 'mode'>): string {
    const { directory, mode } = place
    const root = directory !== null && isAbsolute(directory) ? directory : this.directory
    const isDirect = directory === null || root === directory
    return this.#linkedModes && mode !== null && isDirect ? join(root, mode) : root
  }

  /** Whether a folder, or one between it and that of the host application, is a symbolic link. */
  async isBehindLink(place: Pick<Place, 'directory' | 'mode'>, folder: string): Promise<boolean> {
    return (await linkBelow(this.rootOf(place), folder)) !== null
  }

  /** Returns the absolute path of a file. */
  pathOf(place: Place): string {
    return join(this.folderOf(place), ...pathBelow(place))
  }

  /** Returns the path of the file that is written, which in a cache is the blob; null for several files. */
  writtenPath(place: Place): string | null {
    const written = this.#written(place)
    return written === null ? null : join(written.folder, written.filename)
  }

  /** Returns the file that is written, which in a cache is the blob; null for several files. */
  #written(place: Place): { folder: string; filename: string } | null {
    const { cache = null, filename } = place
    const folder = this.folderOf(place)
    if (cache === null) return { folder, filename }
    return cache.blob === null ? null : { folder: join(folder, ...blobFolder(cache)), filename: cache.blob }
  }

  /**
   * Whether the file exists as expected, as far as that is known without hashing it. It may still change
   * before the transfer checks it, so the result affects only the order of downloads.
   */
  async holds(record: Readonly<DownloadRecord>): Promise<boolean> {
    const { named, force, size, sha256, digest, stamp } = record
    if (!named || force) return false
    const written = this.#written(record)
    if (written === null) return false
    const stat = await io.lstatIfThere(join(written.folder, written.filename)).catch(() => null)
    if (stat?.isFile() !== true || (size !== null && size !== stat.size)) return false
    if (sha256 === null && digest === undefined) return true
    if (stamp === null || !isSame(stat, stamp) || (sha256 !== null && sha256 !== stamp.sha256)) return false
    const { verification } = stamp
    return digest === undefined || (verification !== undefined && digest === digestText(verification))
  }

  /** Deletes the partial bytes of a stopped transfer, unless another process is writing them by now. */
  async discardBytes(record: Place & Pick<DownloadRecord, 'named'>): Promise<void> {
    const written = record.named ? this.#written(record) : null
    if (written === null) return
    const paths = partPaths(written.folder, written.filename)
    // Nothing is ever written behind a link, so what is there is not ours.
    if (!(await this.isBehindLink(record, dirname(paths.target)))) await discardIfFree(paths)
  }

  /**
   * Deletes a finished file.
   *
   * @throws DownloadError `TARGET_NOT_REGULAR` when one of its folders is a symbolic link.
   */
  async deleteFile(place: Place): Promise<void> {
    await requireNoLinks(this.rootOf(place), dirname(this.pathOf(place)))
    await removeFiles([this.pathOf(place)])
    const { cache = null } = place
    if (cache !== null && cache.blob !== null)
      await removeBlobs(join(this.folderOf(place), cache.folder), [cache.blob])
  }
}

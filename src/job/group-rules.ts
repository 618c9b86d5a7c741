/**
 * Rules of a group: where its files may be stored, what is left of an earlier run, and how the group ends.
 * Pure.
 */
import { cleanFilename, displayedPath, maxPathBytes, safePath } from '../disk/names.js'
import type { GroupFileInit } from '../download/group.js'
import type { GroupFileRecord, GroupRecord } from '../download/record.js'
import {
  DownloadError,
  type DownloadErrorCode,
  type SerializedDownloadError,
  toDownloadError,
} from '../errors.js'
import type { ResolvedFile } from '../sources/source.js'

// ---- Paths of a group's files: which are safe, and whether they can exist beside each other.

/** Maximum number of files in a group, since its state is kept in a single record. */
export const maxGroupFiles = 10_000

/**
 * Maximum number of segments in all paths of a group together. It is more than any model has, and keeps the
 * checks of hostile lists short.
 */
const maxSegments = 32 * maxGroupFiles

/** A file of a group, and where it is stored. */
export interface PlacedFile {
  /** Relative to the group's folder, with slashes; every segment is safe. */
  path: string
  file: ResolvedFile
}

/** A file that can't be stored under the name that its source gives it. */
export interface RefusedFile {
  file: ResolvedFile
  /** The name as it may be shown. */
  shown: string
  /** The path it would have if its name were cleaned. */
  path: string
  reason: DownloadError
}

/** Where the files of a group are stored, and which of them can't be. */
export interface GroupPlan {
  placed: PlacedFile[]
  refused: RefusedFile[]
}

/**
 * Decides where the files of a group are stored. A file whose name can't be used doesn't keep the others from being
 * fetched.
 *
 * @param restrictNames - whether to store such files under cleaned names.
 * @throws DownloadError `UNSAFE_FILENAME` for a path that leads out of the folder, and when no file has a name that
 * can be used; `CONFLICT` for two files that many file systems treat as the same, and for a file that would also have
 * to be a folder; `INVALID_OPTIONS` for more than {@link maxGroupFiles} files, or
 * far too many folders.
 */
export function planGroup(files: readonly ResolvedFile[], restrictNames = false): GroupPlan {
  if (files.length > maxGroupFiles) {
    const message = `names ${files.length} files, more than ${maxGroupFiles}; choose some with include or exclude`
    throw new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
  }
  const segments = files.reduce((sum, { filename }) => sum + filename.split('/', maxSegments).length, 0)
  if (segments > maxSegments) {
    const message = 'names files in too many folders inside each other; choose some with include or exclude'
    throw new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
  }
  const known = new Map<string, string>()
  const placed: PlacedFile[] = []
  const odd: { file: ResolvedFile; reason: DownloadError }[] = []
  for (const file of files) {
    if (file.filename.split('/').some((segment) => /^\.{0,2}$/.test(segment))) safePath(file.filename)
    try {
      placed.push({ path: safePath(file.filename, known), file })
    } catch (error) {
      odd.push({ file, reason: toDownloadError(error) })
    }
  }
  const taken = requireDistinct(placed.map(({ path }) => path))
  const refused: RefusedFile[] = []
  for (const { file, reason } of odd) {
    const path = cleanPath(file.filename)
    if (restrictNames && path !== null && taken.add(path) === null) placed.push({ path, file })
    else refused.push({ file, shown: displayedPath(file.filename), path: path ?? '_', reason })
  }
  if (placed.length === 0 && refused[0] !== undefined) throw refused[0].reason
  return { placed, refused }
}

/** Cleans every segment of a path; null when the result is too long. */
function cleanPath(path: string): string | null {
  if (path.length > 4 * maxPathBytes) return null
  const clean = path
    .split('/')
    .map((segment) => cleanFilename(segment) ?? '_')
    .join('/')
  return Buffer.byteLength(clean) > maxPathBytes ? null : clean
}

/** Paths that can exist beside each other. */
class DistinctPaths {
  readonly #files = new Map<string, string>()
  readonly #folders = new Map<string, string>()

  /**
   * Adds a path, unless it is in the way of another one. Many file systems do not distinguish `a` from `A`, and none
   * can have a file and a folder of the same name.
   *
   * @returns null, or what is wrong, as a part of a sentence about the source.
   */
  add(path: string): string | null {
    const key = caseless(path)
    const other = this.#files.get(key)
    if (other === path) return `names ${path} twice`
    if (other !== undefined) return `has both ${other} and ${path}, which are the same file on many systems`
    const below = this.#folders.get(key)
    if (below !== undefined) return `has ${path} as a file and as the folder of ${below}`
    const folders: string[] = []
    // The folders around one that is known are known, too.
    for (let slash = key.lastIndexOf('/'); slash > 0; slash = key.lastIndexOf('/', slash - 1)) {
      const folder = key.slice(0, slash)
      if (this.#folders.has(folder)) break
      const file = this.#files.get(folder)
      if (file !== undefined) return `has ${file} as a file and as the folder of ${path}`
      folders.push(folder)
    }
    this.#files.set(key, path)
    for (const folder of folders) this.#folders.set(folder, path)
    return null
  }
}

/** @throws DownloadError `CONFLICT`. */
function requireDistinct(paths: readonly string[]): DistinctPaths {
  const taken = new DistinctPaths()
  for (const path of paths) {
    const wrong = taken.add(path)
    if (wrong !== null)
      throw new DownloadError('CONFLICT', `The source ${wrong}; choose one with include or exclude.`)
  }
  return taken
}

function caseless(path: string): string {
  return path.toUpperCase().toLowerCase().normalize('NFC')
}

// ---- What is left of an earlier run of a group after its source has been resolved again.

/** Initial state of a group. */
export interface Merged {
  revision: string | null
  files: GroupFileInit[]
  /** Files of the earlier run that the source no longer has, or has in a different version. */
  outdated: GroupFileRecord[]
}

/** Returns the revision that all files are bound to; null if there is none, or more than one. */
export function commonRevision(files: readonly ResolvedFile[]): string | null {
  const first = files[0]?.revision ?? null
  return files.every(({ revision }) => (revision ?? null) === first) ? first : null
}

/**
 * Merges the recorded state with what the source lists now. A complete file is kept only if it has the same
 * revision or the same digest: files of two revisions are never mixed.
 */
export function merge(planned: readonly PlacedFile[], known: GroupRecord | null): Merged {
  const revision = commonRevision(planned.map(({ file }) => file))
  const same = known !== null && revision === known.revision
  const byPath = new Map(known?.files.map((file) => [file.path, file]))
  const outdated: GroupFileRecord[] = []
  const files = planned.map(({ path, file }) => {
    const { size, sha256 } = file
    const fresh: GroupFileInit = { path, size, sha256 }
    const old = byPath.get(path)
    byPath.delete(path)
    // Without a digest, only the revision can tell whether an existing file is a different one.
    const possiblyStale = { ...fresh, stale: true as const }
    if (old === undefined) return sha256 === undefined && file.revision !== undefined ? possiblyStale : fresh
    if (isSame(old, file, same)) {
      const { done, stamp, fetched, stale, downloaded } = old
      return { ...fresh, done, stamp, fetched, stale, downloaded }
    }
    outdated.push(old)
    return { ...(sha256 === undefined ? possiblyStale : fresh), fetched: old.fetched }
  })
  return { revision, files, outdated: [...outdated, ...byPath.values()] }
}

/** Whether a recorded file is still the one that the source lists. */
function isSame(old: GroupFileRecord, { size, sha256 }: ResolvedFile, sameRevision: boolean): boolean {
  if (old.sha256 !== undefined && sha256 !== undefined) return old.sha256 === sha256
  const sameSize = old.size === undefined || size === undefined || old.size === size
  return sameSize && sameRevision
}

// ---- How a group ends when some of its files could not be fetched, and when it is useless to continue.

/** Errors that the next file would hit as well. */
const fatalAtOnce: ReadonlySet<DownloadErrorCode> = new Set(['NO_SPACE', 'READ_ONLY'])

/** Errors caused by the server, the network or the system and not by a single file. */
const systemic: ReadonlySet<DownloadErrorCode> = new Set([
  ...fatalAtOnce,
  'ACCESS_DENIED',
  'HTTP_ERROR',
  'STALLED',
  'SSRF_BLOCKED',
  'REDIRECT_BLOCKED',
  'NAME_RESOLUTION',
  'CONNECT_FAILED',
  'TLS_ERROR',
  'PERMISSION',
  'TARGET_LOCKED',
])

/** Number of consecutive failures with one systemic cause after which the remaining files are skipped. */
const streakLength = 8

/** Errors that tell about the group as a whole, even if only some of its files have them. */
const aboutGroup: ReadonlySet<DownloadErrorCode> = new Set([...fatalAtOnce, 'OFFLINE'])

/** Detects failures that the remaining files of a group would hit as well. */
export class FailureStreak {
  #last: DownloadErrorCode | null = null
  #length = 0

  /** Records that a file has completed. */
  succeeded(): void {
    this.#length = 0
  }

  /** Records that a file has failed. Returns whether the waiting files should be skipped. */
  failed(code: DownloadErrorCode): boolean {
    this.#length = code === this.#last ? this.#length + 1 : 1
    this.#last = code
    return fatalAtOnce.has(code) || (systemic.has(code) && this.#length >= streakLength)
  }
}

/** Returns the error of a group with missing files. */
export function groupError(
  failures: readonly SerializedDownloadError[],
  files: { missing: number; total: number },
): SerializedDownloadError {
  const { missing, total } = files
  const [first] = failures
  const retryable = failures.some((failure) => failure.retryable)
  const oneCause = first !== undefined && failures.every(({ code }) => code === first.code)
  if (oneCause && (aboutGroup.has(first.code) || (systemic.has(first.code) && missing === total))) {
    return { ...first, retryable, message: `${first.message} ${missing} of ${total} files are missing.` }
  }
  return {
    code: 'GROUP_INCOMPLETE',
    message: `${missing} of ${total} files could not be fetched${first === undefined ? '' : `; the first: ${first.message}`}`,
    retryable,
  }
}

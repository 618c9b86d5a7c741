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
import { Slices } from '../util/slices.js'

// ---- Paths of a group's files: which are safe, and whether they can exist beside each other.

/** Maximum number of files in a group, since its state is kept in a single record. */
export const maxGroupFiles = 10_000

/**
 * Maximum number of segments in all paths of a group together. It is more than any model has, and keeps the
 * checks of hostile lists short.
 */
const maxSegments = 32 * maxGroupFiles

/** What checking one character of a path costs at most, compared with reading it. */
const characterUnits = 16

/** What planning a file costs besides that. */
const fileUnits = 200

/** Of a longer path, only the length is looked at, in characters. */
const maxCheckedLength = 4 * maxPathBytes

/** Longer names of files that are left out are cut off, in characters. */
const maxShownLength = 1_024

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
 * fetched. Long lists are planned in slices, so that the event loop gets its turn in between.
 *
 * @param restrictNames - whether to store such files under cleaned names.
 * @param slices - counts the work.
 * @throws DownloadError `UNSAFE_FILENAME` for a path that leads out of the folder, and when no file has a name that
 * can be used; `CONFLICT` for two files that many file systems treat as the same, and for a file that would also have
 * to be a folder; `INVALID_OPTIONS` for more than {@link maxGroupFiles} files, or
 * far too many folders.
 */
export async function planGroup(
  files: readonly ResolvedFile[],
  restrictNames = false,
  slices = new Slices(),
): Promise<GroupPlan> {
  if (files.length > maxGroupFiles) {
    const message = `names ${files.length} files, more than ${maxGroupFiles}; choose some with include or exclude`
    throw new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
  }
  let segments = 0
  for (const { filename } of files) {
    segments += filename.split('/', maxSegments).length
    if (segments > maxSegments) {
      const message = 'names files in too many folders inside each other; choose some with include or exclude'
      throw new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, {
        issues: [{ path: 'url', message }],
      })
    }
    slices.spend(filename.length)
    if (slices.isOver) await slices.rest()
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
    slices.spend(unitsOf(file))
    if (slices.isOver) await slices.rest()
  }
  const taken = new DistinctPaths()
  for (const { path, file } of placed) {
    const wrong = taken.add(path)
    if (wrong !== null)
      throw new DownloadError('CONFLICT', `The source ${wrong}; choose one with include or exclude.`)
    slices.spend(unitsOf(file))
    if (slices.isOver) await slices.rest()
  }
  const refused: RefusedFile[] = []
  for (const { file, reason } of odd) {
    const path = cleanPath(file.filename)
    if (restrictNames && path !== null && taken.add(path) === null) placed.push({ path, file })
    else refused.push({ file, shown: shownName(file.filename), path: path ?? '_', reason })
    slices.spend(unitsOf(file))
    if (slices.isOver) await slices.rest()
  }
  if (placed.length === 0 && refused[0] !== undefined) throw refused[0].reason
  return { placed, refused }
}

function unitsOf({ filename }: ResolvedFile): number {
  return fileUnits + characterUnits * Math.min(filename.length, maxCheckedLength)
}

function shownName(name: string): string {
  const isLong = name.length > maxShownLength
  return isLong ? `${displayedPath(name.slice(0, maxShownLength))}…` : displayedPath(name)
}

/** Cleans every segment of a path; null when the result is too long. */
function cleanPath(path: string): string | null {
  if (path.length > maxCheckedLength) return null
  const clean = path
    .split('/')
    .map((segment) => cleanFilename(segment) ?? '_')
    .join('/')
  return Buffer.byteLength(clean) > maxPathBytes ? null : clean
}

/** A name in a folder. */
interface PathNode {
  /** Distinguishes it from all others. */
  readonly id: number
  /** The path of the file, or of one below the folder. */
  readonly path: string
  readonly isFile: boolean
}

/** Paths that can exist beside each other. */
class DistinctPaths {
  /** By the number of the folder and the name in it, so that deep paths have no long keys. */
  readonly #nodes = new Map<string, PathNode>()

  /**
   * Adds a path, unless it is in the way of another one. Many file systems do not distinguish `a` from `A`, and none
   * can have a file and a folder of the same name.
   *
   * @returns null, or what is wrong, as a part of a sentence about the source.
   */
  add(path: string): string | null {
    const names = caseless(path).split('/')
    let folder = 0
    for (const [depth, name] of names.entries()) {
      const isFile = depth === names.length - 1
      const key = `${folder}/${name}`
      const known = this.#nodes.get(key)
      if (known === undefined) {
        // Nothing below a new folder is known, so nothing can be in the way from here on.
        const id = this.#nodes.size + 1
        this.#nodes.set(key, { id, path, isFile })
        folder = id
      } else if (known.isFile && isFile) {
        if (known.path === path) return `names ${path} twice`
        return `has both ${known.path} and ${path}, which are the same file on many systems`
      } else if (known.isFile) return `has ${known.path} as a file and as the folder of ${path}`
      else if (isFile) return `has ${path} as a file and as the folder of ${known.path}`
      else folder = known.id
    }
    return null
  }
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
 * revision, the same digest or the same id in git: files of two revisions are never mixed.
 */
export function merge(planned: readonly PlacedFile[], known: GroupRecord | null): Merged {
  const revision = commonRevision(planned.map(({ file }) => file))
  const byPath = new Map(known?.files.map((file) => [file.path, file]))
  const outdated: GroupFileRecord[] = []
  const files = planned.map(({ path, file }) => {
    const { size, sha256, gitOid } = file
    const id = sha256 === undefined && gitOid !== undefined ? { gitOid } : {}
    const own = revision === null && file.revision !== undefined ? { revision: file.revision } : {}
    const fresh: GroupFileInit = { path, size, sha256, ...id, ...own }
    const old = byPath.get(path)
    byPath.delete(path)
    // Without a digest, only the revision can tell whether an existing file is a different one.
    const possiblyStale = { ...fresh, stale: true as const }
    if (old === undefined) return sha256 === undefined && file.revision !== undefined ? possiblyStale : fresh
    const before = old.revision ?? known?.revision ?? undefined
    if (isSame(old, file, before === file.revision)) {
      const { done, stamp, older, fetched, stale, downloaded } = old
      return { ...fresh, done, stamp, older, fetched, stale, downloaded }
    }
    outdated.push(old)
    // Until the new version is complete, the last complete one stays on disk, whatever came in between.
    const older = old.done !== true ? old.older : old.stamp?.xet === undefined ? undefined : old.stamp
    return { ...(sha256 === undefined ? possiblyStale : fresh), older, fetched: old.fetched }
  })
  return { revision, files, outdated: [...outdated, ...byPath.values()] }
}

/** Whether a recorded file is still the one that the source lists. */
function isSame(
  old: GroupFileRecord,
  { size, sha256, gitOid }: ResolvedFile,
  sameRevision: boolean,
): boolean {
  if (old.sha256 !== undefined && sha256 !== undefined) return old.sha256 === sha256
  if (old.gitOid !== undefined && gitOid !== undefined) return old.gitOid === gitOid
  const sameSize = old.size === undefined || size === undefined || old.size === size
  return sameSize && sameRevision
}

// ---- How a group ends when some of its files could not be fetched, and when it is useless to continue.

/** Errors that the next file would hit as well. */
const fatalAtOnce: ReadonlySet<DownloadErrorCode> = new Set(['NO_SPACE', 'READ_ONLY', 'TAKEN_OVER'])

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

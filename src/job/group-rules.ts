/**
 * Rules of a group: where its files may be stored, what is left of an earlier run, and how the group ends.
 * Pure.
 */
import { checkFilename } from '../disk/names.js'
import type { GroupFileInit } from '../download/group.js'
import type { GroupFileRecord, GroupRecord } from '../download/record.js'
import { DownloadError, type DownloadErrorCode, type SerializedDownloadError } from '../errors.js'
import type { ResolvedFile } from '../sources/source.js'

// ---- Paths of a group's files: which are safe, and whether they can exist beside each other.

/** Maximum number of files in a group, since its state is kept in a single record. */
export const maxGroupFiles = 10_000

/**
 * Maximum length in bytes of a path inside a group, so that systems can still open it together with the path
 * of the folder.
 */
const maxPathBytes = 1_024

/** A file of a group, and where it is stored. */
export interface PlacedFile {
  /** Relative to the group's folder, with slashes; every segment is safe. */
  path: string
  file: ResolvedFile
}

/**
 * Decides where the files of a group are stored.
 *
 * @throws DownloadError `UNSAFE_FILENAME` for a path that leads out of the folder, has an unsafe segment or
 * is too long; `CONFLICT` for two files that many file systems treat as the same, and for a file that would
 * also have to be a folder; `INVALID_OPTIONS` for more than {@link maxGroupFiles} files.
 */
export function planGroup(files: readonly ResolvedFile[]): PlacedFile[] {
  if (files.length > maxGroupFiles) {
    const message = `names ${files.length} files, more than ${maxGroupFiles}; choose some with include or exclude`
    throw new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
  }
  const planned = files.map((file) => ({ path: safePath(file.filename), file }))
  requireDistinct(planned.map(({ path }) => path))
  return planned
}

/**
 * Returns the path if every segment is a safe file name.
 *
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function safePath(path: string): string {
  const safe = path
    .split('/')
    .map((segment) => checkFilename(segment))
    .join('/')
  if (Buffer.byteLength(safe) > maxPathBytes) {
    const start = safe.slice(0, 40).replace(/[^\x20-\x7e]/g, '?')
    throw new DownloadError(
      'UNSAFE_FILENAME',
      `The path "${start}…" is longer than ${String(maxPathBytes)} bytes.`,
    )
  }
  return safe
}

/**
 * Many file systems do not distinguish `a` from `A`, and none can have a file and a folder of the same name.
 */
function requireDistinct(paths: readonly string[]): void {
  const taken = new Map<string, string>()
  for (const path of paths) {
    const key = caseless(path)
    const other = taken.get(key)
    if (other !== undefined) {
      const same =
        other === path
          ? `names ${path} twice`
          : `has both ${other} and ${path}, which are the same file on many systems`
      throw new DownloadError('CONFLICT', `The source ${same}; choose one with include or exclude.`)
    }
    taken.set(key, path)
  }
  for (const path of paths) {
    const key = caseless(path)
    for (let slash = key.indexOf('/'); slash !== -1; slash = key.indexOf('/', slash + 1)) {
      const other = taken.get(key.slice(0, slash))
      if (other === undefined) continue
      const message = `The source has ${other} as a file and as the folder of ${path}; choose one with include or exclude.`
      throw new DownloadError('CONFLICT', message)
    }
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
  if (oneCause && systemic.has(first.code) && (missing === total || fatalAtOnce.has(first.code))) {
    return { ...first, retryable, message: `${first.message} ${missing} of ${total} files are missing.` }
  }
  return {
    code: 'GROUP_INCOMPLETE',
    message: `${missing} of ${total} files could not be fetched${first === undefined ? '' : `; the first: ${first.message}`}`,
    retryable,
  }
}

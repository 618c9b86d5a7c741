/** The rules of a group: where its files may lie, what an earlier run has left of it, and how it ends. Pure. */
import { checkFilename } from '../disk/names.js'
import type { GroupFileInit } from '../download/group.js'
import type { GroupFileRecord, GroupRecord } from '../download/record.js'
import { DownloadError, type DownloadErrorCode, type SerializedDownloadError } from '../errors.js'
import type { ResolvedFile } from '../sources/source.js'

// ---- From what a source tells to paths on disk: which are safe, and whether they can lie beside each other. Pure.

/** Most files of one group: what is remembered of it is one record. */
export const maxGroupFiles = 10_000

/** Longest path inside a group, in bytes, so that with the folder around it systems can still open it. */
const maxPathBytes = 1_024

/** A file of a group, and where it goes. */
export interface PlacedFile {
  /** Relative to the group's folder, with slashes; every segment is safe. */
  path: string
  file: ResolvedFile
}

/**
 * Plans where the files of a group go.
 *
 * @throws DownloadError `UNSAFE_FILENAME` for a path that climbs, has an unsafe segment or is too long; `CONFLICT` for
 * two files that many file systems take for one, and for a file that would have to be a folder too; `INVALID_OPTIONS`
 * for more than {@link maxGroupFiles}.
 */
export function planGroup(files: readonly ResolvedFile[]): PlacedFile[] {
  if (files.length > maxGroupFiles) {
    const message = `names ${files.length} files, more than ${maxGroupFiles}; choose some with include or exclude`
    throw new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
  }
  const planned = files.map((file) => ({ path: safePath(file.filename), file }))
  requireApart(planned.map(({ path }) => path))
  return planned
}

/**
 * A path whose every segment is a safe file name.
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

/** Many file systems don't tell `a` from `A`, and none has a file and a folder of one name. */
function requireApart(paths: readonly string[]): void {
  const taken = new Map<string, string>()
  for (const path of paths) {
    const key = caseless(path)
    const other = taken.get(key)
    if (other !== undefined) {
      const same =
        other === path ? `names ${path} twice` : `has both ${other} and ${path}, one file to many disks`
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

// ---- What is left of an earlier run of a group when its source has been asked again. Pure.

/** What a group begins with. */
export interface Merged {
  revision: string | null
  files: GroupFileInit[]
  /** Files of the earlier run that the source has no more, or has in another version. */
  outdated: GroupFileRecord[]
}

/** The revision that all files are bound to; null when there is none, or more than one. */
export function commonRevision(files: readonly ResolvedFile[]): string | null {
  const first = files[0]?.revision ?? null
  return files.every(({ revision }) => (revision ?? null) === first) ? first : null
}

/**
 * Lays what is remembered beside what the source says now. A file that is there stays so only when it is of the same
 * revision, or has the same digest: files of two revisions are never mixed.
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
    // Nothing but the revision tells whether what may lie there is another file.
    const doubtful = { ...fresh, stale: true as const }
    if (old === undefined) return sha256 === undefined && file.revision !== undefined ? doubtful : fresh
    if (isSame(old, file, same)) {
      const { done, stamp, fetched, stale, downloaded } = old
      return { ...fresh, done, stamp, fetched, stale, downloaded }
    }
    outdated.push(old)
    return { ...(sha256 === undefined ? doubtful : fresh), fetched: old.fetched }
  })
  return { revision, files, outdated: [...outdated, ...byPath.values()] }
}

/** Whether a remembered file is still what the source means. */
function isSame(old: GroupFileRecord, { size, sha256 }: ResolvedFile, sameRevision: boolean): boolean {
  if (old.sha256 !== undefined && sha256 !== undefined) return old.sha256 === sha256
  const sameSize = old.size === undefined || size === undefined || old.size === size
  return sameSize && sameRevision
}

// ---- How a group ends when some of its files could not be had, and when it is no use to go on. Pure.

/** Errors that the next file would hit as well. */
const hopelessAtOnce: ReadonlySet<DownloadErrorCode> = new Set(['NO_SPACE', 'READ_ONLY'])

/** Causes that lie with the server or the network, not with one file. */
const systemic: ReadonlySet<DownloadErrorCode> = new Set([
  ...hopelessAtOnce,
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

/** So many failures of one systemic cause in a row, without a file in between, and the rest is not tried. */
const rowLength = 8

/** Watches the ends of files. */
export class FailureStreak {
  #last: DownloadErrorCode | null = null
  #row = 0

  /** A file came. */
  succeeded(): void {
    this.#row = 0
  }

  /** A file failed; whether that leaves no hope for those that wait. */
  failed(code: DownloadErrorCode): boolean {
    this.#row = code === this.#last ? this.#row + 1 : 1
    this.#last = code
    return hopelessAtOnce.has(code) || (systemic.has(code) && this.#row >= rowLength)
  }
}

/** The error of a group. */
export function groupError(
  failures: readonly SerializedDownloadError[],
  files: { missing: number; total: number },
): SerializedDownloadError {
  const { missing, total } = files
  const [first] = failures
  const retryable = failures.some((failure) => failure.retryable)
  const oneCause = first !== undefined && failures.every(({ code }) => code === first.code)
  if (oneCause && systemic.has(first.code) && (missing === total || hopelessAtOnce.has(first.code))) {
    return { ...first, retryable, message: `${first.message} ${missing} of ${total} files are missing.` }
  }
  return {
    code: 'GROUP_INCOMPLETE',
    message: `${missing} of ${total} files could not be fetched${first === undefined ? '' : `; the first: ${first.message}`}`,
    retryable,
  }
}

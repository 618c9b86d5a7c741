/** From what a source tells to paths on disk: which are safe, and whether they can lie beside each other. Pure. */
import { DownloadError } from '../errors.js'
import { checkFilename } from '../files/names.js'
import type { ResolvedFile } from '../sources/source.js'

/** Most files of one group: what is remembered of it is one record. */
export const maxGroupFiles = 10_000
/** Longest path inside a group, in bytes, so that with the folder around it systems can still open it. */
const maxPathBytes = 1_024

/** A file of a group, and where it goes. */
export interface PlannedFile {
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
export function planGroup(files: readonly ResolvedFile[]): PlannedFile[] {
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

/** Where a model's file lies or will lie. */
import { join } from 'node:path'
import type { FileStamp } from '../disk/stamp.js'
import type { Download } from '../download/download.js'
import type { Entry } from '../download/group.js'
import { sameList } from '../download/request.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import type { CatalogEntry } from './catalog.js'

/** A place for a file, and what is known of the file there. */
export interface ModelLocation {
  path: string
  stamp: FileStamp | null
  /** The files of a group, whose folder `path` is; null for a single file, and while nobody knows. */
  files: readonly Entry[] | null
}

/** Whether a known download is of the very file that the catalog means, at its place below `directory`. */
export function isSameFile(
  manager: DownloadManager,
  { record }: Download,
  entry: CatalogEntry,
  directory: string,
): boolean {
  return (
    record.directory === manager[internals].destinations.directoryOf(directory) &&
    isNamedSo(record, entry) &&
    isExpectedSo(record, entry)
  )
}

function isNamedSo(record: Download['record'], entry: CatalogEntry): boolean {
  const named = entry.filename === null || record.filename === entry.filename
  return record.mode === entry.mode && named && isChosenSo(record, entry)
}

function isExpectedSo(record: Download['record'], entry: CatalogEntry): boolean {
  const differ = (a: unknown, b: unknown) => a !== null && b !== null && a !== b
  return !differ(record.sha256, entry.sha256) && !differ(record.size, entry.size)
}

/** Whether the same files of a group are wanted. */
function isChosenSo(record: Download['record'], entry: CatalogEntry): boolean {
  return sameList(record.include, entry.include) && sameList(record.exclude, entry.exclude)
}

/** The model's file in a certain directory; null while nobody knows its name, or which files it is. */
export function locationIn(
  manager: DownloadManager,
  entry: CatalogEntry,
  directory: string,
): ModelLocation | null {
  const known = manager.get(entry.url)
  if (known !== undefined && !isChosenSo(known.record, entry)) return null
  const filename = entry.filename ?? (known?.named === true ? known.filename : null)
  if (filename === null) return null
  const path = join(directory, entry.mode ?? '', filename)
  return known?.path === path ? locationOf(known) : { path, stamp: null, files: null }
}

/**
 * Where the model's file may lie: where the manager last brought it, where the last run put it, and in the manager's
 * own directory. The first is the likeliest.
 */
export function modelLocations(
  manager: DownloadManager,
  entry: CatalogEntry,
  lastDirectory: string | null,
): ModelLocation[] {
  const known = manager.get(entry.url)
  const spots: (ModelLocation | null)[] = []
  if (known?.named === true && isNamedSo(known.record, entry)) spots.push(locationOf(known))
  if (lastDirectory !== null) spots.push(locationIn(manager, entry, lastDirectory))
  spots.push(locationIn(manager, entry, manager.directory))
  return spots.filter((spot) => spot !== null)
}

function locationOf({ path, record, groupFiles }: Download): ModelLocation {
  return { path, stamp: record.stamp, files: groupFiles?.files ?? null }
}

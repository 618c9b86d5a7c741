/** Locations of model files. */
import { join } from 'node:path'
import type { FileStamp } from '../disk/stamp.js'
import type { Place } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { GroupEntry } from '../download/group.js'
import { sameList } from '../download/request.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import type { CatalogEntry } from './catalog.js'

/** A location of a model file, and what is known about the file there. */
export interface ModelLocation {
  path: string
  stamp: FileStamp | null
  /** Files of a group, whose folder is `path`; null for a single file, and while unknown. */
  files: readonly GroupEntry[] | null
  /**
   * Whether the file was fetched for a remote caller from another address, and the catalog has no digest that
   * tells whether it is the model all the same.
   */
  foreign: boolean
}

/** Whether a download is of the file that the catalog entry describes, at its location below `directory`. */
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

/** Whether the same files of a group are selected. */
function isChosenSo(record: Download['record'], entry: CatalogEntry): boolean {
  return sameList(record.include, entry.include) && sameList(record.exclude, entry.exclude)
}

/** Location of the model file in a directory; null while its name, or the selection of files, is unknown. */
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
  if (known?.path === path) return locationOf(manager, known, entry)
  const place = {
    directory: manager[internals].destinations.directoryOf(directory),
    mode: entry.mode,
    filename,
  }
  return { path, stamp: null, files: null, foreign: isForeign(manager, place, entry) }
}

/**
 * Possible locations of the model file, most likely first: where the manager last downloaded it, where the
 * last run put it, and the directory of the manager.
 */
export function modelLocations(
  manager: DownloadManager,
  entry: CatalogEntry,
  lastDirectory: string | null,
): ModelLocation[] {
  const known = manager.get(entry.url)
  const locations: (ModelLocation | null)[] = []
  if (known?.named === true && isNamedSo(known.record, entry))
    locations.push(locationOf(manager, known, entry))
  if (lastDirectory !== null) locations.push(locationIn(manager, entry, lastDirectory))
  locations.push(locationIn(manager, entry, manager.directory))
  return locations.filter((location) => location !== null)
}

function locationOf(
  manager: DownloadManager,
  { path, record, groupFiles }: Download,
  entry: CatalogEntry,
): ModelLocation {
  const { stamp } = record
  return { path, stamp, files: groupFiles?.files ?? null, foreign: isForeign(manager, record, entry) }
}

function isForeign(manager: DownloadManager, place: Place, { url, sha256 }: CatalogEntry): boolean {
  const record = sha256 === null ? manager[internals].holderOf(place)?.record : undefined
  // Without a stamp, the file existed before.
  if (record === undefined || record.remote === null || record.stamp === null) return false
  return record.url !== url || record.untrustedMirrors === true
}

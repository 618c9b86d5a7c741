/** Locations of model files. */
import { join } from 'node:path'
import type { FileStamp } from '../disk/stamp.js'
import type { Place } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { GroupEntry } from '../download/group.js'
import type { DownloadOptions } from '../download/options.js'
import { sameList } from '../download/request.js'
import { findInCache, findUnlinked } from '../layouts/hf-lookup.js'
import { blobFolder, snapshotPath } from '../layouts/hf-paths.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { isRef } from '../sources/identify.js'
import type { CatalogEntry } from './catalog.js'

/** A location of a model file, and what is known about the file there. */
export interface ModelLocation {
  path: string
  /** The file in a Hugging Face cache that `path` is a link to; null elsewhere, and for a group. */
  blob: string | null
  stamp: FileStamp | null
  /** Files of a group, whose folder is `path`; null for a single file, and while unknown. */
  files: readonly GroupEntry[] | null
  /**
   * Whether the file was fetched for a remote caller from another address, and the catalog has no digest that
   * tells whether it is the model all the same.
   */
  foreign: boolean
}

/**
 * The request for a model.
 *
 * @param directory - the folder of the run. A cache is in the folder of the manager, or where the environment says, unless
 * the run has one of its own.
 */
export function requestFor(
  manager: DownloadManager,
  entry: CatalogEntry,
  directory: string,
): DownloadOptions {
  const { url, urls, include, exclude, mode, layout, filename, sha256, size } = entry
  const inCache = layout === 'hf-cache'
  return {
    url,
    ...(inCache ? {} : { mode }),
    ...(layout === undefined ? {} : { layout }),
    ...(inCache && directory === manager.directory ? {} : { directory }),
    ...(urls.length === 0 ? {} : { urls }),
    // Passed even if the catalog no longer has globs, because then more files are selected than in the
    // earlier request.
    ...(mayBeGroup(entry, manager) ? { include, exclude } : {}),
    ...(filename === null ? {} : { filename }),
    ...(sha256 === null ? {} : { sha256 }),
    ...(size === null ? {} : { size }),
  }
}

/** Whether a model may consist of several files. */
function mayBeGroup({ url, include, exclude }: CatalogEntry, manager: DownloadManager): boolean {
  return include.length > 0 || exclude.length > 0 || isRef(url, manager[internals].sources)
}

/** Returns the folder of a model: that of a run, or the cache; null for the manager's own. */
function directoryOf(manager: DownloadManager, entry: CatalogEntry, directory: string): string | null {
  const { destinations, read } = manager[internals]
  if (entry.layout !== 'hf-cache') return destinations.directoryOf(directory)
  return read(requestFor(manager, entry, directory)).targetDirectory
}

/** Returns the folder that the files of a model are stored in, as far as it is known before its download. */
export function folderFor(manager: DownloadManager, entry: CatalogEntry): string {
  const directory = directoryOf(manager, entry, manager.directory)
  return manager[internals].destinations.folderOf({ directory, mode: entry.mode })
}

/** Whether a model goes into the cache that the environment names. */
export function usesEnvironment(manager: DownloadManager, entry: CatalogEntry): boolean {
  return entry.layout === 'hf-cache' && directoryOf(manager, entry, manager.directory) !== null
}

/** Whether a download is of the file that the catalog entry describes, at its location below `directory`. */
export function isSameFile(
  manager: DownloadManager,
  { record }: Download,
  entry: CatalogEntry,
  directory: string,
): boolean {
  return (
    record.directory === directoryOf(manager, entry, directory) &&
    isNamedSo(record, entry) &&
    isExpectedSo(record, entry)
  )
}

function isNamedSo(record: Download['record'], entry: CatalogEntry): boolean {
  const { layout = 'flat' } = entry
  const named = entry.filename === null || record.filename === entry.filename
  return record.layout === layout && record.mode === entry.mode && named && isChosenSo(record, entry)
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
export async function locationIn(
  manager: DownloadManager,
  entry: CatalogEntry,
  directory: string,
): Promise<ModelLocation | null> {
  const known = manager.get(entry.url)
  if (known !== undefined && !isChosenSo(known.record, entry)) return null
  if (entry.layout === 'hf-cache') {
    const isThere = known?.named === true && isSameFile(manager, known, entry, directory)
    return isThere ? locationOf(manager, known, entry) : await locationInCache(manager, entry, directory)
  }
  const filename = entry.filename ?? (known?.named === true ? known.filename : null)
  if (filename === null) return null
  const path = join(directory, entry.mode ?? '', filename)
  if (known?.path === path) return locationOf(manager, known, entry)
  const place = {
    directory: manager[internals].destinations.directoryOf(directory),
    mode: entry.mode,
    filename,
  }
  return { path, blob: null, stamp: null, files: null, foreign: isForeign(manager, place, entry) }
}

/** Finds a single file in a cache, which another program may have put there. */
async function locationInCache(
  manager: DownloadManager,
  entry: CatalogEntry,
  directory: string,
): Promise<ModelLocation | null> {
  const { sources, destinations } = manager[internals]
  const cached = sources.find(entry.url)?.cachedFile?.(entry.url) ?? null
  if (cached === null) return null
  const root = destinations.folderOf({ directory: directoryOf(manager, entry, directory), mode: null })
  const place = await findInCache(root, cached)
  if (place === null) {
    const unlinked = await findUnlinked(root, cached)
    return unlinked === null ? null : { path: unlinked, blob: null, stamp: null, files: null, foreign: false }
  }
  const path = join(root, ...snapshotPath(place))
  const blob = join(root, ...blobFolder(place), place.blob)
  return { path, blob, stamp: null, files: null, foreign: false }
}

/**
 * Possible locations of the model file, most likely first: where the manager last downloaded it, where the
 * last run put it, and the directory of the manager.
 */
export async function modelLocations(
  manager: DownloadManager,
  entry: CatalogEntry,
  lastDirectory: string | null,
): Promise<ModelLocation[]> {
  const known = manager.get(entry.url)
  const locations: (ModelLocation | null)[] = []
  if (known?.named === true && isNamedSo(known.record, entry))
    locations.push(locationOf(manager, known, entry))
  if (lastDirectory !== null) locations.push(await locationIn(manager, entry, lastDirectory))
  locations.push(await locationIn(manager, entry, manager.directory))
  return locations.filter((location) => location !== null)
}

function locationOf(
  manager: DownloadManager,
  { path, record, groupFiles }: Download,
  entry: CatalogEntry,
): ModelLocation {
  const { stamp, cache } = record
  // The path of a file in a cache is that of its link.
  const id = cache?.blob ?? null
  const blob =
    cache === null || id === null
      ? null
      : join(manager[internals].destinations.folderOf(record), ...blobFolder(cache), id)
  return { path, blob, stamp, files: groupFiles?.files ?? null, foreign: isForeign(manager, record, entry) }
}

function isForeign(manager: DownloadManager, place: Place, { url, sha256 }: CatalogEntry): boolean {
  const record = sha256 === null ? manager[internals].holderOf(place)?.record : undefined
  // Without a stamp, the file existed before.
  if (record === undefined || record.remote === null || record.stamp === null) return false
  return record.url !== url || record.untrustedMirrors === true
}

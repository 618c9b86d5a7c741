/**
 * Checks records that come from a store. A store may be a folder that somebody else has filled, so its records
 * are held to the same rules as requests: none of them may name a file outside the folders of the manager.
 */
import { isAbsolute } from 'node:path'
import { checkFilename, safePath } from '../disk/names.js'
import { isDownloadError } from '../errors.js'
import { isCachePlace } from '../layouts/hf-paths.js'
import { isRef, parseUrl } from '../sources/identify.js'
import type { SourceRegistry } from '../sources/source.js'
import type { Destinations } from './destination.js'
import { checkMirrors, downloadOptionsSchema, maxUrlLength } from './options.js'
import type { DownloadRecord } from './record.js'
import { publicOnly } from '../net/address-policy.js'
import { sha256HexOf } from '../util/digest.js'

/** Settings of the manager that a record is checked against. */
export interface StoredRecordContext {
  places: Pick<Destinations, 'modeOf'>
  sources: Pick<SourceRegistry, 'find'>
}

/**
 * Returns why a stored record can't be used; null if it can. The text does not quote the record, which may
 * contain secrets.
 */
export function recordProblem(record: DownloadRecord, context: StoredRecordContext): string | null {
  try {
    return problemOf(record, context)
  } catch (error) {
    if (isDownloadError(error, 'UNSAFE_FILENAME')) return 'it names a file that is not allowed'
    if (isDownloadError(error, 'INVALID_URL')) return 'it has an address that is not allowed'
    if (isDownloadError(error, 'INVALID_OPTIONS')) return 'it names a mode that is not registered'
    throw error
  }
}

function problemOf(record: DownloadRecord, { places, sources }: StoredRecordContext): string | null {
  const { id, url, urls, filename, mode, directory, layout, cache, group, remote } = record
  if (id !== sha256HexOf(url)) return 'its id does not belong to its URL'
  if (!isRef(url, sources)) parseUrl(url, remote)
  checkMirrors(urls, remote)
  checkFilename(filename)
  places.modeOf(mode)
  if (directory !== null && !isInnerOrAbsolute(directory)) return 'it names a folder that is not allowed'
  if (layout === 'flat' && cache !== null) return 'it has a place in a cache, but does not use one'
  if (cache !== null && !isCachePlace(cache)) return 'it names a place in a cache that is not allowed'
  for (const { path, blob } of group?.files ?? []) {
    safePath(path)
    if (blob !== undefined && (cache === null || !isCachePlace({ ...cache, blob })))
      return 'it names a blob that is not allowed'
  }
  return areOptionsValid(record) ? null : 'it has options that are not allowed'
}

/** Whether a folder is absolute, or can't lead out of the folder that it is relative to. */
function isInnerOrAbsolute(directory: string): boolean {
  if (directory.includes('\0')) return false
  return isAbsolute(directory) || !directory.split(/[\\/]/).includes('..')
}

function areOptionsValid(record: DownloadRecord): boolean {
  const { url, headers, priority, connections, maxBytesPerSecond, include, exclude, remote } = record
  // Those of nearly all records. The schema would find the same, but takes as long as everything else together.
  const isPlain = remote === null && connections === null && maxBytesPerSecond === null
  const areDefault = include.length === 0 && exclude.length === 0 && Object.keys(headers).length === 0
  if (isPlain && areDefault && priority === 0) return url.length <= maxUrlLength
  const options = {
    url,
    headers,
    priority,
    maxBytesPerSecond,
    include,
    exclude,
    ...(remote === null ? {} : { remote }),
    ...(connections === null ? {} : { connections }),
  }
  return downloadOptionsSchema.safeParse(options).success
}

/**
 * Whether a record must have been written by this host in its own folder: it names a folder of its own, which may
 * be any, or a hidden file, which often configures a program.
 */
export function needsHome({
  directory,
  filename,
}: Pick<DownloadRecord, 'filename'> & { directory?: string | null | undefined }): boolean {
  return isAbsolute(directory ?? '') || filename.startsWith('.')
}

/**
 * Returns a record that another user of this machine may have written, with the trust of a remote caller: it may
 * reach public addresses only, and what it says about existing files is not believed.
 */
export function asForeign(record: DownloadRecord): DownloadRecord {
  return {
    ...record,
    remote: record.remote ?? publicOnly,
    untrustedMirrors: true,
    headers: {},
    adopt: false,
    stamp: null,
    group: null,
  }
}

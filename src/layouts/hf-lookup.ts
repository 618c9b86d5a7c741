/** Finds a file in a cache of the Hugging Face libraries by its name, whoever has put it there. */
import { basename, join } from 'node:path'
import { readRegularFile } from '../disk/atomic.js'
import { nullIfMissing } from '../disk/errors.js'
import { lstat, realpath, stat } from '../disk/fs.js'
import { maxRefBytes } from './hf-files.js'
import {
  blobFolder,
  type CachePlace,
  isCachePlace,
  refPath,
  repositoryFolder,
  snapshotPath,
} from './hf-paths.js'

/** A file as it is requested of a hub. */
export interface CachedFileName {
  repository: { type: string; name: string; revision: string }
  path: string
}

/**
 * Returns the place of a file in the snapshot that its branch, tag or commit points to; null if it is not there, or if
 * the snapshot has a copy of the file, whose blob is unknown.
 *
 * @param root - absolute path of the cache.
 */
export async function findInCache(
  root: string,
  { repository: { type, name, revision }, path }: CachedFileName,
): Promise<CachePlace | null> {
  const folder = repositoryFolder(type, name)
  const commit = await commitOf(root, folder, revision)
  const wanted = { folder, commit, path, blob: null }
  if (!isCachePlace(wanted)) return null
  const blobs = join(root, ...blobFolder(wanted))
  const [file, home] = await Promise.all(
    [join(root, ...snapshotPath(wanted)), blobs].map((one) => realpath(one).catch(() => null)),
  )
  if (file === null || file === undefined || home === null || home === undefined) return null
  const blob = basename(file)
  const place = { ...wanted, blob, ref: null }
  return file === join(home, blob) && isCachePlace(place) && (await isFile(file)) ? place : null
}

/**
 * Returns the path of a file in the snapshot that its branch, tag or commit points to, if the snapshot has the bytes
 * themselves, as where links are refused; null otherwise.
 *
 * @param root - absolute path of the cache.
 */
export async function findUnlinked(
  root: string,
  { repository: { type, name, revision }, path }: CachedFileName,
): Promise<string | null> {
  const folder = repositoryFolder(type, name)
  const wanted = { folder, commit: await commitOf(root, folder, revision), path, blob: null }
  if (!isCachePlace(wanted)) return null
  const file = join(root, ...snapshotPath(wanted))
  return (await lstat(file).catch(() => null))?.isFile() === true ? file : null
}

async function commitOf(root: string, folder: string, revision: string): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision
  const segments = refPath({ folder, ref: revision, commit: '', path: '', blob: '' }) ?? []
  const read = await readRegularFile(join(root, ...segments), maxRefBytes).catch(() => null)
  return read?.data.toString('utf8').trim() ?? ''
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(nullIfMissing))?.isFile() === true
}

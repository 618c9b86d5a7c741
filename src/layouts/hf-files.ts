/**
 * Writes what a cache contains besides blobs: snapshots and refs. All operations are atomic and can be
 * repeated, even by two processes at once.
 */
import { basename, dirname, join } from 'node:path'
import { makeFolder, readRegularFile, replaceFile, syncFolder, uniqueSuffix } from '../disk/atomic.js'
import { copyContent } from '../disk/copy.js'
import { errnoOf, fsError, nullIfMissing } from '../disk/errors.js'
import {
  chmod,
  constants,
  copyFile,
  type Dirent,
  link,
  readdir,
  readlink,
  realpath,
  rmdir,
  symlink,
  utimes,
} from '../disk/fs.js'
import { isInside } from '../disk/inside.js'
import { io } from '../disk/io.js'
import { removeFiles } from '../disk/part-paths.js'
import { isSameInode } from '../disk/stats.js'
import { entriesBelow } from '../disk/walk.js'
import { DownloadError } from '../errors.js'
import { unlessAborted } from '../util/abort.js'
import { blobFolder, type CachePlace, type CacheSpec, linkTarget, refPath, snapshotPath } from './hf-paths.js'

/** Creates links; replaced in tests. */
export interface Linker {
  symlink: (target: string, path: string) => Promise<void>
  link: (existing: string, path: string) => Promise<void>
}

const realLinker: Linker = { symlink: (target, path) => symlink(target, path, 'file'), link }

/** Maximum size of a ref in bytes; far more than a commit needs. */
export const maxRefBytes = 256

/**
 * Checks that the path to a file does not lead out of the root through a symbolic link. Missing folders are
 * accepted.
 *
 * @throws DownloadError `TARGET_NOT_REGULAR`; otherwise the code of the file system error.
 */
export async function requireInside(root: string, folders: readonly string[]): Promise<void> {
  try {
    const top = await realpath(root).catch(nullIfMissing)
    if (top === null) return
    let folder = root
    for (const segment of folders) {
      folder = join(folder, segment)
      const stats = await io.lstat(folder).catch(nullIfMissing)
      if (stats === null) return
      if (stats.isSymbolicLink()) {
        const real = await realpath(folder).catch(nullIfMissing)
        if (real === null || !isInside(top, real)) throw leadsOut()
      } else if (!stats.isDirectory()) {
        throw new DownloadError('TARGET_NOT_REGULAR', 'A file exists where the cache needs a folder.')
      }
    }
  } catch (error) {
    throw fsError(error, 'looking at the cache')
  }
}

function leadsOut(): DownloadError {
  return new DownloadError(
    'TARGET_NOT_REGULAR',
    'A folder of the cache is a symbolic link that leads out of the cache.',
  )
}

/**
 * Creates the file in the snapshot: a relative symbolic link to the blob; if that fails a hard link,
 * otherwise a copy.
 *
 * @returns its path.
 * @throws DownloadError with the code of the file system error.
 */
export async function linkSnapshot(
  root: string,
  place: CachePlace,
  linker: Linker = realLinker,
): Promise<string> {
  const segments = snapshotPath(place)
  const path = join(root, ...segments)
  const blob = join(root, ...blobFolder(place), place.blob)
  try {
    await makeInside(root, segments.slice(0, -1))
    // Programs that list a cache expect this folder, even if no branch was requested.
    await makeInside(root, [place.folder, 'refs'])
    const present = await howPlaced(path, blob)
    if (present === 'link') return path
    await makeLink(path, blob, { place, linker, isCopied: present === 'copy' })
    await syncFolder(dirname(path)).catch(() => undefined)
    return path
  } catch (error) {
    throw fsError(error, 'linking the file into the cache')
  }
}

/**
 * Points the requested branch or tag to the commit. Must be called after all requested files are in the
 * snapshot.
 *
 * @throws DownloadError with the code of the file system error.
 */
export async function pointRef(root: string, place: CachePlace): Promise<void> {
  const segments = refPath(place)
  if (segments === null) return
  const path = join(root, ...segments)
  try {
    await makeInside(root, segments.slice(0, -1))
    const present = await readRegularFile(path, maxRefBytes).catch(() => null)
    if (present?.data.toString('utf8') === place.commit) return
    await replaceFile(path, place.commit, { mode: 0o644, sync: 'replacement' })
  } catch (error) {
    throw fsError(error, 'writing the ref of the cache')
  }
}

async function makeInside(root: string, folders: readonly string[]): Promise<void> {
  await requireInside(root, folders)
  await makeFolder(join(root, ...folders))
}

async function makeLink(
  path: string,
  blob: string,
  { place, linker, isCopied }: { place: CachePlace; linker: Linker; isCopied: boolean },
): Promise<void> {
  const methods = [
    async (to: string) => {
      await linker.symlink(linkTarget(place), to)
      // If a folder on the path is a link itself, `..` leads elsewhere.
      if (await leadsTo(to, blob)) return
      await io.unlink(to)
      throw new Error('The link does not lead to the blob.')
    },
    (to: string) => linker.link(blob, to),
  ]
  for (const make of methods) {
    try {
      // Creating a link is atomic; a temporary name is needed only if something exists at the path.
      await make(path).catch(async (error: unknown) => {
        if (errnoOf(error) !== 'EEXIST') throw error
        await replaceWith(make, path)
      })
      return
    } catch (error) {
      if (fatal.has(errnoOf(error) ?? '')) throw error
    }
  }
  if (!isCopied) await replaceWith((to) => copyOf(blob, to), path)
}

async function replaceWith(make: (to: string) => Promise<void>, path: string): Promise<void> {
  const temporary = `${path}.${uniqueSuffix()}`
  try {
    await make(temporary)
    await io.rename(temporary, path)
  } finally {
    // Usually it no longer exists; but if both are names of the same file, a rename keeps both (rename(2)).
    await io.unlink(temporary).catch(() => undefined)
  }
}

/** Errors that every other way of linking would hit as well. */
const fatal = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR'])

async function copyOf(blob: string, to: string): Promise<void> {
  const { atimeMs, mtimeMs, mode } = await io.lstat(blob)
  try {
    await copyFile(blob, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE)
  } catch {
    // `copyFile` also sets permissions, and fails where the file system refuses that.
    await io.unlink(to).catch(() => undefined)
    await copyContent(blob, to)
    await chmod(to, mode & 0o777).catch(() => undefined)
  }
  // So that others see of when it is. Some file systems refuse it.
  await utimes(to, atimeMs / 1_000, mtimeMs / 1_000).catch(() => undefined)
}

/**
 * What the file in the snapshot is already: a link to the blob; what has the size and time of a copy of it, which a link
 * replaces where one can be made; or `other`.
 */
async function howPlaced(path: string, blob: string): Promise<'link' | 'copy' | 'other'> {
  const stats = await io.lstat(path).catch(nullIfMissing)
  if (stats === null) return 'other'
  if (stats.isSymbolicLink()) return (await leadsTo(path, blob)) ? 'link' : 'other'
  if (!stats.isFile())
    throw new DownloadError('TARGET_NOT_REGULAR', 'A folder exists where the snapshot needs a file.')
  const original = await io.lstat(blob)
  if (stats.ino !== 0n && isSameInode(stats, original)) return 'link'
  // A copy has the time of the blob, or that of its making. File systems round times to up to two seconds.
  const isAlike = stats.size === original.size && stats.mtimeMs > original.mtimeMs - 2_000
  return isAlike ? 'copy' : 'other'
}

async function leadsTo(path: string, blob: string): Promise<boolean> {
  const [actual, wanted] = await Promise.all([realpath(path).catch(nullIfMissing), realpath(blob)])
  return actual === wanted
}

// ---- Removing files from a cache of the Hugging Face libraries.

/**
 * Deletes blobs to which no snapshot links any more, and then empty folders.
 *
 * @param repository - folder of the repository.
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function removeBlobs(repository: string, blobs: readonly string[]): Promise<void> {
  const used = await linkedBlobs(join(repository, 'snapshots'))
  const unused = blobs.filter((blob) => !used.has(blob))
  await removeFiles(unused.map((blob) => join(repository, 'blobs', blob)))
  await removeEmpty(repository)
}

async function linkedBlobs(snapshots: string): Promise<Set<string>> {
  const linked = new Set<string>()
  for (const entry of await entriesOf(snapshots)) {
    if (!entry.isSymbolicLink()) continue
    const target = await readlink(join(entry.parentPath, entry.name)).catch(nullIfMissing)
    if (target !== null) linked.add(basename(target.replaceAll('\\', '/')))
  }
  return linked
}

/** Removes empty folders, and refs to commits without a snapshot. */
async function removeEmpty(repository: string): Promise<void> {
  const snapshots = join(repository, 'snapshots')
  const folders = (await entriesOf(snapshots))
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
  await removeFolders(folders.sort((a, b) => b.length - a.length))
  const commits = new Set(await readdir(snapshots).catch(nullIfMissing))
  for (const entry of (await entriesOf(join(repository, 'refs'))).filter((one) => one.isFile())) {
    const path = join(entry.parentPath, entry.name)
    const read = await readRegularFile(path, maxRefBytes).catch(() => null)
    if (read !== null && !commits.has(read.data.toString('utf8').trim())) await removeFiles([path])
  }
  // Programs that list a cache expect all three folders.
  if (commits.size === 0)
    await removeFolders(['snapshots', 'blobs', 'refs', ''].map((name) => join(repository, name)))
}

/** Removes folders; one that is not empty stays. */
async function removeFolders(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rmdir(path).catch(() => undefined)
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  return (await entriesBelow(folder).catch(nullIfMissing)) ?? []
}

// ---- Publishing files into a cache of the Hugging Face libraries: the target of a transfer is the blob.

/** A transfer whose file may go into a cache. */
interface InCache {
  cache?: CacheSpec | null
}

/**
 * Transfers that use or wait for a blob, by its path: two paths of a repository may have the same content.
 */
const queues = new Map<string, Promise<unknown>>()

/**
 * Waits until no other transfer in this thread uses the blob, and checks that the path to it stays inside the
 * cache.
 *
 * @returns a function to call at the end, which lets the next transfer use the blob.
 * @throws DownloadError `TARGET_NOT_REGULAR`; the abort reason of the signal.
 */
export async function enterCache(spec: InCache, aborted: AbortSignal): Promise<() => void> {
  const cache = spec.cache ?? null
  if (cache === null) return () => undefined
  const key = join(cache.root, ...blobFolder(cache), cache.blob)
  const before = queues.get(key)
  let release: () => void = () => undefined
  const tail = Promise.all([before, new Promise<void>((resolve) => (release = resolve))])
  queues.set(key, tail)
  const end = () => {
    release()
    if (queues.get(key) === tail) queues.delete(key)
  }
  try {
    await unlessAborted(before ?? Promise.resolve(), aborted)
    await requireInside(cache.root, blobFolder(cache))
    return end
  } catch (error) {
    end()
    throw error
  }
}

/** Returns the name of a file as users see it, which determines its format. */
export function shownName({ cache = null }: InCache, filename: string): string {
  return cache === null ? filename : cache.path.slice(cache.path.lastIndexOf('/') + 1)
}

/**
 * Links a published blob into its snapshot, and points the ref to the commit. Returns the file that users
 * open.
 *
 * @param onRefused - called when the ref could not be written. The file is complete all the same; only programs that
 * look for a branch by its name do not find it.
 * @throws DownloadError with the code of the file system error; a repeated call resumes from there.
 */
export async function placeResult<R extends { path: string; filename: string }>(
  { cache = null }: InCache,
  result: R,
  onRefused: (error: unknown) => void,
): Promise<R> {
  if (cache === null) return result
  const { root, path: inside } = cache
  const path = await linkSnapshot(root, cache)
  await pointRef(root, cache).catch(onRefused)
  return { ...result, path, filename: inside.slice(inside.lastIndexOf('/') + 1) }
}

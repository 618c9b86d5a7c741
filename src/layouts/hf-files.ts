/**
 * Writes what a cache holds besides the blobs: snapshots and refs. All of it is atomic and may be done twice, also by
 * two processes at once.
 */
import { constants, type Dirent } from 'node:fs'
import {
  copyFile,
  link,
  lstat,
  mkdir,
  readdir,
  readlink,
  realpath,
  rename,
  rmdir,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { readRegularFile, replaceFile, syncFolder, uniqueSuffix } from '../disk/atomic.js'
import { errnoOf, fsError, nullIfMissing } from '../disk/errors.js'
import { isInside } from '../disk/inside.js'
import { removeFiles } from '../disk/part-paths.js'
import { DownloadError } from '../errors.js'
import { blobFolder, type CachePlace, type CacheSpec, linkTarget, refPath, snapshotPath } from './hf-paths.js'

/** How links are made; others than the file system's own are for tests. */
export interface Linker {
  symlink: (target: string, path: string) => Promise<void>
  link: (existing: string, path: string) => Promise<void>
}

const realLinker: Linker = { symlink: (target, path) => symlink(target, path, 'file'), link }

/** Far more than a commit has. */
export const maxRefBytes = 256

/**
 * Checks that the way to a file doesn't lead out of the root: nobody has planted a link that does. What isn't there yet
 * is fine.
 *
 * @throws DownloadError `TARGET_NOT_REGULAR`; else what the file system's failure is.
 */
export async function requireInside(root: string, folders: readonly string[]): Promise<void> {
  try {
    const top = await realpath(root).catch(nullIfMissing)
    if (top === null) return
    let folder = root
    for (const segment of folders) {
      folder = join(folder, segment)
      const stats = await lstat(folder).catch(nullIfMissing)
      if (stats === null) return
      if (stats.isSymbolicLink()) {
        const real = await realpath(folder).catch(nullIfMissing)
        if (real === null || !isInside(top, real)) throw leadsOut()
      } else if (!stats.isDirectory()) {
        throw new DownloadError('TARGET_NOT_REGULAR', 'A folder of the cache is not a folder.')
      }
    }
  } catch (error) {
    throw fsError(error, 'looking at the cache')
  }
}

function leadsOut(): DownloadError {
  return new DownloadError('TARGET_NOT_REGULAR', 'A folder of the cache is a link that leads out of it.')
}

/**
 * Makes the snapshot's file: a relative link to the blob; where links can't be made, a hard link, else a copy.
 *
 * @returns its path.
 * @throws DownloadError.
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
    // Whoever lists a cache expects the folder, even when no branch was asked for.
    await makeInside(root, [place.folder, 'refs'])
    if (await isRight(path, blob)) return path
    await makeLink(path, blob, place, linker)
    await syncFolder(dirname(path))
    return path
  } catch (error) {
    throw fsError(error, 'linking the file into the cache')
  }
}

/**
 * Points the branch or tag that was asked for to the commit. To be called when all that was asked for lies in the snapshot.
 *
 * @throws DownloadError.
 */
export async function pointRef(root: string, place: CachePlace): Promise<void> {
  const segments = refPath(place)
  if (segments === null) return
  const path = join(root, ...segments)
  try {
    await makeInside(root, segments.slice(0, -1))
    const present = await readRegularFile(path, maxRefBytes).catch(() => null)
    if (present?.data.toString('utf8') === place.commit) return
    await replaceFile(path, place.commit, { mode: 0o644, sync: true })
  } catch (error) {
    throw fsError(error, 'writing the ref of the cache')
  }
}

async function makeInside(root: string, folders: readonly string[]): Promise<void> {
  await requireInside(root, folders)
  await mkdir(join(root, ...folders), { recursive: true })
}

async function makeLink(path: string, blob: string, place: CachePlace, linker: Linker): Promise<void> {
  const ways = [
    async (to: string) => {
      await linker.symlink(linkTarget(place), to)
      // Where a folder on the way is a link itself, `..` leads elsewhere.
      if (await leadsTo(to, blob)) return
      await unlink(to)
      throw new Error('The link does not lead to the blob.')
    },
    (to: string) => linker.link(blob, to),
  ]
  for (const make of ways) {
    try {
      // A link is there or not; only where something lies already another name is needed on the way.
      await make(path).catch(async (error: unknown) => {
        if (errnoOf(error) !== 'EEXIST') throw error
        await replaceWith(make, path)
      })
      return
    } catch (error) {
      if (fatal.has(errnoOf(error) ?? '')) throw error
    }
  }
  await replaceWith((to) => copyOf(blob, to), path)
}

async function replaceWith(make: (to: string) => Promise<void>, path: string): Promise<void> {
  const temporary = `${path}.${uniqueSuffix()}`
  try {
    await make(temporary)
    await rename(temporary, path)
  } finally {
    // Gone already, as a rule; but of two names of one file a rename keeps both (rename(2)).
    await unlink(temporary).catch(() => undefined)
  }
}

/** Failures that another way of linking would meet too. */
const fatal = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR', 'EISDIR'])

async function copyOf(blob: string, to: string): Promise<void> {
  await copyFile(blob, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  // With the time of the blob it is known again, see isRight.
  const { atime, mtime } = await lstat(blob)
  await utimes(to, atime, mtime)
}

/** Whether the file in the snapshot is the blob already: a link to it, or a copy. */
async function isRight(path: string, blob: string): Promise<boolean> {
  const stats = await lstat(path).catch(nullIfMissing)
  if (stats === null) return false
  if (stats.isSymbolicLink()) return await leadsTo(path, blob)
  if (!stats.isFile()) throw new DownloadError('TARGET_NOT_REGULAR', 'The file in the snapshot is a folder.')
  const original = await lstat(blob)
  const same = stats.ino !== 0 && stats.ino === original.ino && stats.dev === original.dev
  return same || (stats.size === original.size && Math.abs(stats.mtimeMs - original.mtimeMs) < 2_000)
}

async function leadsTo(path: string, blob: string): Promise<boolean> {
  const [there, wanted] = await Promise.all([realpath(path).catch(nullIfMissing), realpath(blob)])
  return there === wanted
}

// ---- Takes files out of a cache of the Hugging Face libraries.

/**
 * Deletes blobs to which no snapshot links any more, and what is empty then.
 *
 * @param repository - its folder.
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
    const target = await readlink(join(entry.parentPath, entry.name)).catch(() => '')
    linked.add(basename(target.replaceAll('\\', '/')))
  }
  return linked
}

/** Folders that are empty go, and refs that would lead nowhere. */
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
  // Whoever lists a cache expects all three.
  if (commits.size === 0)
    await removeFolders(['snapshots', 'blobs', 'refs', ''].map((name) => join(repository, name)))
}

/** One that isn't empty stays. */
async function removeFolders(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rmdir(path).catch(() => undefined)
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  return (await readdir(folder, { recursive: true, withFileTypes: true }).catch(nullIfMissing)) ?? []
}

// ---- What differs for a file that goes into a cache of the Hugging Face libraries: its blob is the target.

/** What may go into a cache. */
interface InCache {
  cache?: CacheSpec | null
}

/** Those that have or want a blob, by its path: two paths of a repository may have the same content. */
const turns = new Map<string, Promise<unknown>>()

/**
 * Waits until nobody else in this thread works on the blob, and checks that the way to it stays in the cache.
 *
 * @returns what is to be called at the end.
 * @throws DownloadError `TARGET_NOT_REGULAR`; what the signal is aborted with.
 */
export async function enterCache(spec: InCache, aborted: AbortSignal): Promise<() => void> {
  const cache = spec.cache ?? null
  if (cache === null) return () => undefined
  const key = join(cache.root, ...blobFolder(cache), cache.blob)
  const before = turns.get(key)
  let leave: () => void = () => undefined
  const turn = Promise.all([before, new Promise<void>((resolve) => (leave = resolve))])
  turns.set(key, turn)
  const end = () => {
    leave()
    if (turns.get(key) === turn) turns.delete(key)
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

async function unlessAborted(wait: Promise<unknown>, aborted: AbortSignal): Promise<void> {
  let onAbort: () => void = () => undefined
  const stop = new Promise<void>((resolve) => (onAbort = resolve))
  aborted.addEventListener('abort', onAbort)
  if (aborted.aborted) onAbort()
  await Promise.race([wait, stop])
  aborted.removeEventListener('abort', onAbort)
  aborted.throwIfAborted()
}

/** What a file is called by those who use it: its name tells the format. */
export function shownName({ cache = null }: InCache, filename: string): string {
  return cache === null ? filename : cache.path.slice(cache.path.lastIndexOf('/') + 1)
}

/**
 * Links a published blob into its snapshot, and names the commit. Answers the file as people open it.
 *
 * @throws DownloadError; done again, it goes on from there.
 */
export async function placeResult<R extends { path: string; filename: string }>(
  { cache = null }: InCache,
  result: R,
): Promise<R> {
  if (cache === null) return result
  const { root, path: inside } = cache
  const path = await linkSnapshot(root, cache)
  await pointRef(root, cache)
  return { ...result, path, filename: inside.slice(inside.lastIndexOf('/') + 1) }
}

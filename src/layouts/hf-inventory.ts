/**
 * Reads what a cache of the Hugging Face libraries holds, and removes from it. No symbolic link is followed, except that
 * of a snapshot to a blob of the same repository, whose name alone counts.
 */
import { dirname, join, relative, resolve } from 'node:path'
import pLimit from 'p-limit'
import { readRegularFile } from '../disk/atomic.js'
import { fsError, isMissing, nullIfMissing } from '../disk/errors.js'
import { type Dirent, readdir, readlink, rmdir } from '../disk/fs.js'
import { io } from '../disk/io.js'
import type { FileStats } from '../disk/stats.js'
import { acquireLock, type FileLock } from '../disk/lock.js'
import { removeTree } from '../disk/tree.js'
import { maxRefBytes } from './hf-files.js'
import { repositoryOfFolder } from './hf-paths.js'
import type { BlobFile, CacheRemoval, CacheRepository, CacheRevision, SnapshotFile } from './hf-usage.js'

/** Maximum number of files that are looked at at the same time. */
const maxParallelLooks = 16

/**
 * What downloads leave among the blobs until they end: those of this package, and those of the Hugging Face libraries. Every
 * other name is that of a blob, because a server may have any entity tag.
 */
const unfinishedName = /\.(?:incomplete|lock)$|\.part(?:\.|$)/

/** A copy in a snapshot has the time of its blob, which file systems round differently. In milliseconds. */
const sameTimeMs = 2_000

/** Deeper folders of a snapshot are not looked into. */
const maxDepth = 32

/** What a cache holds. */
export interface CacheInventory {
  repositories: CacheRepository[]
  /** Folders of repositories that were left out, because they are links or can't be read, with the reason. */
  skipped: { folder: string; reason: string }[]
}

/**
 * Reads a whole cache.
 *
 * @param root - absolute path of the cache. A missing one is empty.
 * @throws DownloadError `PERMISSION`, `DISK_IO` when the folder itself can't be read.
 */
export async function readCache(root: string): Promise<CacheInventory> {
  const entries = await foldersIn(root).catch((error: unknown) => {
    throw fsError(error, 'reading the cache')
  })
  const inventory: CacheInventory = { repositories: [], skipped: [] }
  for (const { name: folder } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (repositoryOfFolder(folder) === null) continue
    try {
      const repository = await readRepository(join(root, folder), folder)
      if (repository !== null) inventory.repositories.push(repository)
    } catch (error) {
      inventory.skipped.push({ folder, reason: fsError(error, 'reading the repository').message })
    }
  }
  return inventory
}

/**
 * Reads one repository.
 *
 * @param path - absolute path of its folder.
 * @param folder - name of the folder.
 * @returns null if it is not the folder of a repository.
 * @throws DownloadError `TARGET_NOT_REGULAR` if it, or a folder in it, is a link; the error of the file system.
 */
export async function readRepository(path: string, folder: string): Promise<CacheRepository | null> {
  const identity = repositoryOfFolder(folder)
  if (identity === null) return null
  for (const part of [path, ...['blobs', 'snapshots', 'refs'].map((name) => join(path, name))]) {
    const stats = await io.lstat(part).catch(nullIfMissing)
    if (stats?.isDirectory() === true || (stats === null && part !== path)) continue
    if (stats === null) return null
    // Whatever lies behind a link is not a part of this cache.
    throw fsError(Object.assign(new Error('link'), { code: 'ENOTDIR' }), 'reading the repository')
  }
  const { blobs, unfinished, byInode } = await readBlobs(join(path, 'blobs'))
  const [revisions, refs] = await Promise.all([
    readRevisions(path, blobs, byInode),
    readRefs(join(path, 'refs')),
  ])
  return { ...identity, folder, revisions, refs, blobs, unfinished }
}

interface Blobs {
  blobs: Map<string, BlobFile>
  unfinished: Map<string, BlobFile>
  /** Names of the blobs by device and inode, because a snapshot may have a hard link. */
  byInode: Map<string, string>
}

async function readBlobs(folder: string): Promise<Blobs> {
  const result: Blobs = { blobs: new Map(), unfinished: new Map(), byInode: new Map() }
  const files = (await foldersAndFiles(folder)).filter((entry) => entry.isFile())
  await pLimit(maxParallelLooks).map(files, async ({ name }) => {
    const stats = await io.lstat(join(folder, name)).catch(nullIfMissing)
    if (!stats?.isFile()) return
    const file = { size: stats.size, modifiedMs: stats.mtimeMs }
    if (!unfinishedName.test(name)) {
      result.blobs.set(name, file)
      if (stats.ino !== 0n) result.byInode.set(inodeOf(stats), name)
    } else result.unfinished.set(name, file)
  })
  return result
}

function inodeOf({ dev, ino }: FileStats): string {
  return `${dev}:${ino}`
}

async function readRevisions(
  repository: string,
  blobs: ReadonlyMap<string, BlobFile>,
  byInode: ReadonlyMap<string, string>,
): Promise<CacheRevision[]> {
  const snapshots = join(repository, 'snapshots')
  const revisions: CacheRevision[] = []
  for (const { name: commit } of await foldersIn(snapshots)) {
    const folder = join(snapshots, commit)
    const entries = await deepFiles(folder)
    const files = await pLimit(maxParallelLooks).map(entries, (path) =>
      readSnapshotFile(path, { folder, blobFolder: join(repository, 'blobs'), blobs, byInode }),
    )
    revisions.push({ commit, files: files.filter((file) => file !== null).sort(byPath) })
  }
  return revisions.sort((a, b) => (a.commit < b.commit ? -1 : 1))
}

function byPath(a: SnapshotFile, b: SnapshotFile): number {
  return a.path < b.path ? -1 : 1
}

async function readSnapshotFile(
  path: string,
  known: {
    folder: string
    blobFolder: string
    blobs: ReadonlyMap<string, BlobFile>
    byInode: ReadonlyMap<string, string>
  },
): Promise<SnapshotFile | null> {
  const stats = await io.lstat(path).catch(nullIfMissing)
  if (stats === null) return null
  const inside = relative(known.folder, path).replaceAll('\\', '/')
  if (stats.isSymbolicLink()) {
    const target = await readlink(path).catch(nullIfMissing)
    const absolute = target === null ? null : resolve(dirname(path), target)
    const blob =
      absolute !== null && dirname(absolute) === known.blobFolder
        ? absolute.slice(known.blobFolder.length + 1)
        : null
    const isThere = blob !== null && known.blobs.has(blob)
    return { path: inside, blob: isThere ? blob : null, ownBytes: 0, isThere }
  }
  if (!stats.isFile()) return null
  const linked = known.byInode.get(inodeOf(stats))
  if (linked !== undefined) return { path: inside, blob: linked, ownBytes: 0, isThere: true }
  const copied = [...known.blobs].find(
    ([, { size, modifiedMs }]) => size === stats.size && Math.abs(modifiedMs - stats.mtimeMs) < sameTimeMs,
  )
  return { path: inside, blob: copied?.[0] ?? null, ownBytes: stats.size, isThere: true }
}

async function readRefs(folder: string): Promise<Map<string, string>> {
  const refs = new Map<string, string>()
  for (const path of (await deepFiles(folder)).sort()) {
    const read = await readRegularFile(path, maxRefBytes).catch(() => null)
    const commit = read?.data.toString('utf8').trim() ?? ''
    if (/^[\w.-]{1,128}$/.test(commit)) refs.set(relative(folder, path).replaceAll('\\', '/'), commit)
  }
  return refs
}

/** The paths of all files and links below a folder. Links to folders are not followed. */
async function deepFiles(folder: string, depth = 0): Promise<string[]> {
  if (depth > maxDepth) return []
  const files: string[] = []
  for (const entry of await foldersAndFiles(folder)) {
    const path = join(folder, entry.name)
    if (!entry.isDirectory()) files.push(path)
    else for (const inner of await deepFiles(path, depth + 1)) files.push(inner)
  }
  return files
}

async function foldersIn(folder: string): Promise<Dirent[]> {
  return (await foldersAndFiles(folder)).filter((entry) => entry.isDirectory())
}

async function foldersAndFiles(folder: string): Promise<Dirent[]> {
  return (await readdir(folder, { withFileTypes: true }).catch(nullIfMissing)) ?? []
}

// ---- Removal

/**
 * Removes from a repository what was planned. It can be repeated: what is interrupted leaves blobs without a snapshot, and
 * never a snapshot whose blobs are gone.
 *
 * @param root - absolute path of the cache.
 * @throws DownloadError `TARGET_LOCKED` when a download of this package writes to the repository; `PERMISSION`,
 * `READ_ONLY`, `DISK_IO`; `TARGET_NOT_REGULAR` if a folder became a link.
 */
export async function removeFromCache(
  root: string,
  repository: CacheRepository,
  removal: CacheRemoval,
): Promise<void> {
  const path = join(root, repository.folder)
  const locks = await lockAll(path, [...repository.unfinished.keys()])
  try {
    // Looked at again, because only what is no link may be deleted from.
    if ((await readRepository(path, repository.folder)) === null) return
    for (const ref of removal.refs) await remove(join(path, 'refs', ...ref.split('/')))
    for (const commit of removal.commits) await removeTree(join(path, 'snapshots', commit))
    const files = [...removal.blobs, ...removal.unfinished]
    await pLimit(maxParallelLooks).map(files, (name) => remove(join(path, 'blobs', name)))
  } catch (error) {
    throw fsError(error, 'removing files from the cache')
  } finally {
    for (const lock of locks) await lock.release()
  }
  if (!removal.isWhole) return
  await removeTree(path).catch((error: unknown) => {
    throw fsError(error, 'removing files from the cache')
  })
  await removeTree(join(root, '.locks', repository.folder)).catch(() => undefined)
  await rmdir(join(root, '.locks')).catch(() => undefined)
}

const partSuffix = /\.part(?:\.json|\.live|\.lock|\.adopt)?$/

/** Takes the locks of all unfinished blobs, so that nobody continues one of them in the meantime. */
async function lockAll(repository: string, unfinished: readonly string[]): Promise<FileLock[]> {
  const targets = new Set(
    unfinished.filter((name) => partSuffix.test(name)).map((name) => name.replace(partSuffix, '')),
  )
  const locks: FileLock[] = []
  try {
    for (const target of targets)
      locks.push(await acquireLock(join(repository, 'blobs', `${target}.part.lock`)))
    return locks
  } catch (error) {
    for (const lock of locks) await lock.release()
    throw error
  }
}

async function remove(path: string): Promise<void> {
  await io.unlink(path).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
}

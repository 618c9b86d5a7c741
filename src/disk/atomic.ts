import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { DownloadError } from '../errors.js'
import { LatestByKey } from '../util/schedule.js'
import { errnoOf, isMissing, isRefusal, withHandles } from './errors.js'
import * as fs from './fs.js'
import { type FileIo, io } from './io.js'
import { openNoFollow, readOnly } from './no-follow.js'
import type { FileStats } from './stats.js'

const fdatasync = promisify(fs.fdatasync)

const fsync = promisify(fs.fsync)

/** Options of {@link replaceFile} and {@link writeNew}. */
export interface ReplaceOptions {
  /** Permissions of the new file; the umask is subtracted. */
  mode: number
  /**
   * What a power failure must not harm. Default: nothing; only a killed process leaves the file undamaged, and after
   * a power failure it may be empty.
   *
   * - `content`: the data is synced before the rename, so that a power failure leaves the old file or the new one.
   * - `replacement`: the folder is synced as well, so that the new file is certain to be there.
   */
  sync?: 'content' | 'replacement' | undefined
  /**
   * Called right before the rename. If it rejects, the file is not replaced, and nothing more is done to the disk: the
   * temporary file stays. Default: nothing is called.
   */
  before?: (() => Promise<void>) | undefined
}

/** Six random lower-case letters and digits, used as the suffix of temporary files. */
export function uniqueSuffix(): string {
  return randomBytes(4).readUInt32LE().toString(36).padStart(6, '0').slice(-6)
}

/**
 * Replaces a file atomically: readers see either the old content or the new one, never a mixture.
 *
 * Writes to a temporary file beside it, named `<path>.` and six letters or digits, and renames that. If this
 * fails, the error of the file system is thrown and the temporary file is removed.
 *
 * @returns the new file's metadata, by which it can later be told from another file with this name.
 */
export async function replaceFile(path: string, data: string, options: ReplaceOptions): Promise<FileStats> {
  let made: FileStats
  for (let attempt = 1; ; attempt++) {
    const temp = `${path}.${uniqueSuffix()}`
    try {
      made = await writeNew(temp, data, options)
    } catch (error) {
      if (errnoOf(error) === 'EEXIST' && attempt < 5) continue
      throw error
    }
    await options.before?.()
    try {
      await io.rename(temp, path)
      break
    } catch (error) {
      // Another process removes left-over temporary files when it starts, and may have removed this one.
      if (isMissing(error) && attempt < 5) continue
      await io.unlink(temp).catch(() => undefined)
      throw error
    }
  }
  if (options.sync === 'replacement') await syncFolder(dirname(path))
  return made
}

/**
 * Writes a file that must not exist yet (`EEXIST`). Throws the error of the file system; a partly written file is
 * removed.
 *
 * @returns the new file's metadata, by which it can later be told from another file with this name.
 */
export async function writeNew(
  path: string,
  data: string,
  { mode, sync }: ReplaceOptions,
): Promise<FileStats> {
  const fd = await withHandles(() => io.open(path, 'wx', mode))
  try {
    try {
      await io.writeText(fd, data)
      if (sync !== undefined) await syncText(fd)
      return await io.fstat(fd)
    } finally {
      await io.close(fd)
    }
  } catch (error) {
    await io.unlink(path).catch(() => undefined)
    throw error
  }
}

/** Syncs a small file. A file system that refuses it, as some network and FUSE ones, has promised nothing. */
async function syncText(fd: number): Promise<void> {
  try {
    await fdatasync(fd)
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
}

/**
 * Creates a folder and its missing parents, and syncs the entries of those that it has created: otherwise a power
 * failure could take a folder together with files in it that were synced.
 *
 * @param path - absolute path.
 * @param mode - permissions of all created folders; the umask is subtracted. Default: 0777.
 * @returns the first folder that was created; undefined if all exist.
 */
export async function makeFolder(path: string, mode?: number): Promise<string | undefined> {
  const first = await createFolders(path, mode === undefined ? {} : { mode })
  if (first === undefined) return undefined
  const top = dirname(first)
  for (let folder = dirname(path); folder.length >= top.length; folder = dirname(folder)) {
    // Whoever needs the folder to be durable syncs it again and reports the failure.
    await syncFolder(folder).catch(() => undefined)
    if (folder === dirname(folder)) break
  }
  return first
}

/**
 * How often the outermost folder is tried. Others may delete the one around it many times in a row, such as downloads that
 * fail in a folder that only they need; a file system that has no new folders is found out in a few milliseconds.
 */
const maxTries = 1_000

/**
 * Creates a folder and its missing parents, one after the other: where the file system has no new folders, such as in
 * `/proc`, Node's recursive mkdir would never end, and it fails when somebody deletes a folder that it has just created.
 */
async function createFolders(path: string, options: { mode?: number }): Promise<string | undefined> {
  let outermost: string | undefined
  for (let tries = 0; tries < maxTries; tries += 1) {
    const first = await firstMissing(path)
    if (first === null && (await isFolder(path))) return outermost
    try {
      await fs.mkdir(first ?? path, options)
    } catch (error) {
      // Somebody else may have created it meanwhile, or deleted the one around it.
      const isExpected = errnoOf(error) === 'EEXIST' ? await mayBeFolder(path, first) : isMissing(error)
      if (!isExpected) throw error
      continue
    }
    outermost ??= first ?? path
    if ((first ?? path) === path) return outermost
  }
  throw noNewFolders(path)
}

async function isFolder(path: string): Promise<boolean> {
  const stats = await fs.stat(path).catch(() => null)
  return stats?.isDirectory() === true
}

/** Whether what exists already is no obstacle: a folder that somebody has just created, or deleted again. */
async function mayBeFolder(path: string, first: string | null): Promise<boolean> {
  if (first !== null) return !(await isDangling(first))
  return await fs.stat(path).then(
    (stats) => stats.isDirectory(),
    (error: unknown) => isMissing(error),
  )
}

/** The outermost missing folder of a path; null if none is missing, or if that can't be told. */
async function firstMissing(path: string): Promise<string | null> {
  let missing: string | null = null
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      await fs.stat(folder)
      return missing
    } catch (error) {
      if (!isMissing(error) || folder === dirname(folder)) return null
      missing = folder
    }
  }
}

/** Whether a path is a link that leads nowhere. */
async function isDangling(path: string): Promise<boolean> {
  const stats = await fs.lstat(path).catch(() => null)
  return stats?.isSymbolicLink() === true && (await firstMissing(path)) !== null
}

function noNewFolders(path: string): Error {
  return Object.assign(new Error(`EACCES: this file system has no new folders, mkdir '${path}'`), {
    code: 'EACCES',
    syscall: 'mkdir',
    path,
  })
}

/**
 * Syncs a folder's entries, so that a rename survives a power failure. Does nothing where folders can't be
 * opened.
 */
export function syncFolder(folder: string): Promise<void> {
  // A sync in progress may have begun before the caller's rename. The next one covers all callers until it begins.
  return folderSyncs.ask(folder)
}

const folderSyncs = new LatestByKey(syncNow)

async function syncNow(folder: string): Promise<void> {
  // Windows syncs no folders, but its file system journals renames.
  if (process.platform === 'win32') return
  let fd: number
  try {
    fd = await withHandles(() => io.open(folder, 'r'))
  } catch (error) {
    // Some file systems let nobody open folders.
    if (isRefusal(error) || errnoOf(error) === 'EACCES') return
    throw error
  }
  try {
    await fsync(fd)
  } catch (error) {
    // Some network and FUSE file systems don't support fsync on folders.
    if (!isRefusal(error) && !['EACCES', 'EBADF'].includes(errnoOf(error) ?? '')) throw error
  } finally {
    await io.close(fd)
  }
}

/**
 * Reads a small regular file; symlinks aren't followed.
 *
 * @param path - the file.
 * @param maxBytes - maximum number of bytes to read; if `stats.size` is larger, the data is cut off.
 * @param files - the file operations to use. Default: those of this thread.
 * @throws DownloadError `TARGET_NOT_REGULAR` for a folder, FIFO, socket or device; otherwise the file
 * system's error.
 */
export async function readRegularFile(
  path: string,
  maxBytes: number,
  files: FileIo = io,
): Promise<{ data: Buffer; stats: FileStats }> {
  const fd = await openNoFollow(path, readOnly, { files })
  try {
    const stats = await files.fstat(fd)
    if (!stats.isFile()) throw new DownloadError('TARGET_NOT_REGULAR', 'Expected a regular file.')
    const buffer = Buffer.allocUnsafe(Math.min(stats.size, maxBytes))
    let length = 0
    while (length < buffer.length) {
      const bytesRead = await files.read(fd, buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return { data: buffer.subarray(0, length), stats }
  } finally {
    await files.close(fd)
  }
}

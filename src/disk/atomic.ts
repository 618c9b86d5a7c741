import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { DownloadError } from '../errors.js'
import { LatestByKey } from '../util/schedule.js'
import { errnoOf, isMissing, withHandles } from './errors.js'
import { type FileIo, io } from './io.js'

const fdatasync = promisify(fs.fdatasync)

const fsync = promisify(fs.fsync)

/** How {@link replaceFile} writes. */
export interface ReplaceOptions {
  /** Permissions of the new file, less the umask. */
  mode: number
  /** Force the data to the disk before the rename, and the folder after it. Default false: a kill can't tear it, a power cut may. */
  sync?: boolean
}

/** Six random lower-case letters and digits: the end of every temporary name. */
export function uniqueSuffix(): string {
  return randomBytes(4).readUInt32LE().toString(36).padStart(6, '0').slice(-6)
}

/**
 * Puts text under a name, whole: readers see the old file or the new one, never a part.
 *
 * Writes `<path>.` and six letters or digits beside it, then renames. Throws what the file system throws; the
 * temporary file is gone then.
 */
export async function replaceFile(path: string, data: string, options: ReplaceOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const temp = `${path}.${uniqueSuffix()}`
    try {
      await writeNew(temp, data, options)
    } catch (error) {
      if (errnoOf(error) === 'EEXIST' && attempt < 5) continue
      throw error
    }
    try {
      await io.rename(temp, path)
      break
    } catch (error) {
      // Another process that starts up tidies temporary files away and may have hit this one.
      if (isMissing(error) && attempt < 5) continue
      await io.unlink(temp).catch(() => undefined)
      throw error
    }
  }
  if (options.sync === true) await syncFolder(dirname(path))
}

/**
 * Writes a file that must not be there yet (`EEXIST`); when that fails half-way the file is gone again. Throws what
 * the file system throws.
 *
 * @returns what was written, to tell it from another one of the name later.
 */
export async function writeNew(
  path: string,
  data: string,
  { mode, sync }: ReplaceOptions,
): Promise<fs.Stats> {
  const fd = await withHandles(() => io.open(path, 'wx', mode))
  try {
    try {
      await io.writeText(fd, data)
      if (sync === true) await fdatasync(fd)
      return await io.fstat(fd)
    } finally {
      await io.close(fd)
    }
  } catch (error) {
    await io.unlink(path).catch(() => undefined)
    throw error
  }
}

/** Forces a folder's entries to the disk, so that a rename outlives a power cut. Does nothing where folders can't be opened. */
export function syncFolder(folder: string): Promise<void> {
  // A sync that is under way may have begun before the caller's rename; the next one covers all who come until it begins.
  return folderSyncs.ask(folder)
}

const folderSyncs = new LatestByKey(syncNow)

async function syncNow(folder: string): Promise<void> {
  let fd: number
  try {
    fd = await withHandles(() => io.open(folder, 'r'))
  } catch (error) {
    // Windows can't open folders and journals renames by itself.
    if (['EISDIR', 'EPERM', 'EACCES'].includes(errnoOf(error) ?? '')) return
    throw error
  }
  try {
    await fsync(fd)
  } catch (error) {
    // Some network and FUSE file systems have no fsync for folders.
    if (!['EINVAL', 'ENOTSUP', 'EPERM', 'EBADF'].includes(errnoOf(error) ?? '')) throw error
  } finally {
    await io.close(fd)
  }
}

// O_NONBLOCK keeps a FIFO from blocking the open. Both flags are missing on Windows, where `|` takes them for 0.
const readFlags = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK

/**
 * Reads a small regular file; symlinks aren't followed.
 *
 * @param path - the file.
 * @param maxBytes - at most this much is read; compare `stats.size` to tell that there is more.
 * @param files - how it is read. Default: as this thread reads files.
 * @throws DownloadError `TARGET_NOT_REGULAR` for a folder, FIFO, socket or device; else what the file system throws.
 */
export async function readRegularFile(
  path: string,
  maxBytes: number,
  files: FileIo = io,
): Promise<{ data: Buffer; stats: fs.Stats }> {
  const fd = await withHandles(() => files.open(path, readFlags))
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

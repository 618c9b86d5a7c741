import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { DownloadError } from '../errors.js'
import { LatestByKey } from '../util/schedule.js'
import { errnoOf, isMissing, withHandles } from './errors.js'
import * as fs from './fs.js'
import { type FileIo, io } from './io.js'

const fdatasync = promisify(fs.fdatasync)

const fsync = promisify(fs.fsync)

/** Options of {@link replaceFile} and {@link writeNew}. */
export interface ReplaceOptions {
  /** Permissions of the new file; the umask is subtracted. */
  mode: number
  /**
   * Sync the data to the disk before the rename, and the folder after it. Default false: the file survives a
   * killed process undamaged, but not always a power failure.
   */
  sync?: boolean
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
      // Another process removes left-over temporary files when it starts, and may have removed this one.
      if (isMissing(error) && attempt < 5) continue
      await io.unlink(temp).catch(() => undefined)
      throw error
    }
  }
  if (options.sync === true) await syncFolder(dirname(path))
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
  let fd: number
  try {
    fd = await withHandles(() => io.open(folder, 'r'))
  } catch (error) {
    // Windows can't open folders, but its file system journals renames.
    if (['EISDIR', 'EPERM', 'EACCES'].includes(errnoOf(error) ?? '')) return
    throw error
  }
  try {
    await fsync(fd)
  } catch (error) {
    // Some network and FUSE file systems don't support fsync on folders.
    if (!['EINVAL', 'ENOTSUP', 'EPERM', 'EBADF'].includes(errnoOf(error) ?? '')) throw error
  } finally {
    await io.close(fd)
  }
}

// O_NONBLOCK keeps a FIFO from blocking the open. Windows has neither flag, and `|` treats undefined as 0.
const readFlags = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK

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

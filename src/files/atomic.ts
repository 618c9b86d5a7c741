import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { open, rename, unlink, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DownloadError } from '../errors.js'
import { errnoOf, withHandles } from './fs-errors.js'

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
      await rename(temp, path)
      break
    } catch (error) {
      // Another process that starts up tidies temporary files away and may have hit this one.
      if (errnoOf(error) === 'ENOENT' && attempt < 5) continue
      await unlink(temp).catch(() => undefined)
      throw error
    }
  }
  if (options.sync === true) await syncFolder(dirname(path))
}

async function writeNew(temp: string, data: string, { mode, sync }: ReplaceOptions): Promise<void> {
  const handle = await withHandles(() => open(temp, 'wx', mode))
  try {
    try {
      await handle.writeFile(data)
      if (sync === true) await handle.datasync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    await unlink(temp).catch(() => undefined)
    throw error
  }
}

/** Forces a folder's entries to the disk, so that a rename outlives a power cut. Does nothing where folders can't be opened. */
export async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle
  try {
    handle = await withHandles(() => open(folder, 'r'))
  } catch (error) {
    // Windows can't open folders and journals renames by itself.
    if (['EISDIR', 'EPERM', 'EACCES'].includes(errnoOf(error) ?? '')) return
    throw error
  }
  try {
    await handle.sync()
  } catch (error) {
    // Some network and FUSE file systems have no fsync for folders.
    if (!['EINVAL', 'ENOTSUP', 'EPERM', 'EBADF'].includes(errnoOf(error) ?? '')) throw error
  } finally {
    await handle.close()
  }
}

// O_NONBLOCK keeps a FIFO from blocking the open. Both flags are missing on Windows, where `|` takes them for 0.
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Reads a small regular file; symlinks aren't followed.
 *
 * @param path - the file.
 * @param maxBytes - at most this much is read; compare `stats.size` to tell that there is more.
 * @throws DownloadError `TARGET_NOT_REGULAR` for a folder, FIFO, socket or device; else what the file system throws.
 */
export async function readRegularFile(
  path: string,
  maxBytes: number,
): Promise<{ data: Buffer; stats: Stats }> {
  const handle = await withHandles(() => open(path, readFlags))
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw new DownloadError('TARGET_NOT_REGULAR', 'Expected a regular file.')
    const buffer = Buffer.allocUnsafe(Math.min(stats.size, maxBytes))
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return { data: buffer.subarray(0, length), stats }
  } finally {
    await handle.close()
  }
}

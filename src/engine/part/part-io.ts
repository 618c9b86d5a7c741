/** Opens and writes part files. Symbolic links are not followed, because another user may have created them. */
import { judgeFileFailure } from '../../disk/busy.js'
import { errnoOf, fsError, isMissing, isRefusal } from '../../disk/errors.js'
import { constants } from '../../disk/fs.js'
import { io } from '../../disk/io.js'
import { openNoFollow } from '../../disk/no-follow.js'
import { discardLeftover, type PartPaths } from '../../disk/part-paths.js'
import type { FileStats } from '../../disk/stats.js'
import { DownloadError } from '../../errors.js'
import { removeTemporary } from './journal.js'
import type { Lease } from './lease.js'
import { partLost } from './start-over.js'

/**
 * How long to wait for a file handle for a new part, in milliseconds. It is short, because the transfer holds a
 * connection, and so a handle that another transfer may be waiting for.
 */
const newPartMs = 250

function openPart(path: string, flags: number, deadlineMs?: number): Promise<number> {
  return openNoFollow(path, flags, { mode: 0o600, deadlineMs })
}

/**
 * Creates a new part file with a new inode. An existing one is deleted together with its journal.
 *
 * @throws DownloadError `TAKEN_OVER`; otherwise the error of the file system.
 */
export async function openNew(paths: PartPaths, lease: Lease | null): Promise<number> {
  const create = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
  try {
    return await openPart(paths.part, create, newPartMs)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    await lease?.confirm()
    await discardLeftover(paths)
    await removeTemporary(paths)
    lease?.require()
    return await openPart(paths.part, create, newPartMs)
  }
}

/** Opens the existing part file. */
export async function openKept(paths: PartPaths): Promise<number> {
  await makeWritable(paths.part)
  const fd = await openPart(paths.part, constants.O_RDWR)
  if ((await io.fstat(fd)).isFile()) return fd
  await io.close(fd)
  throw new DownloadError('TARGET_NOT_REGULAR', 'The part file is not a regular file.')
}

/** A part that an earlier version was about to publish may have become as read-only as the file that it replaces. */
async function makeWritable(path: string): Promise<void> {
  const stats = await io.lstatIfThere(path)
  if (stats === null || !stats.isFile() || (stats.mode & 0o200) !== 0) return
  const fd = await openPart(path, constants.O_RDONLY)
  // Where that fails, opening it for writing tells why.
  await io.fchmod(fd, 0o600).catch(() => undefined)
  await io.close(fd)
}

/** Sets the length of a part. Returns false where the file system refuses that, or only says that it did. */
export async function setLength(fd: number, length: number): Promise<boolean> {
  try {
    await io.ftruncate(fd, length)
  } catch (error) {
    if (!isRefusal(error)) throw error
    return false
  }
  // Some file systems in user space ignore it. A part that is shorter than is believed would be taken for truncated.
  return (await io.fstat(fd)).size === length
}

/**
 * Metadata of what lies under the name of an open part; null if nothing does.
 *
 * @param own - metadata of the open part.
 */
export async function lookAtPart(own: FileStats, path: string): Promise<FileStats | null> {
  try {
    return await io.lstatIfThere(path)
  } catch (error) {
    if (!isUntold(errnoOf(error))) throw fsError(error, 'checking the part file')
    return own.nlink === 0 ? null : own
  }
}

/**
 * Whether a failure does not tell what lies under a name: Windows refuses that while another program has the file open,
 * and for a file that was deleted, as long as somebody has it open.
 */
export function isUntold(errno: string | null, platform: NodeJS.Platform = process.platform): boolean {
  return judgeFileFailure(errno, { name: 'open' }, 'other', platform) === 'repeat'
}

/**
 * Gives the part its final name.
 *
 * @throws StartOver when another program has deleted it since it was last looked at.
 */
export async function giveName(fd: number, { part, target }: PartPaths, lease: Lease | null): Promise<void> {
  lease?.require()
  try {
    await io.rename(part, target)
  } catch (error) {
    if (isMissing(error) || (await io.fstat(fd)).nlink === 0) throw partLost()
    throw error
  }
}

/** Reads bytes back from a part; fewer than `length` at the end of the file. */
export async function readBack(fd: number, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  try {
    let filled = 0
    while (filled < length) {
      const bytesRead = await io.read(fd, buffer, filled, length - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return buffer.subarray(0, filled)
  } catch (error) {
    throw fsError(error, 'reading the part file back')
  }
}

/** The error for a part file that another process has taken over. */
export function takenOver(): DownloadError {
  return new DownloadError('TARGET_LOCKED', 'Another process has taken over this file.', { retryable: true })
}

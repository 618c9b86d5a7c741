/** Opens and writes part files. Symbolic links are not followed, because another user may have created them. */
import { errnoOf, fsError, isUnsupported, withHandles } from '../../disk/errors.js'
import { constants, fdatasync, write, writeSync } from '../../disk/fs.js'
import { io } from '../../disk/io.js'
import { discardLeftover, type PartPaths } from '../../disk/part-paths.js'
import { DownloadError } from '../../errors.js'
import { removeTemporary } from './journal.js'

/**
 * How long to wait for a file handle for a new part, in milliseconds. It is short, because the transfer holds a
 * connection, and so a handle that another transfer may be waiting for.
 */
const newPartMs = 250

function openPart(path: string, flags: number, deadlineMs?: number): Promise<number> {
  return withHandles(() => io.open(path, constants.O_RDWR | flags | constants.O_NOFOLLOW, 0o600), deadlineMs)
}

/** Creates a new part file with a new inode. An existing one is deleted together with its journal. */
export async function openNew(paths: PartPaths): Promise<number> {
  const create = constants.O_CREAT | constants.O_EXCL
  try {
    return await openPart(paths.part, create, newPartMs)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    await discardLeftover(paths)
    await removeTemporary(paths)
    return await openPart(paths.part, create, newPartMs)
  }
}

/** Opens the existing part file. */
export async function openKept(paths: PartPaths): Promise<number> {
  const fd = await openPart(paths.part, 0)
  if ((await io.fstat(fd)).isFile()) return fd
  await io.close(fd)
  throw new DownloadError('TARGET_NOT_REGULAR', 'The part file is not a regular file.')
}

/** Forces the data of a file to the disk, where the file system knows how. */
export function datasync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error === null || isUnsupported(error)) resolve()
      else reject(fsError(error, 'syncing the part file'))
    })
  })
}

/** The error for a part file that another process has taken over. */
export function takenOver(): DownloadError {
  return new DownloadError('TARGET_LOCKED', 'Another process has taken over this file.', { retryable: true })
}

// ---- Complete writes.

/**
 * Writes a complete buffer at a position, continuing after short writes. Rejects with the error of the file system.
 */
export async function writeFully(fd: number, buffer: Buffer, position: number): Promise<void> {
  let written = 0
  while (written < buffer.length) written += await writeSome(fd, buffer.subarray(written), position + written)
}

/** Synchronous version of {@link writeFully}. */
export function writeFullySync(fd: number, buffer: Buffer, position: number): void {
  let written = 0
  while (written < buffer.length) {
    const count = writeSync(fd, buffer, written, buffer.length - written, position + written)
    if (count === 0) throw zeroBytesWritten()
    written += count
  }
}

function writeSome(fd: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, buffer, 0, buffer.length, position, (error, count) => {
      if (error !== null) reject(error)
      else if (count === 0) reject(zeroBytesWritten())
      else resolve(count)
    })
  })
}

/** The error for a write that wrote nothing: repeating it could loop forever. */
function zeroBytesWritten(): Error {
  return Object.assign(new Error('write returned 0'), { code: 'EIO' })
}

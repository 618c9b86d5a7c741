/** Opening part files. Symlinks aren't followed: somebody may have planted one. */
import { constants, fdatasync, type Stats, write, writeSync } from 'node:fs'
import { errnoOf, fsError, withHandles } from '../../disk/errors.js'
import { io } from '../../disk/io.js'
import { discardLeftover, type PartPaths } from '../../disk/part-paths.js'
import { DownloadError } from '../../errors.js'
import { removeTemporary } from './journal.js'

/** Who begins a part holds a connection, and with it a handle that another one may be waiting for. */
const newPartMs = 250

function openPart(path: string, flags: number, deadlineMs?: number): Promise<number> {
  return withHandles(() => io.open(path, constants.O_RDWR | flags | constants.O_NOFOLLOW, 0o600), deadlineMs)
}

/** A new part under a new inode; one that lies there is deleted, and its journal with it. */
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

/** The kept part. */
export async function openKept(paths: PartPaths): Promise<number> {
  const fd = await openPart(paths.part, 0)
  if ((await io.fstat(fd)).isFile()) return fd
  await io.close(fd)
  throw new DownloadError('TARGET_NOT_REGULAR', 'The part file is not a regular file.')
}

/** Whether both are one file, by its inode. */
export function isSameInode(a: Stats, b: Stats): boolean {
  return a.ino === b.ino && a.dev === b.dev
}

/** Forces the data of a file to the disk. */
export function datasync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error === null) resolve()
      else reject(fsError(error, 'syncing the part file'))
    })
  })
}

/** The part is another run's now. */
export function takenOver(): DownloadError {
  return new DownloadError('TARGET_LOCKED', 'Another process has taken this file over.', { retryable: true })
}

// ---- write-all

/** Writes a buffer at a position; a short write is continued where it ended. Throws what the file system throws. */
export async function writeFully(fd: number, buffer: Buffer, position: number): Promise<void> {
  let written = 0
  while (written < buffer.length) written += await writeSome(fd, buffer.subarray(written), position + written)
}

/** {@link writeFully} on the spot. */
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

/** A write that takes nothing would go on for ever. */
function zeroBytesWritten(): Error {
  return Object.assign(new Error('write returned 0'), { code: 'EIO' })
}

/** Opening part files. Symlinks aren't followed: somebody may have planted one. */
import { constants, fdatasync, type Stats } from 'node:fs'
import { DownloadError } from '../errors.js'
import { errnoOf, fsError, withHandles } from '../files/fs-errors.js'
import { io } from '../files/io.js'
import { discardLeftover, removeTemporary, type PartPaths } from './leftover.js'

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
export function isSameFile(a: Stats, b: Stats): boolean {
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

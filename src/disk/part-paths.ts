/** The names of the files that exist beside a target while it is downloaded. */
import { basename, join } from 'node:path'
import { isDownloadError } from '../errors.js'
import { fsError, isMissing } from './errors.js'
import { io } from './io.js'
import { acquireLock, type FileLock } from './lock.js'

/** The paths of the files of one target. */
export interface PartPaths {
  directory: string
  target: string
  part: string
  journal: string
  /** What has been written since the journal was last synced; worth something only within the boot. */
  recent: string
  lock: string
  /** A copy from another program's cache, while it is verified. */
  adopted: string
}

/** The paths for a target with the given file name. */
export function partPaths(directory: string, filename: string): PartPaths {
  const target = join(directory, filename)
  return {
    directory,
    target,
    part: `${target}.part`,
    journal: `${target}.part.json`,
    recent: `${target}.part.live`,
    lock: `${target}.part.lock`,
    adopted: `${target}.part.adopt`,
  }
}

/** Journals and locks are replaced by way of a temporary file, whose name is longer. */
const partSuffix = /\.part(?:\.adopt|\.(?:json|live|lock)(?:\.[0-9a-z]{6})?)?$/

/** The path of the target, if a file is one of those that exist beside it while it is downloaded; otherwise null. */
export function targetOfPart(path: string): string | null {
  const name = basename(path)
  const at = name.search(partSuffix)
  return at <= 0 ? null : path.slice(0, path.length - name.length + at)
}

/** Whether a name is that of a file that exists beside a target while it is downloaded. */
export function isPartName(name: string): boolean {
  return targetOfPart(name) !== null
}

/** Deletes part and journal, whatever they contain. */
export async function discardLeftover(paths: PartPaths): Promise<void> {
  await removeFiles(leftoverFiles(paths))
}

/**
 * Deletes part and journal, unless another process is writing them.
 *
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function discardIfFree(paths: PartPaths): Promise<void> {
  const found = await Promise.all(
    leftoverFiles(paths).map((path) => io.lstatIfThere(path).catch(() => undefined)),
  )
  if (found.every((stats) => stats === null)) return
  let lock: FileLock | null = null
  try {
    lock = await acquireLock(paths.lock)
  } catch (error) {
    if (isDownloadError(error, 'TARGET_LOCKED')) return
    // Whatever keeps a lock from being created is reported when the files can't be deleted.
  }
  try {
    await discardLeftover(paths)
  } finally {
    await lock?.release()
  }
}

/** The files that an interrupted transfer leaves to the next one. */
export function leftoverFiles({ part, journal, recent }: PartPaths): string[] {
  return [part, journal, recent]
}

/**
 * Deletes files; missing ones are ignored.
 *
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function removeFiles(files: readonly string[]): Promise<void> {
  await Promise.all(files.map(remove))
}

async function remove(path: string): Promise<void> {
  try {
    await io.unlink(path)
  } catch (error) {
    if (!isMissing(error)) throw fsError(error, 'deleting a left-over part file')
  }
}

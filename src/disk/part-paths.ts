/** The names of the files that stand beside a target while it is downloaded. */
import { join } from 'node:path'
import { fsError, isMissing } from './errors.js'
import { io } from './io.js'

/** Where the files of one target lie. */
export interface PartPaths {
  directory: string
  target: string
  part: string
  journal: string
  lock: string
  /** A file of another program's cache, while it is looked at. */
  adopted: string
}

/** The paths for a file name. */
export function partPaths(directory: string, filename: string): PartPaths {
  const target = join(directory, filename)
  return {
    directory,
    target,
    part: `${target}.part`,
    journal: `${target}.part.json`,
    lock: `${target}.part.lock`,
    adopted: `${target}.part.adopt`,
  }
}

/** Deletes part and journal, whatever they are. */
export async function discardLeftover(paths: PartPaths): Promise<void> {
  await removeFiles([paths.part, paths.journal])
}

/**
 * Deletes files; those that aren't there are fine.
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
    if (!isMissing(error)) throw fsError(error, 'deleting a left part file')
  }
}

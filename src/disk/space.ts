import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { DownloadError } from '../errors.js'
import { formatBytes } from '../util/format.js'
import { isMissing } from './errors.js'

/**
 * Bytes that this process may still write to the file system of a folder.
 *
 * A folder that is not there yet stands for its nearest parent that is. Answers `Infinity` when the file system
 * doesn't tell: then only the writing itself can find out.
 */
export async function freeBytes(directory: string): Promise<number> {
  for (let folder = resolve(directory); ; folder = dirname(folder)) {
    try {
      const stats = await statfs(folder, { bigint: true })
      // Some FUSE file systems, and a tmpfs without limit, report no blocks at all.
      return stats.blocks <= 0n || stats.bsize <= 0n ? Infinity : Number(stats.bavail * stats.bsize)
    } catch (error) {
      if (!isMissing(error) || dirname(folder) === folder) return Infinity
    }
  }
}

/**
 * Makes sure that a file fits before a byte of it is fetched.
 *
 * @param directory - where it goes to.
 * @param neededBytes - its size.
 * @param alreadyAllocatedBytes - how much of that lies on the disk already.
 * @throws DownloadError `NO_SPACE`.
 */
export async function ensureSpace(
  directory: string,
  neededBytes: number,
  alreadyAllocatedBytes: number,
): Promise<void> {
  const missing = neededBytes - alreadyAllocatedBytes
  if (missing <= 0 || isAmple(directory, missing)) return
  const free = await freeBytes(directory)
  recent = { directory, free, at: performance.now() }
  if (missing > free) throw notEnoughSpace(missing, free)
}

/** The error that says so before anything is fetched. */
export function notEnoughSpace(neededBytes: number, free: number): DownloadError {
  return new DownloadError(
    'NO_SPACE',
    `Not enough room on the disk: ${formatBytes(neededBytes)} are needed, ${formatBytes(free)} are free.`,
    { retryable: true },
  )
}

/** The last look at a folder's file system: many small files in a row needn't each ask again. */
let recent = { directory: '', free: 0, at: 0 }

const recentMs = 1_000

const ampleShare = 1 / 10_000

/** Whether a file is next to nothing against what was free a moment ago. */
function isAmple(directory: string, bytes: number): boolean {
  const fresh = recent.directory === directory && performance.now() - recent.at < recentMs
  return fresh && bytes < recent.free * ampleShare
}

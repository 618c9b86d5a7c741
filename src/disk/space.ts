import { dirname, resolve } from 'node:path'
import { DownloadError } from '../errors.js'
import { type Clock, systemClock } from '../util/clock.js'
import { formatBytes } from '../util/format.js'
import { isMissing } from './errors.js'
import { statfs } from './fs.js'
import { io } from './io.js'

/**
 * The free space on the file system of a folder, in bytes.
 *
 * If the folder does not exist, its nearest existing parent is used. Returns `Infinity` when the file system
 * doesn't report its free space; then only writing can show whether there is enough.
 */
export async function freeBytes(directory: string): Promise<number> {
  for (let folder = resolve(directory); ; folder = dirname(folder)) {
    try {
      const stats = await statfs(folder, { bigint: true })
      // Some FUSE file systems, and tmpfs without a limit, report no blocks at all.
      return stats.blocks <= 0n || stats.bsize <= 0n ? Infinity : Number(stats.bavail * stats.bsize)
    } catch (error) {
      if (!isMissing(error) || dirname(folder) === folder) return Infinity
    }
  }
}

/** A file system. */
export interface Volume {
  /** Identifies the file system on this machine while it is mounted. */
  id: string
  /** Free space in bytes; `Infinity` if the file system doesn't report it. */
  free: number
  /** Size in bytes; `Infinity` if the file system doesn't report it. */
  capacity: number
}

/** The file system of a folder, or of its nearest existing parent. Never rejects. */
export async function volumeOf(directory: string): Promise<Volume> {
  for (let folder = resolve(directory); ; folder = dirname(folder)) {
    try {
      const { dev } = await io.stat(folder)
      const { blocks, bsize, bavail } = await statfs(folder, { bigint: true })
      const reports = blocks > 0n && bsize > 0n
      return {
        id: String(dev),
        free: reports ? Number(bavail * bsize) : Infinity,
        capacity: reports ? Number(blocks * bsize) : Infinity,
      }
    } catch (error) {
      if (!isMissing(error) || dirname(folder) === folder)
        return { id: '', free: Infinity, capacity: Infinity }
    }
  }
}

/**
 * Ensures that there is enough space for a file before it is downloaded.
 *
 * @param directory - folder of the file.
 * @param neededBytes - size of the file.
 * @param alreadyAllocatedBytes - how much of it is already allocated on the disk.
 * @throws DownloadError `NO_SPACE`.
 */
export async function ensureSpace(
  directory: string,
  neededBytes: number,
  alreadyAllocatedBytes: number,
  clock: Clock = systemClock,
): Promise<void> {
  const missing = neededBytes - alreadyAllocatedBytes
  if (missing <= 0 || isAmple(directory, missing, clock)) return
  const free = await freeBytes(directory)
  recent = { directory, free, at: clock.now(), clock }
  if (missing > free) throw notEnoughSpace(missing, free)
}

/** Creates the error for insufficient space. */
export function notEnoughSpace(neededBytes: number, free: number): DownloadError {
  return new DownloadError(
    'NO_SPACE',
    `Not enough disk space: ${formatBytes(neededBytes)} are needed, ${formatBytes(free)} are free.`,
    { retryable: true },
  )
}

/** The error for a download that would break a limit which the host application has set. */
export function limitError(shortage: {
  /** `budget` for what all files together may take, `free` for what must stay free. */
  kind: 'budget' | 'free'
  /** All in bytes. */
  needed: number
  available: number
  limit: number
  /** Whether it would not even fit if nothing else were there. */
  never: boolean
}): DownloadError {
  const { kind, limit, never } = shortage
  const needed = formatBytes(shortage.needed)
  const available = formatBytes(Math.max(0, shortage.available))
  const of = kind === 'budget' ? 'maxDiskBytes' : 'minFreeBytes'
  const left =
    kind === 'budget'
      ? `${available} of the disk budget of ${formatBytes(limit)} are left (${of})`
      : limit === 0
        ? `${available} are free`
        : `${available} are free beyond the ${formatBytes(limit)} that must stay free (${of})`
  const remedy = never ? ' It would not fit even if nothing else were there.' : ''
  const message = `Not enough disk space: ${needed} are needed, ${left}.${remedy}`
  return new DownloadError('NO_SPACE', message, { retryable: !never })
}

/** The last result for a folder, cached so that not each of many small files queries the file system. */
let recent = { directory: '', free: 0, at: 0, clock: systemClock }

const recentMs = 1_000

const ampleShare = 1 / 10_000

/** Whether a file is negligible compared with the space that was free a moment ago. */
function isAmple(directory: string, bytes: number, clock: Clock): boolean {
  const comparable = recent.directory === directory && recent.clock === clock
  const fresh = comparable && clock.now() - recent.at < recentMs
  return fresh && bytes < recent.free * ampleShare
}

/** the one test whether a file is still the same */
import type { Stats } from 'node:fs'
import { stat as followed } from 'node:fs/promises'
import { io } from './io.js'

/**
 * Whether the file under a path is still the one of a stamp.
 *
 * @param linked - a link may lie there, as in a cache.
 */
export async function isUnchanged(path: string, stamp: FileStamp, linked = false): Promise<boolean> {
  const stat = await (linked ? followed(path) : io.lstatIfThere(path)).catch(() => null)
  return (
    stat?.isFile() === true &&
    stat.size === stamp.size &&
    stat.mtimeMs === stamp.mtimeMs &&
    (stamp.ino === 0 || stamp.ino === stat.ino)
  )
}

/** What is known of a finished file: enough to tell later, without hashing, that it is still the same. */
export interface FileStamp {
  /** Bytes. */
  size: number
  /** Modification time in milliseconds since the epoch, with fractions. */
  mtimeMs: number
  /** Inode number (0 where the file system has none). */
  ino: number
  /** Lower-case hex SHA-256 of the content at that time. */
  sha256: string
}

/** Size, time and inode of a file, with its digest. */
export function stampOf(stat: Pick<Stats, 'size' | 'mtimeMs' | 'ino'>, sha256: string): FileStamp {
  return { size: stat.size, mtimeMs: stat.mtimeMs, ino: stat.ino, sha256 }
}

/** Whether a file is still the one that was seen before, told by its metadata alone. */
import type { Stats } from 'node:fs'
import { stat as followed } from 'node:fs/promises'
import { io } from './io.js'

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

/** The metadata of a file that {@link isSame} compares. */
export type FileMetadata = Pick<Stats, 'size' | 'mtimeMs' | 'ino'>

/** Size, time and inode of a file, with its digest. */
export function stampOf(stat: FileMetadata, sha256: string): FileStamp {
  return { size: stat.size, mtimeMs: stat.mtimeMs, ino: stat.ino, sha256 }
}

/**
 * Whether a file has the metadata that it had before.
 *
 * The inode counts as well: a file that was put in the place of another one may have the same size, and a time that was
 * copied along with its content. An inode of 0 in the stamp is unknown, and then only size and time are compared.
 *
 * @param stat - the file as it is now.
 * @param stamp - the file as it was.
 */
export function isSame(stat: FileMetadata, stamp: FileMetadata): boolean {
  return (
    stat.size === stamp.size && stat.mtimeMs === stamp.mtimeMs && (stamp.ino === 0 || stat.ino === stamp.ino)
  )
}

/**
 * Whether the file under a path is still the one of a stamp.
 *
 * @param linked - a link may lie there, as in a cache.
 */
export async function isUnchanged(path: string, stamp: FileStamp, linked = false): Promise<boolean> {
  const stat = await (linked ? followed(path) : io.lstatIfThere(path)).catch(() => null)
  return stat?.isFile() === true && isSame(stat, stamp)
}

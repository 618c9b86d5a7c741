/** Tells by metadata alone whether a file has changed since it was last verified. */
import { stat as followed, type Stats } from './fs.js'
import { io } from './io.js'

/** Metadata and digest of a complete file, by which a change can be detected later without hashing it again. */
export interface FileStamp {
  /** Bytes. */
  size: number
  /** Modification time in milliseconds since the epoch, with fractions. */
  mtimeMs: number
  /** Inode number; 0 if the file system has none. */
  ino: number
  /** Lower-case hex SHA-256 of the content at that time. */
  sha256: string
}

/** The metadata of a file that {@link isSame} compares. */
export type FileMetadata = Pick<Stats, 'size' | 'mtimeMs' | 'ino'>

/** Creates a stamp from a file's metadata and digest. */
export function stampOf(stat: FileMetadata, sha256: string): FileStamp {
  return { size: stat.size, mtimeMs: stat.mtimeMs, ino: stat.ino, sha256 }
}

/**
 * Whether a file still has the same metadata.
 *
 * The inode is compared as well, because a file that has replaced another one may have the same size and a copied
 * modification time. If the inode of the stamp is 0 (unknown), only size and time are compared.
 *
 * @param stat - the current metadata.
 * @param stamp - the earlier metadata.
 */
export function isSame(stat: FileMetadata, stamp: FileMetadata): boolean {
  return (
    stat.size === stamp.size && stat.mtimeMs === stamp.mtimeMs && (stamp.ino === 0 || stat.ino === stamp.ino)
  )
}

/**
 * Whether the file at a path still matches its stamp.
 *
 * @param linked - whether the path may be a symlink, as in a cache; it is then followed. Default false.
 */
export async function isUnchanged(path: string, stamp: FileStamp, linked = false): Promise<boolean> {
  const stat = await (linked ? followed(path) : io.lstatIfThere(path)).catch(() => null)
  return stat?.isFile() === true && isSame(stat, stamp)
}

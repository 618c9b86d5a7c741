/** Tells by metadata alone whether a file has changed since it was last verified. */
import type { Verification } from '../util/digests.js'
import { io } from './io.js'

/** Metadata and digest of a complete file, by which a change can be detected later without hashing it again. */
export interface FileStamp {
  /** Bytes. */
  size: number
  /** Modification time in milliseconds since the epoch, with fractions. */
  mtimeMs: number
  /** Inode number, as a decimal string from 2^53 on; 0 if the file system has none. */
  ino: number | string
  /** Lower-case hex SHA-256 of the content at that time. */
  sha256: string
  /** What the content was verified with at that time; missing if with nothing. */
  verification?: Verification | undefined
  /** Hash of the same content in the Xet store of its hub, if it is known. */
  xet?: string | undefined
}

/** The metadata of a file that {@link isSame} compares; that of a file, or of a stamp. */
export interface FileMetadata {
  size: number
  mtimeMs: number
  ino: bigint | number | string
}

/** Creates a stamp from a file's metadata and digest. */
export function stampOf(
  stat: FileMetadata,
  sha256: string,
  verification: Verification | null = null,
): FileStamp {
  const { size, mtimeMs, ino } = stat
  const verified = verification === null ? {} : { verification }
  return { size, mtimeMs, ino: storedInode(ino), sha256, ...verified }
}

/** An inode as JSON can hold it without losing a digit. */
function storedInode(ino: FileMetadata['ino']): number | string {
  if (typeof ino !== 'bigint') return ino
  return ino <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(ino) : String(ino)
}

function areEqualInodes(a: FileMetadata['ino'], b: FileMetadata['ino']): boolean {
  // Earlier versions stored large ones as numbers, which are rounded.
  const isRounded = [a, b].some((ino) => typeof ino === 'number' && !Number.isSafeInteger(ino))
  return isRounded ? Number(a) === Number(b) : String(a) === String(b)
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
  if (stat.size !== stamp.size || stat.mtimeMs !== stamp.mtimeMs) return false
  return Number(stamp.ino) === 0 || areEqualInodes(stat.ino, stamp.ino)
}

/**
 * Whether the file at a path still matches its stamp.
 *
 * @param linked - whether the path may be a symlink, as in a cache; it is then followed. Default false.
 */
export async function isUnchanged(path: string, stamp: FileStamp, linked = false): Promise<boolean> {
  const stat = await (linked ? io.stat(path) : io.lstatIfThere(path)).catch(() => null)
  return stat?.isFile() === true && isSame(stat, stamp)
}

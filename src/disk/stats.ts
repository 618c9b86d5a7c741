/** Metadata of files, with identities that are exact, and the decision whether two of them are the same file. */
import type { BigIntStats } from './fs.js'

/**
 * Metadata of a file. Device and inode are integers of 64 bits, of which a number holds 53: NTFS, ReFS and many FUSE
 * file systems use the others, so that the numbers of two files can be equal.
 */
export class FileStats {
  /** Bytes. */
  readonly size: number
  /** Time of the last modification in milliseconds since the epoch, with fractions. */
  readonly mtimeMs: number
  /** Time of the last access, in the same unit. */
  readonly atimeMs: number
  readonly dev: bigint
  /** 0 if the file system has none. */
  readonly ino: bigint
  /** Type and permissions. */
  readonly mode: number
  /** Number of hard links. */
  readonly nlink: number
  /** Number of the user that owns it. */
  readonly uid: number
  /** Allocated units of 512 bytes. */
  readonly blocks: number
  readonly #raw: BigIntStats

  constructor(raw: BigIntStats) {
    this.#raw = raw
    this.size = Number(raw.size)
    this.mtimeMs = milliseconds(raw.mtimeNs)
    this.atimeMs = milliseconds(raw.atimeNs)
    this.dev = raw.dev
    this.ino = raw.ino
    this.mode = Number(raw.mode)
    this.nlink = Number(raw.nlink)
    this.uid = Number(raw.uid)
    this.blocks = Number(raw.blocks)
  }

  /** {@link mtimeMs} as a date. */
  get mtime(): Date {
    return new Date(Math.round(this.mtimeMs))
  }

  isFile(): boolean {
    return this.#raw.isFile()
  }

  isDirectory(): boolean {
    return this.#raw.isDirectory()
  }

  isSymbolicLink(): boolean {
    return this.#raw.isSymbolicLink()
  }
}

const second = 1_000_000_000n

/** The same number that Node computes for `mtimeMs` of a `Stats`, which records of earlier versions contain. */
function milliseconds(ns: bigint): number {
  return Number(ns / second) * 1_000 + Number(ns % second) / 1_000_000
}

/**
 * Whether both are the same file.
 *
 * On Windows only the inode is compared: libuv 1.49 and 1.50, which several releases of Node 22 and 24 contain, take the
 * device of a path from another place than that of an open file, so that the two never agree.
 *
 * @param platform - the system that both come from, as in `process.platform`. Default: this one.
 */
export function isSameInode(
  a: Pick<FileStats, 'dev' | 'ino'>,
  b: Pick<FileStats, 'dev' | 'ino'>,
  platform: NodeJS.Platform = process.platform,
): boolean {
  return a.ino === b.ino && (platform === 'win32' || a.dev === b.dev)
}

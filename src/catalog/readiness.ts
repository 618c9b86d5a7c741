/** Whether a model's file is there and right, told without reading it. */
import { lstat } from 'node:fs/promises'
import pLimit from 'p-limit'
import { errnoOf, fsError } from '../files/fs-errors.js'
import type { FileStamp } from '../transfer/protocol.js'
import type { CatalogEntry } from './catalog.js'
import type { Spot } from './place.js'

/** Files of a group that are looked at together. */
const looksAtATime = 16

/** What is known of a file after a look at it. */
export type FileVerdict =
  /** `checked`: it has the digest that the catalog says. */
  | { kind: 'right'; checked: boolean }
  | { kind: 'missing' }
  | { kind: 'wrongSize'; found: number }
  | { kind: 'wrongDigest' }
  /** The catalog says a digest, and nobody has computed that of the file as it is now. */
  | { kind: 'notVerified' }
  | { kind: 'notRegular' }
  | { kind: 'unreadable'; reason: string }

/**
 * Looks at a file: one `lstat`, whatever its size. Answers `right` exactly when asking the manager for it would fetch
 * nothing, as far as that can be told without hashing.
 *
 * @param stamp - the file as it was when its digest was last computed, or null.
 */
export async function checkFile(
  path: string,
  expected: Pick<CatalogEntry, 'size' | 'sha256'>,
  stamp: FileStamp | null,
): Promise<FileVerdict> {
  let stats
  try {
    stats = await lstat(path)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' }
    return { kind: 'unreadable', reason: fsError(error, 'looking at it').message }
  }
  // The engine doesn't follow symbolic links either.
  if (!stats.isFile()) return { kind: 'notRegular' }
  if (expected.size !== null && stats.size !== expected.size) return { kind: 'wrongSize', found: stats.size }
  if (expected.sha256 === null) return { kind: 'right', checked: false }
  const unchanged =
    stamp !== null &&
    stamp.size === stats.size &&
    stamp.mtimeMs === stats.mtimeMs &&
    (stamp.ino === 0 || stamp.ino === stats.ino)
  if (!unchanged) return { kind: 'notVerified' }
  return stamp.sha256 === expected.sha256 ? { kind: 'right', checked: true } : { kind: 'wrongDigest' }
}

/** The same of all files of a model: those of a group are right when each one is; else it is told what the first is. */
export async function checkSpot(
  { path, stamp, files }: Spot,
  expected: Pick<CatalogEntry, 'size' | 'sha256'>,
): Promise<FileVerdict> {
  if (files === null) return await checkFile(path, expected, stamp)
  const verdicts = await pLimit(looksAtATime).map(files, (file) =>
    checkFile(file.path, { size: file.size, sha256: file.expected }, file.stamp),
  )
  const wrong = verdicts.find(({ kind }) => kind !== 'right')
  return wrong ?? { kind: 'right', checked: files.every(({ expected: digest }) => digest !== null) }
}

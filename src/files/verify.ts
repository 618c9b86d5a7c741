/** Checks files on disk against what they should be. Reads them again, and writes nothing. */
import { asDownloadError, isMissing } from '../disk/errors.js'
import { type DownloadError, isDownloadError } from '../errors.js'
import type { Verification } from '../util/digests.js'
import { Slices } from '../util/slices.js'
import { defaultLanes, HashPool } from './hash-pool.js'
import {
  comparedWith,
  type Expected,
  type Found,
  isFault,
  type StoredFile,
  verdictOf,
  type VerifyStatus,
} from './stored.js'

/** A file to check. */
export interface VerifyTarget extends Expected {
  /** Name of the entry that it belongs to; see {@link StoredFile.name}. */
  readonly name: string
  /** Its name in that entry. */
  readonly filename: string
  /** Absolute path of the bytes. */
  readonly path: string
  /** See {@link StoredMember.verification}. */
  readonly verification: Verification | null
}

/** Result of checking one file. */
export interface VerifiedFile {
  /** Name of the entry that it belongs to; see {@link StoredFile.name}. */
  readonly name: string
  /** Name of the file; in a group, its path inside the group's folder. */
  readonly filename: string
  /** The result. */
  readonly status: VerifyStatus
  /** Bytes on disk; null if it can't be read. */
  readonly size: number | null
  /** Size in bytes that it should have; null if unknown. */
  readonly expectedSize: number | null
  /** SHA-256 of the file in lower-case hex; null if it was not hashed, and for files that git's digest identifies. */
  readonly sha256: string | null
  /** SHA-256 that it should have; null if unknown. */
  readonly expectedSha256: string | null
  /** Digest by which it was compared now, `git` being the id of a blob; null if nothing was compared. */
  readonly comparedWith: 'sha256' | 'git' | null
  /** What it was verified with when it was downloaded, and who stated that; null if with nothing, or if that is unknown. */
  readonly verification: Verification | null
  /** Why it can't be read; otherwise null. */
  readonly error: DownloadError | null
}

/** Progress of a check. */
export interface VerifyProgress {
  /** Number of files that have been checked. */
  readonly checked: number
  /** Number of all files. */
  readonly files: number
  /** Bytes that have been read. */
  readonly bytes: number
  /** Bytes of all files, as far as they are known. */
  readonly totalBytes: number
}

/** Result of a check. */
export interface VerifyReport {
  /** Whether nothing is wrong. A file whose digest is unknown is not wrong. */
  readonly ok: boolean
  /** Number of files with each result. */
  readonly counts: Readonly<Record<VerifyStatus, number>>
  /** Bytes that were read. */
  readonly bytes: number
  /** The files, in the order of the list. */
  readonly files: readonly VerifiedFile[]
}

/** Options of a check that runs anywhere. */
export interface VerifyRun {
  /** Number of files that are hashed at the same time. Default: number of processors, at most 4. */
  lanes?: number | undefined
  signal: AbortSignal
  onFile?: ((file: VerifiedFile) => void) | undefined
  onProgress?: ((progress: VerifyProgress) => void) | undefined
}

/** What checking a file costs besides hashing it, in units of {@link Slices}. */
const fileUnits = 1_000

/**
 * The files of some entries.
 *
 * @param everything - whether files that unfinished downloads have yet to fetch are wanted as well; they are missing then.
 */
export function targetsOf(entries: readonly StoredFile[], everything: boolean): VerifyTarget[] {
  return entries.flatMap(({ name, files, finished }) =>
    files
      .filter(({ state }) => everything || finished || state === 'complete')
      .map(({ filename, path, total: size, sha256, gitOid, verification }) => ({
        name,
        filename,
        path,
        size,
        sha256,
        gitOid,
        verification,
      })),
  )
}

/** Tells the sizes on disk of the files of some entries, for the progress of a check. */
export function sizesOf(entries: readonly StoredFile[]): (target: Pick<VerifyTarget, 'path'>) => number {
  const sizes = new Map(entries.flatMap(({ files }) => files.map(({ path, size }) => [path, size] as const)))
  return ({ path }) => sizes.get(path) ?? 0
}

/**
 * Checks files.
 *
 * @param sizeOf - returns the size of a target on disk for the progress, as far as it is known.
 * @throws DownloadError `CANCELED` when the signal is aborted. Everything else is a result of the file.
 */
export async function verifyFiles(
  targets: readonly VerifyTarget[],
  { lanes = defaultLanes(), signal, onFile, onProgress }: VerifyRun,
  sizeOf: (target: VerifyTarget) => number = ({ size }) => size ?? 0,
): Promise<VerifyReport> {
  const pool = new HashPool(lanes)
  const progress = { checked: 0, files: targets.length, bytes: 0, totalBytes: 0 }
  for (const target of targets) progress.totalBytes += sizeOf(target)
  const results: VerifiedFile[] = []
  const slices = new Slices()
  let next = 0
  const check = async () => {
    while (next < targets.length) {
      const index = next++
      const target = targets[index]
      if (target === undefined) return
      const onBytes = (bytes: number) => {
        progress.bytes += bytes
        onProgress?.({ ...progress })
      }
      const result = await checkOne(target, pool, { signal, onBytes })
      results[index] = result
      progress.checked += 1
      onFile?.(result)
      onProgress?.({ ...progress })
      slices.spend(fileUnits)
      await slices.rest()
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(lanes, targets.length) }, check))
  } finally {
    await pool.close()
  }
  const counts = countsOf(results)
  return {
    ok: results.every(({ status }) => !isFault(status)),
    counts,
    bytes: progress.bytes,
    files: results,
  }
}

/** The number of files with each result. */
export function countsOf(files: readonly Pick<VerifiedFile, 'status'>[]): Record<VerifyStatus, number> {
  const counts = { ok: 0, damaged: 0, unknown: 0, 'size-differs': 0, missing: 0, unreadable: 0, changed: 0 }
  for (const { status } of files) counts[status] += 1
  return counts
}

async function checkOne(
  target: VerifyTarget,
  pool: HashPool,
  run: { signal: AbortSignal; onBytes: (bytes: number) => void },
): Promise<VerifiedFile> {
  const { name, filename, path, size: expectedSize, sha256: expectedSha256, verification } = target
  const common = { name, filename, expectedSize, expectedSha256, verification }
  let found: Found
  try {
    found = await pool.examine(path, target, run)
  } catch (error) {
    if (isDownloadError(error, 'CANCELED') || isDownloadError(error, 'CLOSED')) throw error
    const nothing = { ...common, size: null, sha256: null, comparedWith: null }
    if (isMissing(error)) return { ...nothing, status: 'missing', error: null }
    return { ...nothing, status: 'unreadable', error: asDownloadError(error, 'reading the file') }
  }
  const status = verdictOf(target, found)
  const compared = status === 'ok' || status === 'damaged' ? comparedWith(target) : null
  return { ...common, status, size: found.size, sha256: found.sha256, comparedWith: compared, error: null }
}

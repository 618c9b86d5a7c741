/** Verifies a complete file before it is published. */
import { createHash } from 'node:crypto'
import { checkFormat, checkHead, headBytes } from '../disk/model-formats.js'
import { substituteIn } from '../disk/substitutes.js'
import { DownloadError, isDownloadError } from '../errors.js'
import type { ServerDigest } from '../net/server-digests.js'
import { algorithmName, type ExpectedDigest, type Verification } from '../util/digests.js'
import type { Digests } from './hash/algorithms.js'
import { checksOf, computed, type GivenDigests, givenDigests, verificationOf } from './hash/expected.js'
import { stepBytes } from './hash/hash-job.js'
import type { FileHash, HashService } from './hash/hasher.js'
import type { PartFile } from './part/part-file.js'
import { partLost } from './part/start-over.js'
import type { TransferSpec } from './protocol.js'

/** What to verify. */
export interface VerifyInit {
  part: PartFile
  hash: FileHash
  /** Name of the file; its extension may imply a format. */
  filename: string
  /** Size of the file in bytes. */
  size: number
  expected: Expected
  /** What the server says about the digest. */
  stated: readonly ServerDigest[]
  /** Computes digests that were not known to be needed before. */
  hashes: HashService
}

/** What is known about the content beforehand. */
type Expected = GivenDigests & Pick<TransferSpec, 'size' | 'checkFormat'>

/**
 * A digest proves more than the format does: a file that matches it is the right one, whatever its name says. What the
 * server says proves nothing of the kind, because it says the same of a page for logging in.
 */
function isFormatChecked(expected: Expected): boolean {
  return (expected.checkFormat ?? true) && givenDigests(expected).length === 0
}

/** What a complete file was found to be. */
export interface Verified {
  /** In lower-case hex. */
  sha256: string
  /** Null if no digest was known. */
  verification: Verification | null
}

/**
 * Verifies size and digests; without one that was given, the format as well.
 *
 * @throws DownloadError `CONTENT_MISMATCH`, `CHECKSUM_MISMATCH`, `DISK_IO`; `StartOver` if another program truncated
 * the part.
 */
export async function verify(init: VerifyInit): Promise<Verified> {
  const { part, hash, filename, size, expected, stated } = init
  if (expected.size !== null && size !== expected.size) {
    throw new DownloadError(
      'CONTENT_MISMATCH',
      `The file has ${size} bytes, but ${expected.size} were expected.`,
    )
  }
  hash.advance(size)
  const checks = checksOf(expected, stated)
  const { sha256 = '', ...others } = await digestsOf(init, checks)
  const found: Readonly<Partial<Record<string, string>>> = { sha256, ...others }
  for (const check of checks) {
    const value =
      check.algorithm === 'git'
        ? await gitBlobOid((position, length) => part.read(position, length), size)
        : (found[check.algorithm] ?? '')
    if (value === check.value) continue
    await requireNoSubstitute(part, filename, size)
    throw new DownloadError('CHECKSUM_MISMATCH', mismatchText(check, value))
  }
  if (isFormatChecked(expected)) {
    const wrong = await checkFormat(filename, size, (position, length) => part.read(position, length))
    if (wrong !== null) throw new DownloadError('CONTENT_MISMATCH', wrong)
  }
  return { sha256, verification: verificationOf(checks) }
}

/** Says which digest differs, and who stated it. */
function mismatchText({ algorithm, value, from }: ExpectedDigest, found: string): string {
  const what = algorithm === 'git' ? 'The Git blob ID of the file' : `The ${algorithmName(algorithm)}`
  if (from === 'server') return `${what} is ${found}, but the server says that it is ${value}.`
  const by = from === 'sidecar' ? ' by the checksum file' : ''
  return `${what} is ${found}, but ${value} was expected${by}.`
}

/** SHA-256, and the digests of the checks. */
async function digestsOf(
  { part, hash, size, hashes }: VerifyInit,
  checks: readonly ExpectedDigest[],
): Promise<Digests> {
  const wanted = computed(checks)
  // Of a small file that was written at once it is known already.
  if (part.wholeSha256 !== null && wanted.every((algorithm) => algorithm === 'sha256'))
    return { sha256: part.wholeSha256 }
  const found = await read(part, () => hash.digests(size))
  const missing = wanted.filter((algorithm) => !hash.algorithms.includes(algorithm))
  if (missing.length === 0) return found
  const again = hashes.open(part.fd, size, null, missing)
  try {
    return { ...found, ...(await read(part, () => again.digests(size))) }
  } finally {
    await again.dispose()
  }
}

/** A web page or a Git LFS pointer explains why the digest differs. */
async function requireNoSubstitute(part: PartFile, filename: string, size: number): Promise<void> {
  const wrong = substituteIn(filename, await part.read(0, Math.min(size, headBytes)), size)
  if (wrong !== null) throw new DownloadError('CONTENT_MISMATCH', wrong)
}

/** The check of the first bytes against the name of the file; null if there is none. */
export function headCheck(
  filename: string | null,
  expected: Expected,
): ((bytes: Uint8Array, total: number | null) => DownloadError | null) | null {
  if (filename === null || !isFormatChecked(expected)) return null
  return (bytes, total) => {
    const wrong = checkHead(filename, bytes, total)
    return wrong === null ? null : new DownloadError('CONTENT_MISMATCH', wrong)
  }
}

/**
 * Git's ID for a blob: SHA-1 over its length and its bytes. Only used for small files, which are stored in Git
 * itself.
 *
 * @param read - reads bytes at a position; fewer at the end of the file.
 */
export async function gitBlobOid(
  read: (position: number, length: number) => Promise<Buffer>,
  size: number,
): Promise<string> {
  const hash = createHash('sha1').update(`blob ${size}\0`)
  for (let at = 0; at < size;) {
    const bytes = await read(at, Math.min(stepBytes, size - at))
    if (bytes.length === 0) throw partLost()
    hash.update(bytes)
    at += bytes.length
  }
  return hash.digest('hex')
}

/** Reads the part with a hash. A file that is shorter than what was written was truncated by another program. */
async function read(part: PartFile, digests: () => Promise<Digests>): Promise<Digests> {
  try {
    return await digests()
  } catch (error) {
    throw isDownloadError(error, 'TRUNCATED') || !(await part.isIntact()) ? partLost() : error
  }
}

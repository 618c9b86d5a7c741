/** Verifies a complete file before it is published. */
import { createHash } from 'node:crypto'
import { checkFormat, checkHead, headBytes } from '../disk/model-formats.js'
import { substituteIn } from '../disk/substitutes.js'
import { DownloadError, isDownloadError } from '../errors.js'
import { stepBytes } from './hash/hash-job.js'
import type { FileHash } from './hash/hasher.js'
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
}

/** What is known about the content beforehand. */
type Expected = Pick<TransferSpec, 'size' | 'sha256' | 'gitOid' | 'checkFormat'>

/** A digest proves more than the format does: a file that matches it is the right one, whatever its name says. */
function isFormatChecked({ sha256, gitOid = null, checkFormat = true }: Expected): boolean {
  return checkFormat && sha256 === null && gitOid === null
}

/**
 * Verifies size and digest; without a digest, the format.
 *
 * @returns the SHA-256, in lower-case hex.
 * @throws DownloadError `CONTENT_MISMATCH`, `CHECKSUM_MISMATCH`, `DISK_IO`; `StartOver` if another program truncated
 * the part.
 */
export async function verify({ part, hash, filename, size, expected }: VerifyInit): Promise<string> {
  if (expected.size !== null && size !== expected.size) {
    throw new DownloadError(
      'CONTENT_MISMATCH',
      `The file has ${size} bytes, but ${expected.size} were expected.`,
    )
  }
  hash.advance(size)
  const sha256 = part.wholeSha256 ?? (await digest(part, hash, size))
  if (expected.sha256 !== null && sha256 !== expected.sha256) {
    await requireNoSubstitute(part, filename, size)
    throw new DownloadError(
      'CHECKSUM_MISMATCH',
      `The SHA-256 is ${sha256}, but ${expected.sha256} was expected.`,
    )
  }
  if (expected.sha256 === null && (expected.gitOid ?? null) !== null) {
    const oid = await gitBlobOid((position, length) => part.read(position, length), size)
    if (oid !== expected.gitOid) {
      await requireNoSubstitute(part, filename, size)
      throw new DownloadError(
        'CHECKSUM_MISMATCH',
        `The Git blob ID of the file is ${oid}, but ${expected.gitOid} was expected.`,
      )
    }
  }
  if (isFormatChecked(expected)) {
    const wrong = await checkFormat(filename, size, (position, length) => part.read(position, length))
    if (wrong !== null) throw new DownloadError('CONTENT_MISMATCH', wrong)
  }
  return sha256
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

async function digest(part: PartFile, hash: FileHash, size: number): Promise<string> {
  try {
    return await hash.digest(size)
  } catch (error) {
    // A file that is shorter than what was written was truncated by another program.
    throw isDownloadError(error, 'TRUNCATED') || !(await part.isIntact()) ? partLost() : error
  }
}

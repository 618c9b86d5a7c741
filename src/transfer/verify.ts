/** The check of a file that is all there, before it may have its name. */
import { DownloadError, isDownloadError } from '../errors.js'
import { checkFile, checkHead, formatOf, looksLikeHtml } from '../files/formats.js'
import type { FileHash } from './hasher.js'
import type { PartFile } from './part-file.js'
import { partLost } from './start-over.js'

/** What is checked, against what. */
export interface VerifyInit {
  part: PartFile
  hash: FileHash
  filename: string
  size: number
  expected: { size: number | null; sha256: string | null }
}

const headBytes = 512

/**
 * Checks size, digest and format.
 *
 * @returns the SHA-256.
 * @throws DownloadError `CONTENT_MISMATCH`, `CHECKSUM_MISMATCH`, `DISK_IO`; StartOver when somebody cut the part.
 */
export async function verify({ part, hash, filename, size, expected }: VerifyInit): Promise<string> {
  if (expected.size !== null && size !== expected.size) {
    throw new DownloadError(
      'CONTENT_MISMATCH',
      `The file has ${size} bytes, but ${expected.size} are expected.`,
    )
  }
  hash.advance(size)
  const sha256 = part.wholeSha256 ?? (await digest(part, hash, size))
  if (expected.sha256 !== null && sha256 !== expected.sha256) {
    if (looksLikeHtml(await part.read(0, Math.min(size, headBytes)))) {
      throw new DownloadError('CONTENT_MISMATCH', 'The server sent a web page, not the file.')
    }
    throw new DownloadError(
      'CHECKSUM_MISMATCH',
      `The SHA-256 is ${sha256}, but ${expected.sha256} is expected.`,
    )
  }
  const wrong = await checkFile(filename, size, (position, length) => part.read(position, length))
  if (wrong !== null) throw new DownloadError('CONTENT_MISMATCH', wrong)
  return sha256
}

/** What tells from the first bytes that they aren't what the name promises; null when it promises nothing. */
export function headCheck(
  filename: string | null,
): ((bytes: Uint8Array, total: number | null) => DownloadError | null) | null {
  if (filename === null || formatOf(filename) === null) return null
  return (bytes, total) => {
    const wrong = checkHead(filename, bytes, total)
    return wrong === null ? null : new DownloadError('CONTENT_MISMATCH', wrong)
  }
}

async function digest(part: PartFile, hash: FileHash, size: number): Promise<string> {
  try {
    return await hash.digest(size)
  } catch (error) {
    // A file that is shorter than what was written was cut by somebody else.
    throw isDownloadError(error, 'TRUNCATED') || !(await part.isIntact()) ? partLost() : error
  }
}

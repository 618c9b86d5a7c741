/** What is said about the check of a file. Pure. */
import type { WireDownload } from '../../client/index.js'
import { fill, type Strings } from '../strings.js'

type Verification = NonNullable<WireDownload['verification']>

/** Names of algorithms as people know them. */
const names: Readonly<Record<Verification['algorithm'], string>> = {
  sha256: 'SHA-256',
  sha512: 'SHA-512',
  sha384: 'SHA-384',
  blake3: 'BLAKE3',
  sha1: 'SHA-1',
  md5: 'MD5',
  crc64nvme: 'CRC-64/NVME',
  crc32c: 'CRC-32C',
  crc32: 'CRC-32',
  git: 'Git',
}

const stated = { caller: 'byCaller', source: 'bySource', sidecar: 'bySidecar', server: 'byServer' } as const

/** Says whether a complete file was verified, and with what. Older servers don't tell the latter. */
export function checkOf(
  { verified, verification = null }: Pick<WireDownload, 'verified'> & Partial<WireDownload>,
  texts: Strings,
): string {
  if (!verified) return texts.notVerified
  if (verification === null) return texts.verified
  const { algorithm, from } = verification
  return fill(texts.verifiedWith, { algorithm: names[algorithm], by: texts[stated[from]] })
}

/** The digest that was compared, if it is not the SHA-256, which is shown of every file; otherwise null. */
export function otherDigest({
  verification = null,
}: Partial<WireDownload>): { name: string; value: string } | null {
  if (verification === null || verification.algorithm === 'sha256') return null
  return { name: names[verification.algorithm], value: verification.value }
}

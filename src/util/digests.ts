/** Digests of files: their algorithms, how people and servers write them, and which of several decides. Pure. */
import { base64ToHex } from './base64.js'

/**
 * Algorithms that a file can be verified with, the ones that prove most first. SHA-256 precedes longer ones, because it is
 * computed of every file anyway and nobody can forge it either. The CRCs find damage, but anybody can make another file
 * that has the same one.
 */
export const digestAlgorithms = [
  'sha256',
  'sha512',
  'sha384',
  'blake3',
  'sha1',
  'md5',
  'crc64nvme',
  'crc32c',
  'crc32',
] as const

/** See {@link digestAlgorithms}. */
export type DigestAlgorithm = (typeof digestAlgorithms)[number]

/** Where an expected digest comes from, the ones that are believed first coming first. */
export const digestOrigins = ['caller', 'source', 'sidecar', 'server'] as const

/**
 * Who stated a digest: the `caller` of the download, its `source` (such as the Hugging Face Hub), a `sidecar` (a file of
 * checksums that the caller named), or the `server` in the headers of the file.
 */
export type DigestOrigin = (typeof digestOrigins)[number]

/** A digest of a file. */
export interface Digest {
  /** See {@link digestAlgorithms}. */
  readonly algorithm: DigestAlgorithm
  /** In lower-case hex. */
  readonly value: string
}

/** A digest that a file must have. `git` is Git's ID of a blob: SHA-1 over its length and its bytes. */
export interface ExpectedDigest {
  readonly algorithm: DigestAlgorithm | 'git'
  /** In lower-case hex. */
  readonly value: string
  readonly from: DigestOrigin
}

/** What a file was verified with: the digest that was compared, and who stated it. */
export type Verification = ExpectedDigest

/** Lengths in bytes. */
const lengths: Readonly<Record<DigestAlgorithm, number>> = {
  sha512: 64,
  sha384: 48,
  sha256: 32,
  blake3: 32,
  sha1: 20,
  md5: 16,
  crc64nvme: 8,
  crc32c: 4,
  crc32: 4,
}

/** The algorithm that a name stands for, in any of the usual spellings (`SHA-256`, `sha256`, `SHA2-256`); or null. */
export function algorithmOf(name: string): DigestAlgorithm | null {
  if (name.length > 16) return null
  const plain = name.toLowerCase().replace(/[-_/ ]/g, '')
  const known = plain === 'sha' ? 'sha1' : plain.replace(/^sha2(?=256$|384$|512$)/, 'sha')
  return digestAlgorithms.find((algorithm) => algorithm === known) ?? null
}

/** The algorithm whose digests are usually meant by a number of hex digits without a name; null if there is none. */
export function algorithmOfLength(hexDigits: number): DigestAlgorithm | null {
  const usual = ['sha512', 'sha384', 'sha256', 'sha1', 'md5'] as const
  return usual.find((algorithm) => lengths[algorithm] * 2 === hexDigits) ?? null
}

/** A digest in hex, in either case; null if it is none of that algorithm. */
export function hexDigest(algorithm: DigestAlgorithm, text: string): Digest | null {
  if (text.length !== lengths[algorithm] * 2 || !/^[0-9a-f]+$/i.test(text)) return null
  return { algorithm, value: text.toLowerCase() }
}

/** A digest in base64 (RFC 4648 section 4); null if it is none of that algorithm. */
export function base64Digest(algorithm: DigestAlgorithm, text: string): Digest | null {
  const bytes = lengths[algorithm]
  // Checked before it is decoded, because a server may send anything.
  if (text.length > Math.ceil(bytes / 3) * 4) return null
  const value = base64ToHex(text)
  return value?.length === bytes * 2 ? { algorithm, value } : null
}

/**
 * Parses a digest as people write it: `sha512:…`, `md5:…` in hex, or `sha512-…` in base64, as in Subresource Integrity. No
 * text is both, since base64 of these lengths is shorter or ends with `=`.
 *
 * @returns null for any other text.
 */
export function parseDigest(text: string): Digest | null {
  // Longer than any digest.
  if (text.length > 256) return null
  const match = /^([a-z0-9]+|sha2?-\d{3}|sha-1)[:=-]([0-9A-Za-z+/]+={0,2})$/i.exec(text.trim())
  if (match === null) return null
  const [, name = '', value = ''] = match
  const algorithm = algorithmOf(name)
  if (algorithm === null) return null
  return hexDigest(algorithm, value) ?? base64Digest(algorithm, value)
}

/** What a source says of the content of a file. */
interface StatedDigests {
  readonly sha256: string | null
  readonly gitOid: string | null
  readonly digests: readonly Digest[]
}

/** The digest of a file at a source as a list shows it: SHA-256 in hex, otherwise the strongest one; empty if there is none. */
export function shownDigest({ sha256, gitOid, digests }: StatedDigests): string {
  if (sha256 !== null) return sha256
  const git = gitOid === null ? [] : [{ algorithm: 'git' as const, value: gitOid }]
  const best = strongest<Pick<ExpectedDigest, 'algorithm' | 'value'>>([...git, ...digests])
  return best === null ? '' : digestText(best)
}

/** A digest as {@link parseDigest} reads it. */
export function digestText({ algorithm, value }: Pick<ExpectedDigest, 'algorithm' | 'value'>): string {
  return `${algorithm}:${value}`
}

/**
 * Removes the algorithms of which several values are stated: at most one of them can be right, and nothing tells which.
 */
export function withoutContradictions(digests: readonly Digest[]): Digest[] {
  const values = new Map<DigestAlgorithm, string | null>()
  for (const { algorithm, value } of digests) {
    const known = values.get(algorithm)
    values.set(algorithm, known === undefined || known === value ? value : null)
  }
  return [...values].flatMap(([algorithm, value]) => (value === null ? [] : [{ algorithm, value }]))
}

/** Names for messages. */
const names: Readonly<Record<ExpectedDigest['algorithm'], string>> = {
  sha512: 'SHA-512',
  sha384: 'SHA-384',
  sha256: 'SHA-256',
  blake3: 'BLAKE3',
  sha1: 'SHA-1',
  md5: 'MD5',
  crc64nvme: 'CRC-64/NVME',
  crc32c: 'CRC-32C',
  crc32: 'CRC-32',
  git: 'Git blob ID',
}

/** The name of an algorithm as people know it. */
export function algorithmName(algorithm: ExpectedDigest['algorithm']): string {
  return names[algorithm]
}

/** Whether another file with the same digest can't come about by accident. */
export function isStrong(algorithm: ExpectedDigest['algorithm']): boolean {
  return !algorithm.startsWith('crc')
}

/** The rank of an algorithm: the lower, the more it proves. Git's ID proves as much as SHA-1, of which it is made. */
function rank(algorithm: ExpectedDigest['algorithm']): number {
  return digestAlgorithms.indexOf(algorithm === 'git' ? 'sha1' : algorithm)
}

/** The digest that proves most; of equal ones the first. Null if there is none. */
export function strongest<T extends Pick<ExpectedDigest, 'algorithm'>>(digests: readonly T[]): T | null {
  let best: T | null = null
  for (const digest of digests)
    if (best === null || rank(digest.algorithm) < rank(best.algorithm)) best = digest
  return best
}

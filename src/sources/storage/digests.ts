/** Digests that object stores tell of an object. Pure. */
import type { ResolvedFile } from '../source.js'

/** What is known of a file's content. */
export type KnownDigests = Pick<ResolvedFile, 'sha256' | 'digests'>

type Headers = Readonly<Record<string, string | undefined>>

/** How many bytes a digest has. */
const lengths = { sha256: 32, sha1: 20, md5: 16, crc32: 4, crc32c: 4 } as const

type Algorithm = keyof typeof lengths

/** A digest in base64 as hex; null for anything else, such as one of several parts (`…-3`). */
export function hexOf(algorithm: Algorithm, base64: string | null | undefined): string | null {
  if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]{1,88}={0,2}$/.test(base64)) return null
  const bytes = Buffer.from(base64, 'base64')
  return bytes.length === lengths[algorithm] ? bytes.toString('hex') : null
}

/** Collects digests; that of SHA-256 is used in any case. */
export function digestsOf(found: readonly (readonly [Algorithm, string | null])[]): KnownDigests {
  const sha256 = found.find(([algorithm]) => algorithm === 'sha256')?.[1] ?? undefined
  const digests = found.flatMap(([algorithm, hex]) =>
    hex === null || algorithm === 'sha256' ? [] : [{ algorithm, value: hex }],
  )
  return {
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(digests.length === 0 ? {} : { digests }),
  }
}

/** Those of S3, as far as they are of the whole object. */
export function s3Digests(headers: Headers): KnownDigests {
  if (/^composite$/i.test(headers['x-amz-checksum-type'] ?? '')) return {}
  const of = (algorithm: Algorithm) =>
    [algorithm, hexOf(algorithm, headers[`x-amz-checksum-${algorithm}`])] as const
  return digestsOf([of('sha256'), of('sha1'), of('crc32c'), of('crc32')])
}

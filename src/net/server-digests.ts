/**
 * What the headers of a response say about the digest of the whole file. Pure.
 *
 * Sources: RFC 9530 (`Repr-Digest`, `Content-Digest`), RFC 3230 (`Digest`), RFC 1864 (`Content-MD5`); the documentation of
 * Google Cloud Storage (`x-goog-hash`), Amazon S3 (`x-amz-checksum-*`), Azure (`x-ms-blob-content-md5`), the Hugging Face
 * Hub (`X-Linked-Etag`), and Artifactory and Nexus (`X-Checksum-*`).
 */
import {
  algorithmOf,
  base64Digest,
  type Digest,
  type DigestAlgorithm,
  type ExpectedDigest,
  hexDigest,
  withoutContradictions,
} from '../util/digests.js'

/** A digest that a server states. */
export type ServerDigest = Pick<ExpectedDigest, 'algorithm' | 'value'>

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** Longer values are not read, in characters. Those in use are shorter than 300. */
const maxLength = 4_096

/** Asks for digests of the whole file (RFC 9530 section 4). */
export const wantDigest = { 'want-repr-digest': 'sha-256=10, sha-512=5' } as const

const relevant =
  /^(?:repr-digest|content-digest|digest|content-md5|x-goog-hash|x-amz-checksum-.+|x-ms-blob-content-md5|x-linked-etag|x-checksum-.+)$/

/** Whether a header, in lower case, is one that this module reads. */
export function isDigestHeader(name: string): boolean {
  return relevant.test(name)
}

/**
 * The digests of the whole file that a final response states. What it says of a part is left out, and so is every
 * algorithm of which it states several values.
 *
 * @param isWhole - whether the body is the whole file: a 200, or a 206 of all bytes. `Content-MD5` and others describe the
 * body, and only that.
 */
export function serverDigests(headers: Headers, isWhole: boolean): ServerDigest[] {
  if (!Object.keys(headers).some(isDigestHeader)) return []
  const found = [
    ...dictionary(headers, 'repr-digest'),
    ...googleDigests(headers),
    ...base64(headers, 'x-ms-blob-content-md5', 'md5'),
    ...(isWhole ? bodyDigests(headers) : []),
    ...artifactDigests(headers),
  ]
  return [...withoutContradictions(found), ...gitId(headers)]
}

/**
 * The digests of the file that a redirect leads to. Of what a redirect says, only these headers can mean that file; all
 * others describe its own few bytes.
 */
export function linkedDigests(headers: Headers): ServerDigest[] {
  if (!Object.keys(headers).some(isDigestHeader)) return []
  return [...withoutContradictions(artifactDigests(headers)), ...gitId(headers)]
}

/** What describes the bytes of a body. */
function bodyDigests(headers: Headers): Digest[] {
  return [
    ...dictionary(headers, 'content-digest'),
    ...instanceDigests(headers),
    ...base64(headers, 'content-md5', 'md5'),
    ...amazonDigests(headers),
  ]
}

/** A dictionary of byte sequences (RFC 8941 sections 3.2 and 3.3.5): `sha-256=:…:, sha-512=:…:`. */
function dictionary(headers: Headers, name: string): Digest[] {
  return members(headers, name).flatMap((member) => {
    const match = /^([a-z0-9*][a-z0-9_.*-]{0,31})=:([0-9A-Za-z+/=]+):(?:[ \t]*;.*)?$/.exec(member)
    const algorithm = match === null ? null : algorithmOf(match[1] ?? '')
    return algorithm === null ? [] : (base64Digest(algorithm, match?.[2] ?? '') ?? [])
  })
}

/** `Digest: SHA-256=…,MD5=…`, in base64. */
function instanceDigests(headers: Headers): Digest[] {
  return members(headers, 'digest').flatMap((member) => {
    const [name, value] = halves(member)
    const algorithm = algorithmOf(name)
    return algorithm === null || algorithm.startsWith('crc') ? [] : (base64Digest(algorithm, value) ?? [])
  })
}

/**
 * `x-goog-hash: crc32c=…,md5=…`, of the object as it is stored. An object that is stored compressed is decompressed for
 * those who don't ask for that, and then its digest is that of other bytes.
 */
function googleDigests(headers: Headers): Digest[] {
  const stored = textOf(headers, 'x-goog-stored-content-encoding').trim().toLowerCase()
  if (stored !== '' && stored !== 'identity') return []
  return members(headers, 'x-goog-hash').flatMap((member) => {
    const [name, value] = halves(member)
    const algorithm = algorithmOf(name)
    return algorithm === null ? [] : (base64Digest(algorithm, value) ?? [])
  })
}

const amazon = ['sha512', 'sha256', 'sha1', 'md5', 'crc64nvme', 'crc32c', 'crc32'] as const

/** The checksum of a whole object. That of a composite one is made of those of its parts, and ends with their number. */
function amazonDigests(headers: Headers): Digest[] {
  if (textOf(headers, 'x-amz-checksum-type').trim().toUpperCase() === 'COMPOSITE') return []
  return amazon.flatMap((algorithm) => base64(headers, `x-amz-checksum-${algorithm}`, algorithm))
}

/** What names the bytes of a file, however a response presents them. */
function artifactDigests(headers: Headers): Digest[] {
  const linked = linkedTag(headers)
  return [
    ...(linked === null ? [] : [hexDigest('sha256', linked) ?? []].flat()),
    ...(['sha512', 'sha256', 'sha1', 'md5'] as const).flatMap((algorithm) =>
      values(headers, `x-checksum-${algorithm}`).flatMap((value) => hexDigest(algorithm, value) ?? []),
    ),
  ]
}

/** Files that are kept in Git itself have its ID for a tag. */
function gitId(headers: Headers): ServerDigest[] {
  const linked = linkedTag(headers)
  return linked !== null && /^[0-9a-f]{40}$/.test(linked) ? [{ algorithm: 'git', value: linked }] : []
}

/** A strong tag that is one digest. */
function linkedTag(headers: Headers): string | null {
  const match = /^"?([0-9a-f]{40}|[0-9a-f]{64})"?$/.exec(textOf(headers, 'x-linked-etag').trim())
  return match?.[1] ?? null
}

function base64(headers: Headers, name: string, algorithm: DigestAlgorithm): Digest[] {
  return values(headers, name).flatMap((value) => base64Digest(algorithm, value) ?? [])
}

/** The members of a list, across all lines of the header. */
function members(headers: Headers, name: string): string[] {
  return textOf(headers, name)
    .split(',')
    .map((member) => member.trim())
}

/** The values of a header that has one, of which each line is another. */
function values(headers: Headers, name: string): string[] {
  return linesOf(headers, name).map((value) => value.trim())
}

function textOf(headers: Headers, name: string): string {
  return linesOf(headers, name).join(',')
}

function linesOf(headers: Headers, name: string): string[] {
  return [headers[name] ?? []].flat().filter(({ length }) => length <= maxLength)
}

/** Splits at the first `=`, which base64 may end with. */
function halves(member: string): [name: string, value: string] {
  const at = member.indexOf('=')
  return at === -1 ? [member, ''] : [member.slice(0, at).trim(), member.slice(at + 1).trim()]
}

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { linkedDigests, serverDigests } from '../../../src/net/server-digests.js'
import fc, { anyText } from '../../support/properties.js'

const file = Buffer.from('the whole file')
const hex = (algorithm: string) => createHash(algorithm).update(file).digest('hex')
const base64 = (algorithm: string) => createHash(algorithm).update(file).digest('base64')
const crc32c = { hex: 'e3069283', base64: Buffer.from('e3069283', 'hex').toString('base64') }
const sha256 = { algorithm: 'sha256', value: hex('sha256') }
const sha512 = { algorithm: 'sha512', value: hex('sha512') }
const md5 = { algorithm: 'md5', value: hex('md5') }
const sha1 = { algorithm: 'sha1', value: hex('sha1') }
const gitId = { algorithm: 'git', value: 'a'.repeat(40) }
const other = Buffer.alloc(32, 1)

type Headers = Record<string, string | string[]>

/** What describes the whole file, whatever part of it a response has. */
const ofTheFile: [string, Headers, object[]][] = [
  ['Repr-Digest', { 'repr-digest': `sha-256=:${base64('sha256')}:` }, [sha256]],
  ['Repr-Digest of several', { 'repr-digest': `sha-512=:${base64('sha512')}:, sha-256=:${base64('sha256')}:` }, [sha512, sha256]], // prettier-ignore
  ['Repr-Digest in several lines', { 'repr-digest': [`sha-512=:${base64('sha512')}:`, `sha-256=:${base64('sha256')}:`] }, [sha512, sha256]], // prettier-ignore
  ['Repr-Digest with parameters', { 'repr-digest': `sha-256=:${base64('sha256')}:;x=1` }, [sha256]],
  ['Repr-Digest with unknown members', { 'repr-digest': `foo, unixsum=:AAA=:, bar=1, sha-256=:${base64('sha256')}:` }, [sha256]], // prettier-ignore
  ['x-goog-hash', { 'x-goog-hash': `crc32c=${crc32c.base64},md5=${base64('md5')}` }, [{ algorithm: 'crc32c', value: crc32c.hex }, md5]], // prettier-ignore
  ['x-goog-hash in two lines', { 'x-goog-hash': [`crc32c=${crc32c.base64}`, `md5=${base64('md5')}`] }, [{ algorithm: 'crc32c', value: crc32c.hex }, md5]], // prettier-ignore
  ['x-goog-hash of what is stored as it is', { 'x-goog-hash': `md5=${base64('md5')}`, 'x-goog-stored-content-encoding': 'identity' }, [md5]], // prettier-ignore
  ['x-ms-blob-content-md5', { 'x-ms-blob-content-md5': base64('md5') }, [md5]],
  ['X-Linked-Etag', { 'x-linked-etag': `"${hex('sha256')}"` }, [sha256]],
  ['X-Linked-Etag of a file in Git', { 'x-linked-etag': `"${gitId.value}"` }, [gitId]],
  ['X-Checksum-Sha256', { 'x-checksum-sha256': hex('sha256').toUpperCase() }, [sha256]],
  ['X-Checksum-*', { 'x-checksum-sha1': hex('sha1'), 'x-checksum-md5': hex('md5') }, [sha1, md5]],
]

/** What describes the body. */
const ofTheBody: [string, Headers, object[]][] = [
  ['Content-Digest', { 'content-digest': `sha-256=:${base64('sha256')}:` }, [sha256]],
  ['Digest', { digest: `SHA-256=${base64('sha256')},unixsum=30637` }, [sha256]],
  ['Digest by another name', { digest: `SHA=${base64('sha1')}` }, [sha1]],
  ['Content-MD5', { 'content-md5': base64('md5') }, [md5]],
  ['x-amz-checksum-sha256', { 'x-amz-checksum-sha256': base64('sha256'), 'x-amz-checksum-type': 'FULL_OBJECT' }, [sha256]], // prettier-ignore
  ['x-amz-checksum-sha1', { 'x-amz-checksum-sha1': base64('sha1') }, [sha1]],
  ['x-amz-checksum-crc32c', { 'x-amz-checksum-crc32c': crc32c.base64 }, [{ algorithm: 'crc32c', value: crc32c.hex }]], // prettier-ignore
  ['x-amz-checksum-crc32', { 'x-amz-checksum-crc32': crc32c.base64 }, [{ algorithm: 'crc32', value: crc32c.hex }]], // prettier-ignore
  ['x-amz-checksum-crc64nvme', { 'x-amz-checksum-crc64nvme': 'rosUhgp5mIg=' }, [{ algorithm: 'crc64nvme', value: 'ae8b14860a799888' }]], // prettier-ignore
]

/** What says nothing. */
const nothing: [string, Headers][] = [
  ['no header', {}],
  ['another one', { etag: `"${hex('sha256')}"`, 'x-amz-meta-sha256': hex('sha256') }],
  ['Repr-Digest without colons', { 'repr-digest': `sha-256=${base64('sha256')}` }],
  ['Repr-Digest in hex', { 'repr-digest': `sha-256=:${hex('sha256')}:` }],
  ['Repr-Digest cut short', { 'repr-digest': `sha-256=:${base64('sha256').slice(0, -5)}:` }],
  ['Repr-Digest that is empty', { 'repr-digest': 'sha-256=::' }],
  ['Repr-Digest with two values', { 'repr-digest': `sha-256=:${base64('sha256')}:, sha-256=:${other.toString('base64')}:` }], // prettier-ignore
  ['two headers that contradict each other', { 'repr-digest': `sha-256=:${base64('sha256')}:`, 'x-checksum-sha256': other.toString('hex') }], // prettier-ignore
  ['lines that contradict each other', { 'content-md5': [base64('md5'), Buffer.alloc(16).toString('base64')] }], // prettier-ignore
  ['a composite checksum', { 'x-amz-checksum-sha256': `${base64('sha256')}-3` }],
  ['a checksum of type COMPOSITE', { 'x-amz-checksum-crc32c': crc32c.base64, 'x-amz-checksum-type': 'COMPOSITE' }], // prettier-ignore
  ['x-goog-hash of what is stored compressed', { 'x-goog-hash': `md5=${base64('md5')}`, 'x-goog-stored-content-encoding': 'gzip' }], // prettier-ignore
  ['Content-MD5 in hex', { 'content-md5': hex('md5') }],
  ['a weak X-Linked-Etag', { 'x-linked-etag': `W/"${hex('sha256')}"` }],
  ['an X-Linked-Etag that is no digest', { 'x-linked-etag': '"abc"' }],
  ['X-Checksum-Sha256 of another length', { 'x-checksum-sha256': hex('sha1') }],
  ['Digest of a CRC, whose forms differ', { digest: `crc32c=${crc32c.base64}` }],
  ['a value of 100 kB', { 'repr-digest': `${'a=:AA==:,'.repeat(12_000)}sha-256=:${base64('sha256')}:` }],
]

describe('of the whole file', () => {
  it.each([...ofTheFile, ...ofTheBody])('%s tells the digest', (_name, headers, digests) => {
    expect(serverDigests(headers, true)).toEqual(digests)
  })

  it.each(nothing)('%s tells nothing', (_name, headers) => {
    expect(serverDigests(headers, true)).toEqual([])
  })
})

describe('of a part', () => {
  it.each(ofTheFile)('%s tells the digest of the file', (_name, headers, digests) => {
    expect(serverDigests(headers, false)).toEqual(digests)
  })

  it.each(ofTheBody)('%s tells nothing about the file', (_name, headers) => {
    expect(serverDigests(headers, false)).toEqual([])
  })
})

describe('of a redirect', () => {
  const linked = ofTheFile.filter(([name]) => /^X-(?:Linked|Checksum)/.test(name))
  const others = [...ofTheFile, ...ofTheBody].filter((one) => !linked.includes(one))

  it.each(linked)('%s tells the digest of the file that it leads to', (_name, headers, digests) => {
    expect(linkedDigests(headers)).toEqual(digests)
  })

  it.each(others)('%s describes the redirect itself', (_name, headers) => {
    expect(linkedDigests(headers)).toEqual([])
  })
})

it('any text is either a digest of the right length, or nothing', () => {
  const names = ['repr-digest', 'content-digest', 'digest', 'content-md5', 'x-goog-hash', 'x-amz-checksum-sha256', 'x-amz-checksum-type', 'x-ms-blob-content-md5', 'x-linked-etag', 'x-checksum-sha256', 'x-goog-stored-content-encoding'] // prettier-ignore
  const part = fc.oneof(
    anyText({ maxLength: 20 }),
    fc.constantFrom('sha-256=', ':', ',', ';', '=', '"', base64('sha256'), hex('sha256'), 'md5=', 'W/', '-2'),
  )
  const value = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''))
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value), fc.boolean(), (headers, isWhole) => {
      for (const digest of [...serverDigests(headers, isWhole), ...linkedDigests(headers)])
        expect(digest.value).toMatch(/^(?:[0-9a-f]{2})+$/)
    }),
  )
})

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
  [
    'Repr-Digest with spaces before its parameters',
    { 'repr-digest': `sha-256=:${base64('sha256')}: \t;x` },
    [sha256],
  ],
  ['Repr-Digest with unknown members', { 'repr-digest': `foo, unixsum=:AAA=:, bar=1, sha-256=:${base64('sha256')}:` }, [sha256]], // prettier-ignore
  ['x-goog-hash', { 'x-goog-hash': `crc32c=${crc32c.base64},md5=${base64('md5')}` }, [{ algorithm: 'crc32c', value: crc32c.hex }, md5]], // prettier-ignore
  ['x-goog-hash in two lines', { 'x-goog-hash': [`crc32c=${crc32c.base64}`, `md5=${base64('md5')}`] }, [{ algorithm: 'crc32c', value: crc32c.hex }, md5]], // prettier-ignore
  ['x-goog-hash of what is stored as it is', { 'x-goog-hash': `md5=${base64('md5')}`, 'x-goog-stored-content-encoding': ' Identity ' }, [md5]], // prettier-ignore
  ['x-ms-blob-content-md5', { 'x-ms-blob-content-md5': base64('md5') }, [md5]],
  ['X-Linked-Etag', { 'x-linked-etag': `"${hex('sha256')}"` }, [sha256]],
  ['X-Linked-Etag without quotes', { 'x-linked-etag': ` ${hex('sha256')} ` }, [sha256]],
  ['X-Linked-Etag of a file in Git', { 'x-linked-etag': `"${gitId.value}"` }, [gitId]],
  ['X-Checksum-Sha256', { 'x-checksum-sha256': hex('sha256').toUpperCase() }, [sha256]],
  ['X-Checksum-*', { 'x-checksum-sha1': hex('sha1'), 'x-checksum-md5': hex('md5') }, [sha1, md5]],
]

/** What describes the body. */
const ofTheBody: [string, Headers, object[]][] = [
  ['Content-Digest', { 'content-digest': `sha-256=:${base64('sha256')}:` }, [sha256]],
  ['Digest', { digest: `SHA-256=${base64('sha256')},unixsum=30637` }, [sha256]],
  ['Digest with spaces', { digest: ` SHA-256 = ${base64('sha256')} ` }, [sha256]],
  ['Content-MD5 with spaces', { 'content-md5': ` ${base64('md5')} ` }, [md5]],
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
  ['Repr-Digest behind something else', { 'repr-digest': `x sha-256=:${base64('sha256')}:` }],
  ['Repr-Digest before something else', { 'repr-digest': `sha-256=:${base64('sha256')}:x` }],
  ['Repr-Digest in hex', { 'repr-digest': `sha-256=:${hex('sha256')}:` }],
  ['Repr-Digest cut short', { 'repr-digest': `sha-256=:${base64('sha256').slice(0, -5)}:` }],
  ['Repr-Digest that is empty', { 'repr-digest': 'sha-256=::' }],
  ['Repr-Digest with two values', { 'repr-digest': `sha-256=:${base64('sha256')}:, sha-256=:${other.toString('base64')}:` }], // prettier-ignore
  ['two headers that contradict each other', { 'repr-digest': `sha-256=:${base64('sha256')}:`, 'x-checksum-sha256': other.toString('hex') }], // prettier-ignore
  ['lines that contradict each other', { 'content-md5': [base64('md5'), Buffer.alloc(16).toString('base64')] }], // prettier-ignore
  ['a composite checksum', { 'x-amz-checksum-sha256': `${base64('sha256')}-3` }],
  ['a checksum of type COMPOSITE', { 'x-amz-checksum-crc32c': crc32c.base64, 'x-amz-checksum-type': ' Composite ' }], // prettier-ignore
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
    expect(linkedDigests({ location: '/a', ...headers })).toEqual(digests)
  })

  it.each(others)('%s describes the redirect itself', (_name, headers) => {
    expect(linkedDigests(headers)).toEqual([])
  })
})

/** Each header with each algorithm that it can have: how it writes a digest, and of what it tells. */
const spellings = {
  sha256: 'sha-256',
  sha512: 'sha-512',
  sha384: 'sha-384',
  sha1: 'sha',
  md5: 'md5',
  crc32c: 'crc32c',
} as const
const lengths = {
  sha512: 64,
  sha384: 48,
  sha256: 32,
  sha1: 20,
  md5: 16,
  crc64nvme: 8,
  crc32c: 4,
  crc32: 4,
} as const
type Algorithm = keyof typeof lengths
const forms: {
  header: string
  algorithms: readonly Algorithm[]
  of: 'file' | 'body' | 'link'
  write: (digest: Buffer, algorithm: Algorithm) => string
}[] = [
  ...(['repr-digest', 'content-digest'] as const).map((header) => ({
    header,
    algorithms: ['sha256', 'sha512', 'sha384', 'sha1', 'md5', 'crc32c'] as const,
    of: header === 'repr-digest' ? ('file' as const) : ('body' as const),
    write: (digest: Buffer, algorithm: Algorithm) =>
      `${spellings[algorithm as keyof typeof spellings]}=:${digest.toString('base64')}:`,
  })),
  {
    header: 'digest',
    algorithms: ['sha256', 'sha512', 'sha384', 'sha1', 'md5'],
    of: 'body',
    write: (digest, algorithm) =>
      `${spellings[algorithm as keyof typeof spellings].toUpperCase()}=${digest.toString('base64')}`,
  },
  {
    header: 'x-goog-hash',
    algorithms: ['crc32c', 'md5'],
    of: 'file',
    write: (digest, algorithm) => `${algorithm}=${digest.toString('base64')}`,
  },
  { header: 'content-md5', algorithms: ['md5'], of: 'body', write: (digest) => digest.toString('base64') },
  {
    header: 'x-ms-blob-content-md5',
    algorithms: ['md5'],
    of: 'file',
    write: (digest) => digest.toString('base64'),
  },
  ...(['sha512', 'sha256', 'sha1', 'md5', 'crc64nvme', 'crc32c', 'crc32'] as const).map((algorithm) => ({
    header: `x-amz-checksum-${algorithm}`,
    algorithms: [algorithm],
    of: 'body' as const,
    write: (digest: Buffer) => digest.toString('base64'),
  })),
  ...(['sha512', 'sha256', 'sha1', 'md5'] as const).map((algorithm) => ({
    header: `x-checksum-${algorithm}`,
    algorithms: [algorithm],
    of: 'link' as const,
    write: (digest: Buffer) => digest.toString('hex'),
  })),
  {
    header: 'x-linked-etag',
    algorithms: ['sha256'],
    of: 'link',
    write: (digest) => `"${digest.toString('hex')}"`,
  },
]
const rows = forms.flatMap(({ algorithms, ...form }) =>
  algorithms.map((algorithm) => ({ ...form, algorithm })),
)

describe.each(rows)('$header with $algorithm', ({ header, algorithm, of, write }) => {
  const bytes = Buffer.alloc(lengths[algorithm], 0xa5)
  const different = Buffer.alloc(lengths[algorithm], 0x5a)
  const told = [{ algorithm, value: bytes.toString('hex') }]
  const right = write(bytes, algorithm)

  it('tells the digest of the whole file, of a part only that of the file, and of a redirect that of what it leads to', () => {
    expect(serverDigests({ [header]: right }, true)).toEqual(told)
    expect(serverDigests({ [header]: right }, false)).toEqual(of === 'body' ? [] : told)
    expect(linkedDigests({ [header]: right })).toEqual(of === 'link' ? told : [])
  })

  it.each([
    ['too short', bytes.subarray(1)],
    ['too long', Buffer.concat([bytes, bytes])],
    ['empty', Buffer.alloc(0)],
  ])('tells nothing when it is %s', (_, malformed) => {
    expect(serverDigests({ [header]: write(malformed, algorithm) }, true)).toEqual([])
  })

  it('tells nothing in another spelling', () => {
    for (const text of [right.replace(/[0-9A-Za-z](?=[":=]*$)/, '?'), `${right} ${right}`, `x${right}`])
      expect(serverDigests({ [header]: text }, true), text).toEqual([])
  })

  it('tells it once when it is repeated, and nothing when another value is beside it', () => {
    // Two tags are none.
    const again = header === 'x-linked-etag' ? [] : told
    expect(serverDigests({ [header]: [right, right] }, true)).toEqual(again)
    expect(serverDigests({ [header]: [right, write(different, algorithm)] }, true)).toEqual([])
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

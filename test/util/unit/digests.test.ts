import { describe, expect, it } from 'vitest'
import { base64ToHex } from '../../../src/util/base64.js'
import {
  algorithmName,
  algorithmOf,
  algorithmOfLength,
  base64Digest,
  type Digest,
  digestAlgorithms,
  digestText,
  hexDigest,
  isStrong,
  parseDigest,
  shownDigest,
  strongest,
  withoutContradictions,
} from '../../../src/util/digests.js'
import fc, { anyText } from '../../support/properties.js'

const bytes = { sha512: 64, sha384: 48, sha256: 32, blake3: 32, sha1: 20, md5: 16, crc64nvme: 8, crc32c: 4, crc32: 4 } // prettier-ignore

const anyDigest = fc
  .constantFrom(...digestAlgorithms)
  .chain((algorithm) =>
    fc
      .uint8Array({ minLength: bytes[algorithm], maxLength: bytes[algorithm] })
      .map((value) => ({ algorithm, raw: Buffer.from(value), value: Buffer.from(value).toString('hex') })),
  )

describe('base64', () => {
  it('is decoded as Node does, with and without padding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (raw) => {
        const text = Buffer.from(raw).toString('base64')
        expect(base64ToHex(text)).toBe(Buffer.from(raw).toString('hex'))
        expect(base64ToHex(text.replace(/=+$/, ''))).toBe(Buffer.from(raw).toString('hex'))
      }),
    )
  })

  it.each(['A', 'AAAAA', 'A===', 'AB=', '=', '==', 'AAA=A', 'AA A', 'AA-_', 'AB==', 'AAB=', 'é'])(
    'is refused: %j',
    (text) => expect(base64ToHex(text)).toBeNull(),
  )
})

describe('a digest', () => {
  it('is read in hex and in base64, and written so that it is read again', () => {
    fc.assert(
      fc.property(anyDigest, fc.constantFrom(':', '-', '='), ({ algorithm, raw, value }, separator) => {
        const digest = { algorithm, value }
        expect(parseDigest(`${algorithm}${separator}${value}`)).toEqual(digest)
        expect(parseDigest(` ${algorithm.toUpperCase()}:${value.toUpperCase()} `)).toEqual(digest)
        expect(parseDigest(`${algorithm}-${raw.toString('base64')}`)).toEqual(digest)
        expect(parseDigest(digestText(digest))).toEqual(digest)
        expect(hexDigest(algorithm, value)).toEqual(digest)
        expect(base64Digest(algorithm, raw.toString('base64'))).toEqual(digest)
      }),
    )
  })

  it('of another length is none', () => {
    fc.assert(
      fc.property(anyDigest, ({ algorithm, raw, value }) => {
        expect(hexDigest(algorithm, value.slice(1))).toBeNull()
        expect(hexDigest(algorithm, `${value}0`)).toBeNull()
        expect(base64Digest(algorithm, raw.subarray(1).toString('base64'))).toBeNull()
        expect(base64Digest(algorithm, Buffer.concat([raw, raw]).toString('base64'))).toBeNull()
      }),
    )
  })

  it('is never made of any text that has no algorithm', () => {
    fc.assert(
      fc.property(anyText({ maxLength: 200 }), (text) => {
        expect(parseDigest(text)).toBeNull()
      }),
    )
  })

  const refused = ['', 'sha512', 'sha512:', 'sha3:00', 'md5:zz', `sha1:${'0'.repeat(39)}`, `md5 ${'0'.repeat(32)}`, `md5:${'0'.repeat(32)} x`, `:${'0'.repeat(64)}`, '0'.repeat(64), `sha256:sha256:${'0'.repeat(64)}`] // prettier-ignore
  it.each(refused)('is refused: %j', (text) => expect(parseDigest(text)).toBeNull())
})

describe('an algorithm', () => {
  const named = [['SHA-256', 'sha256'], ['sha256', 'sha256'], ['SHA2-512', 'sha512'], ['sha_384', 'sha384'], ['SHA', 'sha1'], ['sha-1', 'sha1'], ['MD5', 'md5'], ['CRC32C', 'crc32c'], ['BLAKE3', 'blake3'], ['crc64nvme', 'crc64nvme'], ['unixsum', null], ['sha3-256', null], ['sha512-256', null], ['', null], ['constructor', null]] as const // prettier-ignore
  it.each(named)('named %j', (name, algorithm) => expect(algorithmOf(name)).toBe(algorithm))

  const long = [[128, 'sha512'], [96, 'sha384'], [64, 'sha256'], [40, 'sha1'], [32, 'md5'], [8, null], [0, null]] as const // prettier-ignore
  it.each(long)('of %i hex digits', (digits, algorithm) => expect(algorithmOfLength(digits)).toBe(algorithm))

  it('proves more when nobody can make another file with the same digest', () => {
    const list = [...digestAlgorithms].reverse().map((algorithm) => ({ algorithm }))
    expect(strongest(list)?.algorithm).toBe('sha256')
    expect(strongest([{ algorithm: 'crc32c' }, { algorithm: 'git' }, { algorithm: 'md5' }] as const)?.algorithm).toBe('git') // prettier-ignore
    expect(strongest([])).toBeNull()
    expect(digestAlgorithms.filter((algorithm) => !isStrong(algorithm))).toEqual(['crc64nvme', 'crc32c', 'crc32']) // prettier-ignore
  })
})

it('several values of one algorithm are none, and of others they change nothing', () => {
  const pool: Digest[] = ['sha256', 'md5', 'crc32c'].flatMap((algorithm) =>
    ['a', 'b'].map((value) => ({ algorithm: algorithm as Digest['algorithm'], value })),
  )
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pool)), (digests) => {
      const left = withoutContradictions(digests)
      for (const algorithm of ['sha256', 'md5', 'crc32c']) {
        const stated = new Set(digests.filter((one) => one.algorithm === algorithm).map(({ value }) => value))
        const kept = left.filter((one) => one.algorithm === algorithm).map(({ value }) => value)
        expect(kept).toEqual(stated.size === 1 ? [...stated] : [])
      }
    }),
  )
})

describe('what people are shown', () => {
  it('is the name that they know of each algorithm', () => {
    const shown = [...digestAlgorithms, 'git' as const].map(algorithmName)
    expect(shown).toEqual(['SHA-256', 'SHA-512', 'SHA-384', 'BLAKE3', 'SHA-1', 'MD5', 'CRC-64/NVME', 'CRC-32C', 'CRC-32', 'Git blob ID']) // prettier-ignore
  })

  const none = { sha256: null, gitOid: null, digests: [] }
  const md5 = { algorithm: 'md5', value: '1' } as const
  const sha512 = { algorithm: 'sha512', value: '2' } as const
  it.each([
    [none, ''],
    [{ ...none, sha256: 'abc', gitOid: 'def', digests: [sha512] }, 'abc'],
    [{ ...none, gitOid: 'def' }, 'git:def'],
    [{ ...none, gitOid: 'def', digests: [md5] }, 'git:def'],
    [{ ...none, gitOid: 'def', digests: [md5, sha512] }, 'sha512:2'],
    [{ ...none, digests: [md5] }, 'md5:1'],
  ])('of %j', (stated, shown) => {
    expect(shownDigest(stated)).toBe(shown)
  })

  it('is of equal ones the first', () => {
    const [one, two] = [
      { ...md5, value: 'one' },
      { ...md5, value: 'two' },
    ]
    expect(strongest([one, two])).toBe(one)
    expect(strongest([{ ...md5, algorithm: 'sha1' as const, value: 'one' }, { algorithm: 'git' as const, value: 'two' }])?.value).toBe('one') // prettier-ignore
  })
})

describe('a text', () => {
  it('that is longer than any digest is none, whatever it begins with', () => {
    const digest = `md5:${'0'.repeat(32)}`
    expect(parseDigest(digest.padEnd(256))).not.toBeNull()
    expect(parseDigest(digest.padEnd(257))).toBeNull()
    expect(algorithmOf('sha256'.padEnd(16))).toBe('sha256')
    expect(algorithmOf('sha256'.padEnd(17))).toBeNull()
  })

  it.each(['SHA/256', 'sha 256', 'sha__256', 'sha2-256'])('%j is SHA-256', (name) => {
    expect(algorithmOf(name)).toBe('sha256')
  })

  it.each(['sha2', 'sha21', 'sha2256', 'sha2256x', 'xsha2256', 'sha2-1'])('%j', (name) => {
    expect(algorithmOf(name)).toBe(name === 'sha2256' ? 'sha256' : null)
  })

  it.each([
    [`sha2-256:${'0'.repeat(64)}`, 'sha256'],
    [`sha-256:${'0'.repeat(64)}`, 'sha256'],
    [`sha-1=${'0'.repeat(40)}`, 'sha1'],
    [`x md5:${'0'.repeat(32)}`, null],
    [`md5:${'0'.repeat(32)}===`, null],
    [`sha-12:${'0'.repeat(40)}`, null],
  ])('%j', (text, algorithm) => {
    expect(parseDigest(text)?.algorithm ?? null).toBe(algorithm)
  })

  it('has hex digits from the first to the last', () => {
    for (const text of [`x${'0'.repeat(31)}`, `${'0'.repeat(31)}x`]) expect(hexDigest('md5', text)).toBeNull()
  })
})

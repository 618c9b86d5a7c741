import { InvalidArgumentError } from 'commander'
import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  addHeader,
  defaultPools,
  parseOutputName,
  parseRate,
  parseSha256,
  parseSize,
  wholeNumber,
} from '../../src/cli/arguments.js'
import { formatBytes } from '../../src/util/format.js'

describe('parseSize', () => {
  it('reads the same numbers, and speaks of bytes', () => {
    expect(parseSize('20G')).toBe(20 * 1024 ** 3)
    expect(parseSize('4GB')).toBe(4e9)
    for (const text of ['', '0', '-1', '20X', '1e3'])
      expect(() => parseSize(text), text).toThrow(/^(?:Expected a number of bytes, |The size must)/)
  })
})

describe('parseRate', () => {
  it.each([
    ['1', 1],
    ['500', 500],
    ['500k', 512_000],
    ['500K', 512_000],
    ['10M', 10_485_760],
    ['1.5G', 1_610_612_736],
    ['.5k', 512],
    ['2T', 2_199_023_255_552],
    ['10MB', 10_000_000],
    ['10mb', 10_000_000],
    ['500 kB', 500_000],
    ['1.5GB', 1_500_000_000],
    ['2TB', 2_000_000_000_000],
    ['10MiB', 10_485_760],
    ['500KiB', 512_000],
    ['7b', 7],
    ['7ib', 7],
    [' 10 M ', 10_485_760],
  ])('%s → %d', (text, bytes) => {
    expect(parseRate(text)).toBe(bytes)
  })

  it.each([
    '',
    '0',
    '0.1',
    'k',
    '-1M',
    '1e3',
    '10X',
    '10 M/s',
    '1,5M',
    'Infinity',
    'NaN',
    '9999999T',
    '0x10',
    '1..2k',
  ])('refuses %j', (text) => {
    expect(() => parseRate(text)).toThrow(InvalidArgumentError)
  })

  it.each(['1.0 kB', '640 kB', '12.5 MB', '999 MB', '4.7 GB', '1.5 TB'])(
    'means by %s what output does',
    (text) => {
      expect(formatBytes(parseRate(text))).toBe(text)
    },
  )

  it('reads every whole number of bytes back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (bytes) => {
        expect(parseRate(String(bytes))).toBe(bytes)
      }),
    )
  })
})

describe('wholeNumber', () => {
  it('takes the bounds and what lies between', () => {
    const parse = wholeNumber(1, 64)
    expect([parse('1'), parse('8'), parse('64')]).toEqual([1, 8, 64])
    expect(wholeNumber(0, Number.MAX_SAFE_INTEGER)('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER)
  })

  it.each(['0', '65', '', '-1', '1.5', '1e1', '0x8', 'eight', '99999999999999999999', ' 8'])(
    'refuses %j',
    (text) => {
      expect(() => wholeNumber(1, 64)(text)).toThrow(/whole number from 1 to 64/)
    },
  )
})

describe('parseSha256', () => {
  const hex = 'a'.repeat(64)

  it('takes what people paste', () => {
    expect(parseSha256(hex)).toBe(hex)
    expect(parseSha256(` SHA256:${hex.toUpperCase()} `)).toBe(hex)
    expect(parseSha256(`sha256-${hex}`)).toBe(hex)
  })

  it.each(['', 'abc', 'g'.repeat(64), 'a'.repeat(63), 'a'.repeat(65), `md5:${'a'.repeat(64)}`])(
    'refuses %j',
    (text) => {
      expect(() => parseSha256(text)).toThrow(InvalidArgumentError)
    },
  )
})

describe('parseOutputName', () => {
  it('takes a name and refuses a path, with the way to say it', () => {
    expect(parseOutputName('model.gguf')).toBe('model.gguf')
    for (const path of ['sub/x.gguf', '/abs/x.gguf', '..\\x', '../x', 'C:\\x']) {
      expect(() => parseOutputName(path)).toThrow(/UNSAFE_FILENAME.*-d/)
    }
    expect(() => parseOutputName('-')).toThrow(/standard output/)
    expect(() => parseOutputName('')).toThrow(/empty/)
  })
})

describe('addHeader', () => {
  it('splits at the first colon and trims', () => {
    expect(addHeader('Authorization: Bearer a:b')).toEqual({ Authorization: 'Bearer a:b' })
    expect(addHeader('X-Empty:')).toEqual({ 'X-Empty': '' })
  })

  it('keeps earlier headers and joins a repeated one', () => {
    const one = addHeader('X-A: 1')
    expect(addHeader('X-B: 2', one)).toEqual({ 'X-A': '1', 'X-B': '2' })
    expect(addHeader('x-a: 2', one)).toEqual({ 'X-A': '1, 2' })
    expect(addHeader('cookie: b=2', addHeader('Cookie: a=1'))).toEqual({ Cookie: 'a=1; b=2' })
    expect(one).toEqual({ 'X-A': '1' })
  })

  it.each(['', ':', 'no colon', ': value', 'bad name: v', 'Bearer hf_secret'])(
    'refuses %j without repeating it',
    (text) => {
      expect(() => addHeader(text)).toThrow(InvalidArgumentError)
      expect(() => addHeader(text)).not.toThrow(/hf_secret/)
    },
  )
})

describe('defaultPools', () => {
  it.each([
    [1, 32],
    [3, 10],
    [4, 8],
    [8, 4],
    [400, 2],
  ])('%d URLs', (urls, connections) => {
    expect(defaultPools(urls, {})).toEqual({ concurrency: 'auto', connections })
  })

  it('leaves what the user says alone, and stays near 32 connections in all', () => {
    expect(defaultPools(400, { concurrency: 1, connections: 64 })).toEqual({
      concurrency: 1,
      connections: 64,
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), (urls) => {
        const { connections } = defaultPools(urls, {})
        const atOnce = Math.min(urls, 32)
        expect(atOnce * connections).toBeLessThanOrEqual(atOnce > 16 ? 64 : 32)
        expect(connections).toBeGreaterThanOrEqual(2)
      }),
    )
  })
})

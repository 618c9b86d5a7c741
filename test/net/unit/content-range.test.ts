import { describe, expect, it } from 'vitest'
import { parseContentRange, statedSize } from '../../../src/net/content-range.js'
import fc from '../../support/properties.js'

describe('Content-Range', () => {
  it('is read back as it was written', () => {
    const position = fc.nat(Number.MAX_SAFE_INTEGER - 1)
    fc.assert(
      fc.property(position, position, fc.option(position), (a, b, rest) => {
        const [start, last] = [Math.min(a, b), Math.max(a, b)]
        const size = rest === null ? null : Math.min(Number.MAX_SAFE_INTEGER, last + 1 + rest)
        const header = `bytes ${start}-${last}/${size ?? '*'}`
        expect(parseContentRange(header)).toEqual({ start, end: last + 1, total: size })
        expect(parseContentRange(`bytes */${start}`)).toEqual({ start: null, total: start })
      }),
    )
  })

  it.each([
    'bytes 5-4/10',
    'bytes 0-10/10',
    'bytes 0-9/9',
    'bytes -5/10',
    'bytes 0-/10',
    'bytes */*',
    'bytes 0-9',
    'bytes=0-9/10',
    'bytes 0-9/10, bytes 0-9/10',
    'kilobytes 0-9/10',
    'bytes0-9/10',
    'bytes 0x0-0x9/10',
    'bytes 1.0-9/10',
    'bytes +1-9/10',
    'bytes 0-9/99999999999999999999',
    'bytes 0-99999999999999999999/*',
    'bytes */99999999999999999999',
    '',
  ])('refuses %j', (header) => {
    expect(parseContentRange(header)).toBeNull()
  })

  it.each([' bytes 0-9/10 ', 'BYTES 0-9/10', 'bytes \t 0-9/10'])('takes %j', (header) => {
    expect(parseContentRange(header)).toEqual({ start: 0, end: 10, total: 10 })
  })

  it('refuses none, and several', () => {
    expect(parseContentRange(undefined)).toBeNull()
    expect(parseContentRange(['bytes 0-9/10'])).toBeNull()
  })

  it('never gives an impossible range, whatever it reads', () => {
    const number = fc.oneof(fc.nat(20).map(String), fc.constantFrom('', '*', '-1', '9007199254740993', ' 3'))
    const near = fc.tuple(number, number, number).map(([a, b, c]) => `bytes ${a}-${b}/${c}`)
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (header) => {
        const range = parseContentRange(header)
        if (range === null) return
        if (range.start === null) return
        expect(range.start).toBeGreaterThanOrEqual(0)
        expect(range.end).toBeGreaterThan(range.start)
        if (range.total !== null) expect(range.end).toBeLessThanOrEqual(range.total)
      }),
    )
  })
})

describe('the size that an answer states', () => {
  it.each([
    ['a range of the file', 206, { 'content-range': 'bytes 0-0/10', 'content-length': '1' }, 10],
    ['no range, as the file is empty', 416, { 'content-range': 'bytes */0' }, 0],
    ['the file itself', 200, { 'content-length': '10' }, 10],
    ['an empty file', 200, { 'content-length': '0' }, 0],
    ['a range of a file that is still written', 206, { 'content-range': 'bytes 0-0/*' }, null],
    ['a range and no word of it', 206, { 'content-length': '1' }, null],
    ['a range, answered with 200', 200, { 'content-range': 'bytes 0-9/20', 'content-length': '10' }, 20],
    ['a body of a coding that cannot be undone', 200, { 'content-length': '10', 'content-encoding': 'compress' }, null], // prettier-ignore
    ['a coded body', 200, { 'content-length': '10', 'content-encoding': 'gzip' }, null],
    ['a body without length', 200, {}, null],
    ['a redirect', 302, { 'content-length': '10' }, null],
    ['a range that ends beyond the file', 206, { 'content-range': 'bytes 0-10/10' }, null],
    ['a range that ends before it begins', 206, { 'content-range': 'bytes 5-3/10' }, null],
    ['two ranges at once', 206, { 'content-range': 'bytes 0-0/10, bytes 0-0/11' }, null],
    ['a length of two answers', 200, { 'content-length': '10, 11' }, null],
    ['a length that is no number', 200, { 'content-length': '1e1' }, null],
    ['a negative length', 200, { 'content-length': '-1' }, null],
    ['no digits', 200, { 'content-length': '' }, null],
    ['a length that no number holds', 200, { 'content-length': '9007199254740993' }, null],
  ])('with %s', (_, status, headers: Record<string, string>, size) => {
    expect(statedSize({ status, headers })).toBe(size)
  })

  it('is that of an archive whose coding is its own', () => {
    const headers = { 'content-length': '10', 'content-encoding': 'gzip' }
    expect(statedSize({ status: 200, headers, url: 'https://host/model.tar.gz' })).toBe(10)
  })

  it('is a size that a file can have, whatever the answer says', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^\d{0,20}$/), fc.constant('bytes 0-0/5'))
    const headers = fc.dictionary(
      fc.constantFrom('content-range', 'content-length', 'content-encoding'),
      text,
    )
    fc.assert(
      fc.property(fc.constantFrom(200, 206, 302, 416), headers, (status, told) => {
        const size = statedSize({ status, headers: told })
        expect(size === null || (Number.isSafeInteger(size) && size >= 0)).toBe(true)
      }),
    )
  })
})

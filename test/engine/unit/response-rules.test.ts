import { describe, expect, it } from 'vitest'
import {
  hasStrongValidator,
  ifRangeOf,
  strongEtag,
  type Identity,
} from '../../../src/engine/part/identity.js'
import { identityOf, judge, type Expectation } from '../../../src/engine/fetch/response-rules.js'
import { type ResponseHead } from '../../../src/net/http.js'

const total = 1000
const date = 'Mon, 15 Jan 2024 12:00:00 GMT'
const modified = 'Mon, 01 Jan 2024 00:00:00 GMT'
const known: Identity = { total, etag: '"a"', lastModified: modified, lastModifiedStrong: true }
const bare: Identity = { total, etag: null, lastModified: null, lastModifiedStrong: false }

const first: Expectation = { start: 0, end: null, identity: null, digestKnown: false, size: null }
const later: Expectation = { start: 400, end: 600, identity: known, digestKnown: false, size: null }

const answer = (status: number, headers: ResponseHead['headers'] = {}): ResponseHead => ({ status, headers })

/** A right answer to {@link later}, with whatever is given changed. */
const part = (headers: ResponseHead['headers'] = {}): ResponseHead =>
  answer(206, {
    date,
    'content-range': 'bytes 400-599/1000',
    'content-length': '200',
    etag: '"a"',
    'last-modified': modified,
    ...headers,
  })

/** The verdict in short: its kind, with the code of its error where it has one. */
function short(expected: Expectation, head: ResponseHead): string {
  const verdict = judge(expected, head)
  return 'error' in verdict ? `${verdict.kind} ${verdict.error.code}` : verdict.kind
}

describe('judge: the first answer', () => {
  it('takes 206 from byte 0 and learns identity and total', () => {
    const head = part({ 'content-range': 'bytes 0-999/1000', 'content-length': '1000' })
    expect(judge(first, head)).toEqual({
      kind: 'accept',
      identity: known,
      bodyEnd: total,
      ranges: true,
      sure: true,
    })
  })

  it('takes 200 as one stream', () => {
    expect(judge(first, answer(200, { 'content-length': '1000', etag: '"a"' }))).toMatchObject({
      kind: 'accept',
      bodyEnd: total,
      ranges: false,
      identity: { total, etag: '"a"' },
    })
  })

  it('takes 200 without a length, and with one beside Transfer-Encoding, as of unknown size', () => {
    const unknown = { kind: 'accept', bodyEnd: null, identity: { total: null } }
    expect(judge(first, answer(200))).toMatchObject(unknown)
    const both = answer(200, { 'content-length': '5', 'transfer-encoding': 'chunked' })
    expect(judge(first, both)).toMatchObject(unknown)
  })

  it('takes 416 of an empty file, unless another size is expected', () => {
    const head = answer(416, { 'content-range': 'bytes */0' })
    expect(judge(first, head)).toMatchObject({ kind: 'empty', identity: { total: 0 } })
    expect(short({ ...first, size: 0 }, head)).toBe('empty')
    expect(short({ ...first, size: 1 }, head)).toBe('fail CONTENT_MISMATCH')
  })

  it.each([
    [answer(416), 'retry PROTOCOL_ERROR'],
    [answer(416, { 'content-range': 'bytes */1000' }), 'retry PROTOCOL_ERROR'],
    [answer(206), 'retry PROTOCOL_ERROR'],
    [part(), 'retry PROTOCOL_ERROR'],
    [answer(200, { 'content-encoding': 'gzip' }), 'retry PROTOCOL_ERROR'],
    [answer(200, { 'content-length': '999' }), 'fail CONTENT_MISMATCH'],
    [part({ 'content-range': 'bytes 0-999/2000', 'content-length': '1000' }), 'fail CONTENT_MISMATCH'],
  ])('does not take %j where 1,000 bytes are expected', (head, verdict) => {
    expect(short({ ...first, size: total }, head)).toBe(verdict)
  })
})

describe('judge: a further answer', () => {
  it('takes exactly the part that was asked for', () => {
    expect(judge(later, part())).toEqual({
      kind: 'accept',
      identity: known,
      bodyEnd: 600,
      ranges: true,
      sure: true,
    })
  })

  it('takes a shorter part, or one of unknown total', () => {
    const shorter = part({ 'content-range': 'bytes 400-449/1000', 'content-length': '50' })
    expect(judge(later, shorter)).toMatchObject({ kind: 'accept', bodyEnd: 450 })
    expect(judge(later, part({ 'content-range': 'bytes 400-599/*' }))).toMatchObject({
      kind: 'accept',
      identity: { total },
    })
  })

  it.each([
    ['another offset', { 'content-range': 'bytes 399-599/1000', 'content-length': '201' }],
    ['no Content-Range', { 'content-range': undefined }],
    ['two Content-Ranges', { 'content-range': ['bytes 400-599/1000', 'bytes 0-199/1000'] }],
    ['another unit', { 'content-range': 'items 400-599/1000' }],
    ['a length that contradicts the range', { 'content-length': '201' }],
    ['a multipart body', { 'content-type': 'Multipart/byteranges; boundary=x' }],
    ['an encoding', { 'content-encoding': 'gzip' }],
    ['a second encoding', { 'content-encoding': ['identity', 'br'] }],
    ['an encoding in a list', { 'content-encoding': 'identity, gzip' }],
    ['an encoding before identity', { 'content-encoding': ['br', 'identity'] }],
    ['a range without a position', { 'content-range': 'bytes */1000' }],
    ['a length with a sign', { 'content-length': '+200' }],
    ['a length with a unit', { 'content-length': '200B' }],
    ['a length that is no number', { 'content-length': 'x' }],
    ['a length beyond all numbers', { 'content-length': '9007199254740993' }],
  ])('does not take %s', (_, headers) => {
    expect(short(later, part(headers))).toBe('retry PROTOCOL_ERROR')
  })

  it.each([
    ['another offset', { 'content-range': 'bytes 399-599/1000' }, 'from byte 399 instead of byte 400'],
    ['no Content-Range', { 'content-range': undefined }, 'without a valid Content-Range'],
    ['no position', { 'content-range': 'bytes */1000' }, 'without a valid Content-Range'],
    ['another length', { 'content-length': '201' }, 'contradict each other'],
    ['no length', { 'content-length': 'x' }, 'an invalid Content-Length'],
    ['a multipart body', { 'content-type': 'multipart/byteranges' }, 'a multipart body'],
    [
      'an encoding',
      { 'content-encoding': [' GZIP', 'identity'] },
      'Content-Encoding gzip, identity although',
    ],
  ])('says what is wrong with %s, and that another attempt may help', (_, headers, text) => {
    expect(judge(later, part(headers))).toMatchObject({
      error: { message: expect.stringContaining(text), retryable: true },
    })
  })

  it('takes a part without a length, or with spaces around it', () => {
    expect(short(later, part({ 'content-length': undefined }))).toBe('accept')
    expect(short(later, part({ 'content-length': ' 200 ' }))).toBe('accept')
    const chunked = part({ 'content-length': '5', 'transfer-encoding': 'chunked' })
    expect(short(later, chunked)).toBe('accept')
  })

  it.each([['identity'], [' Identity '], [''], [['identity', 'identity']], ['identity , identity']])(
    'takes Content-Encoding %j',
    (encoding) => {
      expect(short(later, part({ 'content-encoding': encoding }))).toBe('accept')
    },
  )

  it('takes 200 for the whole file, to start over', () => {
    const head = answer(200, { 'content-length': '1000', etag: '"a"' })
    expect(judge(later, head)).toEqual({ kind: 'whole', sure: true })
  })

  it.each([
    ['another total', 'total', part({ 'content-range': 'bytes 400-599/1001' })],
    ['another entity tag', 'validator', part({ etag: '"b"' })],
    [
      'another date',
      'validator',
      part({ etag: undefined, 'last-modified': 'Tue, 02 Jan 2024 00:00:00 GMT' }),
    ],
    ['a new whole file', 'validator', answer(200, { 'content-length': '1000', etag: '"b"' })],
    ['a shorter file', 'total', answer(416, { 'content-range': 'bytes */300' })],
  ] as const)('sees a change by %s', (_, by, head) => {
    expect(judge(later, head)).toMatchObject({ kind: 'changed', by, error: { code: 'SOURCE_CHANGED' } })
  })

  it('lets a known digest outrank the validators, but not the size', () => {
    const expected = { ...later, digestKnown: true }
    expect(judge(expected, part({ etag: '"b"' }))).toMatchObject({ kind: 'accept', sure: true })
    expect(short(expected, part({ 'content-range': 'bytes 400-599/1001' }))).toBe('changed SOURCE_CHANGED')
  })

  it('knows no change by a size that one of the two does not state', () => {
    const unsized = { ...later, identity: { ...known, total: null } }
    const other = { etag: '"b"' }
    expect(judge(unsized, part(other))).toMatchObject({
      kind: 'changed',
      by: 'validator',
      seen: { total },
    })
    expect(judge(later, part({ ...other, 'content-range': 'bytes 400-599/*' }))).toMatchObject({
      kind: 'changed',
      by: 'validator',
      seen: { total: null },
    })
  })

  it('does not take an unstated size for another one than the caller gave', () => {
    const sized = { ...later, size: total }
    expect(short(sized, part({ 'content-range': 'bytes 400-599/*' }))).toBe('accept')
    expect(short(sized, part({ 'content-range': 'bytes 400-599/1001' }))).toBe('changed SOURCE_CHANGED')
    const unseen = { ...sized, identity: { ...known, total: null } }
    expect(short(unseen, part({ 'content-range': 'bytes 400-599/1001' }))).toBe('changed SOURCE_CHANGED')
  })

  it.each([
    ['another total', part({ 'content-range': 'bytes 400-599/1001' }), 1001],
    ['another tag', part({ etag: '"b"' }), total],
    ['an end before the first byte requested', answer(416, { 'content-range': 'bytes */300' }), 300],
    ['an empty file', answer(416, { 'content-range': 'bytes */0' }), 0],
  ])('may succeed with the new version after %s', (_, head, seen) => {
    expect(judge(later, head)).toMatchObject({
      kind: 'changed',
      seen: { total: seen },
      error: {
        code: 'SOURCE_CHANGED',
        retryable: true,
        message: expect.stringContaining('changed on the server'),
      },
    })
  })

  it.each([
    ['no size', answer(416)],
    ['the known size', answer(416, { 'content-range': 'bytes */1000' })],
  ])('may come again after a refusal of a range that exists, with %s', (_, head) => {
    expect(judge(later, head)).toMatchObject({
      kind: 'retry',
      error: { code: 'PROTOCOL_ERROR', status: 416, retryable: true },
    })
  })

  it('has another size than where it is said to end', () => {
    const head = answer(416, { 'content-range': 'bytes */400' })
    expect(short(later, head)).toBe('changed SOURCE_CHANGED')
  })

  describe('that is a few words with 200', () => {
    const words = (headers: ResponseHead['headers'] = {}) =>
      answer(200, { 'content-type': 'application/json', 'content-length': '48', ...headers })
    const bareOf = (size: number | null): Identity => ({ ...bare, total: size })
    const weak: Identity = { ...bare, etag: 'W/"a"' }
    const dated: Identity = { ...bare, lastModified: modified }

    it.each([
      ['JSON', later, words()],
      ['no type', later, words({ 'content-type': undefined })],
      ['a weak tag where the file has a strong one', later, words({ etag: 'W/"x"' })],
      ['a weak date where the file has a strong tag', later, words({ 'last-modified': modified })],
      ['no length', later, words({ 'content-length': undefined })],
      ['no validator where the file has none', { ...later, identity: bare }, words()],
      ['no validator where the file has a weak tag', { ...later, identity: weak }, words()],
      ['no validator where the file has a weak date', { ...later, identity: dated }, words()],
      ['fewer bytes than are kept of a file of unknown size', { ...later, identity: bareOf(null) }, words()],
      ['another size than the caller gave', { ...later, identity: bareOf(null), size: total }, words()],
      ['a digest that decides', { ...later, digestKnown: true }, words()],
      ['the beginning requested', { ...later, start: 0 }, words()],
    ])('%s: is not the file, and may pass', (_, expected, head) => {
      expect(judge(expected, head)).toMatchObject({
        kind: 'retry',
        error: {
          code: 'PROTOCOL_ERROR',
          retryable: true,
          message: expect.stringContaining('instead of the file'),
        },
      })
    })

    it.each([
      ['a strong tag', later, words({ etag: '"b"' })],
      ['the tag of the file', later, words({ etag: '"a"' })],
      ['another weak tag where the file has one', { ...later, identity: weak }, words({ etag: 'W/"b"' })],
      [
        'another date where the file has only one',
        { ...later, identity: dated },
        words({ 'last-modified': date }),
      ],
    ])('%s: may be a new version', (_, expected, head) => {
      expect(judge(expected, head)).toMatchObject({ kind: 'changed', by: 'total', seen: { total: 48 } })
    })

    it('may be the file, as far as nothing speaks against it', () => {
      const unsized = { ...later, identity: bareOf(null) }
      const head = words({ 'content-length': undefined })
      expect(judge(unsized, head)).toEqual({ kind: 'whole', sure: false })
      expect(judge(unsized, words({ 'content-length': '400' }))).toEqual({ kind: 'whole', sure: false })
      const stream = { 'content-length': undefined, 'content-type': 'application/octet-stream' }
      expect(judge(later, words(stream))).toEqual({ kind: 'whole', sure: false })
      expect(judge(later, words({ 'content-length': '1000' }))).toEqual({ kind: 'whole', sure: true })
    })
  })

  describe('that leaves out one of the validators', () => {
    const weak = { ...known, lastModifiedStrong: false }

    it.each([
      ['nothing', {}, known, known],
      ['the tag', { etag: undefined }, known, known],
      ['the date of change', { 'last-modified': undefined }, known, known],
      ['the total', { 'content-range': 'bytes 400-599/*' }, known, known],
      ['its own date', { date: undefined }, known, known],
    ])('keeps what was known without %s', (_, headers, before, after) => {
      expect(judge({ ...later, identity: before }, part(headers))).toMatchObject({
        kind: 'accept',
        identity: after,
      })
    })

    it.each([
      ['a tag', { ...known, etag: null }, known],
      ['a date of change', { ...known, lastModified: null, lastModifiedStrong: false }, known],
      ['a total', { ...known, total: null }, known],
      // A date that was weak when it was first seen stays weak.
      ['no strength', weak, weak],
    ])('learns %s that was not known', (_, before, after) => {
      expect(judge({ ...later, identity: before }, part())).toMatchObject({
        kind: 'accept',
        identity: after,
      })
    })

    it('does not take a missing tag or date for a change', () => {
      expect(short(later, part({ etag: undefined, date: undefined }))).toBe('accept')
      expect(short(later, part({ 'last-modified': undefined }))).toBe('accept')
      expect(short(later, part({ etag: undefined, 'last-modified': undefined }))).toBe('accept')
    })
  })

  describe('that is a web page', () => {
    const page = (headers: ResponseHead['headers'] = {}) =>
      answer(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': '500', ...headers })

    it.each([
      ['of another size', page()],
      ['of unknown size', page({ 'content-length': undefined, etag: '"a"' })],
      ['with another tag', page({ 'content-length': '1000', etag: '"b"' })],
      ['in capital letters', page({ 'content-type': 'TEXT/HTML' })],
    ])('%s is not a new version: the bytes on disk are kept', (_, head) => {
      expect(judge(later, head)).toMatchObject({
        kind: 'retry',
        error: { code: 'PROTOCOL_ERROR', retryable: true, message: expect.stringContaining('a web page') },
      })
    })

    it('is not one that fits the digest either, when its tag differs', () => {
      expect(short({ ...later, digestKnown: true }, page({ 'content-length': '1000', etag: '"b"' }))).toBe(
        'retry PROTOCOL_ERROR',
      )
    })

    it('is the file itself with the same size and tag, or when nothing is known yet', () => {
      expect(short(later, page({ 'content-length': '1000', etag: '"a"' }))).toBe('whole')
      expect(short(first, page())).toBe('accept')
    })

    it.each([
      ['of another type', { 'content-type': 'application/octet-stream' }],
      ['without a type', { 'content-type': undefined }],
      ['whose type only contains that of a page', { 'content-type': 'application/text/html' }],
      ['whose type only begins like that of a page', { 'content-type': 'text/htmlx' }],
    ])('is words of another kind if %s, and a new version with a strong tag', (_, headers) => {
      expect(judge(later, page(headers))).toMatchObject({
        kind: 'retry',
        error: { message: expect.stringContaining('500 bytes of another kind') },
      })
      expect(short(later, page({ ...headers, etag: '"b"' }))).toBe('changed SOURCE_CHANGED')
    })
  })

  it('is unsure without a strong validator', () => {
    const expected = { ...later, identity: bare }
    expect(judge(expected, part())).toMatchObject({ kind: 'accept', sure: false })
    const weak = { ...later, identity: { ...bare, etag: 'W/"a"' } }
    expect(judge(weak, part({ etag: 'W/"a"', 'last-modified': undefined }))).toMatchObject({ sure: false })
  })

  it('tells that the file ends where it was asked to go on', () => {
    const head = answer(416, { 'content-range': 'bytes */400' })
    expect(judge({ ...later, identity: null }, head)).toEqual({ kind: 'past-end', total: 400 })
  })
})

describe('judge: errors', () => {
  it.each([
    [400, 'fail HTTP_ERROR', 'expired HTTP_ERROR'],
    [402, 'fail HTTP_ERROR', 'expired HTTP_ERROR'],
    [401, 'fail ACCESS_DENIED', 'expired ACCESS_DENIED'],
    [403, 'fail ACCESS_DENIED', 'expired ACCESS_DENIED'],
    [404, 'fail NOT_FOUND', 'expired NOT_FOUND'],
    [410, 'fail NOT_FOUND', 'expired NOT_FOUND'],
    [408, 'retry HTTP_ERROR', 'retry HTTP_ERROR'],
    [425, 'retry HTTP_ERROR', 'retry HTTP_ERROR'],
    [429, 'retry HTTP_ERROR', 'retry HTTP_ERROR'],
    [500, 'retry HTTP_ERROR', 'retry HTTP_ERROR'],
    [501, 'fail HTTP_ERROR', 'fail HTTP_ERROR'],
    [502, 'retry HTTP_ERROR', 'retry HTTP_ERROR'],
    [503, 'retry HTTP_ERROR', 'retry HTTP_ERROR'],
    [504, 'retry HTTP_ERROR', 'retry HTTP_ERROR'],
    [505, 'fail HTTP_ERROR', 'fail HTTP_ERROR'],
    [204, 'fail HTTP_ERROR', 'fail HTTP_ERROR'],
    [304, 'fail HTTP_ERROR', 'fail HTTP_ERROR'],
    [418, 'fail HTTP_ERROR', 'fail HTTP_ERROR'],
  ])('%d: at first %s, mid-way %s', (status, atFirst, midWay) => {
    expect(short(first, answer(status))).toBe(atFirst)
    expect(short(later, answer(status))).toBe(midWay)
  })

  it.each([
    [403, 'The server refuses access (HTTP 403).'],
    [404, 'The server has no such file (HTTP 404).'],
    [500, 'The server answered HTTP 500.'],
  ])('%d says: %s', (status, message) => {
    expect(judge(first, answer(status))).toMatchObject({ error: { message, status } })
  })

  it('of a size say both, and are final', () => {
    const verdict = judge({ ...first, size: total }, answer(200, { 'content-length': '999' }))
    expect(verdict).toMatchObject({
      error: { message: 'The file on the server has 999 bytes, but 1000 were expected.', retryable: false },
    })
  })

  it('of a range that no file has say so', () => {
    expect(judge(first, answer(416))).toMatchObject({
      error: { message: expect.stringContaining('416 (range not satisfiable)'), retryable: true },
    })
  })

  it('keep the status, and say whether a retry helps', () => {
    const verdict = judge(first, answer(503))
    expect(verdict).toMatchObject({ error: { status: 503, retryable: true } })
    expect(judge(first, answer(400))).toMatchObject({ error: { status: 400, retryable: false } })
  })
})

describe('identity', () => {
  it.each([
    ['"a"', '"a"', true],
    ['W/"a"', 'W/"a"', false],
    ['a', null, false],
    ['"a', null, false],
    ['w/"a"', null, false],
    ['"a" "b"', null, false],
    ['"a"b', null, false],
    [undefined, null, false],
    ['""', '""', true],
  ])('entity tag %s', (etag, kept, strong) => {
    const identity = identityOf(answer(200, { etag }), null)
    expect(identity.etag).toBe(kept)
    expect(strongEtag(identity) !== null).toBe(strong)
    expect(hasStrongValidator(identity)).toBe(strong)
  })

  it.each([
    ['a date a second older than the answer', date, 'Mon, 15 Jan 2024 11:59:59 GMT', true],
    ['a date of the same second', date, date, false],
    ['a date without the answer’s own', undefined, modified, false],
    ['a date of an answer that has an invalid one', 'now', modified, false],
    ['no date beside a valid one of the answer', date, undefined, false],
    ['no date at all', date, 'yesterday', false],
  ])('%s', (_, at, lastModified, strong) => {
    const identity = identityOf(answer(200, { date: at, 'last-modified': lastModified }), null)
    expect(identity.lastModifiedStrong).toBe(strong)
    expect(hasStrongValidator(identity)).toBe(strong)
    expect(ifRangeOf(identity)).toBe(strong ? lastModified : null)
  })
})

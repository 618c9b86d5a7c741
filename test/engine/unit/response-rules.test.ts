import { describe, expect, it } from 'vitest'
import { hasStrongValidator, ifRangeOf, strongEtag } from '../../../src/engine/part/identity.js'
import { identityOf, judge, type Expectation } from '../../../src/engine/fetch/response-rules.js'
import type { ResponseHead } from '../../../src/net/exchange.js'
import { answer, bare, date, first, known, later, modified, total } from './answers.js'

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

  it('takes 203, which a proxy in between has made of 200', () => {
    expect(judge(first, answer(203, { 'content-length': '1000' }))).toMatchObject({
      kind: 'accept',
      bodyEnd: total,
    })
  })

  it('takes 200 without a length where a size is expected', () => {
    expect(judge({ ...first, size: total }, answer(200))).toMatchObject({ kind: 'accept', bodyEnd: null })
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

describe('judge: a few words in place of a large file', () => {
  const large = { ...first, size: 1_000_000 }

  it.each([
    ['JSON', { 'content-type': 'application/json' }],
    ['text', { 'content-type': 'text/plain; charset=utf-8' }],
    ['no type', {}],
    ['the type of the file', { 'content-type': 'application/octet-stream', etag: 'W/"1"' }],
  ])('are a bad answer, which may pass: %s', (_, headers) => {
    for (const length of ['0', '48', '16384'])
      expect(short(large, answer(200, { 'content-length': length, ...headers }))).toBe('retry PROTOCOL_ERROR')
  })

  it.each([
    ['a page', { 'content-length': '48', 'content-type': 'text/html; charset=utf-8' }],
    ['a version with a strong validator', { 'content-length': '48', etag: '"2"' }],
    ['more than a few words', { 'content-length': '16385' }],
  ])('are none: %s', (_, headers) => {
    expect(short(large, answer(200, headers))).toBe('fail CONTENT_MISMATCH')
  })

  it('are looked for only where they can not be the file', () => {
    const head = answer(200, { 'content-length': '48', 'content-type': 'application/json' })
    expect(short({ ...first, size: 65_535 }, head)).toBe('fail CONTENT_MISMATCH')
    expect(short({ ...first, size: 65_536 }, head)).toBe('retry PROTOCOL_ERROR')
    expect(short({ ...first, size: 48 }, head)).toBe('accept')
    expect(short(first, head)).toBe('accept')
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
    ['a length with an exponent', { 'content-length': '2e2' }],
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
    expect(judge({ ...later, identity: null }, head)).toEqual({ kind: 'whole', sure: false })
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

  it('is unsure without a strong validator', () => {
    const expected = { ...later, identity: bare }
    expect(judge(expected, part())).toMatchObject({ kind: 'accept', sure: false })
    const weak = { ...later, identity: { ...bare, etag: 'W/"a"' } }
    expect(judge(weak, part({ etag: 'W/"a"', 'last-modified': undefined }))).toMatchObject({ sure: false })
  })

  it('tells that the file ends where it was asked to go on', () => {
    const head = answer(416, { 'content-range': 'bytes */400' })
    expect(judge({ ...later, identity: null }, head)).toEqual({ kind: 'past-end', total: 400 })
    const atEnd = answer(416, { 'content-range': 'bytes */1000' })
    expect(judge({ ...later, start: total }, atEnd)).toEqual({ kind: 'past-end', total })
  })

  it.each([0, 300, 401])('has changed if it ends after %i bytes, of a version that is not known', (seen) => {
    const head = answer(416, { 'content-range': `bytes */${seen}` })
    expect(judge({ ...later, identity: null }, head)).toMatchObject({
      kind: 'changed',
      by: 'total',
      seen: { total: seen },
    })
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

/** Words and web pages that a server sends with 200 in place of the file. */
import { describe, expect, it } from 'vitest'
import { type Expectation, judge } from '../../../src/engine/fetch/response-rules.js'
import type { Identity } from '../../../src/engine/part/identity.js'
import type { ResponseHead } from '../../../src/net/exchange.js'
import { answer, bare, date, first, known, later, modified, total } from './answers.js'

/** The verdict in short: its kind, with the code of its error where it has one. */
function short(expected: Expectation, head: ResponseHead): string {
  const verdict = judge(expected, head)
  return 'error' in verdict ? `${verdict.kind} ${verdict.error.code}` : verdict.kind
}

describe('an answer of a few words with 200', () => {
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
    [
      'no length where only the size is known',
      { ...later, identity: bare },
      words({ 'content-length': undefined }),
    ],
    [
      'no length where only a strong tag is known',
      { ...later, identity: { ...known, total: null } },
      words({ 'content-length': undefined }),
    ],
    [
      'a weak date where the file has no validator',
      { ...later, identity: bare },
      words({ 'last-modified': modified }),
    ],
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

  it.each([
    ...['application/json', 'application/json; charset=utf-8', 'application/json ;x', 'application/json '],
    ...['application/json  ', 'application/json  ;x', 'text/plain', 'text/xml', 'application/xml'],
    ...['application/problem+json', 'application/vnd.api-1.0+json', 'application/atom+xml', 'TEXT/PLAIN'],
  ])('are not the file without a length if their type is %j', (type) => {
    const verdict = judge(later, words({ 'content-length': undefined, 'content-type': type }))
    expect(verdict).toMatchObject({ error: { message: expect.stringContaining('words of another kind') } })
  })

  it.each([
    ...['application/jsonx', 'application/json-seq', 'x-text/plain', 'text/plain2', 'application/x+y'],
    ...['application/+json', 'application/a b+json'],
  ])('may be the file without a length if its type is %j', (type) => {
    const verdict = judge(later, words({ 'content-length': undefined, 'content-type': type }))
    expect(verdict).toEqual({ kind: 'whole', sure: false })
  })

  it('are the file without a length if they have its tag', () => {
    const verdict = judge(later, words({ 'content-length': undefined, etag: '"a"' }))
    expect(verdict).toEqual({ kind: 'whole', sure: true })
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

describe('an answer that is a web page', () => {
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

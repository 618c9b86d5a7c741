import { describe, expect, it } from 'vitest'
import { DownloadError, downloadErrorCodes } from '../../../src/errors.js'
import { publicMessage } from '../../../src/download/wire.js'
import {
  isServerFault,
  jsonHeaders,
  problemHeaders,
  statusOf,
  titleOf,
  toProblem,
} from '../../../src/http/problem.js'

describe('titleOf', () => {
  it.each([
    [400, 'Bad Request'],
    [401, 'Unauthorized'],
    [403, 'Forbidden'],
    [404, 'Not Found'],
    [405, 'Method Not Allowed'],
    [409, 'Conflict'],
    [412, 'Precondition Failed'],
    [413, 'Content Too Large'],
    [414, 'URI Too Long'],
    [415, 'Unsupported Media Type'],
    [416, 'Range Not Satisfiable'],
    [421, 'Misdirected Request'],
    [422, 'Unprocessable Content'],
    [423, 'Locked'],
    [429, 'Too Many Requests'],
    [500, 'Internal Server Error'],
    [502, 'Bad Gateway'],
    [503, 'Service Unavailable'],
    [507, 'Insufficient Storage'],
  ])('%d: %s', (status, title) => {
    expect(titleOf(status)).toBe(title)
  })

  it.each([0, -1, 99, 299, 419, 499, 599, 600, 999, 404.5, NaN, Infinity])(
    '%d is just an error',
    (status) => {
      expect(titleOf(status)).toBe('Error')
    },
  )
})

describe('toProblem', () => {
  it('has a title for every code', () => {
    for (const code of downloadErrorCodes) {
      const error = new DownloadError(code, 'x')
      const problem = toProblem(error)
      expect(problem).toMatchObject({ type: 'about:blank', status: statusOf(error), code })
      expect(problem.title).toBe(titleOf(problem.status))
      expect(problem.title, code).not.toBe('Error')
    }
  })

  it('takes a status of our own answer from the error, and no status of an origin', () => {
    expect(toProblem(new DownloadError('INVALID_OPTIONS', 'x', { status: 413 }))).toMatchObject({
      status: 413,
      title: 'Content Too Large',
    })
    expect(toProblem(new DownloadError('HTTP_ERROR', 'x', { status: 418 }))).toMatchObject({
      status: 502,
      title: 'Bad Gateway',
    })
  })

  it.each(['ACCESS_DENIED', 'INVALID_OPTIONS', 'NOT_FOUND'] as const)(
    'takes the status of %s from the error, if it has one',
    (code) => {
      expect(statusOf(new DownloadError(code, 'x', { status: 405 }))).toBe(405)
      expect(statusOf(new DownloadError(code, 'x'))).not.toBe(405)
    },
  )

  it('exposes nothing of an unexpected error', () => {
    const problem = toProblem(new Error('the password is hunter2'))
    expect(problem).toMatchObject({ status: 500, title: 'Internal Server Error', code: 'INTERNAL' })
    expect(problem.detail).toBe('Something went wrong inside the server.')
    expect(JSON.stringify(problem)).not.toContain('hunter2')
  })

  it('has the members of the older format, with the same message', () => {
    expect(toProblem(new DownloadError('QUEUE_FULL', 'The queue is full.'))).toEqual({
      success: false,
      type: 'about:blank',
      title: 'Too Many Requests',
      status: 429,
      detail: 'The queue is full.',
      code: 'QUEUE_FULL',
      error: 'The queue is full.',
    })
  })

  it.each([
    ['INVALID_URL', 'url'],
    ['SSRF_BLOCKED', 'url'],
    ['UNSAFE_FILENAME', 'filename'],
  ] as const)('names the field of the request that caused %s', (code, path) => {
    expect(toProblem(new DownloadError(code, 'No.')).issues).toEqual([{ path, message: 'No.' }])
  })

  it('keeps the issues of an error that has its own', () => {
    const issues = [
      { path: 'urls.1', message: 'is not valid' },
      { path: 'urls.2', message: 'is not valid either' },
    ]
    expect(toProblem(new DownloadError('INVALID_URL', 'x', { issues })).issues).toEqual(issues)
    expect(toProblem(new DownloadError('GROUP_INCOMPLETE', 'x', { issues })).issues).toEqual(issues)
  })

  it.each(['INVALID_OPTIONS', 'CONFLICT', 'HTTP_ERROR', 'INTERNAL'] as const)(
    'has no issues for %s without any',
    (code) => {
      expect(toProblem(new DownloadError(code, 'x'))).not.toHaveProperty('issues')
    },
  )

  it('removes the secrets of URLs from every message', () => {
    const secret = 'https://user:hunter2@host/file?token=hunter2'
    const issues = [{ path: 'urls.0', message: `Bad mirror ${secret}` }]
    const problem = toProblem(new DownloadError('INVALID_URL', `Bad URL ${secret}`, { issues }))
    expect(problem.detail).toContain('Bad URL https://host/file')
    expect(problem.issues?.[0]?.message).toContain('Bad mirror https://host/file')
    expect(JSON.stringify(problem)).not.toContain('hunter2')
  })
})

describe('publicMessage', () => {
  it('replaces the message of INTERNAL, also without an error object, and no other', () => {
    expect(publicMessage({ code: 'INTERNAL', message: 'at /home/secret' })).not.toContain('secret')
    expect(publicMessage({ code: 'DISK_IO', message: 'The disk failed.' })).toBe('The disk failed.')
  })
})

describe('isServerFault', () => {
  it.each([
    ['an error of the disk', new DownloadError('DISK_IO', 'x'), true],
    ['a missing permission', new DownloadError('PERMISSION', 'x'), true],
    ['a bug', new DownloadError('INTERNAL', 'x'), true],
    ['an error of another kind', new Error('x'), true],
    ['a thrown string', 'x', true],
    ['an invalid request', new DownloadError('INVALID_OPTIONS', 'x'), false],
    ['an origin that failed', new DownloadError('HTTP_ERROR', 'x', { status: 500 }), false],
    ['a server that is closing', new DownloadError('CLOSED', 'x'), false],
  ])('%s: %s', (_, thrown, isFault) => {
    expect(isServerFault(thrown)).toBe(isFault)
  })
})

it('jsonHeaders forbid caching and guessing of the type', () => {
  expect(jsonHeaders(17)).toEqual({
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': '17',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
})

it('problemHeaders say when to ask again and how to authenticate, where that helps', () => {
  expect(problemHeaders(429)).toHaveProperty('Retry-After', '5')
  expect(problemHeaders(503)).toHaveProperty('Retry-After', '5')
  expect(problemHeaders(401)).toHaveProperty('WWW-Authenticate', 'Bearer')
  for (const status of [400, 403, 404, 409, 413, 500, 502]) {
    expect(problemHeaders(status)).toStrictEqual({
      'Content-Type': 'application/problem+json; charset=utf-8',
    })
  }
})

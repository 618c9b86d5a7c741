import { describe, expect, it } from 'vitest'
import { DownloadError, downloadErrorCodes } from '../../../src/errors.js'
import { problemHeaders, statusOf, titleOf, toProblem } from '../../../src/http/problem.js'

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

  it('says nothing of what nobody foresaw', () => {
    const problem = toProblem(new Error('the password is hunter2'))
    expect(problem).toMatchObject({ status: 500, title: 'Internal Server Error', code: 'INTERNAL' })
    expect(JSON.stringify(problem)).not.toContain('hunter2')
  })
})

it('problemHeaders say when to ask again and how to authenticate, where that helps', () => {
  expect(problemHeaders(429)).toHaveProperty('Retry-After')
  expect(problemHeaders(503)).toHaveProperty('Retry-After')
  expect(problemHeaders(401)).toHaveProperty('WWW-Authenticate', 'Bearer')
  for (const status of [400, 403, 404, 409, 413, 500, 502]) {
    expect(Object.keys(problemHeaders(status))).toEqual(['Content-Type'])
  }
})

import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import {
  codeOfStatus,
  DownloadError,
  deserializeError,
  downloadErrorCodes,
  invalidOption,
  isDownloadError,
  isRetryableStatus,
  toDownloadError,
} from '../../../src/errors.js'

describe('DownloadError', () => {
  it('is an Error with a code', () => {
    const cause = new Error('deep')
    const issues = [{ path: 'connections', message: 'too many' }]
    const error = new DownloadError('HTTP_ERROR', 'No.', {
      cause,
      retryable: true,
      status: 503,
      retryAfterMs: 5_000,
      issues,
    })
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      name: 'DownloadError',
      message: 'No.',
      code: 'HTTP_ERROR',
      retryable: true,
      status: 503,
      retryAfterMs: 5_000,
      issues,
      cause,
    })
    expect(String(error)).toBe('DownloadError: No.')
  })

  it('is not retryable and has no issues unless told', () => {
    const error = new DownloadError('NOT_FOUND', 'Gone.')
    expect(error.retryable).toBe(false)
    expect(error.issues).toEqual([])
    expect('cause' in error).toBe(false)
  })

  it('survives being sent as plain data', () => {
    for (const code of downloadErrorCodes) {
      const error = new DownloadError(code, 'A message.', { retryable: true, status: 429, retryAfterMs: 1 })
      const plain = structuredClone(error.toJSON())
      expect(JSON.parse(JSON.stringify(error))).toEqual(plain)
      const back = deserializeError(plain)
      expect(isDownloadError(back, code)).toBe(true)
      expect(back.toJSON()).toEqual(plain)
    }
  })

  it('sends neither stack nor cause', () => {
    const error = new DownloadError('INTERNAL', 'A message.', { cause: new Error('https://host/?token=x') })
    expect(error.toJSON()).toEqual({ code: 'INTERNAL', message: 'A message.', retryable: false })
  })

  it('keeps the cause that it is given on arrival', () => {
    const cause = new Error('worker')
    expect(deserializeError(new DownloadError('DISK_IO', 'x').toJSON(), cause).cause).toBe(cause)
  })
})

describe('isDownloadError', () => {
  it('knows its own, and the code when asked', () => {
    const error = new DownloadError('NO_SPACE', 'Full.')
    expect(isDownloadError(error)).toBe(true)
    expect(isDownloadError(error, 'NO_SPACE')).toBe(true)
    expect(isDownloadError(error, 'DISK_IO')).toBe(false)
  })

  it('knows the errors of another copy of the package', async () => {
    vi.resetModules()
    const copy = await import('../../../src/errors.js')
    expect(copy.DownloadError).not.toBe(DownloadError)
    const foreign = new copy.DownloadError('TLS_ERROR', 'From afar.')
    expect(foreign instanceof DownloadError).toBe(false)
    expect(isDownloadError(foreign, 'TLS_ERROR')).toBe(true)
    expect(copy.isDownloadError(new DownloadError('TLS_ERROR', 'x'), 'TLS_ERROR')).toBe(true)
    expect(toDownloadError(foreign)).toBe(foreign)
  })

  it.each([
    undefined,
    null,
    'NOT_FOUND',
    42,
    {},
    { code: 'NOT_FOUND', name: 'DownloadError' },
    new Error('NOT_FOUND'),
    Object.assign(new Error('x'), { code: 'NOT_FOUND' }),
  ])('is not fooled by %s', (value) => {
    expect(isDownloadError(value)).toBe(false)
  })
})

describe('toDownloadError', () => {
  it('leaves a DownloadError alone', () => {
    const error = new DownloadError('CLOSED', 'x')
    expect(toDownloadError(error)).toBe(error)
  })

  it.each([
    [new TypeError('boom'), 'boom'],
    ['a string', 'a string'],
    [undefined, 'undefined'],
    [null, 'null'],
    [Symbol('s'), 'Symbol(s)'],
  ])('makes INTERNAL of %s and keeps it as the cause', (value, text) => {
    const error = toDownloadError(value)
    expect(error.code).toBe('INTERNAL')
    expect(error.message).toContain(text)
    expect(error.cause).toBe(value)
  })

  it('never throws itself', () => {
    const rude = {
      toString() {
        throw new Error('no')
      },
    }
    expect(toDownloadError(Object.create(null)).code).toBe('INTERNAL')
    expect(toDownloadError(rude).code).toBe('INTERNAL')
  })
})

describe('docs/errors.md', () => {
  let headings: string[] = []
  let sections = new Map<string, string>()

  beforeAll(async () => {
    const text = await readFile(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
    const parts = text.split(/^### /m).slice(1)
    headings = parts.map((part) => part.slice(0, part.indexOf('\n')).trim())
    sections = new Map(parts.map((part, index) => [headings[index] ?? '', part]))
  })

  it('has one section for each code, and none for anything else', () => {
    expect(new Set(headings).size).toBe(headings.length)
    expect([...headings].sort()).toEqual([...downloadErrorCodes].sort())
  })

  it('says of each code what it means, whether it is retried, what lies on disk and what to do', () => {
    for (const code of downloadErrorCodes) {
      const section = sections.get(code) ?? ''
      for (const label of ['Retried', 'On disk', 'What to do']) {
        expect(section, `${code} lacks "${label}"`).toMatch(new RegExp(`^- \\*\\*${label}:\\*\\* \\S`, 'm'))
      }
      const meaning = section.slice(section.indexOf('\n'), section.indexOf('- **')).trim()
      expect(meaning, `${code} lacks its meaning`).toMatch(/^[A-Z][^]*\.$/)
    }
  })

  it('links only to sections that exist', () => {
    const anchors = new Set(headings.map((heading) => `#${heading.toLowerCase()}`))
    for (const [code, section] of sections) {
      for (const [, target] of section.matchAll(/\]\((#[^)]+)\)/g)) {
        expect(anchors.has(target ?? ''), `${code} links to ${String(target)}`).toBe(true)
      }
    }
  })
})

describe('an HTTP status', () => {
  it.each([
    [400, 'HTTP_ERROR', false],
    [401, 'ACCESS_DENIED', false],
    [402, 'HTTP_ERROR', false],
    [403, 'ACCESS_DENIED', false],
    [404, 'NOT_FOUND', false],
    [405, 'HTTP_ERROR', false],
    [408, 'HTTP_ERROR', true],
    [410, 'NOT_FOUND', false],
    [416, 'HTTP_ERROR', false],
    [424, 'HTTP_ERROR', false],
    [425, 'HTTP_ERROR', true],
    [429, 'HTTP_ERROR', true],
    [451, 'HTTP_ERROR', false],
    [500, 'HTTP_ERROR', true],
    [501, 'HTTP_ERROR', false],
    [502, 'HTTP_ERROR', true],
    [503, 'HTTP_ERROR', true],
    [504, 'HTTP_ERROR', true],
    [505, 'HTTP_ERROR', false],
    [522, 'HTTP_ERROR', true],
    [599, 'HTTP_ERROR', true],
    [300, 'HTTP_ERROR', false],
  ] as const)('%i is %s; asking again may help: %s', (status, code, retryable) => {
    expect(codeOfStatus(status)).toBe(code)
    expect(isRetryableStatus(status)).toBe(retryable)
  })
})

describe('invalidOption', () => {
  it('names the option in the message, and for programs', () => {
    expect(invalidOption('mode', 'must be one of a, b')).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: 'download options: mode: must be one of a, b',
      retryable: false,
      issues: [{ path: 'mode', message: 'must be one of a, b' }],
    })
    expect(invalidOption('cursor', 'is none', 'The query')).toMatchObject({
      message: 'The query: cursor: is none',
      issues: [{ path: 'cursor', message: 'is none' }],
    })
  })
})

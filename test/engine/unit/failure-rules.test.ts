import { describe, expect, it } from 'vitest'
import { type FailedConnection, isAnswer, judgeFailure } from '../../../src/engine/fetch/failure-rules.js'
import { DownloadError, type DownloadErrorCode } from '../../../src/errors.js'

const maxMs = 600_000
const forms = { servesPlainOnly: false, isRefusal: () => false }
const alone: FailedConnection = { others: 0, beside: false, several: false, forms }

const fails = (
  code: DownloadErrorCode,
  details: Partial<{ retryable: boolean; status: number; retryAfterMs: number }>,
) => new DownloadError(code, 'it failed', details)

const forbidden = fails('ACCESS_DENIED', { status: 403 })
const broken = fails('HTTP_ERROR', { status: 503, retryable: true })
const stalled = fails('STALLED', { retryable: true })
const lost = fails('CONNECT_FAILED', { retryable: true })

describe('judgeFailure', () => {
  it.each([
    ['a lost connection, alone', lost, {}, 'retry'],
    ['a refusal, alone', forbidden, {}, 'refused'],
    ['a refusal beside others, which have ended', forbidden, { beside: true }, 'crowded'],
    ['a failure that may pass, beside others that have ended', broken, { beside: true }, 'retry'],
    [
      'an error without a response, beside others that have ended',
      fails('TLS_ERROR', {}),
      { beside: true },
      'refused',
    ],
    ['a refusal while others are open', forbidden, { others: 1, beside: true }, 'crowded'],
    ['a lost connection while others are open', lost, { others: 3 }, 'crowded'],
    ['a stall while others are open', stalled, { others: 1 }, 'crowded'],
    ['a stall while others are open, with another address', stalled, { others: 1, several: true }, 'retry'],
    [
      'another failure while others are open, with another address',
      lost,
      { others: 1, several: true },
      'crowded',
    ],
  ] as const)('%s', (_what, error, given, meaning) => {
    expect(judgeFailure(error, { ...alone, ...given }, maxMs)).toBe(meaning)
  })

  it('accepts a wait up to the limit, and with a single address any', () => {
    const wait = (retryAfterMs: number, several: boolean) =>
      judgeFailure(
        fails('HTTP_ERROR', { status: 429, retryable: true, retryAfterMs }),
        { ...alone, several },
        maxMs,
      )
    expect(wait(maxMs, true)).toBe('retry')
    expect(wait(maxMs + 1, true)).toBe('busy')
    expect(wait(maxMs + 1, false)).toBe('retry')
  })

  it('takes what a server says for final, once it serves complete files only', () => {
    const plainOnly = { ...alone, forms: { ...forms, servesPlainOnly: true } }
    expect(judgeFailure(broken, plainOnly, maxMs)).toBe('refused')
    expect(judgeFailure(fails('PROTOCOL_ERROR', { retryable: true }), plainOnly, maxMs)).toBe('refused')
    expect(judgeFailure(lost, plainOnly, maxMs)).toBe('retry')
  })

  it('takes a status for a refusal that has been one before', () => {
    const known = { ...alone, forms: { ...forms, isRefusal: (status?: number) => status === 503 } }
    expect(judgeFailure(broken, known, maxMs)).toBe('refused')
    expect(judgeFailure(fails('HTTP_ERROR', { status: 500, retryable: true }), known, maxMs)).toBe('retry')
  })
})

describe('isAnswer', () => {
  it('knows a server that has answered from a network that failed', () => {
    expect([forbidden, broken, fails('PROTOCOL_ERROR', {})].map(isAnswer)).toEqual([true, true, true])
    expect([lost, stalled].map(isAnswer)).toEqual([false, false])
  })
})

import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { isNetworkFailure, networkError, type ExchangePhase, isUnreachable } from '../../../src/net/errors.js'

const failure = (code: string, message = 'secret detail') => Object.assign(new Error(message), { code })
const phases: readonly ExchangePhase[] = ['connect', 'headers', 'body']

describe('networkError', () => {
  it.each([
    ['ECONNREFUSED', 'connect', 'CONNECT_FAILED', true],
    ['ECONNRESET', 'connect', 'CONNECT_FAILED', true],
    ['EHOSTUNREACH', 'connect', 'CONNECT_FAILED', true],
    ['ENETUNREACH', 'connect', 'CONNECT_FAILED', true],
    ['ETIMEDOUT', 'connect', 'CONNECT_FAILED', true],
    ['UND_ERR_CONNECT_TIMEOUT', 'connect', 'CONNECT_FAILED', true],
    ['EMFILE', 'connect', 'CONNECT_FAILED', true],
    ['ENFILE', 'body', 'CONNECT_FAILED', true],
    ['ENOTFOUND', 'connect', 'NAME_RESOLUTION', true],
    ['EAI_AGAIN', 'connect', 'NAME_RESOLUTION', true],
    ['CERT_HAS_EXPIRED', 'connect', 'TLS_ERROR', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'connect', 'TLS_ERROR', false],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'connect', 'TLS_ERROR', false],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'connect', 'TLS_ERROR', false],
    ['ERR_TLS_CERT_ALTNAME_FORMAT', 'headers', 'TLS_ERROR', false],
    ['CRL_HAS_EXPIRED', 'connect', 'TLS_ERROR', false],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'connect', 'TLS_ERROR', true],
    ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'connect', 'TLS_ERROR', true],
    ['ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR', 'headers', 'TLS_ERROR', true],
    ['ERR_TLS_HANDSHAKE_TIMEOUT', 'connect', 'TLS_ERROR', true],
    ['EPROTO', 'connect', 'TLS_ERROR', true],
    ['ECONNRESET', 'headers', 'CONNECT_FAILED', true],
    ['UND_ERR_SOCKET', 'headers', 'CONNECT_FAILED', true],
    ['HPE_INVALID_CONSTANT', 'headers', 'PROTOCOL_ERROR', true],
    ['HPE_UNEXPECTED_CONTENT_LENGTH', 'headers', 'PROTOCOL_ERROR', true],
    ['UND_ERR_HEADERS_OVERFLOW', 'headers', 'PROTOCOL_ERROR', true],
    ['ECONNRESET', 'body', 'TRUNCATED', true],
    ['UND_ERR_SOCKET', 'body', 'TRUNCATED', true],
    ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'body', 'TRUNCATED', true],
    ['ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC', 'body', 'TRUNCATED', true],
    ['SOMETHING_NEW', 'headers', 'CONNECT_FAILED', true],
  ] as const)('%s in the phase %s → %s', (code, phase, expected, retryable) => {
    const error = networkError(failure(code), phase)
    expect(error.code).toBe(expected)
    expect(error.retryable).toBe(retryable)
  })

  it('finds the code in a cause, and in an aggregate of happy eyeballs', () => {
    const wrapped = new TypeError('fetch failed', { cause: failure('ENOTFOUND') })
    expect(networkError(wrapped, 'connect').code).toBe('NAME_RESOLUTION')
    const both = new AggregateError([failure('ENETUNREACH'), failure('CERT_HAS_EXPIRED')])
    expect(networkError(both, 'connect').code).toBe('TLS_ERROR')
  })

  it('names the host that could not be resolved, unless a remote caller would learn of a proxy', () => {
    const failed = Object.assign(failure('ENOTFOUND'), { hostname: 'models.example' })
    const buried = new AggregateError([new TypeError('fetch failed', { cause: failed })])
    expect(networkError(buried, 'connect', true).message).toBe(
      'The host name models.example could not be resolved.',
    )
    expect(networkError(buried, 'connect').message).toBe('The host name could not be resolved.')
    const hostile = Object.assign(failure('ENOTFOUND'), { hostname: 'a b\u001b[31m' })
    expect(networkError(hostile, 'connect', true).message).toBe('The host name could not be resolved.')
  })

  it('keeps an error of ours, and the original as the cause of a new one', () => {
    const ours = new DownloadError('SSRF_BLOCKED', 'No.')
    expect(networkError(ours, 'connect')).toBe(ours)
    const buried = new AggregateError([failure('ECONNREFUSED'), new Error('no', { cause: ours })])
    expect(networkError(buried, 'connect')).toBe(ours)
    expect(networkError(new TypeError('no', { cause: buried }), 'connect')).toBe(ours)
    const original = failure('ECONNRESET')
    expect(networkError(original, 'body').cause).toBe(original)
  })

  it('does not repeat the words of others, which may hold addresses', () => {
    for (const phase of phases)
      expect(networkError(failure('ECONNRESET'), phase).message).not.toContain('secret')
  })

  it('ends with a cause that leads back to itself', () => {
    const loop = failure('X')
    loop.cause = loop
    expect(networkError(loop, 'headers').code).toBe('CONNECT_FAILED')
  })

  it('names whatever is thrown, in any phase', () => {
    fc.assert(
      fc.property(fc.anything(), fc.constantFrom(...phases), (thrown, phase) => {
        expect(networkError(thrown, phase)).toBeInstanceOf(DownloadError)
      }),
    )
  })
})

describe('isUnreachable', () => {
  const http = (status: number) => new DownloadError('HTTP_ERROR', 'no', { status })
  const foreign = (cause: unknown) => new DownloadError('INTERNAL', 'fetch failed', { cause })

  it.each([
    ['no name', networkError(failure('ENOTFOUND'), 'connect')],
    ['refused', networkError(failure('ECONNREFUSED'), 'connect')],
    ['no network', networkError(failure('ENETUNREACH'), 'connect')],
    ['a reset', networkError(failure('ECONNRESET'), 'headers')],
    ['a cut body', networkError(failure('ECONNRESET'), 'body')],
    ['an intercepted connection', networkError(failure('SELF_SIGNED_CERT_IN_CHAIN'), 'connect')],
    ['a handshake without TLS', networkError(failure('ERR_SSL_WRONG_VERSION_NUMBER'), 'connect')],
    ['garbage', networkError(failure('HPE_INVALID_CONSTANT'), 'headers')],
    ['a page instead of JSON', new DownloadError('PROTOCOL_ERROR', 'no')],
    ['a redirect to http', new DownloadError('REDIRECT_BLOCKED', 'no')],
    ['a loop of redirects', new DownloadError('TOO_MANY_REDIRECTS', 'no')],
    ['silence', new DownloadError('STALLED', 'no')],
    ['408', http(408)],
    ['429', http(429)],
    ['500', http(500)],
    ['501', http(501)],
    ['503', http(503)],
    ['511', http(511)],
    ['a proxy that wants a password', http(407)],
    [
      'a proxy that refuses',
      networkError(new Error('Proxy response (403) !== 200 when HTTP Tunneling'), 'connect'),
    ],
    ['a source with a client of its own', foreign(new TypeError('no', { cause: failure('ENOTFOUND') }))],
    ['its timeout', foreign(new DOMException('no', 'TimeoutError'))],
  ])('%s', (_, error) => {
    expect(isUnreachable(error)).toBe(true)
  })

  it.each([
    ['400', http(400)],
    ['451', http(451)],
    ['404', new DownloadError('NOT_FOUND', 'no', { status: 404 })],
    ['401', new DownloadError('ACCESS_DENIED', 'no', { status: 401 })],
    ['a blocked address', new DownloadError('SSRF_BLOCKED', 'no')],
    ['a canceled request', new DownloadError('CANCELED', 'no')],
    ['a wrong setting', new DownloadError('INVALID_OPTIONS', 'no')],
    ['a bug of a source', foreign(new TypeError('undefined is not a function'))],
    ['a full disk', foreign(failure('ENOSPC'))],
  ])('not %s, which is an answer', (_, error) => {
    expect(isUnreachable(error)).toBe(false)
  })
})

describe('isNetworkFailure', () => {
  it('is about servers that could not be reached', () => {
    expect(isNetworkFailure(networkError(failure('ECONNREFUSED'), 'connect'))).toBe(true)
    expect(isNetworkFailure(networkError(failure('EAI_AGAIN'), 'connect'))).toBe(true)
    expect(isNetworkFailure(networkError(failure('CERT_HAS_EXPIRED'), 'connect'))).toBe(false)
    expect(isNetworkFailure(new DownloadError('HTTP_ERROR', '503'))).toBe(false)
  })
})

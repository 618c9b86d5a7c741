/** Turns errors of sockets, DNS, TLS and the HTTP parser into a {@link DownloadError}. Pure. */
import { DownloadError, type DownloadErrorCode, isDownloadError, isRetryableStatus } from '../errors.js'
import { deniedByRuntime } from '../util/runtime.js'

/** What the certificate says, which another attempt won't change. In addition to those that begin with `ERR_TLS_CERT_`. */
const certificateCodes = new Set([
  'CERT_CHAIN_TOO_LONG',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CRL_HAS_EXPIRED',
  'CRL_NOT_YET_VALID',
  'CRL_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERR_SSL_CERTIFICATE_VERIFY_FAILED',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

const isCertificateCode = (code: string) => certificateCodes.has(code) || code.startsWith('ERR_TLS_CERT_')

/** Trouble of a handshake or a record, such as an alert, or an answer that is not TLS at all. */
const isTlsCode = (code: string) => /^(?:EPROTO|UND_ERR_PRX_TLS|ERR_(?:SSL|OSSL|TLS)_.*)$/.test(code)

const resolutionCodes = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EAI_NODATA',
  'EAI_NONAME',
  'EAI_NODNAME',
])

const connectCodes = new Set([
  'ECONNREFUSED',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTDOWN',
  'EADDRNOTAVAIL',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** In addition to the parser's own codes, which begin with `HPE_`. */
const protocolCodes = new Set(['UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'])

const deterministicErrors = new WeakSet<DownloadError>()

/** Marks an error as one that the same request will most likely meet again. Returns it. */
export function deterministic(error: DownloadError): DownloadError {
  deterministicErrors.add(error)
  return error
}

/** Whether an error is the same as the one before, and will most likely be met again, so that waiting is useless. */
export function isRepeated(error: DownloadError, before: DownloadError | null): boolean {
  return (
    before !== null &&
    deterministicErrors.has(error) &&
    error.code === before.code &&
    error.message === before.message
  )
}

/** The phase in which an exchange failed. */
export type ExchangePhase = 'connect' | 'headers' | 'body'

/**
 * Turns the failure of an exchange into a {@link DownloadError}.
 *
 * @param namesHosts - whether to name the host that can't be resolved, which may be that of a proxy. Default false.
 */
export function networkError(error: unknown, phase: ExchangePhase, namesHosts = false): DownloadError {
  const ours = downloadErrorIn(error) ?? deniedByRuntime(error)
  if (ours !== null) return ours
  const codes = codesOf(error)
  const has = (set: ReadonlySet<string>) => codes.some((code) => set.has(code))
  const make = (code: DownloadErrorCode, message: string, retryable: boolean) =>
    new DownloadError(code, message, { cause: error, retryable })

  const proxyStatus = refusedByProxy(error)
  if (proxyStatus !== null) {
    const details = { cause: error, status: proxyStatus }
    const message = `The proxy refused to connect (HTTP ${proxyStatus}).`
    // From 500 on the proxy itself failed to connect. Below 500 it refuses, such as with 407 when it needs a
    // password.
    return proxyStatus >= 500
      ? new DownloadError('CONNECT_FAILED', message, { ...details, retryable: true })
      : new DownloadError('HTTP_ERROR', message, details)
  }
  if (codes.includes('EMFILE') || codes.includes('ENFILE')) {
    return make('CONNECT_FAILED', 'This process has too many open files to open a connection.', true)
  }
  const certificate = codes.find(isCertificateCode)
  if (phase !== 'body' && certificate !== undefined) {
    return make('TLS_ERROR', `The certificate of the server is not accepted (${certificate}).`, false)
  }
  const tls = codes.find(isTlsCode)
  if (phase !== 'body' && tls !== undefined) {
    // Servers that are being restarted, and boxes in between, fail single handshakes.
    return deterministic(make('TLS_ERROR', `The TLS connection failed (${tls}).`, true))
  }
  if (has(resolutionCodes)) {
    const host = namesHosts ? unresolvedHost(error) : null
    const name = host === null ? 'The host name' : `The host name ${host}`
    return make('NAME_RESOLUTION', `${name} could not be resolved.`, true)
  }
  if (has(connectCodes) && phase === 'connect') {
    return make('CONNECT_FAILED', `The server could not be reached (${codes[0] ?? 'unknown'}).`, true)
  }
  if (phase === 'body') return make('TRUNCATED', 'The connection ended before the body was complete.', true)
  if (has(protocolCodes) || codes.some((code) => code.startsWith('HPE_'))) {
    const error = make('PROTOCOL_ERROR', 'The response is not valid HTTP.', true)
    // The end of the connection in the middle of the head may be an accident.
    return codes.includes('HPE_INVALID_EOF_STATE') ? error : deterministic(error)
  }
  return make('CONNECT_FAILED', `The connection was lost (${codes[0] ?? 'unknown'}).`, true)
}

/** The status with which a proxy refused to connect, or null. undici states it only in the message. */
function refusedByProxy(error: unknown): number | null {
  const match = error instanceof Error ? /^Proxy [^(]*\((\d{3})\)/.exec(error.message) : null
  return match === null ? null : Number(match[1])
}

/** Whether no server could be reached at all, as opposed to one that sent a bad response. */
export function isNetworkFailure({ code, retryable }: DownloadError): boolean {
  return code === 'CONNECT_FAILED' || code === 'NAME_RESOLUTION' || (code === 'TLS_ERROR' && retryable)
}

/** Codes that mean that the server's own answer has not arrived, whatever came instead of it. */
const unreachableCodes: ReadonlySet<DownloadErrorCode> = new Set([
  'NAME_RESOLUTION',
  'CONNECT_FAILED',
  'STALLED',
  'TRUNCATED',
  // Also for a certificate that is not accepted: somebody else has answered, such as a captive portal.
  'TLS_ERROR',
  // The page of a captive portal, or a redirect to it.
  'PROTOCOL_ERROR',
  'REDIRECT_BLOCKED',
  'TOO_MANY_REDIRECTS',
])

/**
 * Whether an error means that a server can't be reached now, so that its answer is unknown: the network, a proxy or a
 * captive portal is in the way, or the server itself has no time (429) or is broken (5xx). Any other answer must be
 * told, such as that something does not exist (404) or may not be read (401, 403).
 */
export function isUnreachable(error: DownloadError): boolean {
  const { code, status = 0, cause } = error
  if (unreachableCodes.has(code)) return true
  if (code === 'HTTP_ERROR')
    return isRetryableStatus(status) || status >= 500 || status === 407 || refusedByProxy(cause) !== null
  // A source of the host application may use another client, whose errors only have codes of the system.
  return code === 'INTERNAL' && isNetworkCause(cause)
}

function isNetworkCause(cause: unknown): boolean {
  const isTimeout = cause instanceof Error && cause.name === 'TimeoutError'
  const isNetworkCode = (code: string) =>
    resolutionCodes.has(code) ||
    connectCodes.has(code) ||
    isCertificateCode(code) ||
    isTlsCode(code) ||
    ['ECONNRESET', 'EPIPE'].includes(code) ||
    code.startsWith('UND_ERR_')
  return isTimeout || codesOf(cause).some(isNetworkCode)
}

/** The same error without the delay that the server requested. */
export function withoutWait(error: DownloadError): DownloadError {
  if (error.retryAfterMs === undefined) return error
  const { code, message, status, retryable } = error
  return new DownloadError(code, message, { retryable, ...(status === undefined ? {} : { status }) })
}

/** The host name that the resolver was asked for, which Node adds to its errors. */
function unresolvedHost(error: unknown, depth = 0): string | null {
  if (typeof error !== 'object' || error === null || depth > 4) return null
  if ('hostname' in error && typeof error.hostname === 'string' && /^[\w.-]{1,255}$/.test(error.hostname))
    return error.hostname
  const parts: unknown[] = error instanceof AggregateError ? error.errors : []
  for (const part of ['cause' in error ? error.cause : null, ...parts]) {
    const found = unresolvedHost(part, depth + 1)
    if (found !== null) return found
  }
  return null
}

/** Finds a DownloadError of our own connector, which undici may have wrapped in other errors. */
function downloadErrorIn(error: unknown, depth = 0): DownloadError | null {
  if (isDownloadError(error)) return error
  if (!(error instanceof Error) || depth > 4) return null
  const parts: unknown[] = error instanceof AggregateError ? error.errors : []
  for (const part of [error.cause, ...parts]) {
    const found = downloadErrorIn(part, depth + 1)
    if (found !== null) return found
  }
  return null
}

/** The codes of an error, its causes and the errors it aggregates (Happy Eyeballs), outermost first. */
function codesOf(error: unknown, depth = 0): string[] {
  if (typeof error !== 'object' || error === null || depth > 4) return []
  const own = 'code' in error && typeof error.code === 'string' ? [error.code] : []
  // undici sets a code only on some of its parser's errors.
  if (own.length === 0 && error instanceof Error && error.name === 'HTTPParserError') own.push('HPE_UNKNOWN')
  const causes = 'cause' in error ? codesOf(error.cause, depth + 1) : []
  const parts =
    error instanceof AggregateError ? error.errors.flatMap((part) => codesOf(part, depth + 1)) : []
  return [...own, ...causes, ...parts]
}

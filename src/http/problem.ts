/** Errors as RFC 9457 problem details, with the members of the older format (`success`, `error`). Pure. */
import { STATUS_CODES } from 'node:http'
import { englishVoice, issueText, type Voice } from '../download/error-text.js'
import { publicMessage } from '../download/wire.js'
import { type DownloadError, type DownloadErrorCode, isDownloadError, toDownloadError } from '../errors.js'
import { redactUrls } from '../util/redact.js'
import type { Problem } from './schemas.js'

/** Status of each error code, unless the error has its own status for this request. */
const statuses: Readonly<Record<DownloadErrorCode, number>> = {
  INVALID_OPTIONS: 400,
  INVALID_URL: 400,
  UNSAFE_FILENAME: 400,
  SSRF_BLOCKED: 400,
  ACCESS_DENIED: 403,
  NOT_FOUND: 404,
  UNKNOWN_DOWNLOAD: 404,
  CONFLICT: 409,
  INVALID_STATE: 409,
  CANCELED: 409,
  TARGET_LOCKED: 409,
  TAKEN_OVER: 409,
  FILE_BUSY: 409,
  TARGET_NOT_REGULAR: 409,
  QUEUE_FULL: 429,
  CLOSED: 503,
  STORE_ERROR: 503,
  NO_SPACE: 507,
  HTTP_ERROR: 502,
  PROTOCOL_ERROR: 502,
  SOURCE_CHANGED: 502,
  TRUNCATED: 502,
  CONTENT_MISMATCH: 502,
  CHECKSUM_MISMATCH: 502,
  CHECKSUM_MISSING: 502,
  GROUP_INCOMPLETE: 502,
  STALLED: 502,
  TOO_MANY_REDIRECTS: 502,
  REDIRECT_BLOCKED: 502,
  NAME_RESOLUTION: 502,
  CONNECT_FAILED: 502,
  TLS_ERROR: 502,
  OFFLINE: 503,
  DISK_IO: 500,
  PERMISSION: 500,
  READ_ONLY: 500,
  UNSUPPORTED_RUNTIME: 500,
  INTERNAL: 500,
}

/** Codes whose `status` refers to the request of the client, not to a request of this server to an origin. */
const ownStatus: ReadonlySet<DownloadErrorCode> = new Set(['ACCESS_DENIED', 'INVALID_OPTIONS', 'NOT_FOUND'])

/** Reason phrases renamed by RFC 9110 section 15; Node still has the older ones. */
const renamed: Readonly<Record<number, string>> = {
  413: 'Content Too Large',
  422: 'Unprocessable Content',
}

/** Reason phrase of a status, which is the title for `about:blank`; `Error` for an unregistered status. */
export function titleOf(status: number): string {
  return renamed[status] ?? STATUS_CODES[status] ?? 'Error'
}

/** `Retry-After` in seconds, by status. */
const retryAfterSeconds: ReadonlyMap<number, string> = new Map([
  [429, '5'],
  [503, '5'],
])

/** The request field that caused a code. */
const fields: Partial<Record<DownloadErrorCode, string>> = {
  INVALID_URL: 'url',
  SSRF_BLOCKED: 'url',
  UNSAFE_FILENAME: 'filename',
}

/** The HTTP status for an error. */
export function statusOf(error: DownloadError): number {
  return (ownStatus.has(error.code) ? error.status : undefined) ?? statuses[error.code]
}

/** Converts any error to problem details. The title is the reason phrase of HTTP, which has no translations. */
export function toProblem(thrown: unknown, voice: Voice = englishVoice): Problem {
  const error = toDownloadError(thrown)
  const { code } = error
  const status = statusOf(error)
  const detail = publicMessage(error, voice)
  const field = fields[code]
  const issues =
    error.issues.length === 0 && field !== undefined && status === 400
      ? [{ path: field, message: detail }]
      : error.issues.map((issue) => ({ path: issue.path, message: redactUrls(issueText(issue, voice)) }))
  return {
    success: false,
    type: 'about:blank',
    title: titleOf(status),
    status,
    detail,
    code,
    error: detail,
    ...(issues.length === 0 ? {} : { issues }),
  }
}

/** Headers of an error response. */
export function problemHeaders(status: number): Record<string, string> {
  const retryAfter = retryAfterSeconds.get(status)
  return {
    'Content-Type': 'application/problem+json; charset=utf-8',
    ...(retryAfter === undefined ? {} : { 'Retry-After': retryAfter }),
    // RFC 9110 section 11.6.1: a 401 response must name the authentication scheme.
    ...(status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
  }
}

/** Whether an error is a bug or a problem of the server, which should be reported to the host application. */
export function isServerFault(thrown: unknown): boolean {
  return !isDownloadError(thrown) || statusOf(thrown) === 500
}

/** Headers of a JSON response with a body of `bytes` bytes. */
export function jsonHeaders(bytes: number): Record<string, string> {
  return {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(bytes),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  }
}

/** Errors as RFC 9457 problem details, which speak the older dialects (`success`, `error`) too. Pure. */
import { STATUS_CODES } from 'node:http'
import { type DownloadError, type DownloadErrorCode, isDownloadError, toDownloadError } from '../errors.js'
import { redactUrls } from '../util/redact.js'
import type { Problem } from './schemas.js'

/** The status of each code, where the error does not say another one about this very request. */
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
  GROUP_INCOMPLETE: 502,
  STALLED: 502,
  TOO_MANY_REDIRECTS: 502,
  REDIRECT_BLOCKED: 502,
  NAME_RESOLUTION: 502,
  CONNECT_FAILED: 502,
  TLS_ERROR: 502,
  DISK_IO: 500,
  PERMISSION: 500,
  READ_ONLY: 500,
  INTERNAL: 500,
}

/** Codes whose own `status` is about the request to us, not about one of ours to an origin. */
const ownStatus: ReadonlySet<DownloadErrorCode> = new Set(['ACCESS_DENIED', 'INVALID_OPTIONS', 'NOT_FOUND'])

/** Phrases that RFC 9110 section 15 has renamed; Node keeps the older ones. */
const renamed: Readonly<Record<number, string>> = {
  413: 'Content Too Large',
  422: 'Unprocessable Content',
}

/** The phrase of a status, as `about:blank` wants it for a title; `Error` for a status that nobody has registered. */
export function titleOf(status: number): string {
  return renamed[status] ?? STATUS_CODES[status] ?? 'Error'
}

/** After how many seconds to ask again. */
const retryAfterSeconds: ReadonlyMap<number, string> = new Map([
  [429, '5'],
  [503, '5'],
])

/** The field of a request that a code is about. */
const fields: Partial<Record<DownloadErrorCode, string>> = {
  INVALID_URL: 'url',
  SSRF_BLOCKED: 'url',
  UNSAFE_FILENAME: 'filename',
}

/** What people may read of an error. One of ours that nobody foresaw may hold anything, so its text stays inside. */
export function publicMessage(error: { code: DownloadErrorCode; message: string }): string {
  if (error.code === 'INTERNAL') return 'Something went wrong inside the server.'
  return redactUrls(error.message)
}

/** The status that an error is answered with. */
export function statusOf(error: DownloadError): number {
  return (ownStatus.has(error.code) ? error.status : undefined) ?? statuses[error.code]
}

/** Any error as problem details. */
export function toProblem(thrown: unknown): Problem {
  const error = toDownloadError(thrown)
  const { code } = error
  const status = statusOf(error)
  const detail = publicMessage(error)
  const field = fields[code]
  const issues =
    error.issues.length === 0 && field !== undefined && status === 400
      ? [{ path: field, message: detail }]
      : error.issues.map(({ path, message }) => ({ path, message: redactUrls(message) }))
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

/** The headers of an answer that tells of an error. */
export function problemHeaders(status: number): Record<string, string> {
  const retryAfter = retryAfterSeconds.get(status)
  return {
    'Content-Type': 'application/problem+json; charset=utf-8',
    ...(retryAfter === undefined ? {} : { 'Retry-After': retryAfter }),
    // RFC 9110 section 11.6.1: a 401 says how to authenticate.
    ...(status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
  }
}

/** Whether an error is a bug of ours or a fault of the machine, so that the host should hear of it. */
export function isServerFault(thrown: unknown): boolean {
  return !isDownloadError(thrown) || statusOf(thrown) === 500
}

/** Headers of an answer in JSON, of so many bytes. */
export function jsonHeaders(bytes: number): Record<string, string> {
  return {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(bytes),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  }
}

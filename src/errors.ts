/**
 * Every code a {@link DownloadError} can carry. Codes are stable: they are part of the public contract and of
 * the REST answers. `docs/errors.md` explains each one.
 */
export const downloadErrorCodes = [
  'INVALID_OPTIONS',
  'INVALID_URL',
  'UNSAFE_FILENAME',
  'CONFLICT',
  'INVALID_STATE',
  'UNKNOWN_DOWNLOAD',
  'QUEUE_FULL',
  'CANCELED',
  'CLOSED',
  'NOT_FOUND',
  'ACCESS_DENIED',
  'HTTP_ERROR',
  'PROTOCOL_ERROR',
  'SOURCE_CHANGED',
  'TRUNCATED',
  'CONTENT_MISMATCH',
  'CHECKSUM_MISMATCH',
  'GROUP_INCOMPLETE',
  'STALLED',
  'TOO_MANY_REDIRECTS',
  'REDIRECT_BLOCKED',
  'SSRF_BLOCKED',
  'NAME_RESOLUTION',
  'CONNECT_FAILED',
  'TLS_ERROR',
  'NO_SPACE',
  'DISK_IO',
  'PERMISSION',
  'READ_ONLY',
  'TARGET_NOT_REGULAR',
  'TARGET_LOCKED',
  'STORE_ERROR',
  'INTERNAL',
] as const

/** A stable name for what went wrong; see `docs/errors.md`. */
export type DownloadErrorCode = (typeof downloadErrorCodes)[number]

/** One of several things that are wrong: where, and what. */
export interface OptionIssue {
  /** Dotted path of the offending option, for example `connections`; or the file of a group. */
  path: string
  /** One sentence for people. */
  message: string
}

/** What a {@link DownloadError} may be given besides its code and message. */
export interface DownloadErrorDetails {
  /** The underlying error, kept as `error.cause`. */
  cause?: unknown
  /** Whether asking again later may help. Default: `false`. */
  retryable?: boolean
  /** The HTTP status that caused it, when one did. */
  status?: number
  /** How long the server asked to wait, in milliseconds (`Retry-After`, RFC 9110 section 10.2.3). */
  retryAfterMs?: number
  /** For `INVALID_OPTIONS`: every problem found. For a group: every file that is missing. */
  issues?: OptionIssue[]
}

/** A {@link DownloadError} as plain data, as it crosses the transfer boundary and lies in the store. */
export interface SerializedDownloadError {
  /** Stable code. */
  code: DownloadErrorCode
  /** One sentence for people. */
  message: string
  /** Whether asking again later may help. */
  retryable: boolean
  /** The HTTP status that caused it, when one did. */
  status?: number | undefined
  /** How long the server asked to wait, in milliseconds. */
  retryAfterMs?: number | undefined
}

const brand = Symbol.for('model-downloader.DownloadError')

/**
 * The one error class of this package. Tell causes apart by {@link DownloadError.code | code}, never by message.
 *
 * @example
 * try { await download.finished } catch (error) {
 *   if (isDownloadError(error, 'CHECKSUM_MISMATCH')) …
 * }
 */
export class DownloadError extends Error {
  override readonly name = 'DownloadError'
  /** Stable code; see {@link DownloadErrorCode}. */
  readonly code: DownloadErrorCode
  /** Whether asking again later may help. */
  readonly retryable: boolean
  /** The HTTP status that caused it, when one did. */
  readonly status: number | undefined
  /** How long the server asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined
  /** For `INVALID_OPTIONS`: every problem found; for a group: every file that is missing, by its path; otherwise empty. */
  readonly issues: readonly OptionIssue[]
  /** Marks the class across copies of the package. */
  readonly [brand] = true

  constructor(code: DownloadErrorCode, message: string, details: DownloadErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryable = details.retryable ?? false
    this.status = details.status
    this.retryAfterMs = details.retryAfterMs
    this.issues = details.issues ?? []
  }

  /** Plain data: code, message and the like; neither stack nor cause. */
  toJSON(): SerializedDownloadError {
    return {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.status === undefined ? {} : { status: this.status }),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    }
  }
}

/**
 * Whether a value is a {@link DownloadError}, also one of another copy of this package.
 *
 * @param value - anything that was thrown.
 * @param code - when given, the code must be this one too.
 */
export function isDownloadError(value: unknown, code?: DownloadErrorCode): value is DownloadError {
  if (typeof value !== 'object' || value === null || !(brand in value)) return false
  return code === undefined || (value as DownloadError).code === code
}

/**
 * The error for one option that is not right.
 *
 * @param path - the option's name.
 * @param message - what is wrong with it, without the name.
 * @param what - what the option is one of, for people.
 */
export function invalidOption(path: string, message: string, what = 'download options'): DownloadError {
  return new DownloadError('INVALID_OPTIONS', `${what}: ${path}: ${message}`, { issues: [{ path, message }] })
}

/** The code for an HTTP status that is no success. */
export function codeOfStatus(status: number): 'ACCESS_DENIED' | 'NOT_FOUND' | 'HTTP_ERROR' {
  if (status === 401 || status === 403) return 'ACCESS_DENIED'
  return status === 404 || status === 410 ? 'NOT_FOUND' : 'HTTP_ERROR'
}

/**
 * Whether asking again may help after an HTTP status: the server was too slow, too busy or broken. A server that can't do
 * what was asked (501), or doesn't speak this HTTP (505), will not have learnt it by then.
 */
export function isRetryableStatus(status: number): boolean {
  return [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505)
}

/** Turns the plain form back into an error. */
export function deserializeError(plain: SerializedDownloadError, cause?: unknown): DownloadError {
  return new DownloadError(plain.code, plain.message, {
    retryable: plain.retryable,
    ...(plain.status === undefined ? {} : { status: plain.status }),
    ...(plain.retryAfterMs === undefined ? {} : { retryAfterMs: plain.retryAfterMs }),
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Any thrown value as a {@link DownloadError}; what is none yet becomes `INTERNAL` (a bug of ours). */
export function toDownloadError(value: unknown): DownloadError {
  if (isDownloadError(value)) return value
  const message = value instanceof Error ? value.message : describe(value)
  return new DownloadError('INTERNAL', `Unexpected failure: ${message}`, { cause: value })
}

function describe(value: unknown): string {
  try {
    return String(value)
  } catch {
    // An object without a usable toString; a failure must not fail on the way to being told.
    return typeof value
  }
}

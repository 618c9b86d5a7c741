/**
 * All codes of a {@link DownloadError}. Codes are stable: they are part of the public API and of REST
 * responses. `docs/errors.md` explains each of them.
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
  'UNSUPPORTED_RUNTIME',
  'NOT_FOUND',
  'ACCESS_DENIED',
  'HTTP_ERROR',
  'PROTOCOL_ERROR',
  'SOURCE_CHANGED',
  'TRUNCATED',
  'CONTENT_MISMATCH',
  'CHECKSUM_MISMATCH',
  'CHECKSUM_MISSING',
  'GROUP_INCOMPLETE',
  'STALLED',
  'TOO_MANY_REDIRECTS',
  'REDIRECT_BLOCKED',
  'SSRF_BLOCKED',
  'NAME_RESOLUTION',
  'CONNECT_FAILED',
  'TLS_ERROR',
  'OFFLINE',
  'NO_SPACE',
  'DISK_IO',
  'PERMISSION',
  'READ_ONLY',
  'TARGET_NOT_REGULAR',
  'TARGET_LOCKED',
  'TAKEN_OVER',
  'FILE_BUSY',
  'STORE_ERROR',
  'INTERNAL',
] as const

/** Stable code that identifies the kind of error; see `docs/errors.md`. */
export type DownloadErrorCode = (typeof downloadErrorCodes)[number]

/** One of several problems: where it is and what is wrong. */
export interface OptionIssue {
  /** Dotted path of the invalid option, such as `connections`; for a group, the path of the file. */
  path: string
  /** Human-readable sentence. */
  message: string
}

/** Optional details of a {@link DownloadError}, besides its code and message. */
export interface DownloadErrorDetails {
  /** The underlying error, kept as `error.cause`. */
  cause?: unknown
  /** Whether trying again later may succeed. Default: `false`. */
  retryable?: boolean
  /** HTTP status that caused the error, if there is one. */
  status?: number
  /** How long the server asked the client to wait, in milliseconds (`Retry-After` or `RateLimit`). */
  retryAfterMs?: number
  /** For `INVALID_OPTIONS`: every problem found. For a group: every missing file. */
  issues?: OptionIssue[]
}

/** A {@link DownloadError} as plain data, as it is stored and passed between threads. */
export interface SerializedDownloadError {
  /** Stable code. */
  code: DownloadErrorCode
  /** Human-readable sentence. */
  message: string
  /** Whether trying again later may succeed. */
  retryable: boolean
  /** HTTP status that caused the error, if there is one. */
  status?: number | undefined
  /** How long the server asked the client to wait, in milliseconds. */
  retryAfterMs?: number | undefined
}

const brand = Symbol.for('model-downloader.DownloadError')

/**
 * The only error class of this package. Use {@link DownloadError.code | code} to distinguish causes, not the
 * message.
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
  /** Whether trying again later may succeed. */
  readonly retryable: boolean
  /** HTTP status that caused the error, if there is one. */
  readonly status: number | undefined
  /** How long the server asked the client to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined
  /**
   * For `INVALID_OPTIONS`: every problem found. For a group: every missing file, by its path. Otherwise
   * empty.
   */
  readonly issues: readonly OptionIssue[]
  /** Identifies the class even when several copies of the package are loaded. */
  readonly [brand] = true

  constructor(code: DownloadErrorCode, message: string, details: DownloadErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryable = details.retryable ?? false
    this.status = details.status
    this.retryAfterMs = details.retryAfterMs
    this.issues = details.issues ?? []
  }

  /** Returns plain data: code, message and details, but neither stack nor cause. */
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
 * Whether a value is a {@link DownloadError}, including one created by another copy of this package.
 *
 * @param value - any thrown value.
 * @param code - if given, the error must also have this code.
 */
export function isDownloadError(value: unknown, code?: DownloadErrorCode): value is DownloadError {
  if (typeof value !== 'object' || value === null || !(brand in value)) return false
  return code === undefined || (value as DownloadError).code === code
}

/**
 * Creates the error for a single invalid option.
 *
 * @param path - name of the option.
 * @param message - what is wrong with it, without the name.
 * @param what - which kind of options it belongs to, for the message.
 */
export function invalidOption(path: string, message: string, what = 'download options'): DownloadError {
  return new DownloadError('INVALID_OPTIONS', `${what}: ${path}: ${message}`, { issues: [{ path, message }] })
}

/** The error code for an HTTP status that does not indicate success. */
export function codeOfStatus(status: number): 'ACCESS_DENIED' | 'NOT_FOUND' | 'HTTP_ERROR' {
  if (status === 401 || status === 403) return 'ACCESS_DENIED'
  return status === 404 || status === 410 ? 'NOT_FOUND' : 'HTTP_ERROR'
}

/**
 * Whether a request may succeed later after this HTTP status, because the server was too slow, overloaded or
 * broken. A server that does not implement the method (501) or the HTTP version (505) will still not
 * implement it then.
 */
export function isRetryableStatus(status: number): boolean {
  return [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505)
}

/** What to do about `OFFLINE`. */
const offlineRemedy =
  'Request it once with the network, or turn off what keeps it from being used (the option offline, --offline, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE).'

/**
 * Creates the error for something that only the network could give while it must not be used.
 *
 * @param what - what is missing, as sentences.
 */
export function offlineError(what: string): DownloadError {
  return new DownloadError('OFFLINE', `${what} ${offlineRemedy}`)
}

/** Recreates an error from its plain form. */
export function deserializeError(plain: SerializedDownloadError, cause?: unknown): DownloadError {
  return new DownloadError(plain.code, plain.message, {
    retryable: plain.retryable,
    ...(plain.status === undefined ? {} : { status: plain.status }),
    ...(plain.retryAfterMs === undefined ? {} : { retryAfterMs: plain.retryAfterMs }),
    ...(cause === undefined ? {} : { cause }),
  })
}

/**
 * Converts any thrown value to a {@link DownloadError}. A value that is not one becomes `INTERNAL`, which
 * indicates a bug in this package.
 */
export function toDownloadError(value: unknown): DownloadError {
  if (isDownloadError(value)) return value
  const message = value instanceof Error ? value.message : describe(value)
  return new DownloadError('INTERNAL', `Unexpected failure: ${message}`, { cause: value })
}

function describe(value: unknown): string {
  try {
    return String(value)
  } catch {
    // An object may lack a usable toString. Reporting an error must not throw another one.
    return typeof value
  }
}

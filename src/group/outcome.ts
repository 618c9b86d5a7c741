/** How a group ends when some of its files could not be had, and when it is no use to go on. Pure. */
import type { DownloadErrorCode, SerializedDownloadError } from '../errors.js'

/** Whoever meets one of these, so will the next file. */
const hopelessAtOnce: ReadonlySet<DownloadErrorCode> = new Set(['NO_SPACE', 'READ_ONLY'])
/** Causes that lie with the server or the network, not with one file. */
const systemic: ReadonlySet<DownloadErrorCode> = new Set([
  ...hopelessAtOnce,
  'ACCESS_DENIED',
  'HTTP_ERROR',
  'STALLED',
  'SSRF_BLOCKED',
  'REDIRECT_BLOCKED',
  'NAME_RESOLUTION',
  'CONNECT_FAILED',
  'TLS_ERROR',
  'PERMISSION',
  'TARGET_LOCKED',
])
/** So many failures of one systemic cause in a row, without a file in between, and the rest is not tried. */
const rowLength = 8

/** Watches the ends of files. */
export class Prospects {
  #last: DownloadErrorCode | null = null
  #row = 0

  /** A file came. */
  succeeded(): void {
    this.#row = 0
  }

  /** A file failed; whether that leaves no hope for those that wait. */
  failed(code: DownloadErrorCode): boolean {
    this.#row = code === this.#last ? this.#row + 1 : 1
    this.#last = code
    return hopelessAtOnce.has(code) || (systemic.has(code) && this.#row >= rowLength)
  }
}

/** The error of a group. */
export function groupError(
  failures: readonly SerializedDownloadError[],
  files: { missing: number; total: number },
): SerializedDownloadError {
  const { missing, total } = files
  const [first] = failures
  const retryable = failures.some((failure) => failure.retryable)
  const oneCause = first !== undefined && failures.every(({ code }) => code === first.code)
  if (oneCause && systemic.has(first.code) && (missing === total || hopelessAtOnce.has(first.code))) {
    return { ...first, retryable, message: `${first.message} ${missing} of ${total} files are missing.` }
  }
  return {
    code: 'GROUP_INCOMPLETE',
    message: `${missing} of ${total} files could not be fetched${first === undefined ? '' : `; the first: ${first.message}`}`,
    retryable,
  }
}

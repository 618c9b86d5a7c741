import { constants } from 'node:os'
import { DownloadError, type DownloadErrorCode, isDownloadError, toDownloadError } from '../errors.js'
import { type Clock, systemClock } from '../util/clock.js'
import { deniedByRuntime } from '../util/runtime.js'

interface Cause {
  code: DownloadErrorCode
  retryable: boolean
  /** Beginning of a sentence that continues with "while …". */
  text: string
  /** Further sentences. */
  advice?: string
}

const noSpace: Cause = { code: 'NO_SPACE', retryable: true, text: 'The disk is full' }

const quota: Cause = { code: 'NO_SPACE', retryable: true, text: 'The disk quota is used up' }

const tooLarge: Cause = {
  code: 'NO_SPACE',
  retryable: true,
  text: 'The file is too large for this file system',
}

const permission: Cause = { code: 'PERMISSION', retryable: false, text: 'Permission was denied' }

const readOnly: Cause = { code: 'READ_ONLY', retryable: false, text: 'The file system is read-only' }

const notRegular: Cause = {
  code: 'TARGET_NOT_REGULAR',
  retryable: false,
  text: 'The path is taken by something that is not a regular file or folder',
}

const noHandles: Cause = { code: 'DISK_IO', retryable: true, text: 'Too many files are open' }

const busy: Cause = {
  code: 'FILE_BUSY',
  retryable: true,
  text: 'Another program had the file open',
  advice: ' Close that program, or exclude the folder from its scans, and try again.',
}

const causes: ReadonlyMap<string, Cause> = new Map([
  ['ENOSPC', noSpace],
  ['EDQUOT', quota],
  ['EFBIG', tooLarge],
  ['EACCES', permission],
  ['EPERM', permission],
  ['EBUSY', busy],
  ['ETXTBSY', busy],
  ['EROFS', readOnly],
  ['ELOOP', notRegular],
  ['EISDIR', notRegular],
  ['ENOTDIR', notRegular],
  ['ENXIO', notRegular],
  ['EMFILE', noHandles],
  ['ENFILE', noHandles],
])

/** The errno name of a failed system call, such as `ENOENT`; null for any other error. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  // libuv has no name for EDQUOT, so Node reports "Unknown system error -122".
  if ('errno' in error && error.errno === -constants.errno.EDQUOT) return 'EDQUOT'
  return 'code' in error && typeof error.code === 'string' ? error.code : null
}

/** Errors of calls that were repeated for long enough to tell that another program has the file open. */
const busyErrors = new WeakSet<object>()

/** Notes that another program is the cause of an error, whatever its errno, and returns the error. */
export function noteBusy(error: unknown): unknown {
  if (error instanceof Error) busyErrors.add(error)
  return error
}

function causeOf(error: unknown, errno: string | null): Cause | undefined {
  if (error instanceof Error && busyErrors.has(error)) return busy
  return errno === null ? undefined : causes.get(errno)
}

/**
 * Turns the error of a file operation into a {@link DownloadError}. The message contains no path, since
 * remote callers may see it.
 *
 * @param error - the error that the operation threw; a {@link DownloadError} is returned unchanged.
 * @param what - what was being done, for the message, such as `writing model.gguf`.
 */
export function fsError(error: unknown, what: string): DownloadError {
  if (isDownloadError(error)) return error
  const denied = deniedByRuntime(error)
  if (denied !== null) return denied
  const errno = errnoOf(error)
  const cause = causeOf(error, errno)
  const code = cause?.code ?? 'DISK_IO'
  const text = cause?.text ?? 'The disk failed'
  const suffix = errno === null ? '' : ` (${errno})`
  return new DownloadError(code, `${text} while ${what}${suffix}.${cause?.advice ?? ''}`, {
    cause: error,
    retryable: cause?.retryable ?? false,
  })
}

/** Failures of the network have errnos, too. */
const networkErrno = /^(?:ECONN|ENET|EHOST|EADDR|EAI_|ENOTFOUND$|ETIMEDOUT$|EPIPE$)/

/**
 * Any thrown value as a {@link DownloadError}. A failed system call on files is reported as what it is. Otherwise a
 * failure that no caller expects, such as EIO from `fstat`, would look like `INTERNAL`, a bug in this package.
 *
 * @param thrown - what was thrown.
 * @param what - completes "… while", see {@link fsError}.
 */
export function asDownloadError(thrown: unknown, what = 'accessing the file'): DownloadError {
  const errno = errnoOf(thrown)
  const isSystemCall = thrown instanceof Error && 'syscall' in thrown && errno !== null
  if (isSystemCall && !networkErrno.test(errno)) return fsError(thrown, what)
  return deniedByRuntime(thrown) ?? toDownloadError(thrown)
}

/** The errno name of an error, also if {@link fsError} has wrapped it. */
function errnoBehind(error: unknown): string | null {
  return errnoOf(isDownloadError(error) ? error.cause : error)
}

/**
 * Whether the process or the system ran out of file descriptors, also if {@link fsError} has wrapped the
 * error.
 */
export function isOutOfHandles(error: unknown): boolean {
  const errno = errnoBehind(error)
  return errno === 'EMFILE' || errno === 'ENFILE'
}

/** Whether the path does not exist (`ENOENT`), also if {@link fsError} has wrapped the error. */
export function isMissing(error: unknown): boolean {
  return errnoBehind(error) === 'ENOENT'
}

/**
 * How file systems say that they don't offer an operation: FUSE, 9P (WSL), CIFS, NFS and FAT each in their own way.
 * libuv has EISDIR for Windows' "incorrect function".
 */
const refusals = new Set(['EPERM', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EISDIR'])

/**
 * Whether a file system refuses an operation on an open file, which says nothing about the data. A file is none the worse
 * without permissions of its own, a sync, or its full length beforehand. A failure, such as EIO or ENOSPC, is no refusal.
 */
export function isRefusal(error: unknown): boolean {
  return refusals.has(errnoBehind(error) ?? '')
}

/**
 * For the `catch` of an operation on a file that may not exist.
 *
 * @returns null when it does not exist.
 * @throws every other error, unchanged.
 */
export function nullIfMissing(error: unknown): null {
  if (isMissing(error)) return null
  throw error
}

/**
 * Opens a file, and waits when no file descriptor is free, since other transfers will soon close theirs.
 *
 * @param open - opens the file; retried after 5 ms and then at doubling intervals of up to 250 ms.
 * @param deadlineMs - how long to retry, in milliseconds; then the last error is thrown. Default 60,000.
 */
export async function withHandles<T>(
  open: () => Promise<T>,
  deadlineMs = 60_000,
  clock: Clock = systemClock,
): Promise<T> {
  const end = clock.now() + deadlineMs
  for (let delayMs = 5; ; delayMs = Math.min(250, delayMs * 2)) {
    try {
      return await open()
    } catch (error) {
      if (!isOutOfHandles(error) || clock.now() + delayMs > end) throw error
    }
    await clock.sleep(delayMs)
  }
}

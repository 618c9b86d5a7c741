/** Exit codes, and errors that are caused by the arguments. */
import { errorText } from '../../download/error-text.js'
import { type DownloadError, isDownloadError } from '../../errors.js'
import { redactUrls } from '../../util/redact.js'
import { plain } from '../format.js'
import { voice } from '../language.js'
import { UsageError } from './usage-error.js'

/** Exit codes of the commands. After a signal, the exit code is 128 plus its number. */
export const exitCodes = { done: 0, failed: 1, usage: 2 } as const

/** Codes of errors that are caused by the arguments alone. */
const usageCodes = new Set<string>(['INVALID_OPTIONS', 'INVALID_URL', 'UNSAFE_FILENAME'])

/** Whether an error is caused by invalid arguments. */
export function isUsage(error: unknown): error is DownloadError {
  return isDownloadError(error) && usageCodes.has(error.code)
}

/** Converts such an error to a {@link UsageError}. */
export function toUsageError(error: DownloadError, prefix = ''): UsageError {
  return new UsageError(`${prefix}${plain(redactUrls(errorText(error, voice())))} (${error.code})`, {
    cause: error,
  })
}

/** Calls a function and converts errors about invalid arguments to {@link UsageError}. */
export function asUsageError<T>(make: () => T, prefix?: string): T {
  try {
    return make()
  } catch (error) {
    throw isUsage(error) ? toUsageError(error, prefix) : error
  }
}

/** What to say about anything that ended the command. */
export function failureText(error: unknown): string {
  if (isDownloadError(error)) return errorText(error, voice())
  return error instanceof Error ? error.message : String(error)
}

import { isDownloadError, type DownloadError } from '../errors.js'
import { redactUrls } from '../redact.js'
import { plain } from './format.js'

/** Exit codes of the command; a signal adds its number to 128. */
export const exitCodes = { done: 0, failed: 1, usage: 2 } as const

/** Codes that a request can only earn by how it was written. */
const usageCodes = new Set<string>(['INVALID_OPTIONS', 'INVALID_URL', 'UNSAFE_FILENAME'])

/** The command line asks for something that makes no sense: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Whether an error says that something was asked for in a wrong way. */
export function isUsage(error: unknown): error is DownloadError {
  return isDownloadError(error) && usageCodes.has(error.code)
}

/** Such an error as one of the command line. */
export function toUsageError(error: DownloadError, prefix = ''): UsageError {
  return new UsageError(`${prefix}${plain(redactUrls(error.message))} (${error.code})`, { cause: error })
}

/** Runs something; what it says about how it was asked becomes an error of the command line. */
export function asUsageError<T>(make: () => T, prefix?: string): T {
  try {
    return make()
  } catch (error) {
    throw isUsage(error) ? toUsageError(error, prefix) : error
  }
}

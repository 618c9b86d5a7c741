import { InvalidArgumentError } from 'commander'
import { type DownloadError, isDownloadError } from '../errors.js'
import { redactUrls } from '../util/redact.js'
import { plain } from './format.js'

const powers = ['', 'k', 'm', 'g', 't']

/**
 * A rate as people write it: `500k`, `10M`, `1.5G`, `10MiB`, `10MB`, or plain bytes. A letter alone is a power of 1024
 * in either case, as in curl, wget and aria2. With a `B` behind it, it is the unit of the SI that all output has, a power
 * of 1000; GNU's tools read sizes in the same way.
 *
 * @returns bytes per second, a whole number from 1.
 * @throws InvalidArgumentError when it is anything else.
 */
export function parseRate(text: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*([kmgt]?)(i?b)?$/i.exec(text.trim())
  if (match === null) {
    throw new InvalidArgumentError(
      'Give bytes per second as a number, with k, M or G behind it: 500k, 10M, 1.5G.',
    )
  }
  const [, number, letter = '', unit] = match
  const base = unit?.toLowerCase() === 'b' ? 1000 : 1024
  const bytes = Math.floor(Number(number) * base ** powers.indexOf(letter.toLowerCase()))
  if (bytes < 1 || bytes > Number.MAX_SAFE_INTEGER) {
    throw new InvalidArgumentError(
      'The rate must be at least 1 byte per second. Leave the option out for no limit.',
    )
  }
  return bytes
}

/** A whole number within bounds, as an option parser. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    if (!(value >= min && value <= max)) {
      const bounds = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`
      throw new InvalidArgumentError(`Give a whole number ${bounds}.`)
    }
    return value
  }
}

/**
 * A digest as people paste it: upper case and a `sha256:` prefix are fine.
 *
 * @returns 64 lower-case hexadecimal digits.
 */
export function parseSha256(text: string): string {
  const hex = text
    .trim()
    .toLowerCase()
    .replace(/^sha256[:-]/, '')
  if (!/^[0-9a-f]{64}$/.test(hex))
    throw new InvalidArgumentError('A SHA-256 digest has 64 hexadecimal digits.')
  return hex
}

/** A file name: one segment. A path is refused here, because the way to say it is `-d`. */
export function parseOutputName(text: string): string {
  if (text === '-') throw new InvalidArgumentError('Files go to the disk, not to standard output.')
  if (/[\\/]/.test(text)) {
    throw new InvalidArgumentError(
      'Give a file name without folders (UNSAFE_FILENAME). The folder goes into -d.',
    )
  }
  if (text === '') throw new InvalidArgumentError('The file name is empty.')
  return text
}

/**
 * Adds one `K: V` to the headers so far. A name that comes again is joined to the first as RFC 9110 section 5.3 says
 * (cookies as RFC 6265 section 5.4 does).
 */
export function addHeader(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const colon = text.indexOf(':')
  const name = text.slice(0, Math.max(colon, 0)).trim()
  const value = text.slice(colon + 1).trim()
  // What was given may be a token, so the message does not repeat it.
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    throw new InvalidArgumentError("Write a header as 'Name: value'.")
  }
  const known = Object.keys(previous).find((other) => other.toLowerCase() === name.toLowerCase())
  if (known === undefined) return { ...previous, [name]: value }
  const separator = known.toLowerCase() === 'cookie' ? '; ' : ', '
  return { ...previous, [known]: `${previous[known] ?? ''}${separator}${value}` }
}

/** Adds one text to those so far, for options that may be repeated. */
export function addText(text: string, previous: readonly string[] = []): string[] {
  return [...previous, text]
}

/** Keys of models with commas between them. */
export function parseKeys(text: string): string[] {
  const keys = text
    .split(',')
    .map((key) => key.trim())
    .filter((key) => key !== '')
  if (keys.length === 0) throw new InvalidArgumentError('Give keys of the catalog: a,b.')
  return keys
}

/**
 * Downloads at a time and connections for each, where the user says nothing: few files get many connections each, many
 * files few, so that all together stay near 32.
 *
 * @param urls - number of URLs.
 */
export function defaultPools(
  urls: number,
  given: { concurrency?: number | undefined; connections?: number | undefined },
): { concurrency: number; connections: number } {
  const concurrency = given.concurrency ?? Math.min(16, Math.max(3, urls))
  const atOnce = Math.min(concurrency, Math.max(1, urls))
  const connections = given.connections ?? Math.min(8, Math.max(2, Math.floor(32 / atOnce)))
  return { concurrency, connections }
}

// ---- usage

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

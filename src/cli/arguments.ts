import { InvalidArgumentError } from 'commander'
import { digestAlgorithms, digestText, parseDigest } from '../util/digests.js'
import { texts } from './language.js'

const powers = ['', 'k', 'm', 'g', 't']

/**
 * Parses a rate in bytes per second; see {@link parseBytes}.
 *
 * @throws InvalidArgumentError for any other text.
 */
export function parseRate(text: string): number {
  return parseBytes(text, texts().rateExpected, texts().rateTooSmall)
}

/**
 * Parses a size in bytes; see {@link parseBytes}.
 *
 * @throws InvalidArgumentError for any other text.
 */
export function parseSize(text: string): number {
  return parseBytes(text, texts().sizeExpected, texts().sizeTooSmall)
}

/**
 * Parses `500k`, `10M`, `1.5G`, `10MiB`, `10MB`, or a plain number of bytes. A letter alone stands
 * for a power of 1024 in either case, as in curl, wget and aria2. With `B` after it, it is an SI unit as in
 * all output, a power of 1000; the GNU tools read sizes in the same way.
 *
 * @returns an integer of at least 1.
 */
function parseBytes(text: string, expected: string, tooSmall: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*([kmgt]?)(i?b)?$/i.exec(text.trim())
  if (match === null) {
    throw new InvalidArgumentError(expected)
  }
  const [, number, letter = '', suffix] = match
  const base = suffix?.toLowerCase() === 'b' ? 1000 : 1024
  const bytes = Math.floor(Number(number) * base ** powers.indexOf(letter.toLowerCase()))
  if (bytes < 1 || bytes > Number.MAX_SAFE_INTEGER) {
    throw new InvalidArgumentError(tooSmall)
  }
  return bytes
}

/** Creates an option parser for an integer within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(texts().wholeNumber(min, max === Number.MAX_SAFE_INTEGER ? null : max))
    }
    return value
  }
}

/** Parses how many files are downloaded at a time. */
export function filesAtOnce(text: string): number | 'auto' {
  return text === 'auto' ? text : wholeNumber(1, 1000)(text)
}

/**
 * Parses a digest. Upper case and a `sha256:` prefix are accepted.
 *
 * @returns 64 lower-case hexadecimal digits.
 */
export function parseSha256(text: string): string {
  const hex = text
    .trim()
    .toLowerCase()
    .replace(/^sha256[:-]/, '')
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new InvalidArgumentError(texts().digestExpected)
  return hex
}

/**
 * Parses a digest with its algorithm, such as `sha512:…`.
 *
 * @returns it in the form `algorithm:hex`.
 */
export function parseDigestOption(text: string): string {
  const digest = parseDigest(text)
  if (digest === null) throw new InvalidArgumentError(texts().anyDigestExpected(digestAlgorithms.join(', ')))
  return digestText(digest)
}

/** Parses a file name of one segment. A path is refused, because the folder is set with `-d`. */
export function parseOutputName(text: string): string {
  if (text === '-') throw new InvalidArgumentError(texts().outputIsStdout)
  if (/[\\/]/.test(text)) {
    throw new InvalidArgumentError(texts().outputHasFolder)
  }
  if (text === '') throw new InvalidArgumentError(texts().outputEmpty)
  return text
}

/**
 * Adds one `K: V` to the headers given so far. Repeated names are combined as RFC 9110 section 5.3 defines
 * (cookies as RFC 6265 section 5.4 does).
 */
export function addHeader(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const colon = text.indexOf(':')
  const name = text.slice(0, Math.max(colon, 0)).trim()
  const value = text.slice(colon + 1).trim()
  // The text may contain a token, so the message does not repeat it.
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    throw new InvalidArgumentError(texts().headerExpected)
  }
  const known = Object.keys(previous).find((other) => other.toLowerCase() === name.toLowerCase())
  if (known === undefined) return { ...previous, [name]: value }
  const separator = known.toLowerCase() === 'cookie' ? '; ' : ', '
  return { ...previous, [known]: `${previous[known] ?? ''}${separator}${value}` }
}

/** Appends a value, for options that may be repeated. */
export function addText(text: string, previous: readonly string[] = []): string[] {
  return [...previous, text]
}

/** Parses model keys separated by commas. */
export function parseKeys(text: string): string[] {
  const keys = text
    .split(',')
    .map((key) => key.trim())
    .filter((key) => key !== '')
  if (keys.length === 0) throw new InvalidArgumentError(texts().keysExpected)
  return keys
}

/**
 * Determines how many downloads run at a time and how many connections each may have, where the user does not
 * say. A few files may use many connections each and many files a few, so that the total stays near 32. A file begins with
 * few in any case, and uses more only as long as they make it faster; and so do the files.
 *
 * @param urls - number of URLs.
 */
export function defaultPools(
  urls: number,
  given: { concurrency?: number | 'auto' | undefined; connections?: number | undefined },
): { concurrency: number | 'auto'; connections: number } {
  const { concurrency = 'auto' } = given
  const atOnce = Math.min(concurrency === 'auto' ? 32 : concurrency, Math.max(1, urls))
  const connections = given.connections ?? Math.min(32, Math.max(2, Math.floor(32 / atOnce)))
  return { concurrency, connections }
}

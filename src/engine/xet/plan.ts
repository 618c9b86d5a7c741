/**
 * What the content-addressed store says about how to put bytes of a file together. Both versions of its answer are read
 * into one {@link Plan}, and checked: it comes from the network. Pure.
 */
import { DownloadError } from '../../errors.js'

/** Chunks `[start, end)` of a xorb. */
export interface Chunks {
  start: number
  end: number
}

/** Chunks that follow one another in the file. */
export interface Term extends Chunks {
  /** Hash of the xorb. */
  xorb: string
  /** How many bytes the chunks have, unpacked. */
  length: number
}

/** A part of a xorb that may be fetched. */
export interface SignedRange extends Chunks {
  /** Signed, so it is a secret. */
  url: string
  /** The first and the last byte. Any other range is refused. */
  bytes: { first: number; last: number }
}

/** How to put a range of a file together. */
export interface Plan {
  /** How many bytes of the first term come before the range. */
  skip: number
  terms: readonly Term[]
  /** By hash of the xorb. */
  ranges: ReadonlyMap<string, readonly SignedRange[]>
}

/** A plan is asked for so many bytes of the file at once. */
export const planBytes = 32 * 1024 * 1024

/** A xorb has at most 64 MiB, and chunks of 8 KiB or more on average; this is far more than it can have. */
const maxChunkIndex = 128 * 1024

/** Terms may begin before the range and end after it, but no term is longer than a xorb. */
const maxSurplusBytes = 192 * 1024 * 1024

/**
 * Reads a plan.
 *
 * @param json - the parsed body of the answer, of version 1 or 2.
 * @param length - how many bytes of the file were asked for.
 * @param isSecure - the store is asked over https, so that its links must not lead to http.
 * @throws DownloadError `PROTOCOL_ERROR` for anything that is not a plan for these bytes, `REDIRECT_BLOCKED` for a link to
 * http.
 */
export function parsePlan(json: unknown, length: number, isSecure: boolean): Plan {
  const skip = integer(property(json, 'offset_into_first_range'))
  const terms = array(property(json, 'terms')).map(parseTerm)
  const bytes = terms.reduce((sum, term) => sum + term.length, 0)
  if (skip >= (terms[0]?.length ?? 0)) throw unusable('begins behind its first term')
  if (bytes - skip < length) throw unusable('does not reach the end of what was asked for')
  if (bytes > length + maxSurplusBytes) throw unusable('has far more bytes than were asked for')
  const modern = property(json, 'xorbs')
  const entries = Object.entries(object(modern ?? property(json, 'fetch_info')))
  const ranges = new Map(
    entries.map(([xorb, value]) => [
      xorb,
      array(value).flatMap((entry) => (modern === undefined ? [parseOne(entry)] : parseSeveral(entry))),
    ]),
  )
  for (const range of [...ranges.values()].flat()) requireUrl(range.url, isSecure)
  for (const { xorb, start, end } of terms) requireCovered(ranges.get(xorb) ?? [], start, end)
  return { skip, terms, ranges }
}

/** The part of a xorb with a chunk. Of several, the one that has most of what follows. */
export function rangeWith(ranges: readonly SignedRange[], chunk: number): SignedRange | null {
  let best: SignedRange | null = null
  for (const range of ranges) {
    if (range.start <= chunk && chunk < range.end && (best === null || range.end > best.end)) best = range
  }
  return best
}

function parseTerm(value: unknown): Term {
  const xorb = property(value, 'hash')
  if (typeof xorb !== 'string' || !isXetHash(xorb))
    throw unusable('names a xorb by something else than a hash')
  const length = integer(property(value, 'unpacked_length'))
  const chunks = parseChunks(property(value, 'range'))
  // No chunk is empty.
  if (length < chunks.end - chunks.start) throw unusable('has a term with more chunks than bytes')
  return { xorb, length, ...chunks }
}

/** Version 1: each entry is one range with an address of its own. */
function parseOne(value: unknown): SignedRange {
  return {
    url: text(property(value, 'url')),
    ...parseChunks(property(value, 'range')),
    bytes: parseBytes(property(value, 'url_range')),
  }
}

/** Version 2: several ranges share one address. Each of them can be asked for alone. */
function parseSeveral(value: unknown): SignedRange[] {
  const url = text(property(value, 'url'))
  return array(property(value, 'ranges')).map((range) => ({
    url,
    ...parseChunks(property(range, 'chunks')),
    bytes: parseBytes(property(range, 'bytes')),
  }))
}

function parseChunks(value: unknown): Chunks {
  const start = integer(property(value, 'start'))
  const end = integer(property(value, 'end'))
  if (start >= end || end > maxChunkIndex) throw unusable('has a range of chunks that cannot be')
  return { start, end }
}

function parseBytes(value: unknown): SignedRange['bytes'] {
  const first = integer(property(value, 'start'))
  const last = integer(property(value, 'end'))
  if (first > last) throw unusable('has a range of bytes that cannot be')
  return { first, last }
}

function requireCovered(ranges: readonly SignedRange[], start: number, end: number): void {
  for (let chunk = start; chunk < end;) {
    const range = rangeWith(ranges, chunk)
    if (range === null) throw unusable('does not say where some of its chunks are')
    chunk = range.end
  }
}

function requireUrl(url: string, isSecure: boolean): void {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw unusable('has an address that is none')
  if (isSecure && new URL(url).protocol === 'http:')
    throw new DownloadError('REDIRECT_BLOCKED', 'The Xet store, which is asked over https, leads to http.')
}

/** Whether a text is a hash as the store writes it: 64 lower-case hexadecimal digits. */
export function isXetHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}

function property(value: unknown, name: string): unknown {
  return Object.entries(object(value)).find(([key]) => key === name)?.[1]
}

function object(value: unknown): object {
  if (typeof value !== 'object' || value === null) throw unusable('is not a plan')
  return value
}

function array(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw unusable('is not a plan')
  return value
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw unusable('is not a plan')
  return value
}

function integer(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw unusable('is not a plan')
  return value
}

function unusable(how: string): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', `The plan that the Xet store sent ${how}.`, { retryable: true })
}

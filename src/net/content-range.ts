/** Reads the size of the complete file from a response. Pure. */
import { contentCodingOf } from './content-coding.js'

/** A parsed `Content-Range`. `end` is exclusive; `start` is null in the form of an unsatisfied range. */
export type ContentRange =
  { start: number; end: number; total: number | null } | { start: null; total: number }

/** Parses `Content-Range` (RFC 9110 section 14.4); null when it is missing or malformed. */
export function parseContentRange(value: string | string[] | undefined): ContentRange | null {
  if (typeof value !== 'string') return null
  const match = /^bytes\s+(?:(\d+)-(\d+)\/(\d+|\*)|\*\/(\d+))$/i.exec(value.trim())
  if (match === null) return null
  const [, from, to, of, only] = match
  if (only !== undefined) {
    const total = Number(only)
    return Number.isSafeInteger(total) ? { start: null, total } : null
  }
  const start = Number(from)
  const end = Number(to) + 1
  const total = of === '*' ? null : Number(of)
  const sane = Number.isSafeInteger(start) && Number.isSafeInteger(end) && end > start
  if (!sane || (total !== null && (!Number.isSafeInteger(total) || end > total))) return null
  return { start, end, total }
}

/**
 * The size of the complete file, as stated in the response to a request for its first bytes: in
 * `Content-Range`, or in `Content-Length` if the body is the complete file. Null when neither can be relied
 * on, such as for an encoded body, whose length differs from that of the file.
 */
export function statedSize({
  status,
  headers,
  url = 'http://localhost/',
}: {
  status: number
  headers: Readonly<Record<string, string | undefined>>
  /** Where the response comes from, since the name of a file may explain its `Content-Encoding`. */
  url?: string
}): number | null {
  const { codings, unsupported } = contentCodingOf(headers, new URL(url))
  if (codings.length > 0 || unsupported !== null) return null
  const ranged = parseContentRange(headers['content-range'])?.total ?? null
  if (ranged !== null || status !== 200) return ranged
  const length = headers['content-length'] ?? ''
  const size = Number(length)
  return /^\d+$/.test(length) && Number.isSafeInteger(size) ? size : null
}

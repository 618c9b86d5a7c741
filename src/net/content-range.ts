/** What an answer says of the size of the whole file. Pure. */

/** A parsed Content-Range; `end` is one past the last byte; `start` is null in the unsatisfied form. */
export type ContentRange =
  { start: number; end: number; total: number | null } | { start: null; total: number }

/** Parses `Content-Range` (RFC 9110 section 14.4); null for anything that is not exactly right. */
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
 * The size of the whole file, as the answer to a request for its beginning states it: in `Content-Range`, or as the length
 * of a body that is the file. Null when it says nothing that can be relied on; a coded body has another length than the file.
 */
export function statedSize({
  status,
  headers,
}: {
  status: number
  headers: Readonly<Record<string, string | undefined>>
}): number | null {
  const ranged = parseContentRange(headers['content-range'])?.total ?? null
  if (ranged !== null || status !== 200 || headers['content-encoding'] !== undefined) return ranged
  const length = headers['content-length'] ?? ''
  const size = Number(length)
  return /^\d+$/.test(length) && Number.isSafeInteger(size) ? size : null
}

/** Decides how a request for a file by its digest is answered (RFC 9110 sections 13 and 14). Pure. */

/** The headers of a request that matter. */
export interface BlobRequest {
  range: string | null
  ifRange: string | null
  ifNoneMatch: string | null
}

/** What is to be sent. */
export interface BlobPlan {
  status: 200 | 206 | 304 | 416
  headers: Record<string, string>
  /** The bytes of the body, with an exclusive end. */
  start: number
  end: number
}

/** Digits of a position. Longer ones are larger than any file. */
const maxDigits = 15

/**
 * The one range that a request asks for; `all` if the header is to be ignored, because it is not understood or asks for
 * several; null if no byte of the file is in it.
 */
export function rangeOf(header: string | null, size: number): { start: number; end: number } | 'all' | null {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? '')
  if (match === null) return 'all'
  const [, first = '', last = ''] = match
  const number = (digits: string) => (digits.length > maxDigits ? Number.MAX_SAFE_INTEGER : Number(digits))
  if (first === '') {
    if (last === '') return 'all'
    const length = Math.min(number(last), size)
    return length === 0 ? null : { start: size - length, end: size }
  }
  const start = number(first)
  if (last !== '' && number(last) < start) return 'all'
  if (start >= size) return null
  return { start, end: last === '' ? size : Math.min(number(last) + 1, size) }
}

/** @param sha256 - digest of the file, which is its strong validator. */
export function planBlob(
  { range, ifRange, ifNoneMatch }: BlobRequest,
  { sha256, size }: { sha256: string; size: number },
): BlobPlan {
  const etag = `"${sha256}"`
  const headers: Record<string, string> = {
    'Content-Type': 'application/octet-stream',
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'private, no-transform',
    ETag: etag,
    'X-Content-Type-Options': 'nosniff',
  }
  if (matches(ifNoneMatch, etag)) return { status: 304, headers, start: 0, end: 0 }
  // Of another version, a range is of no use. Dates are not sent, so none can match.
  const found = ifRange === null || ifRange.trim() === etag ? rangeOf(range, size) : 'all'
  if (found === null) {
    const length = { 'Content-Range': `bytes */${size}`, 'Content-Length': '0' }
    return { status: 416, headers: { ...headers, ...length }, start: 0, end: 0 }
  }
  if (found === 'all')
    return { status: 200, headers: { ...headers, 'Content-Length': String(size) }, start: 0, end: size }
  const { start, end } = found
  const part = {
    'Content-Range': `bytes ${start}-${end - 1}/${size}`,
    'Content-Length': String(end - start),
  }
  return { status: 206, headers: { ...headers, ...part }, start, end }
}

/** `If-None-Match` compares weakly. */
function matches(header: string | null, etag: string): boolean {
  if (header === null) return false
  const tags = header.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes('*') || tags.includes(etag)
}

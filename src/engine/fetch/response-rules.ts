/**
 * Decides what a response means for a transfer. Pure: from a response head and the known version to one verdict.
 * Sources: RFC 9110 sections 8.8 (validators), 13.1.5 (If-Range), 14 (ranges) and 15 (status codes).
 */
import { codeOfStatus, DownloadError, isRetryableStatus } from '../../errors.js'
import { parseContentRange } from '../../net/content-range.js'
import { deterministic } from '../../net/errors.js'
import type { ResponseHead } from '../../net/http.js'
import { compareIdentity, type Identity } from '../part/identity.js'

/** What was requested, and what is known about the file. */
export interface Expectation {
  /** First byte requested. */
  start: number
  /** One past the last byte requested; null for the rest of the file. */
  end: number | null
  /** The version that is being fetched; null before the first accepted response. */
  identity: Identity | null
  /** Whether the digest is known; it is checked at the end, so validators do not have to match. */
  digestKnown: boolean
  /** Size that the caller gave, or null. */
  size: number | null
}

/** What to do with a response. */
export type Verdict =
  /**
   * Use the body. It begins at the requested byte; `bodyEnd` is one past its last byte. Unless `sure`, no strong
   * validator shows that it belongs to the known version, so bytes must be compared before it is combined with
   * others.
   */
  | { kind: 'accept'; identity: Identity; bodyEnd: number | null; ranges: boolean; sure: boolean }
  /** The complete file from byte 0, although a later range was requested. Only usable by starting over. */
  | { kind: 'whole'; identity: Identity; bodyEnd: number | null }
  /** The file is empty. */
  | { kind: 'empty'; identity: Identity }
  /** The file ends exactly at the first requested byte. */
  | { kind: 'past-end'; total: number }
  /** A different version from the one being fetched; `total` is the size that it states. */
  | { kind: 'changed'; error: DownloadError; total: number | null; by: 'total' | 'validator' }
  /** Access was refused to an address that had worked: it may have expired. */
  | { kind: 'expired'; error: DownloadError }
  /** A later request, or one on another connection, may succeed. */
  | { kind: 'retry'; error: DownloadError }
  /** No further request will succeed. */
  | { kind: 'fail'; error: DownloadError }

/** The identity that a response states. */
export function identityOf(head: ResponseHead, total: number | null): Identity {
  const etag = first(head, 'etag')
  const lastModified = first(head, 'last-modified')
  const modifiedAt = lastModified === null ? Number.NaN : Date.parse(lastModified)
  const date = Date.parse(first(head, 'date') ?? '')
  return {
    total,
    etag: etag !== null && /^(?:W\/)?"[^"]*"$/.test(etag) ? etag : null,
    lastModified: Number.isNaN(modifiedAt) ? null : lastModified,
    lastModifiedStrong: !Number.isNaN(modifiedAt) && !Number.isNaN(date) && date - modifiedAt >= 1000,
  }
}

/** Decides what to do with a response. */
export function judge(expected: Expectation, head: ResponseHead): Verdict {
  if (head.status === 206) return judgePartial(expected, head)
  // 203: the same, but a proxy in between has changed something (RFC 9110 section 15.3.4).
  if (head.status === 200 || head.status === 203) return judgeWhole(expected, head)
  if (head.status === 416) return judgeUnsatisfiable(expected, head)
  return judgeError(expected, head)
}

function judgePartial(expected: Expectation, head: ResponseHead): Verdict {
  const refusal = refuseEncoding(head) ?? refuseLength(head)
  if (refusal !== null) return refusal
  if ((first(head, 'content-type') ?? '').toLowerCase().startsWith('multipart/')) {
    return protocol('The server answered a single range with a multipart body.')
  }
  const range = parseContentRange(head.headers['content-range'])
  const invalidRange = 'The server answered 206 without a valid Content-Range.'
  if (range === null) return protocol(invalidRange)
  if (range.start === null) return protocol(invalidRange)
  const { start } = range
  if (start !== expected.start) {
    return protocol(`The server sent a range from byte ${start} instead of byte ${expected.start}.`)
  }
  const length = contentLength(head)
  if (length !== null && length !== range.end - start) {
    return protocol('Content-Length and Content-Range of the response contradict each other.')
  }
  const identity = identityOf(head, range.total)
  const mismatch = checkVersion(expected, identity)
  if (mismatch !== null) return mismatch
  return {
    kind: 'accept',
    identity: merge(expected.identity, identity),
    bodyEnd: range.end,
    ranges: true,
    sure: isSure(expected, identity),
  }
}

function judgeWhole(expected: Expectation, head: ResponseHead): Verdict {
  const refusal = refuseEncoding(head) ?? refuseLength(head)
  if (refusal !== null) return refusal
  const length = contentLength(head)
  const identity = identityOf(head, length)
  if (isUnrelatedPage(expected.identity, identity, head)) {
    return protocol('The server sent a web page instead of the file.')
  }
  const mismatch = checkVersion(expected, identity)
  if (mismatch !== null) return mismatch
  if (expected.start > 0) return { kind: 'whole', identity, bodyEnd: length }
  return {
    kind: 'accept',
    identity: merge(expected.identity, identity),
    bodyEnd: length,
    ranges: false,
    sure: isSure(expected, identity),
  }
}

/** Whether this is the login page of a network in between, rather than a new version: bytes on disk must be kept. */
function isUnrelatedPage(known: Identity | null, seen: Identity, head: ResponseHead): boolean {
  if (known === null || !/^text\/html\b/i.test(first(head, 'content-type') ?? '')) return false
  return known.total !== seen.total || compareIdentity(known, seen, false) === 'changed'
}

function judgeUnsatisfiable(expected: Expectation, head: ResponseHead): Verdict {
  const total = parseContentRange(head.headers['content-range'])?.total ?? null
  if (total === 0 && expected.start === 0) {
    const identity = identityOf(head, 0)
    return checkVersion(expected, identity) ?? { kind: 'empty', identity }
  }
  if (expected.start === 0)
    return protocol('The server answered 416 (range not satisfiable) to a request for the complete file.')
  return total === expected.start ? { kind: 'past-end', total } : changed('total', total)
}

function judgeError(expected: Expectation, head: ResponseHead): Verdict {
  const { status } = head
  const code = codeOfStatus(status)
  if (code !== 'HTTP_ERROR') {
    const what = code === 'NOT_FOUND' ? 'has no such file' : 'refuses access'
    const error = new DownloadError(code, `The server ${what} (HTTP ${status}).`, { status })
    return { kind: expected.identity === null ? 'fail' : 'expired', error }
  }
  const retryable = isRetryableStatus(status)
  const error = new DownloadError(code, `The server answered HTTP ${status}.`, { status, retryable })
  if (retryable) return { kind: 'retry', error }
  // A gate that wants to be paid (402) is passed like one that wants to know who asks.
  return { kind: status === 402 && expected.identity !== null ? 'expired' : 'fail', error }
}

function checkVersion(expected: Expectation, seen: Identity): Verdict | null {
  if (expected.size !== null && seen.total !== null && seen.total !== expected.size) {
    return { kind: 'fail', error: wrongSize(expected.size, seen.total) }
  }
  if (expected.identity === null) return null
  if (compareIdentity(expected.identity, seen, expected.digestKnown) !== 'changed') return null
  const byTotal =
    expected.identity.total !== null && seen.total !== null && expected.identity.total !== seen.total
  return changed(byTotal ? 'total' : 'validator', seen.total)
}

function isSure(expected: Expectation, seen: Identity): boolean {
  return (
    expected.identity === null || compareIdentity(expected.identity, seen, expected.digestKnown) === 'same'
  )
}

/** Fills in known values that the response leaves out, as a 206 to If-Range may do. */
function merge(known: Identity | null, seen: Identity): Identity {
  if (known === null) return seen
  return {
    total: known.total ?? seen.total,
    etag: known.etag ?? seen.etag,
    lastModified: known.lastModified ?? seen.lastModified,
    lastModifiedStrong: known.lastModified === null ? seen.lastModifiedStrong : known.lastModifiedStrong,
  }
}

function refuseEncoding(head: ResponseHead): Verdict | null {
  // Several lines of this header mean that several encodings were applied in order (RFC 9110 section 8.4).
  const encoding = [head.headers['content-encoding'] ?? []].flat().join(', ').trim().toLowerCase()
  return encoding.split(',').every((part) => ['', 'identity'].includes(part.trim()))
    ? null
    : repeated(`The server sent Content-Encoding ${encoding} although identity was requested.`)
}

/** For what the server will do again with the next request, too. */
function repeated(message: string): Verdict {
  return { kind: 'retry', error: deterministic(protocolError(message)) }
}

function protocol(message: string): Verdict {
  return { kind: 'retry', error: protocolError(message) }
}

/** The error for a server that violates HTTP. It is retryable, because another node of the server may not. */
export function protocolError(message: string): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', message, { retryable: true })
}

function changed(by: 'total' | 'validator', total: number | null): Verdict {
  const message = 'The file changed on the server during the download.'
  return {
    kind: 'changed',
    by,
    total,
    error: new DownloadError('SOURCE_CHANGED', message, { retryable: true }),
  }
}

function wrongSize(expected: number, seen: number): DownloadError {
  return new DownloadError(
    'CONTENT_MISMATCH',
    `The file on the server has ${seen} bytes, but ${expected} were expected.`,
  )
}

/** The stated length; null if there is none, or if Transfer-Encoding overrides it (RFC 9112 section 6.3). */
function contentLength(head: ResponseHead): number | null {
  const value = first(head, 'content-length')
  if (value === null || head.headers['transfer-encoding'] !== undefined) return null
  return /^\d+$/.test(value.trim()) ? Number(value) : Number.NaN
}

function refuseLength(head: ResponseHead): Verdict | null {
  const length = contentLength(head)
  if (length === null || Number.isSafeInteger(length)) return null
  return repeated('The server sent an invalid Content-Length.')
}

function first(head: ResponseHead, name: string): string | null {
  const value = head.headers[name]
  return (Array.isArray(value) ? value[0] : value) ?? null
}

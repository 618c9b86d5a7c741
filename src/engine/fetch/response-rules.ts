/**
 * Decides what a response means for a transfer. Pure: from a response head and the known version to one verdict.
 * Sources: RFC 9110 sections 8.8 (validators), 13.1.5 (If-Range), 14 (ranges) and 15 (status codes).
 */
import { codeOfStatus, DownloadError, isRetryableStatus } from '../../errors.js'
import { transferCodingsOf } from '../../net/content-coding.js'
import { parseContentRange } from '../../net/content-range.js'
import { deterministic } from '../../net/errors.js'
import type { ResponseHead } from '../../net/exchange.js'
import { serverDigests } from '../../net/server-digests.js'
import { compareIdentity, hasStrongValidator, type Identity } from '../part/identity.js'

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
  /**
   * The complete file from byte 0, although a later range was requested. Only usable by starting over. `sure` if its
   * size or a validator is that of the known version.
   */
  | { kind: 'whole'; sure: boolean }
  /** The file is empty. */
  | { kind: 'empty'; identity: Identity }
  /** The file ends exactly at the first requested byte. */
  | { kind: 'past-end'; total: number }
  /**
   * Appears to be a different version from the one being fetched, which is what it says of itself. `by` says what
   * differs: the total size, or only a validator, which may differ between the nodes of one server.
   */
  | { kind: 'changed'; error: DownloadError; seen: Identity; by: 'total' | 'validator' }
  /** Access was refused to an address that had worked: it may have expired. */
  | { kind: 'expired'; error: DownloadError }
  /** A later request, or one on another connection, may succeed. */
  | { kind: 'retry'; error: DownloadError }
  /** No further request will succeed. */
  | { kind: 'fail'; error: DownloadError }

/**
 * The identity that a response states.
 *
 * @param isWhole - whether its body is the whole file. Default false.
 */
export function identityOf(head: ResponseHead, total: number | null, isWhole = false): Identity {
  const etag = first(head, 'etag')
  const lastModified = first(head, 'last-modified')
  const modifiedAt = Date.parse(lastModified ?? '')
  const date = Date.parse(first(head, 'date') ?? '')
  return {
    total,
    etag: etag !== null && /^(?:W\/)?"[^"]*"$/.test(etag) ? etag : null,
    lastModified: Number.isNaN(modifiedAt) ? null : lastModified,
    // False as well if one of the dates is missing or invalid.
    lastModifiedStrong: date - modifiedAt >= 1000,
    ...digestsOf(head, isWhole),
  }
}

/** What a response says about the digest of the file. What it says itself outranks what a redirect to it said. */
function digestsOf({ headers, linked = [] }: ResponseHead, isWhole: boolean): Pick<Identity, 'digests'> {
  const own = serverDigests(headers, isWhole)
  const others = linked.filter(({ algorithm }) => own.every((digest) => digest.algorithm !== algorithm))
  return own.length + others.length === 0 ? {} : { digests: [...own, ...others] }
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
  const identity = identityOf(head, range.total, start === 0 && range.end === range.total)
  // The total of a range is written wrongly more often than the length of a whole file, which is asked for then.
  const mismatch = checkVersion(expected, identity, head.status)
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
  const identity = identityOf(head, length, true)
  const mismatch = refuseWords(expected, identity, head) ?? checkVersion(expected, identity)
  if (mismatch !== null) return mismatch
  if (expected.start > 0) return { kind: 'whole', sure: isSameFile(knownVersion(expected), identity) }
  return {
    kind: 'accept',
    identity: merge(expected.identity, identity),
    bodyEnd: length,
    ranges: false,
    sure: isSure(expected, identity),
  }
}

/**
 * Refuses a complete body that is not the file, such as a login page or an error message with status 200: bytes on
 * disk must survive it. Another size alone is no sign of a new version, since these have one as well.
 */
function refuseWords(expected: Expectation, seen: Identity, head: ResponseHead): Verdict | null {
  const known = knownVersion(expected)
  const type = (first(head, 'content-type') ?? '').toLowerCase()
  const { total } = seen
  if (known === null) {
    // A gate that is busy says so in a few words and lets pass later. A page asks to sign in, and will do so again.
    const isMessage = total !== null && total <= maxMessageBytes && !hasStrongValidator(seen)
    if (!isMessage || /^text\/html\b/.test(type) || (expected.size ?? 0) < 4 * maxMessageBytes) return null
    return protocol(`The server sent ${total} bytes of another kind instead of the file.`)
  }
  const differs = compareIdentity(known, seen, false) === 'changed'
  const isPage = /^text\/html\b/.test(type) && (known.total !== total || differs)
  const isShort = known.total === null && total !== null && total < expected.start
  const isOther = known.total !== null && total !== null && known.total !== total && !isVouched(known, seen)
  // Without a length, nothing but a validator tells words from the file, unless it never had either.
  const isUnsized =
    total === null &&
    (known.total !== null || hasStrongValidator(known)) &&
    compareIdentity(known, seen, false) !== 'same'
  if (!isPage && !isShort && !isOther && !(isUnsized && wordTypes.test(type))) return null
  const what = isPage ? 'a web page' : `${total === null ? 'words' : `${total} bytes`} of another kind`
  return protocol(`The server sent ${what} instead of the file.`)
}

/** The longest message, in bytes, that is taken for one when nothing but the size of the file is known. */
const maxMessageBytes = 16 * 1024

/** Types of the messages that are sent in place of a file. */
const wordTypes = /^(?:text\/(?:html|plain|xml)|application\/(?:[\w.-]+\+)?(?:json|xml))(?:\s*;|\s*$)/

/** Whether a version states a validator at least as strong as the known one does, as a new version of a file would. */
function isVouched(known: Identity, seen: Identity): boolean {
  if (hasStrongValidator(seen)) return true
  if (hasStrongValidator(known)) return false
  return known.etag === null ? known.lastModified !== null && seen.lastModified !== null : seen.etag !== null
}

function judgeUnsatisfiable(expected: Expectation, head: ResponseHead): Verdict {
  const total = parseContentRange(head.headers['content-range'])?.total ?? null
  if (total === 0 && expected.start === 0) {
    const identity = identityOf(head, 0)
    return checkVersion(expected, identity) ?? { kind: 'empty', identity }
  }
  const known = knownVersion(expected)?.total ?? null
  if (expected.start === 0 || total === null || (total === known && total !== expected.start)) {
    const message =
      'The server answered 416 (range not satisfiable) to a request for bytes that the file has.'
    return {
      kind: 'retry',
      error: new DownloadError('PROTOCOL_ERROR', message, { status: 416, retryable: true }),
    }
  }
  if (total === expected.start && (known ?? total) === total) return { kind: 'past-end', total }
  return changed('total', identityOf(head, total))
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
  // A gate that wants to be paid (402) is passed like one that wants to know who asks. S3, with temporary credentials,
  // and Google Cloud Storage answer 400 to a signature that has expired.
  const mayExpire = status === 400 || status === 402
  return { kind: mayExpire && expected.identity !== null ? 'expired' : 'fail', error }
}

function checkVersion(expected: Expectation, seen: Identity, status?: number): Verdict | null {
  const known = knownVersion(expected)
  if (known === null) {
    const { size } = expected
    if (size === null || seen.total === null || seen.total === size) return null
    return { kind: 'fail', error: wrongSize(size, seen.total, status) }
  }
  if (compareIdentity(known, seen, expected.digestKnown) !== 'changed') return null
  const byTotal = known.total !== null && seen.total !== null && known.total !== seen.total
  return changed(byTotal ? 'total' : 'validator', seen)
}

/** The version that is being fetched, with the size that the caller gave if it has not been seen yet. */
function knownVersion({ identity, size }: Expectation): Identity | null {
  return identity === null ? null : { ...identity, total: identity.total ?? size }
}

function isSameFile(known: Identity | null, seen: Identity): boolean {
  if (known === null) return false
  return (
    (known.total !== null && known.total === seen.total) || compareIdentity(known, seen, false) === 'same'
  )
}

function isSure(expected: Expectation, seen: Identity): boolean {
  return (
    expected.identity === null || compareIdentity(expected.identity, seen, expected.digestKnown) === 'same'
  )
}

/** Fills in known values that the response leaves out, as a 206 to If-Range may do. */
function merge(known: Identity | null, seen: Identity): Identity {
  if (known === null) return seen
  const digests = known.digests ?? seen.digests
  return {
    total: known.total ?? seen.total,
    etag: known.etag ?? seen.etag,
    lastModified: known.lastModified ?? seen.lastModified,
    lastModifiedStrong: known.lastModified === null ? seen.lastModifiedStrong : known.lastModifiedStrong,
    ...(digests === undefined ? {} : { digests }),
  }
}

function refuseEncoding(head: ResponseHead): Verdict | null {
  // Several lines of this header mean that several encodings were applied in order (RFC 9110 section 8.4).
  const encoding = [head.headers['content-encoding'] ?? []].flat().join(', ').trim().toLowerCase()
  if (encoding.split(',').some((part) => !['', 'identity'].includes(part.trim())))
    return repeated(`The server sent Content-Encoding ${encoding} although identity was requested.`)
  const transfer = transferCodingsOf(head.headers)
  if (transfer.length === 0) return null
  return repeated(`The server sent Transfer-Encoding ${transfer.join(', ')} although none was requested.`)
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

function changed(by: 'total' | 'validator', seen: Identity): Verdict {
  const message = 'The file changed on the server during the download.'
  return {
    kind: 'changed',
    by,
    seen,
    error: new DownloadError('SOURCE_CHANGED', message, { retryable: true }),
  }
}

function wrongSize(expected: number, seen: number, status: number | undefined): DownloadError {
  const message = `The file on the server has ${seen} bytes, but ${expected} were expected.`
  return new DownloadError('CONTENT_MISMATCH', message, status === undefined ? {} : { status })
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

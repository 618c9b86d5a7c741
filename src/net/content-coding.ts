/**
 * Decides what a `Content-Encoding` (RFC 9110 section 8.4) and a `Transfer-Encoding` other than chunks (RFC 9112 section
 * 7) mean, although none was asked for: nothing, because it is no coding; a real coding, which has to be undone; or one
 * that can't be undone. Pure.
 */
import type { ResponseHead } from './exchange.js'

/** Codings that can be undone; zstd only by versions of Node that have it (22.15). */
export type Coding = 'gzip' | 'deflate' | 'br' | 'zstd'

/** What the codings of a response mean. */
export interface ContentCoding {
  /** In the order in which they were applied; empty if the body is the file as it is. */
  codings: readonly Coding[]
  /** What `Content-Encoding` says that has no meaning; null if nothing. */
  ignored: string | null
  /** What the fields say that can't be undone; null if nothing. */
  unsupported: string | null
}

const known: ReadonlyMap<string, Coding> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
])

/** Registered codings, and some that are in use, that nothing here can undo. */
const foreign = new Set(
  'aes128gcm bzip2 compress dcb dcz exi lzma pack200-gzip sdch x-bzip2 x-compress x-lzma x-xz xz'.split(' '),
)

/** More codings than anybody applies. */
const maxCodings = 3

/** Files that are encoded themselves, which some servers label as if the coding were that of the response. */
const encodedFiles: Readonly<Partial<Record<Coding, { name: RegExp; type: RegExp }>>> = {
  gzip: {
    name: /\.(?:gz|tgz|gzip|svgz)(?=["\s;]|$)/i,
    type: /^(?:application\/(?:x-)?gzip|application\/x-(?:tgz|gtar|compressed(?:-tar)?))\b/i,
  },
  zstd: { name: /\.t?zst(?=["\s;]|$)/i, type: /^application\/(?:x-)?zstd\b/i },
  br: { name: /\.br(?=["\s;]|$)/i, type: /^application\/(?:x-)?br(?:otli)?\b/i },
}

/**
 * Returns the transfer codings of a response that have not been undone, in the order in which they were applied: all
 * but `chunked`, which every reader of a message undoes.
 */
export function transferCodingsOf(headers: ResponseHead['headers']): string[] {
  return wordsOf(textOf(headers, 'transfer-encoding')).filter(
    (word) => !['', 'identity', 'chunked'].includes(word),
  )
}

/**
 * Returns what the codings of a response mean. A word of `Content-Encoding` that is no coding (`aws-chunked`, `UTF-8`,
 * `binary`) is ignored, and so is the coding of an archive that is encoded itself, as browsers do. A transfer coding
 * always means what it says.
 *
 * @param url - the address that the response comes from.
 */
export function contentCodingOf(headers: ResponseHead['headers'], url: URL): ContentCoding {
  // Several lines mean that several codings were applied in order.
  const text = textOf(headers, 'content-encoding')
  const words = wordsOf(text)
  const codings = words.flatMap((word) => known.get(word) ?? [])
  const transfer = transferCodingsOf(headers)
  const transferred = transfer.flatMap((word) => known.get(word) ?? [])
  const none = { codings: transferred, ignored: null, unsupported: null }
  if (transferred.length < transfer.length) return { ...none, codings: [], unsupported: transfer.join(', ') }
  if (words.some((word) => foreign.has(word)) || codings.length + transferred.length > maxCodings)
    return { ...none, codings: [], unsupported: [text, ...transfer].join(', ') }
  const odd = words.some((word) => !['', 'identity'].includes(word) && !known.has(word))
  const [only, ...more] = codings
  const label = only !== undefined && more.length === 0 && isEncodedFile(only, headers, url)
  if (label) return { ...none, ignored: text }
  return { codings: [...codings, ...transferred], ignored: odd ? text : null, unsupported: null }
}

function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(',')
    .map((word) => word.trim())
}

function isEncodedFile(coding: Coding, headers: ResponseHead['headers'], url: URL): boolean {
  const files = encodedFiles[coding]
  if (files === undefined) return false
  const disposition = textOf(headers, 'content-disposition')
  return (
    files.type.test(textOf(headers, 'content-type')) ||
    files.name.test(url.pathname) ||
    files.name.test(disposition)
  )
}

function textOf(headers: ResponseHead['headers'], name: string): string {
  return [headers[name] ?? []].flat().join(', ').trim()
}

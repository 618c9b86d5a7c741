/**
 * Decides what a `Content-Encoding` means (RFC 9110 section 8.4), although none was asked for: nothing, because it is
 * no coding; a real coding, which has to be undone; or one that can't be undone. Pure.
 */
import type { ResponseHead } from './exchange.js'

/** Codings that can be undone; zstd only by versions of Node that have it (22.15). */
export type Coding = 'gzip' | 'deflate' | 'br' | 'zstd'

/** What the `Content-Encoding` of a response means. */
export interface ContentCoding {
  /** In the order in which they were applied; empty if the body is the file as it is. */
  codings: readonly Coding[]
  /** What the field says that has no meaning; null if nothing. */
  ignored: string | null
  /** What the field says that can't be undone; null if nothing. */
  unsupported: string | null
}

const known: Readonly<Record<string, Coding>> = {
  gzip: 'gzip',
  'x-gzip': 'gzip',
  deflate: 'deflate',
  br: 'br',
  zstd: 'zstd',
}

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
 * Returns what the `Content-Encoding` of a response means. A word that is no coding (`aws-chunked`, `UTF-8`,
 * `binary`) is ignored, and so is the coding of an archive that is encoded itself, as browsers do.
 *
 * @param url - the address that the response comes from.
 */
export function contentCodingOf(headers: ResponseHead['headers'], url: URL): ContentCoding {
  // Several lines mean that several codings were applied in order.
  const text = textOf(headers, 'content-encoding')
  const words = text
    .toLowerCase()
    .split(',')
    .map((word) => word.trim())
  const codings = words.flatMap((word) => (Object.hasOwn(known, word) ? (known[word] ?? []) : []))
  const none = { codings: [], ignored: null, unsupported: null }
  if (words.some((word) => foreign.has(word)) || codings.length > maxCodings)
    return { ...none, unsupported: text }
  const odd = words.some((word) => !['', 'identity'].includes(word) && !Object.hasOwn(known, word))
  const [only, ...more] = codings
  const label = only !== undefined && more.length === 0 && isEncodedFile(only, headers, url)
  if (label) return { ...none, ignored: text }
  return { codings, ignored: odd ? text : null, unsupported: null }
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

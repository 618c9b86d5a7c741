/** Reads Metalink 4 (RFC 5854): names, sizes, digests, mirrors and pieces of files. Pure and linear. */
import { algorithmOf, type Digest, hexDigest } from '../util/digests.js'
import type { PieceDigests } from '../engine/protocol.js'

/** What a file of checksums says about one file. */
export interface ChecksumEntry {
  /** As it is written there, with slashes; null if the file names none. */
  name: string | null
  digests: readonly Digest[]
  size: number | null
  /** Addresses of the file, in the order in which to try them. */
  urls: readonly string[]
  pieces: PieceDigests | null
}

/** No list that anybody publishes has as many, and each of them takes memory. */
const maxFiles = 10_000
const maxPieces = 1_000_000
const maxMirrors = 32

/** A piece of XML: the start or the end of an element, or text. */
type Token =
  | { kind: 'start'; name: string; attributes: Readonly<Record<string, string>>; isEmpty: boolean }
  | { kind: 'end'; name: string }
  | { kind: 'text'; text: string }

/** Whether a text is a Metalink document. */
export function isMetalink(text: string): boolean {
  return (
    /^\s*<(?:\?xml|metalink|!--)/.test(text.slice(0, 1_000)) && text.slice(0, 16_384).includes('<metalink')
  )
}

/** A file while it is read. */
interface Draft {
  name: string | null
  size: number | null
  digests: Digest[]
  urls: { url: string; priority: number }[]
  pieces: PieceDigests | null
}

/**
 * Parses a Metalink document, as far as it is one: what can't be understood is left out.
 *
 * @returns the files in their order.
 */
export function parseMetalink(text: string): ChecksumEntry[] {
  const entries: ChecksumEntry[] = []
  let file: Draft | null = null
  let pieces: { algorithm: PieceDigests['algorithm'] | null; length: number; hashes: string[] } | null = null
  let open: { name: string; attributes: Readonly<Record<string, string>> } | null = null
  let content = ''
  for (const token of tokens(text)) {
    if (token.kind === 'text') {
      // Only the text directly in an element counts, and none of them is long.
      if (open !== null && content.length < 16_384) content += token.text
      continue
    }
    if (token.kind === 'start') {
      const { name, attributes, isEmpty } = token
      open = isEmpty ? null : { name, attributes }
      content = ''
      if (isEmpty) continue
      if (name === 'file' && entries.length < maxFiles) {
        file = { name: attributes['name'] ?? null, size: null, digests: [], urls: [], pieces: null }
      } else if (name === 'pieces') {
        const length = wholeNumber(attributes['length'] ?? '')
        pieces = { algorithm: algorithmOf(attributes['type'] ?? ''), length: length ?? 0, hashes: [] }
      }
      continue
    }
    if (file !== null && open?.name === token.name) noteValue(file, pieces, open, content.trim())
    if (token.name === 'pieces' && file !== null && pieces !== null) {
      file.pieces = usable(pieces)
      pieces = null
    }
    if (token.name === 'file' && file !== null) {
      entries.push(entryOf(file))
      file = null
    }
    open = null
  }
  return entries
}

function noteValue(
  file: Draft,
  pieces: { algorithm: PieceDigests['algorithm'] | null; hashes: string[] } | null,
  { name, attributes }: { name: string; attributes: Readonly<Record<string, string>> },
  value: string,
): void {
  if (name === 'size') file.size = wholeNumber(value)
  else if (name === 'url') {
    const priority = wholeNumber(attributes['priority'] ?? '') ?? 999_999
    if (/^https?:\/\//i.test(value) && file.urls.length < maxMirrors) file.urls.push({ url: value, priority })
  } else if (name === 'hash' && pieces !== null) {
    if (pieces.hashes.length < maxPieces) pieces.hashes.push(value.toLowerCase())
  } else if (name === 'hash') {
    const algorithm = algorithmOf(attributes['type'] ?? '')
    const digest = algorithm === null ? null : hexDigest(algorithm, value)
    if (digest !== null) file.digests.push(digest)
  }
}

function usable({
  algorithm,
  length,
  hashes,
}: {
  algorithm: PieceDigests['algorithm'] | null
  length: number
  hashes: string[]
}): PieceDigests | null {
  if (algorithm === null || length < 1 || hashes.length === 0) return null
  return hashes.every((hash) => hexDigest(algorithm, hash) !== null) ? { algorithm, length, hashes } : null
}

function entryOf({ name, size, digests, urls, pieces }: Draft): ChecksumEntry {
  const sorted = [...urls].sort((a, b) => a.priority - b.priority).map(({ url }) => url)
  const fits = pieces === null || size === null || pieces.hashes.length === Math.ceil(size / pieces.length)
  return { name, digests, size, urls: sorted, pieces: fits ? pieces : null }
}

function wholeNumber(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null
}

/**
 * Divides XML into tokens. There are no entities but the five of XML and those of characters, so nothing expands.
 *
 * @param xml - elements lose the prefix of their namespace.
 */
function* tokens(xml: string): Generator<Token> {
  let at = 0
  while (at < xml.length) {
    const begin = xml.indexOf('<', at)
    if (begin === -1) break
    if (begin > at) yield { kind: 'text', text: unescaped(xml.slice(at, begin)) }
    const special = specials.find(([start]) => xml.startsWith(start, begin))
    const end = xml.indexOf(special?.[1] ?? '>', begin + (special?.[0].length ?? 1))
    if (end === -1) return
    at = end + (special?.[1].length ?? 1)
    if (special?.[0] === '<![CDATA[') yield { kind: 'text', text: xml.slice(begin + 9, end) }
    if (special !== undefined) continue
    const inside = xml.slice(begin + 1, end)
    if (inside.startsWith('/')) yield { kind: 'end', name: localName(inside.slice(1)) }
    else yield startOf(inside)
  }
}

/** What is neither an element nor text, with its end. */
const specials: readonly (readonly [start: string, end: string])[] = [
  ['<!--', '-->'],
  ['<![CDATA[', ']]>'],
  ['<?', '?>'],
  ['<!', '>'],
]

/** More attributes text than any element has. */
const maxTagChars = 16_384

function startOf(inside: string): Token {
  const isEmpty = inside.endsWith('/')
  const name = localName(inside)
  const attributes: Record<string, string> = {}
  if (inside.length <= maxTagChars) {
    for (const [, key = '', double, single] of inside.matchAll(/\s([\w:-]+)=(?:"([^"]*)"|'([^']*)')/g))
      attributes[localName(key)] = unescaped(double ?? single ?? '')
  }
  return { kind: 'start', name, attributes, isEmpty }
}

function localName(text: string): string {
  const name = /^[^\s/>]{0,256}/.exec(text)?.[0] ?? ''
  return name.slice(name.indexOf(':') + 1)
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescaped(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:([a-z]{2,4})|#(\d{1,7})|#x([0-9a-fA-F]{1,6}));/g, (all, name, decimal, hex) => {
    if (typeof name === 'string') return Object.hasOwn(entities, name) ? (entities[name] ?? all) : all
    const code = typeof decimal === 'string' ? Number(decimal) : Number.parseInt(String(hex), 16)
    return code > 0 && code <= 0x10_ffff ? String.fromCodePoint(code) : all
  })
}

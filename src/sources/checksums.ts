/**
 * Reads files of checksums: those of `sha256sum` and its siblings, the BSD style, files with nothing but a digest, and
 * Metalink. Pure; the time grows with the length of the text.
 */
import {
  algorithmOf,
  algorithmOfLength,
  type Digest,
  type DigestAlgorithm,
  hexDigest,
  strongest,
} from '../util/digests.js'
import { type ChecksumEntry, isMetalink, parseMetalink } from './metalink.js'

/** Longer texts are refused, in characters. */
export const maxChecksumChars = 16 * 1024 * 1024

/** Longer lines are skipped; no path is that long. */
const maxLineChars = 8_192

/** What follows is left out: an entry takes far more memory than its line. No release has as many files. */
const maxEntries = 200_000

/**
 * Parses a file of checksums. Lines that say nothing, such as comments and those of a signature, are skipped.
 *
 * @param name - last segment of its own name, such as `SHA256SUMS` or `model.gguf.b3`; it tells algorithms whose digests
 * have the same length apart.
 * @returns the entries in their order; empty if it is no such file.
 */
export function parseChecksums(text: string, name: string): ChecksumEntry[] {
  if (text.length > maxChecksumChars) return []
  const content = text.startsWith('\ufeff') ? text.slice(1) : text
  if (isMetalink(content)) return parseMetalink(content)
  const named = algorithmInName(name)
  const entries: ChecksumEntry[] = []
  for (const line of linesOf(content)) {
    const found = bsdEntry(line) ?? gnuEntry(line, named)
    if (found !== null) entries.push(found)
    if (entries.length === maxEntries) break
  }
  return entries
}

/** The lines of a text one after another, without their ends, and without those that are too long. */
function* linesOf(text: string): Generator<string, void, void> {
  for (let start = 0; start < text.length;) {
    const found = text.indexOf('\n', start)
    const end = found < 0 ? text.length : found
    const isShort = end - start <= maxLineChars
    if (isShort) yield text.slice(start, text[end - 1] === '\r' && end > start ? end - 1 : end)
    start = end + 1
  }
}

/** `SHA256 (name) = hex`, and without the spaces, as OpenSSL writes it; a backslash before it as in {@link gnuEntry}. */
function bsdEntry(line: string): ChecksumEntry | null {
  const start = /^(\\?)([A-Za-z0-9-]{2,16}) ?\(/.exec(line)
  const end = line.lastIndexOf(')')
  if (start === null || end < start[0].length) return null
  const [all, backslash, word = ''] = start
  const algorithm = algorithmOf(word)
  const value = /^ ?= ?([0-9a-fA-F]+)[ \t]*$/.exec(line.slice(end + 1))?.[1]
  if (algorithm === null || value === undefined) return null
  const name = line.slice(all.length, end)
  return entry(backslash === '' ? name : unescaped(name), hexDigest(algorithm, value))
}

/** `hex  name` or `hex *name`; a backslash before it says that the name has escapes. A digest alone has no name. */
function gnuEntry(line: string, named: DigestAlgorithm | null): ChecksumEntry | null {
  const match = /^(\\?)([0-9a-fA-F]{8,128})(?:[ \t][ \t*]?|$)/.exec(line)
  if (match === null) return null
  const [all, backslash = '', hex = ''] = match
  const rest = line.slice(all.length)
  const algorithm = named !== null && hexDigest(named, hex) !== null ? named : algorithmOfLength(hex.length)
  if (algorithm === null) return null
  const name = rest.trim() === '' ? null : rest
  const plain = name !== null && backslash === '\\' ? unescaped(name) : name
  return entry(plain, hexDigest(algorithm, hex))
}

function entry(name: string | null, digest: Digest | null): ChecksumEntry | null {
  return digest === null ? null : { name, digests: [digest], size: null, urls: [], pieces: null }
}

function unescaped(name: string): string {
  return name.replace(/\\([\\nr])/g, (_, escape: string) =>
    escape === 'n' ? '\n' : escape === 'r' ? '\r' : '\\',
  )
}

/** The algorithm that the name of a file of checksums tells: `B3SUMS`, `x.blake3`, `SHA512SUMS.txt`. */
function algorithmInName(name: string): DigestAlgorithm | null {
  const words = name
    .toLowerCase()
    .slice(-64)
    .split(/[^a-z0-9]+/)
  for (const word of words.reverse()) {
    const plain = word.replace(/sums?$/, '')
    const algorithm = plain === 'b3' ? 'blake3' : algorithmOf(plain)
    if (algorithm !== null) return algorithm
  }
  return null
}

/** What is known of a file when its checksum is looked for. */
export interface ChecksumQuery {
  /** Paths or names of the file, with slashes, the best one first. */
  names: readonly string[]
  /** Last segment of the name of the file of checksums. */
  sidecar: string
}

/** What was found about a file. `contradictory`: the entries for it have different digests. */
export type ChecksumFound = ChecksumEntry | 'contradictory' | null

/**
 * Finds the entry of a file: by its whole path, then by its name alone. An entry without a name, or the only one of a file
 * such as `model.gguf.sha256`, is that of the file in question.
 */
export function findChecksum(
  entries: readonly ChecksumEntry[],
  { names, sidecar }: ChecksumQuery,
): ChecksumFound {
  const wanted = names.map(normalized)
  for (const name of wanted) {
    const exact = entries.filter((one) => one.name !== null && isPathOf(normalized(one.name), name))
    if (exact.length > 0) return combined(exact)
  }
  for (const name of wanted) {
    const alike = entries.filter((one) => one.name !== null && lastOf(normalized(one.name)) === lastOf(name))
    if (alike.length > 0) return combined(alike)
  }
  const nameless = entries.filter(({ name }) => name === null)
  if (nameless.length > 0 && nameless.length === entries.length) return combined(nameless)
  const isOwn = wanted.some((name) => sidecar.startsWith(`${lastOf(name)}.`))
  return entries.length === 1 && isOwn ? (entries[0] ?? null) : null
}

/** Combines several entries of one file, such as those by several algorithms. */
function combined(entries: readonly ChecksumEntry[]): ChecksumFound {
  const values = new Map<DigestAlgorithm, string>()
  for (const { digests } of entries) {
    for (const { algorithm, value } of digests) {
      if ((values.get(algorithm) ?? value) !== value) return 'contradictory'
      values.set(algorithm, value)
    }
  }
  const [first] = entries
  if (first === undefined) return null
  return { ...first, digests: [...values].map(([algorithm, value]) => ({ algorithm, value })) }
}

/** The digest of an entry to compare with; null if it has none. */
export function digestOfEntry({ digests }: ChecksumEntry): Digest | null {
  return strongest(digests)
}

function normalized(name: string): string {
  return name.replaceAll('\\', '/').replace(/^(?:\.\/)+/, '')
}

function isPathOf(listed: string, wanted: string): boolean {
  return listed === wanted || wanted.endsWith(`/${listed}`)
}

function lastOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

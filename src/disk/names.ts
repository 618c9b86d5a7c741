/**
 * Checks whether file names are safe, and chooses one when the caller names none. Pure.
 *
 * The rules of POSIX and of Windows both apply on every system: a folder of models gets copied, shared and
 * mounted on other systems, where a name that is harmless here must not turn into a device or a stream.
 */
import { parse } from 'content-disposition'
import { DownloadError } from '../errors.js'
import { isConfigName } from './config-names.js'

/**
 * Bytes of the longest suffix that is appended to file names: `.part.json.` and six characters, for a
 * temporary file.
 */
export const longestSuffix = 17

/** Provisional name, until the first response of a server that has to name the file. */
export const fallbackFilename = 'model.gguf'

/** Maximum length of a file name on ext4, XFS, APFS and NTFS (`NAME_MAX`). */
const maxNameBytes = 255

const reservedOnWindows = 'it is reserved on Windows'
const shortOnWindows = 'it is a short name (8.3), which may stand for another file on Windows'
const reservedForParts = 'its extension is reserved for incomplete downloads'
const reservedForList = 'it is reserved for the list of downloads'
const tooLongReason = `it is longer than ${String(maxNameBytes - longestSuffix)} bytes`

/** Characters of a name that is too long in every Unicode form: normalizing shortens it at most to a third. */
const maxNameLength = 4 * maxNameBytes

/** Patterns of names that are refused. The first that matches gives the reason. */
const rules: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^$/, 'it is empty'],
  [/^\.{1,2}$/, 'it stands for a folder'],
  [/[/\\]/, 'it contains a path separator'],
  [/\p{Cc}/u, 'it contains a control character'],
  // Such characters reorder or hide text: `exe.fugg` must not be displayed as `gguf.exe`.
  [
    /[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/,
    'it contains an invisible or direction-changing character',
  ],
  [/[:<>"|?*]/, 'it contains one of : < > " | ? *'],
  [/\p{Cs}/u, 'it is not valid Unicode'],
  [/^ /, 'it begins with a space'],
  [/[. ]$/, 'it ends with a dot or a space'],
  // Windows ignores everything after the first dot, and spaces before it:
  // https://learn.microsoft.com/windows/win32/fileio/naming-a-file
  [/^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)/iu, reservedOnWindows],
  // NTFS and FAT give long names a second one, such as `MODELS~1.GGU`:
  // https://learn.microsoft.com/windows/win32/fileio/naming-a-file#short-vs-long-names
  [/^(?=[^.]{3,8}(?:\.|$))[^.]+~\d+(?:\.[^.]{0,3})?$/u, shortOnWindows],
  [/\.part(?:\.(?:json|live)(?:\..{6})?|\.lock|\.adopt)?$/iu, reservedForParts],
  [/^\.model-downloader$/iu, reservedForList],
]

/**
 * Checks that a name is safe as a single path segment on POSIX systems and on Windows, and short enough for
 * the suffixes of an incomplete download.
 *
 * @returns the name in Unicode normal form C, so that equal names have the same bytes.
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function checkFilename(name: string): string {
  // Checked first, because normalizing a very long name may take quadratic time.
  if (name.length > maxNameLength) throw unsafe(name, tooLongReason)
  const normal = name.normalize('NFC')
  for (const [pattern, reason] of rules) {
    if (pattern.test(normal)) throw unsafe(name, reason)
  }
  if (Buffer.byteLength(normal) + longestSuffix > maxNameBytes) {
    throw unsafe(name, tooLongReason)
  }
  return normal
}

function unsafe(name: string, reason: string): DownloadError {
  const shown = name.length > 60 ? `${name.slice(0, 60)}…` : name
  // The message ends up on terminals and in logs, where the refused characters could do harm.
  const printable = shown.replace(/[^\x20-\x7e…]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  return new DownloadError('UNSAFE_FILENAME', `The file name "${printable}" can't be used: ${reason}.`)
}

/**
 * Maximum length in bytes of a path inside a group, so that systems can still open it together with the path
 * of the folder.
 */
export const maxPathBytes = 1_024

/**
 * Returns the path if every segment is a safe file name.
 *
 * @param known - segments that are known to be safe, which are not checked again, with their normal forms.
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function safePath(path: string, known = new Map<string, string>()): string {
  // A longer one is refused below, but must not be checked segment by segment first.
  const isFarTooLong = path.length > 4 * maxPathBytes
  const segments = isFarTooLong ? [] : path.split('/')
  const safe = segments.map(checkOnce(known)).join('/')
  if (isFarTooLong || Buffer.byteLength(safe) > maxPathBytes) {
    const start = path.slice(0, 40).replace(/[^\x20-\x7e]/g, '?')
    throw new DownloadError(
      'UNSAFE_FILENAME',
      `The path "${start}…" is longer than ${String(maxPathBytes)} bytes.`,
    )
  }
  return safe
}

function checkOnce(known: Map<string, string>): (segment: string) => string {
  return (segment) => {
    const before = known.get(segment)
    if (before !== undefined) return before
    const checked = checkFilename(segment)
    known.set(segment, checked)
    return checked
  }
}

/**
 * A dot that isn't the first character, followed by a letter or digit: `model.gguf`, `model.gguf-split-a`,
 * not `.env`.
 */
const extension = /.\.[a-z0-9]/i

const separatorOrControl = /[/\\]|\p{Cc}/u

// ---- Names that a server chooses. They are cleaned rather than refused, because nobody can correct them.

/** Characters that are removed, because they only hide or reorder text, and those that are replaced by `_`. */
const invisible = /[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g
const replaced = /[/\\:<>"|?*]|\p{Cc}|\p{Cs}/gu

/** Characters that could do harm on a terminal, or mislead a reader. */
const unprintable = new RegExp(`${invisible.source}|\\p{Cc}|\\p{Cs}`, 'gu')

/** A name or path of somebody else as it may be shown: harmful characters are written as escapes. */
export function displayedPath(path: string): string {
  return path.replace(unprintable, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Longer extensions are cut off like the rest of a name that is too long, in characters. */
const maxKeptExtension = 20

/**
 * Makes a safe file name of a path segment that a server or a repository gives. A name that is safe already stays
 * as it is.
 *
 * @returns a name that {@link checkFilename} accepts; null when nothing is left, or for `.` and `..`.
 */
export function cleanFilename(segment: string): string | null {
  const printable = withoutMiddle(segment).normalize('NFC').replace(invisible, '').replace(replaced, '_')
  let name = withoutTail(printable.replace(/^ +/, ''))
  if (name === '') return null
  const isRefused = (reason: string) => rules.some(([pattern, why]) => why === reason && pattern.test(name))
  if (isRefused(shortOnWindows)) name = name.replaceAll('~', '_')
  if (isRefused(reservedOnWindows) || isRefused(reservedForList)) name = `_${name}`
  if (isRefused(reservedForParts)) name = `${name}_`
  return checkFilename(shortened(name.normalize('NFC')))
}

/** The name without what is certain to be cut later: normalizing a very long one may take quadratic time. */
function withoutMiddle(name: string): string {
  if (name.length <= 2 * maxNameLength) return name
  return name.slice(0, maxNameLength) + name.slice(-maxNameLength)
}

/** The name without dots and spaces at its end. A pattern for that would take quadratic time. */
function withoutTail(name: string): string {
  let end = name.length
  while (name[end - 1] === '.' || name[end - 1] === ' ') end -= 1
  return name.slice(0, end)
}

/** Cuts the part before the extension, so that the name is short enough. */
function shortened(name: string): string {
  if (Buffer.byteLength(name) + longestSuffix <= maxNameBytes) return name
  const dot = name.lastIndexOf('.')
  const kept = name.length - dot <= maxKeptExtension ? name.slice(dot) : ''
  const room = maxNameBytes - longestSuffix - Buffer.byteLength(kept)
  let stem = ''
  let bytes = 0
  for (const character of name) {
    bytes += Buffer.byteLength(character)
    if (bytes > room) break
    stem += character
  }
  return withoutTail(stem) + kept
}

/**
 * Returns the file name that a server chose, cleaned. Of a path, only the last segment is used (RFC 6266 section
 * 4.3).
 *
 * @returns null when nothing is left of the name.
 * @throws DownloadError `UNSAFE_FILENAME` for a path that leads upwards, since such a server should not be trusted,
 * and for the name of a hidden file or of one that configures programs, which only the caller may choose.
 */
function nameFromServer(name: string): string | null {
  const segments = name.split(/[/\\]/)
  if (segments.includes('..')) throw unsafe(name, 'it leads to another folder')
  const cleaned = cleanFilename(segments.at(-1) ?? '')
  if (cleaned !== null) requireNoConfig(cleaned)
  return cleaned
}

/**
 * Refuses a name that a server chose for a file outside of any folder of its own, if programs would take the file
 * for their configuration.
 *
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function requireNoConfig(name: string): void {
  if (!isConfigName(name)) return
  const reason = name.startsWith('.')
    ? 'it is that of a hidden file'
    : 'programs read such a file on their own'
  throw unsafe(name, `the server chose it, and ${reason}; give a file name yourself`)
}

// ---- Names in URLs and headers.

/**
 * The last path segment of a URL, percent-decoded. If slashes in it are escaped, as in the URLs of some object
 * stores, the part after the last one. A segment with escapes that are invalid or not UTF-8 (`100%.gguf`) is used
 * as written.
 *
 * @param accept - checks or cleans the name. Default: {@link checkFilename}, since the caller chose the URL.
 * @returns null when the segment has no extension, as in `/download` or `/`.
 * @throws DownloadError `UNSAFE_FILENAME` when it has one but can't be used, and for `..`, backslashes or control
 * characters hidden in escapes (`..%2f`).
 */
export function filenameFromUrl(
  url: URL,
  accept: (name: string) => string | null = checkFilename,
): string | null {
  const segments = url.pathname.slice(url.pathname.lastIndexOf('/') + 1).split(/%2f/i)
  if (segments.some((segment) => decodeSegment(segment) === '..'))
    throw unsafe(segments.join('/'), 'it leads to another folder')
  const raw = segments.at(-1) ?? ''
  const decoded = decodeSegment(raw)
  const name = decoded ?? raw
  // Escapes of ASCII characters are decoded and checked even if the segment as a whole can't be decoded.
  const seen = decoded ?? raw.replace(/%[0-7][0-9a-f]/gi, decodeURIComponent)
  if (!separatorOrControl.test(seen) && !extension.test(name)) return null
  if (seen !== name) accept(seen)
  const accepted = accept(name)
  return accepted !== null && extension.test(accepted) ? accepted : null
}

function decodeSegment(raw: string): string | null {
  try {
    return decodeURIComponent(raw)
  } catch {
    return null
  }
}

/**
 * The file name in a `Content-Disposition` field (RFC 6266); `filename*` takes precedence over `filename`. The name
 * is cleaned.
 *
 * @returns null when the field has no name or is malformed.
 * @throws DownloadError `UNSAFE_FILENAME` for a path that leads upwards, and for the name of a file that configures
 * programs.
 */
export function filenameFromContentDisposition(header: string): string | null {
  const { parameters } = parse(header)
  const name = parameters.filename
  if (name === undefined) return null
  if (parameters['filename*'] !== undefined) return nameFromServer(name)
  return nameFromServer(decodeRawUtf8(unescapedPath(header) ?? name))
}

/**
 * In a quoted string only quotes and backslashes are escaped with a backslash. Before any other character it belongs
 * to an unescaped Windows path, whose separators the parser has removed.
 *
 * @returns null when the name is no such path.
 */
function unescapedPath(header: string): string | null {
  if (!header.replace(/\\["\\]/g, '').includes('\\')) return null
  const raw = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(header)?.[1]
  return raw?.replaceAll('\\"', '"') ?? null
}

/** Node decodes headers as Latin-1, but many servers send UTF-8, against the RFC. */
function decodeRawUtf8(value: string): string {
  if (/[^\0-\xff]/.test(value) || !/[\x80-\xff]/.test(value)) return value
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'latin1'))
  } catch {
    return value
  }
}

/** What names a file whose name neither the caller nor the URL tells. */
export interface NameSources {
  /** The `Content-Disposition` field of the final response; null when there is none. */
  contentDisposition: string | null
  /** The URL after all redirects. */
  finalUrl: URL
}

/**
 * The name that the server gives a file: that in `Content-Disposition`, else the last segment of the final URL if it
 * has an extension.
 *
 * @returns null when there is none.
 * @throws DownloadError `UNSAFE_FILENAME`, see {@link filenameFromContentDisposition}.
 */
export function filenameFromServer({ contentDisposition, finalUrl }: NameSources): string | null {
  const named = contentDisposition === null ? null : filenameFromContentDisposition(contentDisposition)
  return named ?? filenameFromUrl(finalUrl, nameFromServer)
}

/** A part of a URL that may identify a file: it contains a digit, and is no version of an interface (`v1`). */
const id = /^(?!v\d+$)(?=.*\d)[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/i

/**
 * Makes up a name for a file that nobody names: `download-128713.safetensors`, with what identifies the file in the
 * URL that the caller gave, or `model.safetensors` if nothing does.
 *
 * @param extension - without the dot.
 */
export function madeUpFilename(url: URL, extension: string): string {
  const segments = url.pathname.split('/').reverse()
  const found = [...segments, url.searchParams.get('id') ?? ''].find((part) => id.test(part))
  return `${found === undefined ? 'model' : `download-${found}`}.${extension}`
}

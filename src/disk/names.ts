/**
 * Checks whether file names are safe, and chooses one when the caller names none. Pure.
 *
 * The rules of POSIX and of Windows both apply on every system: a folder of models gets copied, shared and
 * mounted on other systems, where a name that is harmless here must not turn into a device or a stream.
 */
import { parse } from 'content-disposition'
import { DownloadError } from '../errors.js'

/**
 * Bytes of the longest suffix that is appended to file names: `.part.json.` and six characters, for a
 * temporary file.
 */
export const longestSuffix = 17

/** Used when neither the server nor the URL states a file name. */
export const fallbackFilename = 'model.gguf'

/** Maximum length of a file name on ext4, XFS, APFS and NTFS (`NAME_MAX`). */
const maxNameBytes = 255

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
  [/^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)/iu, 'it is reserved on Windows'],
  [/\.part(?:\.json(?:\..{6})?|\.lock|\.adopt)?$/iu, 'its extension is reserved for incomplete downloads'],
  [/^\.model-downloader$/iu, 'it is reserved for the list of downloads'],
]

/**
 * Checks that a name is safe as a single path segment on POSIX systems and on Windows, and short enough for
 * the suffixes of an incomplete download.
 *
 * @returns the name in Unicode normal form C, so that equal names have the same bytes.
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function checkFilename(name: string): string {
  const normal = name.normalize('NFC')
  for (const [pattern, reason] of rules) {
    if (pattern.test(normal)) throw unsafe(name, reason)
  }
  if (Buffer.byteLength(normal) + longestSuffix > maxNameBytes) {
    throw unsafe(name, `it is longer than ${String(maxNameBytes - longestSuffix)} bytes`)
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
 * A dot that isn't the first character, followed by a letter or digit: `model.gguf`, `model.gguf-split-a`,
 * not `.env`.
 */
const extension = /.\.[a-z0-9]/i

const separatorOrControl = /[/\\]|\p{Cc}/u

/**
 * The last path segment of a URL, percent-decoded. A segment with escapes that are invalid or not UTF-8
 * (`100%.gguf`) is used as written.
 *
 * @returns null when the segment has no extension, as in `/download` or `/`.
 * @throws DownloadError `UNSAFE_FILENAME` when it has one but can't be used, and for separators or control
 * characters hidden in escapes (`..%2f`).
 */
export function filenameFromUrl(url: URL): string | null {
  const raw = url.pathname.slice(url.pathname.lastIndexOf('/') + 1)
  const decoded = decodeSegment(raw)
  const name = decoded ?? raw
  // Escapes of ASCII characters are decoded and checked even if the segment as a whole can't be decoded.
  const seen = decoded ?? raw.replace(/%[0-7][0-9a-f]/gi, decodeURIComponent)
  if (!separatorOrControl.test(seen) && !extension.test(name)) return null
  if (seen !== name) checkFilename(seen)
  return checkFilename(name)
}

function decodeSegment(raw: string): string | null {
  try {
    return decodeURIComponent(raw)
  } catch {
    return null
  }
}

/**
 * The file name in a `Content-Disposition` field (RFC 6266); `filename*` takes precedence over `filename`.
 *
 * @returns null when the field has no name or is malformed.
 * @throws DownloadError `UNSAFE_FILENAME` when the name can't be used. RFC 6266 section 4.3 allows a
 * recipient to reduce a path to its last segment; here it is refused, since a server that sends a path
 * shouldn't be trusted.
 */
export function filenameFromContentDisposition(header: string): string | null {
  const { parameters } = parse(header)
  const name = parameters.filename
  if (name === undefined || name === '') return null
  if (parameters['filename*'] !== undefined) return checkFilename(name)
  // In a quoted string only quotes and backslashes are escaped with a backslash. Before any other character
  // it belongs to an unescaped Windows path, whose separators the parser has just removed.
  if (header.replace(/\\["\\]/g, '').includes('\\')) throw unsafe(name, 'it contains a path separator')
  return checkFilename(decodeRawUtf8(name))
}

/** Node decodes headers as Latin-1, but many servers send UTF-8, against the RFC. */
function decodeRawUtf8(value: string): string {
  if (!/^[\0-\xff]*[\x80-\xff][\0-\xff]*$/.test(value)) return value
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'latin1'))
  } catch {
    return value
  }
}

/** Where {@link chooseFilename} gets the name from. */
export interface NameSources {
  /** The `Content-Disposition` field of the final response; null when there is none. */
  contentDisposition: string | null
  /** The URL after all redirects. */
  finalUrl: URL
}

/**
 * Chooses the file name when the caller gave none: the name in `Content-Disposition`, else the last segment
 * of the final URL if it has an extension, else {@link fallbackFilename}.
 *
 * @throws DownloadError `UNSAFE_FILENAME` when the server or the URL states a name that can't be used.
 */
export function chooseFilename({ contentDisposition, finalUrl }: NameSources): string {
  const named = contentDisposition === null ? null : filenameFromContentDisposition(contentDisposition)
  return named ?? filenameFromUrl(finalUrl) ?? fallbackFilename
}

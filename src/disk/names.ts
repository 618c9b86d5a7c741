/**
 * File names: which ones are safe, and where one comes from when the caller names none. Pure.
 *
 * The rules of POSIX and of Windows both hold on every system: a folder of models gets copied, shared and mounted
 * elsewhere, and a name that is harmless here must not turn into a device or a stream there.
 */
import { parse } from 'content-disposition'
import { DownloadError } from '../errors.js'

/** Most bytes that are ever appended to a file name: `.part.json.` and six characters, for the journal's temp file. */
export const longestSuffix = 17

/** The name for a file that neither its server nor its URL names. */
export const fallbackFilename = 'model.gguf'

/** What a name component may have on ext4, XFS, APFS and NTFS alike (`NAME_MAX`). */
const maxNameBytes = 255

/** In the order in which they are told. Each pattern means "refused". */
const rules: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^$/, 'it is empty'],
  [/^\.{1,2}$/, 'it means a folder'],
  [/[/\\]/, 'it holds a path separator'],
  [/\p{Cc}/u, 'it holds a control character'],
  // Marks that reorder or hide text: `exe.fugg` must not be shown as `gguf.exe`.
  [
    /[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/,
    'it holds an invisible or direction-changing character',
  ],
  [/[:<>"|?*]/, 'it holds one of : < > " | ? *'],
  [/\p{Cs}/u, 'it is not valid Unicode'],
  [/^ /, 'it begins with a space'],
  [/[. ]$/, 'it ends with a dot or a space'],
  // Windows looks at what precedes the first dot, blanks dropped: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
  [/^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)/iu, 'it is reserved on Windows'],
  [/\.part(?:\.json(?:\..{6})?|\.lock|\.adopt)?$/iu, 'its ending is kept for unfinished downloads'],
  [/^\.model-downloader$/iu, 'it is kept for the list of downloads'],
]

/**
 * Checks that a name is safe as one path segment on POSIX systems and on Windows, and leaves room for the suffixes
 * that an unfinished download has.
 *
 * @returns the name in Unicode normal form C, so that one name has one spelling.
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
  // The message ends up on terminals and in logs, where the very characters that are refused would do their harm.
  const printable = shown.replace(/[^\x20-\x7e…]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  return new DownloadError('UNSAFE_FILENAME', `The file name "${printable}" cannot be used: ${reason}.`)
}

/** A dot, not the first character, and something after it: `model.gguf`, `model.gguf-split-a`, not `.env`. */
const extension = /.\.[a-z0-9]/i

const separatorOrControl = /[/\\]|\p{Cc}/u

/**
 * The last path segment of a URL, percent-decoded. One with an escape that is not UTF-8 (`100%.gguf`) is taken as it
 * is written.
 *
 * @returns null when the segment has no extension, as in `/download` or `/`.
 * @throws DownloadError `UNSAFE_FILENAME` when it has one but can't be used, and for separators or control
 * characters hidden in escapes (`..%2f`).
 */
export function filenameFromUrl(url: URL): string | null {
  const raw = url.pathname.slice(url.pathname.lastIndexOf('/') + 1)
  const decoded = decodeSegment(raw)
  const name = decoded ?? raw
  // What the escapes of ASCII characters stand for is looked at even when the segment as a whole can't be decoded.
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
 * The name in a `Content-Disposition` field (RFC 6266); `filename*` wins over `filename`.
 *
 * @returns null when the field holds no name, or is garbage.
 * @throws DownloadError `UNSAFE_FILENAME` when it holds one that can't be used. RFC 6266 section 4.3 lets a recipient
 * cut a path down to its last segment; a server that sends one is not to be trusted with the rest either.
 */
export function filenameFromContentDisposition(header: string): string | null {
  const { parameters } = parse(header)
  const name = parameters.filename
  if (name === undefined || name === '') return null
  if (parameters['filename*'] !== undefined) return checkFilename(name)
  // In a quoted string only quotes and backslashes need a backslash. Before anything else it is a Windows path that
  // was not escaped, and the parser has just made one word of it.
  if (header.replace(/\\["\\]/g, '').includes('\\')) throw unsafe(name, 'it holds a path separator')
  return checkFilename(decodeRawUtf8(name))
}

/** Header bytes come as Latin-1; many servers, against the RFC, mean UTF-8. */
function decodeRawUtf8(value: string): string {
  if (!/^[\0-\xff]*[\x80-\xff][\0-\xff]*$/.test(value)) return value
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'latin1'))
  } catch {
    return value
  }
}

/** Where {@link chooseFilename} looks. */
export interface NameSources {
  /** The `Content-Disposition` field of the final response, when there is one. */
  contentDisposition: string | null
  /** The URL after all redirects. */
  finalUrl: URL
}

/**
 * The name for a file that the caller didn't name: what the server says, else the last segment of the final URL when
 * that has an extension, else {@link fallbackFilename}.
 *
 * @throws DownloadError `UNSAFE_FILENAME` when the server or the URL names one that can't be used.
 */
export function chooseFilename({ contentDisposition, finalUrl }: NameSources): string {
  const named = contentDisposition === null ? null : filenameFromContentDisposition(contentDisposition)
  return named ?? filenameFromUrl(finalUrl) ?? fallbackFilename
}

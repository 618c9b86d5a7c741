/**
 * Decides whether a text from a caller is a plain URL or a ref, which source it belongs to, and what its file
 * is called. The manager, the catalog, the CLI and the logs all use this, each with its own registry of
 * sources.
 */
import { checkFilename, cleanFilename, fallbackFilename, filenameFromUrl } from '../disk/names.js'
import { DownloadError, toDownloadError } from '../errors.js'
import type { RemoteGrant } from '../net/address-policy.js'
import { redactUrl } from '../util/redact.js'
import type { Source, SourceRegistry } from './source.js'

/** The result of {@link identify}. */
export type Identified =
  | {
      kind: 'url'
      /** Normalised, without the fragment. */
      url: URL
      /** File name from the last segment of the URL's path; null when there is none. */
      filename: string | null
    }
  | {
      kind: 'ref'
      source: Source
      /** Name of its only file, if the ref alone determines it; otherwise null. */
      filename: string | null
    }

/**
 * Identifies a text and validates it.
 *
 * @param registry - the sources to consider. They come before plain URLs, so a source can claim links to its
 * web pages.
 * @param remote - set for a remote caller, whose URL must not contain a user name or password.
 * @param restrictNames - whether a name that can't be used is cleaned instead of being refused.
 * @throws DownloadError `INVALID_URL` for a text that is neither a ref nor an http or https URL, and for a
 * ref that its source rejects; `UNSAFE_FILENAME` when it gives the file a name that can't be
 * used; `INTERNAL` when the source throws anything but a DownloadError.
 */
export function identify(
  text: string,
  registry: Pick<SourceRegistry, 'find'>,
  remote: RemoteGrant | null = null,
  restrictNames = false,
): Identified {
  const accept = restrictNames
    ? (name: string) => cleanFilename(name) ?? checkFilename(name)
    : (name: string) => checkFilename(name)
  const source = registry.find(text)
  if (source === null) {
    const likely = likelyMeaning(text, registry)
    if (likely !== null)
      throw new DownloadError('INVALID_URL', `The URL is not valid. Did you mean ${likely}?`)
    const url = parseUrl(text, remote)
    return { kind: 'url', url, filename: filenameFromUrl(url, accept) }
  }
  requireNotLocal(source, remote)
  return { kind: 'ref', source, filename: filenameFromRef(text, source, accept) }
}

/**
 * Checks that a caller may use a source at all.
 *
 * @throws DownloadError `INVALID_URL` for files of this machine and a remote caller, as for any other URL that is not http
 * or https.
 */
export function requireNotLocal({ local = false }: Pick<Source, 'local'>, remote: RemoteGrant | null): void {
  if (!local || remote === null) return
  throw new DownloadError(
    'INVALID_URL',
    'Only http and https URLs can be downloaded, not files of this machine.',
  )
}

/** The parts of a path that hold nothing secret and need no quotes in a shell. */
const plainPath = /^[\w.-]{1,96}(?:\/[\w.-]{1,96}){1,15}(?::[\w.-]{1,64})?(?:@[\w./-]{1,96})?$/

/**
 * What somebody most likely means by a text without a scheme: a URL that begins with its host, or the name of a
 * repository or model as a hub's pages show it. Null for every other text.
 */
function likelyMeaning(text: string, registry: Pick<SourceRegistry, 'find'>): string | null {
  const [first = ''] = text.split('/')
  const isHost = /^(?:[a-z0-9-]+\.)+[a-z]{2,}$/i.test(first)
  if (plainPath.test(text) && !/^\.{1,2}\//.test(text)) {
    if (isHost) return `https://${text}`
    if (isRefOf(`hf:${text}`, registry)) return `hf:${text}`
  }
  if (/^[a-z0-9][\w.-]{0,63}:[\w.-]{1,64}$/i.test(text) && !/^[a-z]:|^https?:|:\d+$/i.test(text)) {
    if (isRefOf(`ollama:${text}`, registry)) return `ollama:${text}`
  }
  return null
}

/** Whether a source knows a ref and finds nothing wrong with it. */
function isRefOf(ref: string, registry: Pick<SourceRegistry, 'find'>): boolean {
  const source = registry.find(ref)
  if (source === null) return false
  try {
    filenameFromRef(ref, source, checkFilename)
    return true
  } catch {
    return false
  }
}

/** The source may belong to the host application, so it may throw anything and return values of the wrong type. */
function filenameFromRef(ref: string, source: Source, accept: (name: string) => string): string | null {
  try {
    const filename: unknown = source.filenameOf?.(ref) ?? null
    if (filename === null) return null
    if (typeof filename !== 'string')
      throw new TypeError(`filenameOf of the source ${source.name} returned neither a string nor null`)
    return accept(filename)
  } catch (error) {
    throw toDownloadError(error)
  }
}

/**
 * Whether a text is a ref. Unlike {@link identify} this never throws, and it also recognises a ref whose
 * source the host has since removed: a text without an http or https scheme can only be a ref.
 */
export function isRef(text: string, registry: Pick<SourceRegistry, 'find'>): boolean {
  return registry.find(text) !== null || !isHttp(text)
}

/**
 * Whether a text is written like a ref: with a scheme other than http and https that no slash follows. Whether a source
 * knows it is decided elsewhere.
 */
export function hasRefScheme(text: string): boolean {
  return !isHttp(text) && /^[a-z][a-z0-9+.-]*:(?![\\/])/i.test(text)
}

/** What follows the name of a repository in the addresses of its pages. */
const ofPages = /\/(?:tree|blob|resolve|files|summary|tags)(?:\/.*)?$/s

/**
 * The name of a ref's files until its source has told it: the last part of the ref, such as `repository` for
 * `hf:owner/repository@main`.
 *
 * @returns a safe file name.
 */
export function provisionalFilename(ref: string): string {
  const path = ref
    .replace(/^[a-z][a-z0-9+.-]*:/i, '')
    .replace(/[?#].*$/s, '')
    .replace(/(?<=[^/])@.*$/s, '')
    .replace(ofPages, '')
  const last = path.split('/').findLast((part) => part !== '' && !part.includes('*')) ?? ''
  return cleanFilename(last) ?? fallbackFilename
}

/**
 * The same text for all spellings of a URL or a ref. http and https URLs are normalized and lose their fragment. Of a
 * ref, only the scheme is written in lower case, because only its source knows what `?` and `#` mean in it.
 */
export function canonicalText(text: string): string {
  if (!isHttp(text) || !URL.canParse(text))
    return text.replace(/^[a-z][a-z0-9+.-]*:/i, (scheme) => scheme.toLowerCase())
  const url = new URL(text)
  url.hash = ''
  return url.href
}

/**
 * A URL or a ref for logs and messages, without secrets. A ref is public, apart from an appended query or
 * fragment; the part after its `@` is a revision, not a host. The userinfo and query of a URL are removed,
 * also when it is inside a ref.
 */
export function displayName(text: string, registry: Pick<SourceRegistry, 'find'>): string {
  if (isHttp(text) || registry.find(text) === null) return redactUrl(text)
  const inner = /^[a-z][a-z0-9+.-]*:(?=[a-z][a-z0-9+.-]*:\/\/)/i.exec(text)?.[0]
  if (inner !== undefined) return inner + redactUrl(text.slice(inner.length))
  if (text.includes('://')) return redactUrl(text)
  const cut = text.search(/[?#]/)
  if (cut === -1) return text
  return text.slice(0, cut) + (text[cut] === '?' ? '?…' : '')
}

function isHttp(text: string): boolean {
  return /^https?:/i.test(text)
}

const forbiddenInUrl = /[\u0000-\u0020\u007f\\]/

/**
 * Checks and normalises a URL. It must be http or https, have a host, and contain no white space, control
 * character or backslash. The fragment is removed.
 *
 * @param remote - set for a remote caller, whose URL must not contain a user name or password either.
 * @throws DownloadError `INVALID_URL`.
 */
export function parseUrl(input: string, remote: RemoteGrant | null = null): URL {
  if (forbiddenInUrl.test(input)) {
    throw new DownloadError(
      'INVALID_URL',
      'The URL contains white space, a backslash or a control character.',
    )
  }
  let url: URL
  try {
    url = new URL(input)
  } catch {
    // No cause: its message repeats the URL, and the tokens in it would end up in logs.
    throw new DownloadError('INVALID_URL', 'The URL is not valid.')
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new DownloadError('INVALID_URL', `Only http and https URLs can be downloaded, not ${url.protocol}`)
  }
  if (remote !== null && (url.username !== '' || url.password !== '')) {
    throw new DownloadError('INVALID_URL', 'The URL must not contain a user name or password.')
  }
  url.hash = ''
  return url
}

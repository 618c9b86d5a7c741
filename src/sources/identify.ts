/**
 * Decides what a text that a caller asks for is: a plain URL or a ref, of which source, and what its file is called. The
 * manager, the catalog, the command and the logs all ask here, each with the registry that counts for them.
 */
import { checkFilename, filenameFromUrl } from '../disk/names.js'
import { DownloadError } from '../errors.js'
import type { RemoteGrant } from '../net/address-policy.js'
import { redactUrl } from '../util/redact.js'
import type { Source, SourceRegistry } from './source.js'

/** What a text turned out to be. */
export type Identified =
  | {
      kind: 'url'
      /** Normalised, without its fragment. */
      url: URL
      /** The name that the URL's path gives the file, or null. */
      filename: string | null
    }
  | {
      kind: 'ref'
      source: Source
      /** The name of its one file, as far as the ref alone says; null otherwise. */
      filename: string | null
    }

/**
 * Identifies a text and checks it on the way.
 *
 * @param registry - the sources that count; they are asked first, so a source may claim links of its web pages.
 * @param remote - not null for a remote caller, whose URL must not hold a user or a password.
 * @throws DownloadError `INVALID_URL` for a text that is neither a ref nor an http or https URL, and for a ref that its
 * source refuses; `UNSAFE_FILENAME` when the name that it gives its file can't be used.
 */
export function identify(
  text: string,
  registry: Pick<SourceRegistry, 'find'>,
  remote: RemoteGrant | null = null,
): Identified {
  const source = registry.find(text)
  if (source === null) {
    const url = parseUrl(text, remote)
    return { kind: 'url', url, filename: filenameFromUrl(url) }
  }
  const filename = source.filenameOf?.(text) ?? null
  return { kind: 'ref', source, filename: filename === null ? null : checkFilename(filename) }
}

/**
 * Whether a text is a ref. Unlike {@link identify} it never throws, so that it can also be asked about a ref whose
 * source the host has since removed: what has no http or https scheme can only be a ref.
 */
export function isRef(text: string, registry: Pick<SourceRegistry, 'find'>): boolean {
  return registry.find(text) !== null || !isHttp(text)
}

/**
 * A URL or a ref for logs and messages, without secrets. A ref is public up to a query or a fragment that somebody
 * appended; what stands behind its `@` is a revision. A URL loses its userinfo and its query, also inside a ref.
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
 * Checks and normalises a URL: http or https, a host, no white space, control character or backslash; the fragment
 * is dropped.
 *
 * @param remote - not null for a remote caller's URL, which must not hold user or password either.
 * @throws DownloadError `INVALID_URL`.
 */
export function parseUrl(input: string, remote: RemoteGrant | null = null): URL {
  if (forbiddenInUrl.test(input)) {
    throw new DownloadError('INVALID_URL', 'The URL holds white space, a backslash or a control character.')
  }
  let url: URL
  try {
    url = new URL(input)
  } catch {
    // Without the cause: it repeats the URL, and with it tokens, to whoever logs the error.
    throw new DownloadError('INVALID_URL', 'The URL is not valid.')
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new DownloadError('INVALID_URL', `Only http and https URLs can be fetched, not ${url.protocol}`)
  }
  if (remote !== null && (url.username !== '' || url.password !== '')) {
    throw new DownloadError('INVALID_URL', 'The URL must not hold a user or a password.')
  }
  url.hash = ''
  return url
}

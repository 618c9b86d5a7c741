/** Follows redirects (transfer rule 7; RFC 9110 section 15.4). Pure. */
import { DownloadError } from '../errors.js'

/** The URL and headers of a request in a chain of redirects. */
export interface Hop {
  url: URL
  /** The caller's headers; empty after a redirect to another origin. */
  headers: Readonly<Record<string, string>>
  /** Redirects followed so far. */
  count: number
}

const redirectStatuses = new Set([301, 302, 303, 307, 308])

/** Whether a status is a redirect. */
export function isRedirect(status: number): boolean {
  return redirectStatuses.has(status)
}

/**
 * The hop after a redirect.
 *
 * @throws DownloadError `TOO_MANY_REDIRECTS`; `REDIRECT_BLOCKED` from https to http or to another scheme;
 * `PROTOCOL_ERROR` without a usable `Location`.
 */
export function nextHop(hop: Hop, location: string | null, maxRedirects: number): Hop {
  if (hop.count >= maxRedirects) {
    throw new DownloadError('TOO_MANY_REDIRECTS', `The server redirected more than ${maxRedirects} times.`)
  }
  if (location === null) {
    throw new DownloadError('PROTOCOL_ERROR', 'The server sent a redirect without a Location header.', {
      retryable: true,
    })
  }
  let url: URL
  try {
    url = new URL(location, hop.url)
  } catch (cause) {
    throw new DownloadError('PROTOCOL_ERROR', 'The server redirects to an invalid address.', {
      cause,
      retryable: true,
    })
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new DownloadError('REDIRECT_BLOCKED', `The server redirects to a ${url.protocol} address.`)
  }
  if (hop.url.protocol === 'https:' && url.protocol === 'http:') {
    throw new DownloadError('REDIRECT_BLOCKED', 'The server redirects from https to http.')
  }
  url.hash = ''
  const sameOrigin = url.origin === hop.url.origin
  return { url, headers: sameOrigin ? hop.headers : {}, count: hop.count + 1 }
}

/**
 * The first hop of a request. Userinfo in the URL becomes Basic authorization (RFC 7617), unless the caller's
 * headers contain an `Authorization`.
 */
export function firstHop(input: URL, headers: Readonly<Record<string, string>>): Hop {
  const url = new URL(input)
  const { username, password } = url
  url.username = ''
  url.password = ''
  if (username === '' && password === '') return { url, headers, count: 0 }
  if (Object.keys(headers).some((name) => name.toLowerCase() === 'authorization'))
    return { url, headers, count: 0 }
  const credentials = `${decoded(username)}:${decoded(password)}`
  const authorization = `Basic ${Buffer.from(credentials, 'utf8').toString('base64')}`
  return { url, headers: { ...headers, authorization }, count: 0 }
}

/** A `%` that doesn't begin an escape is taken literally, as in browsers. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

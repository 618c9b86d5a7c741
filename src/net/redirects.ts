/** Follows redirects (transfer rule 7; RFC 9110 section 15.4). Pure. */
import { DownloadError } from '../errors.js'
import { type Cookie, cookieHeader, withCookies } from './cookies.js'
import { deterministic } from './errors.js'
import { cookiesOf, type HostSecrets, netrcLogin } from './host-secrets.js'
import type { ResponseHead } from './exchange.js'
import { linkedDigests, type ServerDigest } from './server-digests.js'

/** The URL and headers of a request in a chain of redirects. */
export interface Hop {
  url: URL
  /** The caller's headers; empty after a redirect to another origin. */
  headers: Readonly<Record<string, string>>
  /** Redirects followed so far. */
  count: number
  /** Cookies that the redirects before it have set. */
  cookies?: readonly Cookie[] | undefined
  /** Cookies of the user, for the hosts that they belong to. */
  ownCookies?: readonly Cookie[] | undefined
  /** What the redirects before it say about the digest of the file that they lead to. */
  digests?: readonly ServerDigest[] | undefined
}

/** Returns the headers to send to a hop: the caller's, and the cookies of the user and of redirects that are for it. */
export function headersOf(hop: Hop): Readonly<Record<string, string>> {
  const { url, headers, ownCookies = [] } = hop
  const cookies = ownCookies.length === 0 ? (hop.cookies ?? []) : cookiesOf(ownCookies, hop.cookies ?? [])
  if (cookies.length === 0) return headers
  const given = Object.entries(headers).find(([name]) => name.toLowerCase() === 'cookie')
  const cookie = cookieHeader(cookies, url, given?.[1] ?? null)
  if (cookie === null) return headers
  const others = Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'cookie')
  return { ...Object.fromEntries(others), cookie }
}

/**
 * The hop after the response to a request was a redirect.
 *
 * @param now - milliseconds since the epoch, for cookies that expire.
 * @throws DownloadError see {@link nextHop}.
 */
export function followRedirect(hop: Hop, { headers }: ResponseHead, maxRedirects: number, now: number): Hop {
  const locations = [...new Set([headers['location'] ?? []].flat())]
  if (locations.length > 1) {
    throw broken('The server redirects to several addresses at once.')
  }
  const next = nextHop(hop, locations[0] ?? null, maxRedirects)
  const set = [headers['set-cookie'] ?? []].flat()
  const cookies = withCookies(hop.cookies ?? [], set, hop.url, now)
  const { ownCookies } = hop
  const stated = linkedDigests(headers)
  const digests = stated.length === 0 ? hop.digests : stated
  return {
    ...next,
    ...(ownCookies === undefined ? {} : { ownCookies }),
    ...(cookies.length === 0 ? {} : { cookies }),
    ...(digests === undefined ? {} : { digests }),
  }
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
 * `PROTOCOL_ERROR` without a usable `Location`, retryable unless it is empty.
 */
export function nextHop(hop: Hop, location: string | null, maxRedirects: number): Hop {
  if (hop.count >= maxRedirects) {
    throw new DownloadError('TOO_MANY_REDIRECTS', `The server redirected more than ${maxRedirects} times.`)
  }
  if (location === null) {
    throw broken('The server sent a redirect without a Location header.')
  }
  if (location.trim() === '') {
    throw new DownloadError('PROTOCOL_ERROR', 'The server sent a redirect with an empty Location header.')
  }
  let url: URL
  try {
    url = new URL(escapeBytes(location), hop.url)
  } catch (cause) {
    throw broken('The server redirects to an invalid address.', cause)
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

function broken(message: string, cause?: unknown): DownloadError {
  return deterministic(new DownloadError('PROTOCOL_ERROR', message, { cause, retryable: true }))
}

/**
 * Header values are read as Latin-1, so that each character stands for a byte. Servers put raw UTF-8 or Latin-1 into
 * `Location`, and recognize these bytes only when they are escaped one by one.
 */
function escapeBytes(location: string): string {
  if (/[^\0-\xff]/.test(location)) return location
  return location.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
}

/**
 * The first hop of a request. Userinfo in the URL becomes Basic authorization (RFC 7617), and so does the login that the
 * user has for the host, unless the caller's headers contain an `Authorization`.
 *
 * @param secrets - those of the user; null for a remote caller.
 */
export function firstHop(
  input: URL,
  headers: Readonly<Record<string, string>>,
  secrets: HostSecrets | null = null,
): Hop {
  const url = new URL(input)
  const { username, password } = url
  url.username = ''
  url.password = ''
  const own = secrets === null || secrets.cookies.length === 0 ? {} : { ownCookies: secrets.cookies }
  const plain = { url, headers, count: 0, ...own }
  if (Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')) return plain
  const given = { login: decoded(username), password: decoded(password) }
  // A password in the URL decides, even if it is wrong.
  const known = password === '' ? netrcLogin(secrets?.netrc ?? [], url.hostname, given.login) : null
  if (known === null && username === '' && password === '') return plain
  const { login, password: secret } = known ?? given
  const authorization = `Basic ${Buffer.from(`${login}:${secret}`, 'utf8').toString('base64')}`
  return { ...plain, headers: { ...headers, authorization } }
}

/** A `%` that doesn't begin an escape is taken literally, as in browsers. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

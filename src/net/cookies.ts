/**
 * The cookies of one chain of redirects (RFC 6265). Some servers redirect until a cookie comes back, so a cookie that
 * a redirect sets is sent to the same site for the rest of the chain, and then forgotten. Pure.
 */

/** A cookie that a redirect has set. */
export interface Cookie {
  name: string
  value: string
  /** The host that set it, or the domain that it is for; without a leading dot, in lower case. */
  domain: string
  /** Sent to exactly `domain`, not to hosts below it. */
  hostOnly: boolean
  path: string
  /** Sent over https only. */
  secure: boolean
}

/** More cookies than these, or longer ones, are dropped. */
const maxCookies = 50
const maxCookieChars = 4096

/** Characters that a header line must not contain. */
const unsafe = /[^\t\x20-\x7e\x80-\xff]/

/**
 * Adds the cookies of a response to those of its chain.
 *
 * @param setCookie - the lines of `Set-Cookie`.
 * @param url - the URL that was requested.
 * @param now - milliseconds since the epoch; a cookie that has expired by then is deleted.
 */
export function withCookies(
  known: readonly Cookie[],
  setCookie: readonly string[],
  url: URL,
  now: number,
): readonly Cookie[] {
  let cookies = known
  for (const line of setCookie) {
    const parsed = parse(line, url, now)
    if (parsed === null) continue
    const { cookie, expired } = parsed
    const others = cookies.filter(
      ({ name, domain, path }) => name !== cookie.name || domain !== cookie.domain || path !== cookie.path,
    )
    cookies = expired ? others : [...others, cookie].slice(-maxCookies)
  }
  return cookies
}

/**
 * Returns the `Cookie` header for a request: the caller's, if there is one, with the cookies that redirects have set.
 *
 * @param given - the caller's header; a cookie of the same name is replaced.
 * @returns null when there is nothing to send.
 */
export function cookieHeader(cookies: readonly Cookie[], url: URL, given: string | null): string | null {
  const sent = cookies.filter((cookie) => isFor(cookie, url))
  const names = new Set(sent.map(({ name }) => name))
  const kept = (given ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '' && !names.has(pair.split('=', 1)[0]?.trim() ?? ''))
  const pairs = [...kept, ...sent.map(({ name, value }) => `${name}=${value}`)]
  return pairs.length === 0 ? null : pairs.join('; ')
}

function isFor({ domain, hostOnly, path, secure }: Cookie, url: URL): boolean {
  if (secure && url.protocol !== 'https:') return false
  const { hostname, pathname } = url
  if (hostname !== domain && (hostOnly || !hostname.endsWith(`.${domain}`))) return false
  return pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`)
}

function parse(line: string, url: URL, now: number): { cookie: Cookie; expired: boolean } | null {
  if (line.length > maxCookieChars || unsafe.test(line)) return null
  const [pair = '', ...rest] = line.split(';')
  const at = pair.indexOf('=')
  const name = pair.slice(0, at).trim()
  if (at < 1 || name === '') return null
  const value = pair.slice(at + 1).trim()
  const attributes = new Map(
    rest.map((part) => {
      const [key = '', ...values] = part.split('=')
      return [key.trim().toLowerCase(), values.join('=').trim()]
    }),
  )
  const asked = (attributes.get('domain') ?? '').toLowerCase().replace(/^\./, '')
  const secure = attributes.has('secure')
  if (secure && url.protocol !== 'https:') return null
  // The domain must be above the host, and not a whole top-level domain. An address has no domains.
  const isAbove = url.hostname.endsWith(`.${asked}`) && asked.includes('.') && !/^[\d.]+$/.test(url.hostname)
  if (asked !== '' && asked !== url.hostname && !isAbove) return null
  const stated = attributes.get('path') ?? ''
  const path = stated.startsWith('/')
    ? stated
    : url.pathname.slice(0, Math.max(1, url.pathname.lastIndexOf('/')))
  const hostOnly = asked === ''
  if (name.startsWith('__Secure-') && !secure) return null
  if (name.startsWith('__Host-') && !(secure && hostOnly && path === '/')) return null
  const cookie = { name, value, domain: hostOnly ? url.hostname : asked, hostOnly, path, secure }
  return { cookie, expired: isExpired(attributes, now) }
}

/** `Max-Age` takes precedence over `Expires`. */
function isExpired(attributes: ReadonlyMap<string, string>, now: number): boolean {
  const age = attributes.get('max-age') ?? ''
  if (/^-?\d+$/.test(age)) return Number(age) <= 0
  const expires = Date.parse(attributes.get('expires') ?? '')
  return !Number.isNaN(expires) && expires <= now
}

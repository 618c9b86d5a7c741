/** Reads cookie files in the format of Netscape, which curl, wget, aria2 and browser extensions write. Pure. */
import { getDomain } from 'tldts'
import type { Cookie } from '../../net/cookies.js'

/** The cookies of a file, and the first line that is none. */
export interface CookieFile {
  cookies: Cookie[]
  /** Number of that line, from 1; null if all lines could be read. */
  badLine: number | null
}

/** Characters that a cookie must not contain (RFC 6265 section 4.1.1), and those that could end the header line. */
const unsafe = /[^\t\x20-\x3a\x3c-\x7e\x80-\xff]/

/**
 * Parses a cookie file. Each line has the domain, whether its sub-domains are included, the path, whether https is needed,
 * when the cookie expires in seconds since 1970 (0: with the session), the name and the value, separated by tabs. A line
 * that begins with `#` is a comment, unless it begins with `#HttpOnly_`.
 *
 * @param nowSeconds - cookies that have expired by then are left out.
 */
export function parseCookieFile(text: string, nowSeconds: number): CookieFile {
  const cookies: Cookie[] = []
  let badLine: number | null = null
  for (const [index, raw] of text.split(/\r\n|[\n\r]/).entries()) {
    const line = raw.replace(/^#HttpOnly_/i, '')
    if (line.trim() === '' || line.startsWith('#')) continue
    const parsed = parseLine(line)
    if (parsed === null) badLine ??= index + 1
    else if (parsed.expires === 0 || parsed.expires > nowSeconds) cookies.push(parsed.cookie)
  }
  return { cookies, badLine }
}

function parseLine(line: string): { cookie: Cookie; expires: number } | null {
  const [given = '', below, path = '', secureText, expiresText = '', name = '', ...rest] = line.split('\t')
  // A value may contain tabs, or be missing together with the tab before it.
  const value = rest.join('\t')
  const domain = given.trim().toLowerCase().replace(/^\./, '')
  const expires = Number(expiresText.trim() === '' ? 'NaN' : expiresText)
  const isBoolean = (text = '') => /^(?:true|false)$/i.test(text)
  if (!/^[^\s/:]+$|^[\da-f:.]+$|^\[[\da-f:.]+\]$/.test(domain) || !path.startsWith('/')) return null
  if (!isBoolean(below) || !isBoolean(secureText) || !Number.isFinite(expires) || name === '') return null
  if (unsafe.test(name) || unsafe.test(value) || name.includes('=')) return null
  const secure = /^true$/i.test(secureText ?? '')
  // Nobody may set a cookie for a whole top-level domain, and an address has no sub-domains.
  const hostOnly = !/^true$/i.test(below ?? '') || getDomain(domain, { allowPrivateDomains: true }) === null
  if (name.startsWith('__Secure-') && !secure) return null
  if (name.startsWith('__Host-') && !(secure && path === '/')) return null
  const isHost = hostOnly || name.startsWith('__Host-')
  return { cookie: { name, value, domain, hostOnly: isHost, path, secure }, expires: Math.max(0, expires) }
}

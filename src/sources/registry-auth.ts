/**
 * How a registry asks for a token, and whom it may send us to for it. Pure.
 *
 * https://distribution.github.io/distribution/spec/auth/token/
 */
import { DownloadError } from '../errors.js'
import { urlOf } from './ref-parts.js'

/** Where a token is to be had. */
export interface Challenge {
  realm: string
  service: string | null
  scope: string | null
}

// One parameter, with the name of its scheme before it where a challenge begins (RFC 9110 section 11.6.1). Everything is
// bounded, so that an odd header takes no longer than a plain one.
const piece =
  /(?:([A-Za-z][\w-]{0,40})[ \t]{1,8}(?=[\w-]{1,40}[ \t]{0,8}=))?([\w-]{1,40})[ \t]{0,8}=[ \t]{0,8}(?:"((?:[^"\\]|\\.){0,4096})"|([^\s,"]{1,4096}))/g

/** The Bearer challenge of a `WWW-Authenticate` header; null when there is none. */
export function parseChallenge(header: string): Challenge | null {
  let scheme = ''
  const found = new Map<string, string>()
  for (const [, begins, key = '', quoted, bare = ''] of header.slice(0, 16_384).matchAll(piece)) {
    if (begins !== undefined) scheme = begins.toLowerCase()
    const name = key.toLowerCase()
    if (scheme !== 'bearer' || found.has(name)) continue
    found.set(name, quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'))
  }
  const realm = found.get('realm')
  if (realm === undefined) return null
  return { realm, service: found.get('service') ?? null, scope: found.get('scope') ?? null }
}

/** Sites that are one service. */
const pairs: readonly (readonly [string, string])[] = [
  ['ollama.ai', 'ollama.com'],
  ['hf.co', 'huggingface.co'],
]

/**
 * Under these, neighbours are strangers to each other. The list of all of them is long (https://publicsuffix.org); what
 * is missing here makes a token service on a sibling of the registry's host acceptable, never one elsewhere.
 */
const shared = new Set(
  (
    'appspot.com azurecr.io azurewebsites.net blogspot.com cloudfront.net duckdns.org fly.dev github.io gitlab.io ' +
    'herokuapp.com hf.space netlify.app ngrok.app ngrok.dev ngrok.io onrender.com pages.dev r2.dev run.app vercel.app ' +
    'web.app windows.net workers.dev amazonaws.com br.com cn.com eu.com uk.com us.com'
  ).split(' '),
)
const sharedInCountry = /^(?:ac|co|com|edu|go|gob|gov|gv|ltd|me|ne|net|nom|or|org|plc|sch)\.[a-z]{2}$/

/**
 * What a host name is registered under: `example.com` of `auth.example.com`. An address, and a name of one part, is its
 * own.
 */
function siteOf(hostname: string): string {
  const labels = hostname.replace(/\.$/, '').split('.')
  if (hostname.startsWith('[') || /^[\d.]+$/.test(hostname) || labels.length < 3) return labels.join('.')
  const two = labels.slice(-2).join('.')
  return shared.has(two) || sharedInCountry.test(two) ? labels.slice(-3).join('.') : two
}

/** Whether two host names belong to one owner, as far as names tell. */
export function isSameSite(one: string, other: string): boolean {
  const sites = [siteOf(one.toLowerCase()), siteOf(other.toLowerCase())]
  return sites[0] === sites[1] || pairs.some((pair) => pair.every((site) => sites.includes(site)))
}

/**
 * The address of the token service that a registry names, checked: a registry that names another's, and gets the token,
 * could act there as us (CVE-2025-51471).
 *
 * @param registry - the origin that the caller named.
 * @throws DownloadError `REDIRECT_BLOCKED`.
 */
export function requireOwnRealm(registry: string, realm: string): URL {
  const home = new URL(registry)
  const url = urlOf(realm)
  const isOwn =
    url !== null &&
    url.username + url.password === '' &&
    isSameSite(home.hostname, url.hostname) &&
    // Not encrypted is fine only where the registry itself is not, and on its own machine.
    (url.protocol === 'https:' || isPlainNeighbour(home, url))
  if (isOwn) return url
  const where = url === null || url.host === '' ? 'an invalid address' : url.origin
  throw new DownloadError(
    'REDIRECT_BLOCKED',
    `The registry ${home.host} sends us for its token to ${where}, which is not its own; nothing was sent there. Check the registry's name, and ask its owner.`,
  )
}

function isPlainNeighbour(home: URL, url: URL): boolean {
  return home.protocol === 'http:' && url.protocol === 'http:' && home.hostname === url.hostname
}

/** Access control: the decision of the host application, or by default callers on this machine only. */
import ipaddr from 'ipaddr.js'
import { DownloadError } from '../errors.js'

/**
 * The permission that a request needs.
 *
 * - `downloads:read`: read downloads, models, events and the OpenAPI document.
 * - `downloads:manage`: start, pause, resume, cancel, retry and remove downloads.
 * - `queue:manage`: start and cancel a preload.
 */
export type Action = 'downloads:read' | 'downloads:manage' | 'queue:manage'

/** What the server knows about a request besides the request itself. */
export interface RequestContext {
  /** Remote address of the connection. Never take it from a header that clients can set. */
  remoteAddress?: string | undefined
  /** Body that the host application has already parsed; `undefined` to read it from the request. */
  body?: unknown
  /** Original value of the `Host` header. Default: the header of the request, or else the host of its URL. */
  host?: string
  /**
   * The request object of the host's framework, such as Express's `req`, in which `authorize` may find the
   * current user.
   */
  native?: unknown
}

/**
 * Result of {@link Authorize}: allowed, forbidden (403), or `unauthenticated` when the caller is unknown
 * (401).
 */
export type Permission = boolean | 'unauthenticated'

/**
 * Decides whether a request is permitted. Called for each request; when it throws, the request is refused.
 *
 * @param action - the permission that is needed.
 * @param request - its headers may be read; its body must not be consumed.
 * @param context - what the server knows besides the request.
 */
export type Authorize = (
  action: Action,
  request: Request,
  context: RequestContext,
) => Permission | Promise<Permission>

/** A parsed `Host` header. */
export interface HostField {
  /** Lower case; IPv6 addresses have no brackets. */
  name: string
  port: number | null
}

const hostField = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{0,5}))?$/i

/** Parses `uri-host [ ":" port ]` (RFC 9110 section 7.2); null for anything else. */
export function parseHost(field: string): HostField | null {
  const match = hostField.exec(field)
  if (match === null) return null
  const [, ipv6, plain, port = ''] = match
  if (ipv6 !== undefined && !ipaddr.IPv6.isValid(ipv6)) return null
  const name = (ipv6 ?? plain ?? '').toLowerCase()
  const number = port === '' ? null : Number(port)
  return number !== null && number > 65_535 ? null : { name, port: number }
}

/** Cached results for recent addresses, since clients that poll send the same ones repeatedly. */
const loopbackCache = new Map<string, boolean>()

const maxCachedAddresses = 100

/**
 * Whether a remote address is a loopback address: `127.0.0.0/8`, `::1`, or an IPv4-mapped IPv6 address of the
 * former.
 */
export function isLoopbackAddress(address: string): boolean {
  let isLoopback = loopbackCache.get(address)
  if (isLoopback === undefined) {
    isLoopback = checkLoopback(address)
    if (loopbackCache.size >= maxCachedAddresses) loopbackCache.clear()
    loopbackCache.set(address, isLoopback)
  }
  return isLoopback
}

function checkLoopback(address: string): boolean {
  if (!ipaddr.IPv6.isValid(address) && !ipaddr.IPv4.isValidFourPartDecimal(address)) return false
  return ipaddr.process(address).range() === 'loopback'
}

/** Whether a `Host` header names this machine: `localhost`, or a loopback address in its usual notation. */
export function isLoopbackHost(field: string): boolean {
  const host = parseHost(field)
  if (host === null) return false
  return host.name === 'localhost' || isLoopbackAddress(host.name)
}

/** The parts of a request that the access rules need. */
export interface RequestHead {
  readonly url: string
  readonly headers: Pick<Headers, 'get'>
}

/** The host to which the caller addressed the request. */
export function hostOf(request: RequestHead, context: RequestContext): string {
  return context.host ?? request.headers.get('host') ?? new URL(request.url).host
}

/** Headers in which proxies pass on the address of their client. */
const forwardedFields = ['x-forwarded-for', 'x-real-ip', 'forwarded']

/** All client addresses that proxies have passed on; `unknown` for an obfuscated one. */
function forwardedAddresses(headers: Pick<Headers, 'get'>): string[] {
  return forwardedFields.flatMap((name) => {
    const value = headers.get(name)
    if (value === null) return []
    const elements = value.split(/[,;]/).map((element) => element.trim())
    if (name !== 'forwarded') return elements
    // RFC 7239 section 4: pairs such as for="[2001:db8::1]:4711"; only `for` identifies the client.
    return elements.flatMap((pair) => {
      const node = /^for="?([^"]*)"?$/i.exec(pair)?.[1]
      return node === undefined ? [] : [parseHost(node)?.name ?? 'unknown']
    })
  })
}

/**
 * The rule when there is no `authorize`: only callers on this machine that address it by a loopback name.
 * Checking the name protects against web pages whose own name resolves to 127.0.0.1 (DNS rebinding). Checking
 * the forwarding headers protects against remote requests that a proxy on this machine passes on.
 *
 * @throws DownloadError `ACCESS_DENIED` with status 403.
 */
export function requireLocal(request: RequestHead, context: RequestContext): void {
  const { remoteAddress } = context
  if (remoteAddress === undefined) {
    throw denied('The address of the caller is unknown; the host application must pass `authorize`.')
  }
  const forwarded = forwardedAddresses(request.headers)
  if (!isLoopbackAddress(remoteAddress) || !forwarded.every(isLoopbackAddress)) {
    throw denied(
      'Only callers on the same machine are allowed, unless the host application passes `authorize`.',
    )
  }
  if (!isLoopbackHost(hostOf(request, context))) {
    throw denied(
      'This host name is not allowed, unless the host application passes `authorize`; use localhost.',
    )
  }
}

/**
 * Refuses an invalid `Host` header (RFC 9112 section 3.2) for every caller.
 *
 * @throws DownloadError `INVALID_OPTIONS` with status 400.
 */
export function requireHost(request: Request, context: RequestContext): void {
  if (parseHost(hostOf(request, context)) !== null) return
  throw new DownloadError('INVALID_OPTIONS', 'The Host header does not name a valid host.', { status: 400 })
}

/**
 * Asks the host application whether a request is permitted.
 *
 * @throws DownloadError `ACCESS_DENIED` with status 401 or 403; whatever `authorize` throws.
 */
export async function requirePermission(
  authorize: Authorize,
  action: Action,
  request: Request,
  context: RequestContext,
): Promise<void> {
  const permission = await authorize(action, request, context)
  if (permission === true) return
  if (permission === 'unauthenticated') {
    throw new DownloadError('ACCESS_DENIED', 'This requires authentication.', { status: 401 })
  }
  throw denied(`You don't have permission for this (${action}).`)
}

/**
 * Refuses state-changing requests that a foreign web page can send without a preflight (cross-site request
 * forgery), such as a POST without a body. Browsers state the origin of a request in `Sec-Fetch-Site` (Fetch
 * Metadata) and in `Origin`.
 *
 * @param isAllowed - whether the CORS rules allow an origin.
 * @param compareHost - also compare `Origin` with `Host` when the browser sends no `Sec-Fetch-Site`. Must be
 * false behind a proxy, which may change `Host`.
 * @throws DownloadError `ACCESS_DENIED` with status 403.
 */
export function requireOwnPage(
  request: Request,
  context: RequestContext,
  isAllowed: (origin: string) => boolean,
  compareHost: boolean,
): void {
  const origin = request.headers.get('origin')
  if (origin !== null && isAllowed(origin)) return
  const site = request.headers.get('sec-fetch-site')
  const foreign =
    site === null
      ? compareHost && origin !== null && !isSameHost(origin, hostOf(request, context))
      : site !== 'same-origin' && site !== 'none'
  if (foreign)
    throw denied(
      'Pages of this origin are not allowed to do this; the host application can list the origin in `cors`.',
    )
}

/** Whether an `Origin` header matches a `Host` header. Either may omit the default port. */
function isSameHost(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host: own } = new URL(origin)
  const asked = `${protocol}//${host}`
  return own !== '' && URL.canParse(asked) && new URL(asked).host === own
}

function denied(message: string): DownloadError {
  return new DownloadError('ACCESS_DENIED', message, { status: 403 })
}

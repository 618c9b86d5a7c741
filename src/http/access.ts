/** Access control: the decision of the host application, or by default callers on this machine only. */
import ipaddr from 'ipaddr.js'
import { sentenceError } from '../download/error-text.js'
import type { ErrorSentences } from '../download/error-sentences.js'
import type { DownloadError } from '../errors.js'

/**
 * The permission that a request needs.
 *
 * - `downloads:read`: read downloads, models, events and the OpenAPI document.
 * - `downloads:manage`: start, pause, resume, cancel, retry and remove downloads.
 * - `queue:manage`: start and cancel a preload, and change the limits for all downloads together.
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

/** What {@link Authorize} is told about a request. `Native` is the type of the framework's request object. */
export interface AuthorizeContext<Native = unknown> extends RequestContext {
  /**
   * The request object of the host's framework, in which `authorize` may find the current user: Express's `req`,
   * Fastify's `request`, Koa's `ctx`, the `IncomingMessage` of `node:http`. Undefined for `fetch`.
   */
  native: Native
}

/**
 * Decides whether a request is permitted. Called for each request; when it throws, the request is refused.
 * `Native` is the type of the framework's request object; the adapters know theirs.
 *
 * @param action - the permission that is needed.
 * @param request - its headers may be read; its body must not be consumed.
 * @param context - what the server knows besides the request.
 */
export type Authorize<Native = unknown> = (
  action: Action,
  request: Request,
  context: AuthorizeContext<Native>,
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
  /** The names are in lower case. */
  readonly headers: Pick<Headers, 'get'> & { keys(): Iterable<string> }
}

/** The host to which the caller addressed the request. */
export function hostOf(request: RequestHead, context: RequestContext): string {
  return context.host ?? request.headers.get('host') ?? new URL(request.url).host
}

/** Headers that proxies add, besides those that begin with one of {@link proxyPrefixes}. */
const proxyHeaders: ReadonlySet<string> = new Set([
  'client-ip',
  'fastly-client-ip',
  'fly-client-ip',
  'forwarded',
  'forwarded-for',
  'forwarded-proto',
  'front-end-https',
  'proxy-client-ip',
  'true-client-ip',
  'via',
  'wl-proxy-client-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-host',
  'x-proxy-id',
  'x-proxyuser-ip',
  'x-real-ip',
  'x-real-port',
  'x-rewrite-url',
  'x-scheme',
])

const proxyPrefixes = [
  'cdn-',
  'cf-',
  'fastly-',
  'fly-',
  'x-akamai-',
  'x-amzn-',
  'x-appengine-',
  'x-arr-',
  'x-azure-',
  'x-envoy-',
  'x-forwarded',
  'x-goog-',
  'x-original-',
  'x-vercel-',
]

/** Whether a header shows that a proxy has passed on the request, wherever it came from. */
export function isProxyHeader(name: string): boolean {
  return proxyHeaders.has(name) || proxyPrefixes.some((prefix) => name.startsWith(prefix))
}

/** The header that shows that a proxy has passed on a request; null if there is none. */
function proxyHeaderOf({ headers }: RequestHead): string | null {
  for (const name of headers.keys()) if (isProxyHeader(name)) return name
  return null
}

/**
 * The address of the caller, or null when it is unknown: behind a proxy all callers have the same one.
 */
export function callerOf(request: RequestHead, { remoteAddress }: RequestContext): string | null {
  return proxyHeaderOf(request) === null ? (remoteAddress ?? null) : null
}

/**
 * The rule when there is no `authorize`: only callers on this machine that address it by a loopback name.
 * Checking the name protects against web pages whose own name resolves to 127.0.0.1 (DNS rebinding). Any header
 * of a proxy on this machine shows that the caller may be elsewhere, whatever address it names.
 *
 * @throws DownloadError `ACCESS_DENIED` with status 403.
 */
export function requireLocal(request: RequestHead, context: RequestContext): void {
  const { remoteAddress } = context
  if (remoteAddress === undefined) {
    throw denied('unknownCaller', [])
  }
  if (!isLoopbackAddress(remoteAddress)) {
    throw denied('localOnly', [])
  }
  const proxy = proxyHeaderOf(request)
  if (proxy !== null) {
    throw denied('behindProxy', [proxy])
  }
  if (!isLoopbackHost(hostOf(request, context))) {
    throw denied('foreignHost', [])
  }
}

/**
 * Refuses an invalid `Host` header (RFC 9112 section 3.2) for every caller.
 *
 * @throws DownloadError `INVALID_OPTIONS` with status 400.
 */
export function requireHost(request: Request, context: RequestContext): void {
  if (parseHost(hostOf(request, context)) !== null) return
  throw sentenceError('INVALID_OPTIONS', 'badHost', [], { status: 400 })
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
  context: AuthorizeContext,
): Promise<void> {
  const permission = await authorize(action, request, context)
  if (permission === true) return
  if (permission === 'unauthenticated') {
    throw sentenceError('ACCESS_DENIED', 'unauthenticated', [], { status: 401 })
  }
  throw denied('forbidden', [action])
}

/**
 * Refuses state-changing requests that a foreign web page can send without a preflight (cross-site request
 * forgery), such as a POST without a body. Current browsers tell where a request comes from in `Sec-Fetch-Site`
 * (Fetch Metadata); older ones only in `Origin`, or in `Referer`. Whoever sends none of them is no browser, unless
 * the request looks like a form, which browsers of long ago send without an origin.
 *
 * @param isAllowed - whether the CORS rules allow an origin.
 * @param behindProxy - whether a proxy may have changed `Host`. Then `X-Forwarded-Host`, which no page can set
 * without a preflight, names the host as well.
 * @throws DownloadError `ACCESS_DENIED` with status 403; `INVALID_OPTIONS` with status 415 for a form.
 */
export function requireOwnPage(
  request: Request,
  context: RequestContext,
  isAllowed: (origin: string) => boolean,
  behindProxy: boolean,
): void {
  const { headers } = request
  const origin = headers.get('origin')
  if (origin !== null && isAllowed(origin)) return
  const site = headers.get('sec-fetch-site')
  if (site !== null) {
    if (site === 'same-origin' || site === 'none') return
    throw foreignPage()
  }
  const page = origin ?? originOf(headers.get('referer'))
  if (page === null) {
    requireNoForm(headers)
    return
  }
  const hosts = [hostOf(request, context), behindProxy ? headers.get('x-forwarded-host') : null]
  const isOwn = hosts.some((host) => host !== null && isSameHost(page, host))
  if (!isOwn && !(origin === null && isAllowed(page))) throw foreignPage()
}

/**
 * The origin of a request from a web page of another site, or null for all other requests.
 *
 * @param behindProxy - see {@link requireOwnPage}.
 */
export function foreignOriginOf(
  request: RequestHead,
  context: RequestContext,
  behindProxy: boolean,
): string | null {
  const { headers } = request
  const origin = headers.get('origin')
  if (origin === null || headers.get('sec-fetch-site') === 'same-origin') return null
  const hosts = [hostOf(request, context), behindProxy ? headers.get('x-forwarded-host') : null]
  return hosts.some((host) => host !== null && isSameHost(origin, host)) ? null : origin
}

function foreignPage(): DownloadError {
  return denied('foreignPage', [])
}

function originOf(referer: string | null): string | null {
  return referer !== null && URL.canParse(referer) ? new URL(referer).origin : null
}

/** The types that an HTML form can send. */
const formTypes = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']

/** A program may send such a type with an empty body as well, but neither cookies nor the name of a browser. */
function requireNoForm(headers: Pick<Headers, 'get'>): void {
  const type = headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const isBrowser = headers.get('cookie') !== null || /^mozilla\//i.test(headers.get('user-agent') ?? '')
  if (!isBrowser || !formTypes.includes(type)) return
  throw sentenceError('INVALID_OPTIONS', 'notJson', [], { status: 415 })
}

/** Whether an `Origin` header matches a `Host` header. Either may omit the default port. */
function isSameHost(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host: own } = new URL(origin)
  const asked = `${protocol}//${host}`
  return own !== '' && URL.canParse(asked) && new URL(asked).host === own
}

function denied<Key extends keyof ErrorSentences>(
  key: Key,
  names: Parameters<ErrorSentences[Key]>,
): DownloadError {
  return sentenceError('ACCESS_DENIED', key, names, { status: 403 })
}

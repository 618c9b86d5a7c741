/** Who may call: the host's own answer, or by default callers on this machine. The decisions are pure. */
import ipaddr from 'ipaddr.js'
import { DownloadError } from '../errors.js'

/**
 * What a request wants to do.
 *
 * - `downloads:read`: look at downloads, models, events and the OpenAPI document.
 * - `downloads:manage`: start, pause, resume, cancel, retry, remove.
 * - `queue:manage`: start and cancel a preload.
 */
export type Action = 'downloads:read' | 'downloads:manage' | 'queue:manage'

/** What the server knows of a request beyond the request itself. */
export interface RequestContext {
  /** Address of the peer of the connection. Never take it from a header that anybody can send. */
  remoteAddress?: string | undefined
  /** A body that the host has parsed already; `undefined`: read the request's own. */
  body?: unknown
  /** The `Host` field as it came; default: the request's header, else the host of its URL. */
  host?: string
  /** What the host's framework calls the request, such as Express's `req`: `authorize` may find there who is logged in. */
  native?: unknown
}

/** An answer of {@link Authorize}: allowed, forbidden (403), or nobody knows who calls (401). */
export type Permission = boolean | 'unauthenticated'

/**
 * Decides whether a request may do something. Called for each request; a throw refuses it.
 *
 * @param action - what it wants to do.
 * @param request - its headers may be read, its body is not to be touched.
 * @param context - what the server knows besides.
 */
export type Authorize = (
  action: Action,
  request: Request,
  context: RequestContext,
) => Permission | Promise<Permission>

/** A `Host` field in its parts. */
export interface HostField {
  /** In lower case; an IPv6 address without its brackets. */
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

/** Verdicts on the addresses that were asked about last: pollers ask again and again. */
const verdicts = new Map<string, boolean>()

const maxVerdicts = 100

/** Whether an address of a peer is this machine's loopback: `127.0.0.0/8`, `::1`, or the former mapped into IPv6. */
export function isLoopbackAddress(address: string): boolean {
  let verdict = verdicts.get(address)
  if (verdict === undefined) {
    verdict = judgeLoopback(address)
    if (verdicts.size >= maxVerdicts) verdicts.clear()
    verdicts.set(address, verdict)
  }
  return verdict
}

function judgeLoopback(address: string): boolean {
  if (!ipaddr.IPv6.isValid(address) && !ipaddr.IPv4.isValidFourPartDecimal(address)) return false
  return ipaddr.process(address).range() === 'loopback'
}

/** Whether a `Host` field names this machine: `localhost`, or a loopback address in its usual spelling. */
export function isLoopbackHost(field: string): boolean {
  const host = parseHost(field)
  if (host === null) return false
  return host.name === 'localhost' || isLoopbackAddress(host.name)
}

/** What of a request these rules look at. */
export interface RequestHead {
  readonly url: string
  readonly headers: Pick<Headers, 'get'>
}

/** The host that the caller asked for. */
export function hostOf(request: RequestHead, context: RequestContext): string {
  return context.host ?? request.headers.get('host') ?? new URL(request.url).host
}

/** Fields that a proxy adds to say for whom it asks. */
const forwardedFields = ['x-forwarded-for', 'x-real-ip', 'forwarded']

/** Every address that a proxy says it asks for; `unknown` where it hides one. */
function forwardedAddresses(headers: Pick<Headers, 'get'>): string[] {
  return forwardedFields.flatMap((name) => {
    const value = headers.get(name)
    if (value === null) return []
    const elements = value.split(/[,;]/).map((element) => element.trim())
    if (name !== 'forwarded') return elements
    // RFC 7239 section 4: pairs such as for="[2001:db8::1]:4711"; only `for` says who asks.
    return elements.flatMap((pair) => {
      const node = /^for="?([^"]*)"?$/i.exec(pair)?.[1]
      return node === undefined ? [] : [parseHost(node)?.name ?? 'unknown']
    })
  })
}

/**
 * The rule without `authorize`: callers on this machine only, who ask for it by a loopback name. The name keeps out web
 * pages that let their own name resolve to 127.0.0.1 (DNS rebinding); the forwarding fields keep out what a proxy on
 * this machine passes on from elsewhere.
 *
 * @throws DownloadError `ACCESS_DENIED` with status 403.
 */
export function requireLocal(request: RequestHead, context: RequestContext): void {
  const { remoteAddress } = context
  if (remoteAddress === undefined) {
    throw denied('Who calls cannot be told here; the host must give `authorize`.')
  }
  const forwarded = forwardedAddresses(request.headers)
  if (!isLoopbackAddress(remoteAddress) || !forwarded.every(isLoopbackAddress)) {
    throw denied('Only callers on the same machine are served, unless the host gives `authorize`.')
  }
  if (!isLoopbackHost(hostOf(request, context))) {
    throw denied('This host name is not served, unless the host gives `authorize`; ask for localhost.')
  }
}

/**
 * Refuses a `Host` field that names no host (RFC 9112 section 3.2), whoever calls.
 *
 * @throws DownloadError `INVALID_OPTIONS` with status 400.
 */
export function requireHost(request: Request, context: RequestContext): void {
  if (parseHost(hostOf(request, context)) !== null) return
  throw new DownloadError('INVALID_OPTIONS', 'The Host field names no host.', { status: 400 })
}

/**
 * Asks the host.
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
    throw new DownloadError('ACCESS_DENIED', 'Say who you are: this needs authentication.', { status: 401 })
  }
  throw denied(`You have no permission for this (${action}).`)
}

/**
 * Keeps out writing requests that a foreign web page sends without asking first (cross-site request forgery): those
 * that need no preflight, such as a POST without a body. Browsers say where a request comes from in `Sec-Fetch-Site`
 * (Fetch Metadata) and in `Origin`.
 *
 * @param isAllowed - whether pages of an origin may call, by the CORS rules.
 * @param compareHost - also compare `Origin` with `Host` when the browser sends no `Sec-Fetch-Site`. Not behind a proxy,
 * which may change `Host`.
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
  if (foreign) throw denied('Pages of this origin may not do this, unless the host lists it in `cors`.')
}

/** Whether an `Origin` field names the host of a `Host` field; a port that is the default may be left out in either. */
function isSameHost(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host: own } = new URL(origin)
  const asked = `${protocol}//${host}`
  return own !== '' && URL.canParse(asked) && new URL(asked).host === own
}

function denied(message: string): DownloadError {
  return new DownloadError('ACCESS_DENIED', message, { status: 403 })
}

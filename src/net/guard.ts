/**
 * Enforces the address policy while connecting. The addresses that are checked are the ones that the socket
 * connects to, so that a name can't resolve to another address in between (DNS rebinding).
 */
import type { LookupAddress, LookupOptions } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { DownloadError } from '../errors.js'
import { isPublicAddress, judgeHost, judgeUrl, portOf, type RemoteGrant } from './address-policy.js'
import { allowedHostsHint } from './host-text.js'

/** Resolves a name to all of its addresses, in the order in which to try them. */
export type AddressResolver = (hostname: string, options: LookupOptions) => Promise<LookupAddress[]>

/** The destination of a connection, as undici passes it to a connector. */
export interface ConnectTarget {
  /** Without brackets. */
  hostname: string
  protocol: string
  /** Empty for the protocol's default port. */
  port: string
}

type Callback = (...outcome: [null, Socket] | [Error, null]) => void

/** Opens a connection, and returns its socket if there is one already. */
export type Connect<D extends ConnectTarget> = (destination: D, callback: Callback) => unknown

/**
 * Refuses a request before it gets any connection, including one from the pool.
 *
 * @throws DownloadError `SSRF_BLOCKED`.
 */
export function requireAllowed(grant: RemoteGrant, url: URL): void {
  if (judgeUrl(grant, url) === 'refuse') throw blocked()
}

/**
 * Refuses a request before it is handed to a proxy, which resolves the name on its own: refuses names that resolve to
 * a forbidden address here. A name that can't be resolved here may be known to the proxy alone, so it passes.
 *
 * @throws DownloadError `SSRF_BLOCKED`.
 */
export async function requireAllowedBeyond(
  grant: RemoteGrant,
  url: URL,
  resolve: AddressResolver = resolveBySystem,
): Promise<void> {
  const verdict = judgeUrl(grant, url)
  if (verdict === 'open') return
  if (verdict === 'refuse') throw blocked()
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const addresses =
    isIP(host) === 0 ? await resolve(host, { all: true }).catch(() => []) : [{ address: host }]
  if (!addresses.every(({ address }) => isPublicAddress(address))) throw blocked()
}

/** A destination whose name is to be resolved. */
export interface ResolveTarget extends ConnectTarget {
  /** 4 or 6 to accept only addresses of that family; 0 for any. */
  family: 0 | 4 | 6
}

/**
 * Resolves the name of a destination, for a proxy that takes addresses.
 *
 * @param grant - null for trusted callers.
 * @throws DownloadError `SSRF_BLOCKED` when any of the addresses is forbidden, `NAME_RESOLUTION`.
 */
export async function resolveAllowed(
  grant: RemoteGrant | null,
  target: ResolveTarget,
  resolve: AddressResolver = resolveBySystem,
): Promise<string> {
  const verdict = grant === null ? 'open' : judgeHost(grant, target.hostname, portOf(target))
  if (verdict === 'refuse') throw blocked()
  const addresses = await resolve(target.hostname, { all: true, family: target.family })
  if (verdict === 'check' && !addresses.every(({ address }) => isPublicAddress(address))) throw blocked()
  const [first] = addresses
  if (first === undefined) throw noAddresses()
  return first.address
}

/**
 * Creates a connector that connects to public addresses and exempt hosts only, and fails with `SSRF_BLOCKED`
 * for others.
 *
 * @param build - creates a connector that resolves names with the given `lookup`.
 * @param resolve - resolves names. Default: the system's resolver.
 */
export function guardedConnect<D extends ConnectTarget>(
  grant: RemoteGrant,
  build: (options: { lookup: LookupFunction }) => Connect<D>,
  resolve: AddressResolver = resolveBySystem,
): Connect<D> {
  const open = build({ lookup: lookupWith(resolve, () => true) })
  const check = build({ lookup: lookupWith(resolve, isPublicAddress) })
  return (destination, callback) => {
    const verdict = judgeHost(grant, destination.hostname, portOf(destination))
    if (verdict === 'open') return open(destination, callback)
    if (verdict === 'refuse') {
      // Asynchronously, as a socket would report a failure.
      process.nextTick(callback, blocked(), null)
      return undefined
    }
    return check(destination, (...outcome) => {
      const [error, socket] = outcome
      // Checked again on the open socket, so that no request is sent to a forbidden address however it was
      // resolved.
      if (error === null && !isPublicAddress(socket.remoteAddress ?? '')) {
        const reason = socket.remoteAddress === undefined ? lost() : blocked()
        socket.destroy()
        callback(reason, null)
      } else if (isUnknownName(error)) {
        // Otherwise the difference would tell which names exist in the internal network.
        callback(blocked(), null)
      } else {
        callback(...outcome)
      }
    })
  }
}

/** Creates a `lookup` for `net.connect` that fails if any address of the name isn't acceptable. */
export function lookupWith(resolve: AddressResolver, accepts: (address: string) => boolean): LookupFunction {
  const addressesOf = async (hostname: string, options: LookupOptions) => {
    const addresses = await resolve(hostname, { ...options, all: true })
    if (addresses.length === 0) throw noAddresses()
    if (!addresses.every(({ address }) => accepts(address))) throw blocked()
    return addresses
  }
  return (hostname, options, callback) => {
    addressesOf(hostname, options).then(
      (addresses) => {
        const [first] = addresses
        if (options.all === true) callback(null, addresses)
        else callback(null, first?.address ?? '', first?.family)
      },
      (error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)), [])
      },
    )
  }
}

function isUnknownName(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null
  return code === 'ENOTFOUND' || code === 'ENODATA'
}

async function resolveBySystem(hostname: string, options: LookupOptions): Promise<LookupAddress[]> {
  return await lookup(hostname, { ...options, all: true })
}

/** States neither the name nor the address: remote callers must not learn about the internal network. */
function blocked(): DownloadError {
  return new DownloadError(
    'SSRF_BLOCKED',
    `The host does not exist, or is or resolves to an address that remote callers are not allowed to reach; ${allowedHostsHint}.`,
  )
}

function noAddresses(): DownloadError {
  return new DownloadError('NAME_RESOLUTION', 'The host name has no addresses.', { retryable: true })
}

function lost(): DownloadError {
  return new DownloadError('CONNECT_FAILED', 'The connection was lost as soon as it was open.', {
    retryable: true,
  })
}

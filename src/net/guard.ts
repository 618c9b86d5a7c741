/**
 * The address policy at the moment of connecting. The addresses that are checked are the ones that are connected to, so
 * that a name can't lead elsewhere in between (DNS rebinding).
 */
import type { LookupAddress, LookupOptions } from 'node:dns'
import { lookup } from 'node:dns/promises'
import type { LookupFunction, Socket } from 'node:net'
import { DownloadError } from '../errors.js'
import { isPublicAddress, judgeHost, judgeUrl, portOf, type RemoteGrant } from './address-policy.js'

/** Every address of a name, in the order in which they are to be tried. */
export type AddressResolver = (hostname: string, options: LookupOptions) => Promise<LookupAddress[]>

/** Where a connection goes, as undici tells its connector. */
export interface ConnectTarget {
  /** Without brackets. */
  hostname: string
  protocol: string
  /** Empty for the usual one. */
  port: string
}

type Callback = (...outcome: [null, Socket] | [Error, null]) => void

/** Opens a connection. */
export type Connect<D extends ConnectTarget> = (destination: D, callback: Callback) => void

/**
 * Refuses a request before any connection is sought, a kept one included.
 *
 * @throws DownloadError `SSRF_BLOCKED`.
 */
export function requireAllowed(grant: RemoteGrant, url: URL): void {
  if (judgeUrl(grant, url) === 'refuse') throw blocked()
}

/**
 * A way to connect that goes to public addresses and exempt hosts only; it fails with `SSRF_BLOCKED` elsewhere.
 *
 * @param build - makes a way to connect that resolves names with the `lookup` given.
 * @param resolve - default: the system's.
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
    if (verdict === 'open') {
      open(destination, callback)
    } else if (verdict === 'refuse') {
      // Sockets tell of their failures later, too.
      process.nextTick(callback, blocked(), null)
    } else {
      check(destination, (...outcome) => {
        const [error, socket] = outcome
        // Holds whatever way the socket took, so that not a byte of a request goes to where it must not.
        if (error === null && !isPublicAddress(socket.remoteAddress ?? '')) {
          const reason = socket.remoteAddress === undefined ? lost() : blocked()
          socket.destroy()
          callback(reason, null)
        } else {
          callback(...outcome)
        }
      })
    }
  }
}

/** A `lookup` for net.connect: hands on what was checked, or fails as a whole when one address is not acceptable. */
export function lookupWith(resolve: AddressResolver, accepts: (address: string) => boolean): LookupFunction {
  const addressesOf = async (hostname: string, options: LookupOptions) => {
    const addresses = await resolve(hostname, { ...options, all: true })
    if (addresses.length === 0) {
      throw new DownloadError('NAME_RESOLUTION', 'The host name has no address.', { retryable: true })
    }
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

async function resolveBySystem(hostname: string, options: LookupOptions): Promise<LookupAddress[]> {
  return await lookup(hostname, { ...options, all: true })
}

/** Says neither the name nor the address: what lies behind a name inside is nobody's business outside. */
function blocked(): DownloadError {
  return new DownloadError(
    'SSRF_BLOCKED',
    'The host is, or leads to, an address that remote callers may not reach.',
  )
}

function lost(): DownloadError {
  return new DownloadError('CONNECT_FAILED', 'The connection was lost as soon as it was made.', {
    retryable: true,
  })
}

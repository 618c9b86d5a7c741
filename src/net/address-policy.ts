/**
 * Which addresses a remote caller may reach: global unicast addresses, and the hosts that the host program
 * exempts. Pure.
 *
 * The blocked ranges are those of IANA's special-purpose address registries (RFC 6890, as of 2025), including
 * the ones marked as globally reachable, and the addresses of the clouds' metadata services.
 */
import ipaddr from 'ipaddr.js'
import { withoutBrackets } from './host-text.js'

/** Which addresses the URL of an untrusted caller may reach. */
export interface RemoteGrant {
  /** Allows every address, including loopback, private networks and metadata services. */
  readonly allowPrivateNetwork: boolean
  /**
   * Hosts that are allowed whatever their address: `host` on every port, `host:port` on one; `[::1]:8080` for
   * IPv6. Only the name counts: other names of the same machine, and redirects to other hosts, are not
   * exempt.
   */
  readonly allowedHosts: readonly string[]
}

/** Allows global unicast addresses only. */
export const publicOnly: RemoteGrant = { allowPrivateNetwork: false, allowedHosts: [] }

/**
 * The verdict on a host. `open`: exempt, connect to any address; `check`: connect if all of its addresses are
 * public; `refuse`: don't even resolve the name.
 */
export type HostVerdict = 'open' | 'check' | 'refuse'

const specialIPv4 = [
  '0.0.0.0/8', // this network (RFC 791)
  '10.0.0.0/8', // private (RFC 1918)
  '100.64.0.0/10', // shared by carriers (RFC 6598); 100.100.100.200 is Alibaba's metadata
  '127.0.0.0/8', // loopback (RFC 1122)
  '168.63.129.16/32', // Azure's metadata and health service
  '169.254.0.0/16', // link-local (RFC 3927); 169.254.169.254 is the metadata of most clouds
  '172.16.0.0/12', // private (RFC 1918)
  '192.0.0.0/24', // protocol assignments (RFC 6890); 192.0.0.192 is Oracle's metadata
  '192.0.2.0/24', // documentation (RFC 5737)
  '192.31.196.0/24', // AS112 (RFC 7535)
  '192.52.193.0/24', // multicast tunnels (RFC 7450)
  '192.88.99.0/24', // 6to4 relays (RFC 7526)
  '192.168.0.0/16', // private (RFC 1918)
  '192.175.48.0/24', // AS112 (RFC 7534)
  '198.18.0.0/15', // benchmarks (RFC 2544)
  '198.51.100.0/24', // documentation (RFC 5737)
  '203.0.113.0/24', // documentation (RFC 5737)
  '224.0.0.0/4', // multicast (RFC 5771)
  '240.0.0.0/4', // reserved (RFC 1112), broadcast (RFC 919)
].map((range) => ipaddr.IPv4.parseCIDR(range))

/**
 * The range that is assigned as global unicast (RFC 4291 section 2.4). It excludes, among others: loopback;
 * IPv4-mapped, -compatible and -translated addresses; NAT64 (64:ff9b::/96, 64:ff9b:1::/48); unique local
 * addresses, including the metadata services fd00:ec2::254 and fd20:ce::254; link-local, site-local and
 * multicast addresses.
 */
const globalIPv6 = ipaddr.IPv6.parseCIDR('2000::/3')

const specialIPv6 = [
  '2001::/23', // protocol assignments (RFC 2928): Teredo, benchmarks, ORCHID
  '2001:db8::/32', // documentation (RFC 3849)
  '2002::/16', // 6to4: holds an IPv4 address (RFC 3056)
  '2620:4f:8000::/48', // AS112 (RFC 7534)
  '3fff::/20', // documentation (RFC 9637)
].map((range) => ipaddr.IPv6.parseCIDR(range))

/**
 * Names reserved for this machine or the local network, however they are resolved (RFC 6761, 6762, 8375;
 * `internal` by ICANN).
 */
const localName =
  /^(?:(?:.+\.)?(?:localhost|localdomain|local|internal|home\.arpa)|ip6-(?:localhost|loopback))\.?$/i

/**
 * Whether an address is public.
 *
 * @param address - IPv4 or IPv6 without brackets, in any spelling. Any other text is not public.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.parse(address)
  if (parsed instanceof ipaddr.IPv4) return !specialIPv4.some((range) => parsed.match(range))
  return parsed.match(globalIPv6) && !specialIPv6.some((range) => parsed.match(range))
}

/**
 * Judges a host before its name is resolved.
 *
 * @param host - as in `URL.hostname`, with or without the brackets of IPv6.
 */
export function judgeHost(grant: RemoteGrant, host: string, port: number): HostVerdict {
  if (grant.allowPrivateNetwork) return 'open'
  const plain = withoutBrackets(host.toLowerCase())
  for (const entry of grant.allowedHosts) {
    const allowed = parseAllowedHost(entry)
    if (allowed !== null && allowed.host === plain && (allowed.port ?? port) === port) return 'open'
  }
  if (ipaddr.isValid(plain)) return isPublicAddress(plain) ? 'check' : 'refuse'
  return localName.test(plain) ? 'refuse' : 'check'
}

/** Judges the URL of a request: it must be http or https and have no userinfo; then its host decides. */
export function judgeUrl(grant: RemoteGrant, url: URL): HostVerdict {
  const { protocol, hostname, username, password } = url
  if (protocol !== 'http:' && protocol !== 'https:') return 'refuse'
  if (username !== '' || password !== '') return 'refuse'
  return judgeHost(grant, hostname, portOf(url))
}

/** The port of a URL: the one it states, else the protocol's default. */
export function portOf({ protocol, port }: { protocol: string; port: string }): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}

/**
 * Parses an entry of `allowedHosts`: `host` or `host:port`, with IPv6 addresses in brackets.
 *
 * @returns the host as in `URL.hostname`, without brackets, and the port, which is null for every port; null
 * for an invalid entry.
 */
export function parseAllowedHost(entry: string): { host: string; port: number | null } | null {
  const [, name, digits] = /^(\[[\da-f:.]+\]|[^\s/?#@:\\[\]*]+)(?::(\d{1,5}))?$/i.exec(entry) ?? []
  if (name === undefined || !URL.canParse(`http://${name}`)) return null
  const port = digits === undefined ? null : Number(digits)
  if ((port ?? 0) > 65_535) return null
  return { host: withoutBrackets(new URL(`http://${name}`).hostname), port }
}

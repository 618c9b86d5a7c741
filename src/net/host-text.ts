/** Texts about hosts, for files that are loaded at once and can do without the parser of addresses. Pure. */

/** What the host application can do about a refused address; ends the message of `SSRF_BLOCKED`. */
export const allowedHostsHint = 'the host application can allow the host in `allowedHosts`'

/** A host as in `URL.hostname`, without the brackets that enclose an IPv6 address there. */
export function withoutBrackets(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}

/**
 * Which proxy a request uses: the one that an option names, or those of the environment, unless `NO_PROXY` excludes
 * the host. The variables are those that curl reads. Pure.
 */
import ipaddr from 'ipaddr.js'
import { DownloadError } from '../errors.js'
import { withoutBrackets } from './host-text.js'
import { parseProxy, type Proxy } from './proxy-address.js'

/** `true`: the proxies of the environment; `false`: none; a text: the address of a proxy for all requests. */
export type ProxySetting = boolean | string

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The proxy of a request, or null for a direct connection.
 *
 * @throws DownloadError `CONNECT_FAILED`, not retryable, for a setting that can't be used, since a direct connection
 * could be unwanted. The message names the variable, not its value, which may contain a password.
 */
export function proxyFor(url: URL, setting: ProxySetting, env: Environment): Proxy | null {
  if (setting === false) return null
  const chosen = setting === true ? proxyVariable(url, env) : { name: 'the option proxy', value: setting }
  if (chosen === null) return null
  const exclusions = variable(env, 'no_proxy')
  if (exclusions !== null && isExcluded(url, exclusions)) return null
  const proxy = parseProxy(chosen.value)
  if (proxy === null) throw unusable(`The proxy address in ${chosen.name}`)
  return proxy
}

/**
 * Whether `NO_PROXY` excludes a host. Entries are separated by commas, semicolons or white space. Each is `*`, a
 * domain (with all that is below it), an address, a range in CIDR notation, a pattern with `*`, or `<local>` for names
 * without a dot; a port may follow. Names are not resolved.
 *
 * @throws DownloadError `CONNECT_FAILED` for a range that is none.
 */
export function isExcluded(url: URL, exclusions: string): boolean {
  const host = withoutBrackets(url.hostname.toLowerCase()).replace(/\.$/, '')
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  const address = ipaddr.isValid(host) ? ipaddr.process(host) : null
  return exclusions
    .toLowerCase()
    .split(/[,;\s]/)
    .some((entry) => {
      const plain = entry.replace(/^[a-z][a-z0-9+.-]*:\/\//, '')
      if (/^[\da-f.:[\]]+\/\d+$/.test(plain)) return address !== null && isInRange(address, plain)
      const { name, port: only } = splitPort(plain.replace(/\/.*/, ''))
      return (only === null || only === port) && matches(host, address, name)
    })
}

type Address = ReturnType<typeof ipaddr.process>

function matches(host: string, address: Address | null, entry: string): boolean {
  if (entry === '<local>') return address === null && !host.includes('.')
  if (ipaddr.isValid(entry)) {
    return address !== null && ipaddr.process(entry).toNormalizedString() === address.toNormalizedString()
  }
  const name = entry.replace(/\.$/, '').replace(/^\*?\./, '')
  if (name.includes('*')) return matchesPattern(host, name)
  return name !== '' && (host === name || host.endsWith(`.${name}`))
}

/** Looks for the parts between the stars from left to right, which takes linear time. */
function matchesPattern(host: string, pattern: string): boolean {
  const parts = pattern.split('*')
  const first = parts[0] ?? ''
  const last = parts.at(-1) ?? ''
  if (host.length < first.length + last.length || !host.startsWith(first) || !host.endsWith(last))
    return false
  const end = host.length - last.length
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = host.indexOf(part, at)
    if (found === -1 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}

function isInRange(address: Address, entry: string): boolean {
  try {
    const [range, bits] = ipaddr.parseCIDR(entry.replace(/[[\]]/g, ''))
    return range.kind() === address.kind() && address.match(range, bits)
  } catch {
    throw unusable('A range in NO_PROXY')
  }
}

/** Splits `host:port`; a bare IPv6 address has no port. */
function splitPort(entry: string): { name: string; port: number | null } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(entry) ?? []
  const name = bracketed ?? plain
  return name === undefined
    ? { name: entry, port: null }
    : { name, port: digits === undefined ? null : Number(digits) }
}

/** The variable that names the proxy of a URL: that of its protocol, else the one for all. */
function proxyVariable(url: URL, env: Environment): { name: string; value: string } | null {
  const own = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy'
  for (const name of [own, own.toUpperCase(), 'all_proxy', 'ALL_PROXY']) {
    const value = env[name]?.trim() ?? ''
    if (value !== '') return { name: `the environment variable ${name}`, value }
  }
  return null
}

/** The value of a variable, in lower case or in capitals; null when it is not set. */
function variable(env: Environment, name: string): string | null {
  return env[name] ?? env[name.toUpperCase()] ?? null
}

function unusable(what: string): DownloadError {
  return new DownloadError('CONNECT_FAILED', `${what} is not valid.`)
}

/** The address of a proxy. Pure. */
import { withoutBrackets } from './host-text.js'

/** A proxy. */
export interface Proxy {
  /** `socks5` resolves host names here, `socks5h` at the proxy; so do `socks4` and `socks4a`, for IPv4. */
  readonly protocol: 'http' | 'https' | 'socks4' | 'socks4a' | 'socks5' | 'socks5h'
  /** Without brackets. */
  readonly host: string
  readonly port: number
  /** Null when the address has none. */
  readonly credentials: { readonly user: string; readonly password: string } | null
}

/** A socks proxy without a port (RFC 1928); http proxies listen on the port of their protocol. */
const defaultPorts: Readonly<Record<Proxy['protocol'], number>> = {
  http: 80,
  https: 443,
  socks4: 1080,
  socks4a: 1080,
  socks5: 1080,
  socks5h: 1080,
}

/**
 * Parses the address of a proxy, such as `http://user:password@host:3128` or `socks5h://host`. Without a scheme it is
 * one of an http proxy, as for curl. A `%` that begins no escape stands for itself.
 *
 * @returns null for an address that can't be used.
 */
export function parseProxy(address: string): Proxy | null {
  const text = address.trim()
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`
  const [scheme, rest] = split(full, '://')
  const protocol = scheme.toLowerCase() === 'socks' ? 'socks5' : scheme.toLowerCase()
  if (!isProtocol(protocol)) return null
  // Parsed as http, since for other schemes URL checks hosts less strictly.
  const plain = `http://${rest}`
  if (!URL.canParse(plain)) return null
  const url = new URL(plain)
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return null
  const hasCredentials = url.username !== '' || url.password !== ''
  return {
    protocol,
    host: withoutBrackets(url.hostname),
    // URL drops the port 80, which is the default of only one of the protocols.
    port: url.port === '' ? (/:80\/?$/.test(plain) ? 80 : defaultPorts[protocol]) : Number(url.port),
    credentials: hasCredentials ? { user: decode(url.username), password: decode(url.password) } : null,
  }
}

function isProtocol(text: string): text is Proxy['protocol'] {
  return Object.hasOwn(defaultPorts, text)
}

function split(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return [text.slice(0, at), text.slice(at + separator.length)]
}

/** Decodes the escapes of user and password, byte by byte, and keeps what is none. */
function decode(text: string): string {
  const bytes: number[] = []
  const source = Buffer.from(text)
  for (let at = 0; at < source.length; at++) {
    const escape = /^%([\da-f]{2})/i.exec(source.toString('latin1', at, at + 3))?.[1]
    bytes.push(escape === undefined ? (source[at] ?? 0) : Number.parseInt(escape, 16))
    if (escape !== undefined) at += 2
  }
  return Buffer.from(bytes).toString()
}

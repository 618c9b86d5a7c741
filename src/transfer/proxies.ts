/** Which proxies the environment names. Pure. */
import { DownloadError } from '../errors.js'

/** Addresses of proxies, by what they are for; null where there is none. */
export interface Proxies {
  http: string | null
  https: string | null
}

/**
 * The proxies of an environment: `http_proxy` and `https_proxy`, or the same in capitals. As with curl, an address
 * without a scheme is one of an http proxy.
 *
 * @returns null when there are none.
 * @throws DownloadError `CONNECT_FAILED` for an address that is none; going around the proxy is not ours to decide.
 */
export function proxiesOf(env: Readonly<Record<string, string | undefined>>): Proxies | null {
  const http = addressIn(env, 'http_proxy')
  const https = addressIn(env, 'https_proxy')
  return http === null && https === null ? null : { http, https }
}

function addressIn(env: Readonly<Record<string, string | undefined>>, name: string): string | null {
  const value = (env[name] ?? env[name.toUpperCase()] ?? '').trim()
  if (value === '') return null
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`
  const scheme = URL.canParse(address) ? new URL(address).protocol : ''
  // Without the address: it may hold a password.
  if (!['http:', 'https:', 'socks:', 'socks5:'].includes(scheme)) {
    throw new DownloadError(
      'CONNECT_FAILED',
      `The environment names a proxy in ${name} that is not a valid one.`,
    )
  }
  return address
}

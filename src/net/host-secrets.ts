/** What the user of this machine wants to send to which host: logins of a netrc file, and cookies. Pure. */
import type { Cookie } from './cookies.js'

/** A login for one machine. */
export interface NetrcEntry {
  /** Host name in lower case. */
  machine: string
  login: string
  password: string
}

/** Secrets for hosts. They are used for trusted callers only. */
export interface HostSecrets {
  netrc: readonly NetrcEntry[]
  /** They are sent to the hosts that they belong to, also after a redirect, as a browser would. */
  cookies: readonly Cookie[]
}

/**
 * Finds the login for a host.
 *
 * @param login - the user name that the URL states; empty if none.
 */
export function netrcLogin(
  netrc: readonly NetrcEntry[],
  hostname: string,
  login: string,
): { login: string; password: string } | null {
  const host = hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  return netrc.find((entry) => entry.machine === host && (login === '' || entry.login === login)) ?? null
}

/** All cookies of a chain: those of the user, unless a response has replaced them. */
export function cookiesOf(own: readonly Cookie[], set: readonly Cookie[]): readonly Cookie[] {
  const isReplaced = (cookie: Cookie) =>
    set.some(
      ({ name, domain, path }) => name === cookie.name && domain === cookie.domain && path === cookie.path,
    )
  return [...own.filter((cookie) => !isReplaced(cookie)), ...set]
}

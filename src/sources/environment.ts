/** What sources take from the environment, and errors that sources share. */
import { DownloadError } from '../errors.js'
import { retryAfterOf } from './api.js'
import { urlOf } from './ref-parts.js'
import type { ApiAnswer, ResolveContext } from './source.js'

type Environment = ResolveContext['env']

/** The first of some variables that says something; null when none does. */
export function variable(env: Environment, ...names: readonly string[]): string | null {
  for (const name of names) {
    const text = env[name]?.trim() ?? ''
    if (text !== '') return text
  }
  return null
}

/**
 * Checks the address of a hub.
 *
 * @param setting - what it was given in, for the message.
 * @returns the address without a slash at its end.
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function requireEndpoint(address: string, setting: string): string {
  const url = urlOf(address)
  const usable = url !== null && /^https?:$/.test(url.protocol) && url.username + url.password === ''
  if (usable) return (url.origin + url.pathname).replace(/\/+$/, '')
  throw new DownloadError(
    'INVALID_OPTIONS',
    `${setting} is no http or https address, or holds a password; correct or unset it.`,
    { issues: [{ path: setting, message: 'must be an http or https address' }] },
  )
}

/** Whether a text can be a token: nothing in it breaks out of its header. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]{1,16384}$/.test(text)
}

/**
 * Checks a token, which must not break out of its header. White space around it goes, as files and pastes have it.
 *
 * @throws DownloadError `INVALID_OPTIONS`, without the token.
 */
export function requireToken(token: string, setting: string): string {
  const text = token.trim()
  if (isToken(text)) return text
  throw new DownloadError(
    'INVALID_OPTIONS',
    `${setting} holds white space or other signs that no token has; set it anew.`,
    { issues: [{ path: setting, message: 'is no token' }] },
  )
}

/** The error for a 429, with what may be done about it. */
export function rateLimited({ headers, status, url }: ApiAnswer, remedy: string): DownloadError {
  const retryAfterMs = retryAfterOf(headers)
  const message = `${new URL(url).host} limits how often it may be asked (HTTP ${String(status)}); ${remedy}.`
  return new DownloadError('HTTP_ERROR', message, {
    status,
    retryable: true,
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  })
}

/** The error for an answer that says nothing we could use. */
export function unusable(url: string): DownloadError {
  return new DownloadError(
    'PROTOCOL_ERROR',
    `${new URL(url).host} answered with something that can't be used.`,
  )
}

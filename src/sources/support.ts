/** What sources take from the environment, and errors that sources share. */
import { DownloadError } from '../errors.js'
import { retryAfterOf } from './api-client.js'
import type { ApiAnswer, ResolveContext } from './source.js'

// ---- What refs are made of, and how a bad one is told. Pure.

/**
 * The error for a ref that makes no sense.
 *
 * @param problem - what is wrong, without the ref itself: a pasted link may hold a secret.
 * @param example - what would be right.
 */
export function badRef(problem: string, example: string): DownloadError {
  return new DownloadError('INVALID_URL', `${problem} Write it as ${example}.`)
}

const forbiddenInPath = /[\p{Cc}\p{Cs}\\]/u

/** Whether a path with slashes stays below its root: no empty segment, no dots that climb, no backslash. */
export function isPlainPath(path: string): boolean {
  if (path.length > 1_024 || forbiddenInPath.test(path)) return false
  return path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}

/**
 * Whether a text can name a branch or a tag, or be a commit: whatever git allows (git-check-ref-format(1)) and does not take
 * for an option, up to 255 characters of it. It has no segment that climbs, and can always be escaped for a URL.
 */
export function isRevision(revision: string): boolean {
  return (
    /^[^ \p{Cc}\p{Cs}~^:?*[\\]{1,255}$/u.test(revision) &&
    !/^-|^@$|\.$|\.\.|@\{/.test(revision) &&
    revision.split('/').every((part) => /^[^.]/u.test(part) && !part.endsWith('.lock'))
  )
}

/** The segments of a URL's path, unescaped; null when it holds an escape that is none. */
export function segmentsOf(url: URL): string[] | null {
  try {
    return url.pathname
      .split('/')
      .filter((segment) => segment !== '')
      .map(decodeURIComponent)
  } catch {
    return null
  }
}

/** A text as a URL; null when it is none. */
export function urlOf(text: string): URL | null {
  try {
    return new URL(text)
  } catch {
    return null
  }
}

/** A few names for a message, and how many more there are. */
export function fewOf(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 100)))
  const rest = names.length - shown.length
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ')
}

// ---- What sources take from the environment, and errors that sources share.

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

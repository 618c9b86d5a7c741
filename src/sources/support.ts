/** Helpers that the sources share: checks of refs, settings from the environment, and common errors. */
import { DownloadError } from '../errors.js'
import type { ApiAnswer, ResolveContext } from './source.js'

// ---- Checks of refs and their parts. Pure.

/**
 * Creates the error for a malformed ref.
 *
 * @param problem - what is wrong, as a sentence. It must not quote the ref, since a pasted link may contain a
 * secret.
 * @param example - the correct form.
 */
export function badRef(problem: string, example: string): DownloadError {
  return new DownloadError('INVALID_URL', `${problem} Write it as ${example}.`)
}

const forbiddenInPath = /[\p{Cc}\p{Cs}\\]/u

/** Whether a path with slashes stays below its root: no empty, `.` or `..` segment, and no backslash. */
export function isPlainPath(path: string): boolean {
  return path.length <= 1_024 && !forbiddenInPath.test(path) && staysBelow(path)
}

/**
 * Whether a path in a list of files stays below its root. It may have names that can't be stored: those are left to
 * the group, which goes on without these files.
 */
export function staysBelow(path: string): boolean {
  return path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}

/**
 * Whether a text can be a branch, a tag or a commit: a name that git-check-ref-format(1) allows, that git
 * can't mistake for an option, and of at most 255 characters. Such a name has no `..` segment and can always
 * be escaped for a URL.
 */
export function isRevision(revision: string): boolean {
  return (
    /^[^ \p{Cc}\p{Cs}~^:?*[\\]{1,255}$/u.test(revision) &&
    !/^-|^@$|\.$|\.\.|@\{/.test(revision) &&
    revision.split('/').every((part) => /^[^.]/u.test(part) && !part.endsWith('.lock'))
  )
}

/** The decoded segments of a URL's path; null when it contains an invalid escape. */
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

/** Parses a URL; null when the text is not one. */
export function urlOf(text: string): URL | null {
  try {
    return new URL(text)
  } catch {
    return null
  }
}

/** Quotes up to five names for a message, and says how many more there are. */
export function fewOf(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 100)))
  const rest = names.length - shown.length
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ')
}

// ---- Settings from the environment, and errors that sources share.

type Environment = ResolveContext['env']

/** The first of the given variables that is set and not empty; null when there is none. */
export function variable(env: Environment, ...names: readonly string[]): string | null {
  for (const name of names) {
    const text = env[name]?.trim() ?? ''
    if (text !== '') return text
  }
  return null
}

/**
 * Checks the base URL of a hub.
 *
 * @param setting - name of the setting that it comes from, for the message.
 * @returns the address without a trailing slash.
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function requireEndpoint(address: string, setting: string): string {
  const url = urlOf(address)
  const usable = url !== null && /^https?:$/.test(url.protocol) && url.username + url.password === ''
  if (usable) return (url.origin + url.pathname).replace(/\/+$/, '')
  throw new DownloadError(
    'INVALID_OPTIONS',
    `${setting} is not an http or https address, or contains credentials. Correct or unset it.`,
    { issues: [{ path: setting, message: 'must be an http or https address without credentials' }] },
  )
}

/** Whether a text can be a token: printable ASCII without spaces, which can't break out of a header. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]{1,16384}$/.test(text)
}

/**
 * Checks a token, which must not break out of its header. Surrounding white space, as in token files, is trimmed.
 *
 * @param setting - name of the setting that it comes from, for the message.
 * @throws DownloadError `INVALID_OPTIONS`, without the token.
 */
export function requireToken(token: string, setting: string): string {
  const text = token.trim()
  if (isToken(text)) return text
  throw new DownloadError(
    'INVALID_OPTIONS',
    `${setting} is empty or contains characters that a token can't have. Set it again.`,
    { issues: [{ path: setting, message: 'is not a valid token' }] },
  )
}

/**
 * Creates the error for a rate limit. How long to wait is added from the headers of the answer.
 *
 * @param remedy - what the user can do about it.
 */
export function rateLimited({ status, url }: ApiAnswer, remedy: string): DownloadError {
  const message = `The rate limit of ${new URL(url).host} is exceeded (HTTP ${String(status)}): ${remedy}.`
  return new DownloadError('HTTP_ERROR', message, { status, retryable: true })
}

/** Creates the error for a response whose content is not what the API documents. */
export function unusable(url: string): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', `${new URL(url).host} sent an unexpected response.`)
}

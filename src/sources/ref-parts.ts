/** What refs are made of, and how a bad one is told. Pure. */
import { DownloadError } from '../errors.js'

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

/** What git allows in the name of a branch or tag, a commit included (git-check-ref-format), and no longer than 255. */
export function isRevision(revision: string): boolean {
  return (
    /^[^\s\p{Cc}\p{Cs}~^:?*[\\]{1,255}$/u.test(revision) &&
    !revision.includes('..') &&
    !revision.includes('@{') &&
    !/^[-/]|\/\/|\/$|\.lock$/.test(revision)
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

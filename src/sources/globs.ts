/** Globs over paths with slashes. Pure. */
import { DownloadError } from '../errors.js'

/**
 * Whether globs select a path: it must match one of `include` (if there are any) and none of `exclude`.
 *
 * `*` matches within a segment, `**` across segments, `?` one character. As in .gitignore, a glob without a
 * slash, such as `*.gguf`, is matched against the file name in any folder, and one that ends with a slash
 * matches everything below.
 *
 * @throws DownloadError `INVALID_OPTIONS` for a glob of more than 1,000 characters.
 */
export function selects(
  path: string,
  include: readonly string[] | undefined,
  exclude: readonly string[] | undefined,
): boolean {
  const fits = (glob: string) => matches(glob, path)
  return (include === undefined || include.length === 0 || include.some(fits)) && !(exclude ?? []).some(fits)
}

/**
 * Whether one glob matches a path; see {@link selects}. The time is bounded by the length of the glob times
 * that of the path, whatever they contain.
 *
 * @throws DownloadError `INVALID_OPTIONS` for a glob of more than 1,000 characters.
 */
export function matches(glob: string, path: string): boolean {
  if (glob.length > 1_000)
    throw new DownloadError('INVALID_OPTIONS', 'A glob is longer than 1,000 characters.')
  const full = glob.endsWith('/') ? `${glob}**` : glob
  if (full.includes('/')) return fitSegments(full.replace(/^\//, '').split('/'), path.split('/'))
  return fitSegment(full, path.slice(path.lastIndexOf('/') + 1))
}

function fitSegments(globs: readonly string[], segments: readonly string[]): boolean {
  return fitSequence(
    globs,
    segments,
    (glob) => glob === '**',
    (glob, segment) => fitSegment(glob, segment),
  )
}

function fitSegment(glob: string, text: string): boolean {
  return fitSequence(
    Array.from(glob),
    Array.from(text),
    (sign) => sign === '*',
    (sign, character) => sign === '?' || sign === character,
  )
}

/** Greedy matching that backtracks to the last star only. A later star can match whatever an earlier one could. */
function fitSequence<T>(
  pattern: readonly T[],
  items: readonly T[],
  isStar: (item: T) => boolean,
  fits: (pattern: T, item: T) => boolean,
): boolean {
  let at = 0
  let star = -1
  let starItem = 0
  for (let item = 0; item < items.length;) {
    const sign = pattern[at]
    const value = items[item]
    if (sign !== undefined && isStar(sign)) {
      star = at
      starItem = item
      at += 1
    } else if (sign !== undefined && value !== undefined && fits(sign, value)) {
      at += 1
      item += 1
    } else if (star >= 0) {
      at = star + 1
      starItem += 1
      item = starItem
    } else {
      return false
    }
  }
  return pattern.slice(at).every(isStar)
}

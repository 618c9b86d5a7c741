/** Globs over paths with slashes. Pure. */
import { DownloadError } from '../errors.js'

/**
 * Whether globs choose a path: one of `include` fits (or there is none), and none of `exclude`.
 *
 * `*` fits within a segment, `**` over segments, `?` one character. A glob without a slash is held against the file's
 * own name wherever it lies, as in .gitignore: `*.gguf`; one that ends with a slash means everything below.
 */
export function selects(
  path: string,
  include: readonly string[] | undefined,
  exclude: readonly string[] | undefined,
): boolean {
  const fits = (glob: string) => matches(glob, path)
  return (include === undefined || include.length === 0 || include.some(fits)) && !(exclude ?? []).some(fits)
}

/** Whether one glob fits; see {@link selects}. Takes time in proportion to glob × path, whatever is in them. */
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

/** Greedy, with one way back: to the last star. Enough, as a later star can do whatever an earlier one could. */
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

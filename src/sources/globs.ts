/** Globs over paths with slashes. Pure. */
import { DownloadError } from '../errors.js'
import type { Slices } from '../util/slices.js'

/**
 * How many comparisons one {@link selector} makes at most. That is far more than a list of ten thousand files
 * and globs that people write need, and takes about a tenth of a second.
 */
const maxSteps = 20_000_000

/** How many of them one path may need, so that the event loop can have its turn after each path. */
const maxStepsPerPath = 1_000_000

/** Counts comparisons, so that the globs and paths of strangers can't keep the event loop busy. */
interface Meter {
  left: number
  /** For the current path. */
  leftForPath: number
}

/** A glob, divided once for all paths. */
interface Glob {
  /** Whether it is matched against the complete path; otherwise against the file name. */
  wholePath: boolean
  segments: readonly (readonly string[])[]
}

/** A path, divided once for all globs. */
interface DividedPath {
  segments: readonly (readonly string[])[]
  name: readonly string[]
}

/**
 * Returns a function that tells whether globs select a path: it must match one of `include` (if there are any)
 * and none of `exclude`.
 *
 * `*` matches within a segment, `**` across segments, `?` one character. As in .gitignore, a glob without a
 * slash, such as `*.gguf`, is matched against the file name in any folder, and one that ends with a slash
 * matches everything below.
 *
 * @param slices - counts the comparisons.
 * @throws DownloadError `INVALID_OPTIONS` for a glob of more than 1,000 characters; the function throws it
 * when the globs take too many comparisons for a path, or for all paths together.
 */
export function selector(
  include: readonly string[] | undefined,
  exclude: readonly string[] | undefined,
  slices: Slices | null = null,
): (path: string) => boolean {
  const wanted = (include ?? []).map(divideGlob)
  const unwanted = (exclude ?? []).map(divideGlob)
  const meter: Meter = { left: maxSteps, leftForPath: 0 }
  return (path) => {
    if (wanted.length + unwanted.length === 0) return true
    const before = meter.left
    meter.leftForPath = maxStepsPerPath
    spend(meter, path.length)
    const divided = dividePath(path)
    const fits = (glob: Glob) => fitGlob(glob, divided, meter)
    const isSelected = (wanted.length === 0 || wanted.some(fits)) && !unwanted.some(fits)
    slices?.spend(before - meter.left)
    return isSelected
  }
}

/**
 * Whether globs select a path; see {@link selector}, which is faster for several paths.
 *
 * @throws DownloadError `INVALID_OPTIONS` for a glob of more than 1,000 characters.
 */
export function selects(
  path: string,
  include: readonly string[] | undefined,
  exclude: readonly string[] | undefined,
): boolean {
  return selector(include, exclude)(path)
}

/**
 * Whether one glob matches a path; see {@link selector}. The time is bounded by the length of the glob times
 * that of the path, whatever they contain.
 *
 * @throws DownloadError `INVALID_OPTIONS` for a glob of more than 1,000 characters.
 */
export function matches(glob: string, path: string): boolean {
  return fitGlob(divideGlob(glob), dividePath(path), {
    left: maxSteps,
    leftForPath: maxSteps,
  })
}

function divideGlob(glob: string): Glob {
  if (glob.length > 1_000)
    throw new DownloadError('INVALID_OPTIONS', 'A glob is longer than 1,000 characters.')
  const full = glob.endsWith('/') ? `${glob}**` : glob
  const wholePath = full.includes('/')
  return { wholePath, segments: full.replace(/^\//, '').split('/').map(charactersOf) }
}

function dividePath(path: string): DividedPath {
  const segments = path.split('/').map(charactersOf)
  return { segments, name: segments.at(-1) ?? [] }
}

const charactersOf = (text: string): string[] => Array.from(text)

function fitGlob({ wholePath, segments }: Glob, path: DividedPath, meter: Meter): boolean {
  if (!wholePath) return fitSegment(segments[0] ?? [], path.name, meter)
  return fitSequence(
    segments,
    path.segments,
    (glob) => glob.length === 2 && glob[0] === '*' && glob[1] === '*',
    (glob, segment) => fitSegment(glob, segment, meter),
    meter,
  )
}

function fitSegment(glob: readonly string[], text: readonly string[], meter: Meter): boolean {
  return fitSequence(
    glob,
    text,
    (sign) => sign === '*',
    (sign, character) => sign === '?' || sign === character,
    meter,
  )
}

function spend(meter: Meter, steps: number): void {
  meter.left -= steps
  meter.leftForPath -= steps
  if (meter.left >= 0 && meter.leftForPath >= 0) return
  const message = 'take too long to match against so many files; use fewer or simpler ones'
  throw new DownloadError('INVALID_OPTIONS', `The globs of include and exclude ${message}.`, {
    issues: [{ path: 'include', message }],
  })
}

/** Greedy matching that backtracks to the last star only. A later star can match whatever an earlier one could. */
function fitSequence<T>(
  pattern: readonly T[],
  items: readonly T[],
  isStar: (item: T) => boolean,
  fits: (pattern: T, item: T) => boolean,
  meter: Meter,
): boolean {
  let at = 0
  let star = -1
  let starItem = 0
  for (let item = 0; item < items.length;) {
    spend(meter, 1)
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

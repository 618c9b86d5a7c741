/**
 * Interval arithmetic over the bytes of a file. Pure.
 *
 * A set holds a few dozen intervals at most (one run per connection and resume), so a sorted array with linear
 * scans is faster than a tree. Sets are never changed in place: a caller may keep an old one while the journal is
 * being written.
 */

/** The bytes from `start` up to, not including, `end`. */
export type Interval = readonly [start: number, end: number]

/** Sorted by start, disjoint, non-adjacent, each non-empty. */
export type IntervalSet = readonly Interval[]

/** Adds `[start, end)` to a set. Returns the same set for an empty range or one that is already covered. */
export function add(set: IntervalSet, start: number, end: number): IntervalSet {
  if (end <= start) return set
  let first = 0
  while (endAt(set, first) < start) first++
  let after = first
  let from = start
  let to = end
  for (let run = set[after]; run !== undefined && run[0] <= end; run = set[++after]) {
    if (run[0] <= start && run[1] >= end) return set
    from = Math.min(from, run[0])
    to = Math.max(to, run[1])
  }
  const result = set.slice()
  result.splice(first, after - first, [from, to])
  return result
}

/** Removes `[start, end)` from a set. Returns the same set if none of the range is in it. */
export function subtract(set: IntervalSet, start: number, end: number): IntervalSet {
  if (end <= start) return set
  let first = 0
  while (endAt(set, first) <= start) first++
  let after = first
  const kept: Interval[] = []
  for (let run = set[after]; run !== undefined && run[0] < end; run = set[++after]) {
    if (run[0] < start) kept.push([run[0], start])
    if (run[1] > end) kept.push([end, run[1]])
  }
  if (after === first) return set
  const result = set.slice()
  result.splice(first, after - first, ...kept)
  return result
}

/** The union of two sets. */
export function union(a: IntervalSet, b: IntervalSet): IntervalSet {
  const result: [number, number][] = []
  let i = 0
  let j = 0
  for (;;) {
    const left = a[i]
    const right = b[j]
    const takeLeft = left !== undefined && (right === undefined || left[0] <= right[0])
    const next = takeLeft ? left : right
    if (next === undefined) return result
    if (takeLeft) i++
    else j++
    const last = result.at(-1)
    if (last !== undefined && next[0] <= last[1]) last[1] = Math.max(last[1], next[1])
    else result.push([next[0], next[1]])
  }
}

/** Number of bytes in a set. */
export function size(set: IntervalSet): number {
  let bytes = 0
  for (const run of set) bytes += run[1] - run[0]
  return bytes
}

/** Whether a set contains every byte of `[start, end)`; true for an empty range. */
export function covers(set: IntervalSet, start: number, end: number): boolean {
  if (end <= start) return true
  for (const run of set) {
    if (run[0] > start) return false
    if (run[1] >= end) return true
  }
  return false
}

/** The end of the interval that begins at byte 0; 0 if byte 0 is missing. */
export function frontier(set: IntervalSet): number {
  const run = set[0]
  return run?.[0] === 0 ? run[1] : 0
}

/** The part of a set within `[0, total)`. */
export function clip(set: IntervalSet, total: number): IntervalSet {
  return subtract(set, total, set.at(-1)?.[1] ?? 0)
}

/**
 * Parses a set from a journal. A journal may be damaged, so any irregularity makes it invalid.
 *
 * @returns the set, with adjacent intervals merged; null unless the value is an array of `[start, end]` pairs of
 * non-negative safe integers, sorted, disjoint and non-empty.
 */
export function parseIntervals(value: unknown): IntervalSet | null {
  if (!Array.isArray(value)) return null
  const items: readonly unknown[] = value
  const result: [number, number][] = []
  for (const item of items) {
    if (!isPair(item)) return null
    const [start, end] = item
    const last = result.at(-1)
    if (end <= start || start < (last?.[1] ?? 0)) return null
    if (last?.[1] === start) last[1] = end
    else result.push([start, end])
  }
  return result
}

function isPair(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger)
}

/** The end of an interval; infinite behind the last one. */
function endAt(set: IntervalSet, index: number): number {
  return set[index]?.[1] ?? Infinity
}

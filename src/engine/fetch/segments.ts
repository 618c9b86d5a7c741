/** Decides which bytes a free connection fetches next, and which slow connection is worth replacing. Pure. */
import { add, clip, frontier, type IntervalSet, size } from '../part/intervals.js'

/** A segment that a connection is receiving: `[position, end)` is still missing. */
export interface ActiveSegment {
  /** Id of the connection. */
  id: number
  /** First byte that has not arrived yet. */
  position: number
  /** One past the last byte of the segment. */
  end: number
}

/** Input of {@link nextSegment}. Sizes are in bytes. */
export interface SegmentSituation {
  /** Bytes that have arrived, whether they are already on disk or still being written. */
  received: IntervalSet
  /** Size of the file. */
  total: number
  /** Segments that are being fetched. */
  active: readonly ActiveSegment[]
  /** How many connections may be open at once. */
  connections: number
  /** A segment is never split below this size. */
  minSegmentBytes: number
  /**
   * Upper bound for the size of a segment. Default unlimited. Bounded segments are assigned from the front of the
   * file, so that the hasher, which follows the front, has little left to do when the last byte arrives.
   */
  maxSegmentBytes?: number
  /**
   * How far behind the first missing byte a segment may begin. Default unlimited. It is bounded where the file system
   * fills the space before a write with zeros, so a segment before bytes that are there already may begin anywhere.
   */
  windowBytes?: number
}

/**
 * A range to fetch. With `gap`, no connection is fetching it. With `steal`, connection `victim` must be told to
 * stop at `start` before the new request is sent.
 */
export type SegmentAssignment =
  { kind: 'gap'; start: number; end: number } | { kind: 'steal'; victim: number; start: number; end: number }

/** Progress of one connection, as {@link slowest} compares it. */
export interface ConnectionSpeed {
  id: number
  bytesPerSecond: number
  /** Milliseconds since its response was accepted. */
  ageMs: number
  /** Bytes that it has still to receive. */
  remaining: number
}

/** A connection that will be done within this time is not worth replacing, in seconds. */
const worthwhileSeconds = 5

/**
 * Chooses what a free connection fetches next.
 *
 * The lowest gap is filled first, because the hasher follows the front of the file. A fair share is taken from the
 * start of the gap: on a new file, `connections` calls in a row return that many even, contiguous segments. When no
 * gap is left, the second half of the largest remaining segment is taken over, unless the halves would be smaller
 * than `minSegmentBytes`. The same happens while the lowest gap begins behind the window.
 *
 * @returns null when nothing is worth another connection, or must wait until the first missing byte has come.
 */
export function nextSegment(situation: SegmentSituation): SegmentAssignment | null {
  const { received, total, active, connections, minSegmentBytes } = situation
  // The bytes of a single connection arrive in order.
  const windowBytes = connections > 1 ? (situation.windowBytes ?? Infinity) : Infinity
  const maxSegmentBytes = Math.min(
    situation.maxSegmentBytes ?? Infinity,
    Math.floor(windowBytes / Math.max(1, connections)),
  )
  const horizon = Math.max(frontier(received) + windowBytes, received.at(-1)?.[1] ?? 0)
  let taken = received
  for (const { position, end } of active) taken = add(taken, position, end)
  const start = frontier(taken)
  if (start < total && start < horizon) {
    // `taken[0]` is the run that ends at `start`, unless byte 0 itself is free.
    const end = Math.min(total, taken[start === 0 ? 0 : 1]?.[0] ?? total)
    const share = Math.ceil((total - size(clip(received, total))) / Math.max(1, connections))
    const bytes = Math.max(1, minSegmentBytes, Math.min(share, maxSegmentBytes))
    return { kind: 'gap', start, end: end - start - bytes < minSegmentBytes ? end : start + bytes }
  }
  let victim: ActiveSegment | null = null
  for (const candidate of active) {
    if (splitPoint(candidate, horizon) - candidate.position < minSegmentBytes) continue
    if (victim === null || remainingBytes(candidate) > remainingBytes(victim)) victim = candidate
  }
  if (victim === null || remainingBytes(victim) < Math.max(2, 2 * minSegmentBytes)) return null
  return { kind: 'steal', victim: victim.id, start: splitPoint(victim, horizon), end: victim.end }
}

/** Where the second half of what a segment has left begins, or what of it lies behind the window. */
function splitPoint(segment: ActiveSegment, horizon: number): number {
  return Math.min(segment.position + Math.ceil(remainingBytes(segment) / 2), horizon)
}

function remainingBytes(segment: ActiveSegment): number {
  return segment.end - segment.position
}

/**
 * Finds the connection that holds up the download: older than `minAgeMs`, slower than `ratio` times the median
 * speed of the others, and with more left than it receives in 5 seconds. If several qualify, the slowest one is
 * chosen.
 *
 * @returns its id; null when there is none, or when there are fewer than two others to compare it with.
 */
export function slowest(
  connections: readonly ConnectionSpeed[],
  { minAgeMs, ratio }: { minAgeMs: number; ratio: number },
): number | null {
  if (connections.length < 3) return null
  const speeds = connections.map((connection) => connection.bytesPerSecond).sort((a, b) => a - b)
  let found: ConnectionSpeed | null = null
  for (const candidate of connections) {
    if (candidate.ageMs <= minAgeMs) continue
    if (candidate.remaining <= candidate.bytesPerSecond * worthwhileSeconds) continue
    const others = speeds.toSpliced(speeds.indexOf(candidate.bytesPerSecond), 1)
    if (candidate.bytesPerSecond >= ratio * medianOfSorted(others)) continue
    if (found === null || candidate.bytesPerSecond < found.bytesPerSecond) found = candidate
  }
  return found === null ? null : found.id
}

/** How much longer than with another connection the rest of a tail must take to be given away. */
const tailFactor = 2

/**
 * Finds the connection that holds up the end of a download, when others have nothing left to fetch: its rest takes at
 * least 5 seconds longer, and twice as long, as with a connection of the usual speed. It must be older than `minAgeMs`.
 *
 * @param usual - speeds of the connections that have finished lately, in bytes per second.
 * @returns its id, the one with most time left of several; null when there is none, or no usual speed is known.
 */
export function straggler(
  connections: readonly ConnectionSpeed[],
  usual: readonly number[],
  minAgeMs: number,
): number | null {
  if (usual.length === 0) return null
  const speed = medianOfSorted(usual.toSorted((a, b) => a - b))
  let found: { id: number; seconds: number } | null = null
  for (const { id, bytesPerSecond, ageMs, remaining } of connections) {
    if (ageMs <= minAgeMs || remaining <= 0) continue
    const seconds = remaining / bytesPerSecond
    const elsewhere = remaining / speed
    if (seconds < elsewhere * tailFactor || seconds < elsewhere + worthwhileSeconds) continue
    if (found === null || seconds > found.seconds) found = { id, seconds }
  }
  return found?.id ?? null
}

/** Shortest and longest time that a connection should take for a segment in a window, in milliseconds. */
const windowedMs = { least: 400, most: 2_000 } as const

/** A segment in a window takes this many response times, so that waiting for them costs a tenth of the time. */
const answersPerSegment = 10

/** Size of a segment in a window while no speed is known, in bytes. */
const untriedBytes = 4 * 1024 * 1024

/**
 * How far behind the first missing byte a segment may begin where the file system fills the space before a write with
 * zeros. Zeros cost little when they are overwritten before they leave the page cache, so the window holds what arrives
 * in a second or less; but not less than it takes to keep all connections busy.
 *
 * @param usual - speeds of the connections that have finished lately, in bytes per second.
 * @param answerMs - response time of the server in milliseconds.
 */
export function windowFor({
  connections,
  minSegmentBytes,
  usual,
  answerMs,
}: {
  connections: number
  minSegmentBytes: number
  usual: readonly number[]
  answerMs: number
}): number {
  const ms = Math.min(windowedMs.most, Math.max(windowedMs.least, answerMs * answersPerSegment))
  const speed = medianOfSorted(usual.toSorted((a, b) => a - b))
  const bytes = usual.length === 0 ? untriedBytes : Math.round((speed * ms) / 1_000)
  return connections * Math.max(1, minSegmentBytes, bytes)
}

function medianOfSorted(values: readonly number[]): number {
  const middle = values.length >> 1
  const upper = values[middle] ?? 0
  return values.length % 2 === 1 ? upper : ((values[middle - 1] ?? 0) + upper) / 2
}

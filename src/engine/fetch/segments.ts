/** Which bytes a free connection fetches next. Pure. */
import {
  add,
  clip,
  type ConnectionSpeed,
  frontier,
  type Running,
  size,
  type RangeAssignment,
  type WorkSituation,
  worthwhileSeconds,
} from '../part/intervals.js'

/**
 * What a free connection fetches next.
 *
 * The lowest gap comes first, so that the front which the hasher follows moves on. From its head a fair share is
 * taken: on a fresh file, `connections` calls in a row give as many even, contiguous segments. When no gap is left,
 * the far half of the largest rest is stolen, unless the halves would be smaller than `minSegmentBytes`.
 *
 * @returns null when there is nothing worth another connection.
 */
export function nextWork(situation: WorkSituation): RangeAssignment | null {
  const { received, total, running, connections, minSegmentBytes, maxSegmentBytes = Infinity } = situation
  let taken = received
  for (const { position, end } of running) taken = add(taken, position, end)
  const start = frontier(taken)
  if (start < total) {
    // `taken[0]` is the run that ends at `start`, unless byte 0 itself is free.
    const end = Math.min(total, taken[start === 0 ? 0 : 1]?.[0] ?? total)
    const share = Math.ceil((total - size(clip(received, total))) / Math.max(1, connections))
    const bytes = Math.max(1, minSegmentBytes, Math.min(share, maxSegmentBytes))
    return { kind: 'gap', start, end: end - start - bytes < minSegmentBytes ? end : start + bytes }
  }
  let victim: Running | null = null
  for (const candidate of running) {
    if (victim === null || rest(candidate) > rest(victim)) victim = candidate
  }
  if (victim === null || rest(victim) < Math.max(2, 2 * minSegmentBytes)) return null
  return {
    kind: 'steal',
    victim: victim.id,
    start: victim.position + Math.ceil(rest(victim) / 2),
    end: victim.end,
  }
}

function rest(connection: Running): number {
  return connection.end - connection.position
}

/**
 * The connection that holds the others up, if any: older than `minAgeMs`, slower than `ratio` times the median speed
 * of the others, and with more left than it gets done in 5 seconds. Of several, the slowest.
 *
 * @returns its id; null when there is none, or when there are less than two others to compare with.
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

function medianOfSorted(values: readonly number[]): number {
  const middle = values.length >> 1
  const upper = values[middle] ?? 0
  return values.length % 2 === 1 ? upper : ((values[middle - 1] ?? 0) + upper) / 2
}

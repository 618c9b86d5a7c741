/** Remembers the speeds of downloads, for a chart. Pure. */
import type { WireDownload } from '../../client/index.js'

/** A speed at a time. */
export interface Sample {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly bytesPerSecond: number
}

/** Speeds by URL, oldest first. */
export type SpeedHistory = ReadonlyMap<string, readonly Sample[]>

/** Least time between two samples, in milliseconds. */
export const everyMs = 1_000

/** Number of samples that are kept: ten minutes. */
const maxSamples = 600

/** The history with the current speeds. Downloads that are no longer known lose theirs. */
export function withSpeeds(
  history: SpeedHistory,
  downloads: readonly WireDownload[],
  now: number,
): SpeedHistory {
  const next = new Map<string, readonly Sample[]>()
  for (const { url, state, bytes_per_second: bytesPerSecond } of downloads) {
    const samples = history.get(url) ?? []
    const last = samples.at(-1)
    const isDue = state === 'downloading' && (last === undefined || now - last.at >= everyMs)
    const kept = isDue ? [...samples, { at: now, bytesPerSecond }].slice(-maxSamples) : samples
    if (kept.length > 0) next.set(url, kept)
  }
  return next
}

/** What a chart shows. */
export interface Chart {
  /** Points of the line, of which x and y are from 0 to 1; y grows downwards. */
  readonly points: readonly (readonly [x: number, y: number])[]
  readonly now: number
  readonly average: number
  readonly peak: number
}

/** A chart of samples; null when there are too few. */
export function chartOf(samples: readonly Sample[]): Chart | null {
  const [first] = samples
  const last = samples.at(-1)
  if (first === undefined || last === undefined || samples.length < 2) return null
  const speeds = samples.map(({ bytesPerSecond }) => bytesPerSecond)
  const peak = Math.max(...speeds)
  const span = Math.max(1, last.at - first.at)
  return {
    points: samples.map(({ at, bytesPerSecond }) => [
      (at - first.at) / span,
      peak === 0 ? 1 : 1 - bytesPerSecond / peak,
    ]),
    now: last.bytesPerSecond,
    average: speeds.reduce((sum, speed) => sum + speed, 0) / speeds.length,
    peak,
  }
}

import type { DownloadState } from './states.js'

/** Progress of a download. */
export interface Progress {
  /** Bytes on disk. */
  downloaded: number
  /** Total size in bytes, or null while unknown. */
  total: number | null
  /** 0 to 100; it is 100 only when the file exists under its final name. */
  percent: number
  /** Average over the last seconds; 0 when nothing is being transferred. */
  bytesPerSecond: number
  /** Remaining seconds at that speed, or null if unknown. */
  etaSeconds: number | null
  /** Number of connections that are currently transferring. */
  connections: number
  /** Current state of the download. */
  phase: DownloadState
  /** True if the files on disk were used without asking the source, see {@link Download.stale}; otherwise missing. */
  stale?: boolean
}

/** Percentage for display: one decimal, and never 100 before the file is published. */
export function percentOf(downloaded: number, total: number | null, published: boolean): number {
  if (published) return 100
  if (total === null || total <= 0) return 0
  return Math.max(0, Math.min(99.9, Math.floor((downloaded * 1000) / total) / 10))
}

/**
 * Measures the speed over a sliding window. Pure, since callers pass the time.
 *
 * Keeps a few samples and returns the slope between the oldest and the newest, so that a burst does not make
 * the number jump.
 */
export class SpeedMeter {
  readonly #windowMs: number
  #samples: { at: number; bytes: number }[] = []

  /** @param windowMs - length of the window in milliseconds. Default 5,000. */
  constructor(windowMs = 5_000) {
    this.#windowMs = windowMs
  }

  /**
   * Adds a sample.
   *
   * @param at - monotonic time in milliseconds.
   * @param bytes - total bytes so far; a smaller number than before starts a new window.
   */
  add(at: number, bytes: number): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && bytes < last.bytes) this.#samples = []
    this.#samples.push({ at, bytes })
    while (this.#samples.length > 2 && at - (this.#samples[1]?.at ?? at) >= this.#windowMs)
      this.#samples.shift()
  }

  /** Bytes per second over the window; 0 while there are fewer than two samples. */
  bytesPerSecond(): number {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.at <= first.at) return 0
    return Math.max(0, Math.round(((last.bytes - first.bytes) * 1000) / (last.at - first.at)))
  }

  /** Discards all samples. */
  reset(): void {
    this.#samples = []
  }
}

/** Remaining seconds, rounded up, or null when the total or the speed is unknown. */
export function etaSeconds(downloaded: number, total: number | null, bytesPerSecond: number): number | null {
  if (total === null || bytesPerSecond <= 0) return null
  return Math.max(0, Math.ceil((total - downloaded) / bytesPerSecond))
}

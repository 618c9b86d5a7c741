/**
 * Bounds for the downloads of remote callers, who could otherwise fill the disk with one file, or hold a slot with a
 * server that sends next to nothing. Pure.
 */
import { DownloadError } from '../../errors.js'
import { formatBytes } from '../../util/format.js'
import type { RemoteBounds } from '../protocol.js'

/** How long a download is measured before it may be found too slow, in milliseconds. */
export const slowWindowMs = 60_000

/** The most that counts between two measurements, in milliseconds: nobody may have been fetching in between. */
const maxStepMs = 1_000

/**
 * Decides whether a file is too large.
 *
 * @param size - its size in bytes, or how much of it there is at least; null if unknown.
 * @returns the error (`NO_SPACE`), or null if the size is allowed.
 */
export function refuseSize(
  size: number | null | undefined,
  bounds: RemoteBounds | null | undefined,
): DownloadError | null {
  const limit = bounds?.maxFileBytes ?? null
  if (limit === null || size === null || size === undefined || size <= limit) return null
  const message = `The file is larger than ${formatBytes(limit)} (${limit} bytes), which is the most that a remote caller may download here.`
  return new DownloadError('NO_SPACE', message)
}

/**
 * Where a connection stops reading while the size of the file is unknown: one byte after the limit, which shows that
 * the file is too large. Null for no limit.
 */
export function readLimit(bounds: RemoteBounds | null | undefined): number | null {
  const limit = bounds?.maxFileBytes ?? null
  return limit === null ? null : limit + 1
}

/** Measures the speed of one download, whose transfers all report to the same object. */
export class Pace {
  readonly #minBytesPerSecond: number
  #measuredAt: number | null = null
  #windowMs = 0
  #windowBytes = 0
  #error: DownloadError | null = null

  constructor(minBytesPerSecond: number) {
    this.#minBytesPerSecond = minBytesPerSecond
  }

  /** Why the download is too slow, or null. It stays once it is set. */
  get error(): DownloadError | null {
    return this.#error
  }

  /**
   * Adds a measurement. Waiting for a response or for a retry counts, since the slot is taken meanwhile.
   *
   * @param now - monotonic milliseconds.
   * @param bytes - received since the last measurement of the same transfer.
   * @param held - a rate limit or the disk of this machine holds the transfer back, so the time does not count.
   * @returns {@link error}.
   */
  note(now: number, bytes: number, held: boolean): DownloadError | null {
    const step = Math.max(0, now - (this.#measuredAt ?? now))
    this.#measuredAt = now
    this.#windowBytes += bytes
    if (!held) this.#windowMs += Math.min(step, maxStepMs)
    if (this.#windowMs < slowWindowMs) return this.#error
    const bytesPerSecond = (this.#windowBytes * 1000) / this.#windowMs
    this.#windowMs = 0
    this.#windowBytes = 0
    if (bytesPerSecond < this.#minBytesPerSecond) this.#error ??= tooSlow(this.#minBytesPerSecond)
    return this.#error
  }
}

function tooSlow(minBytesPerSecond: number): DownloadError {
  const message = `The download was slower than ${formatBytes(minBytesPerSecond)}/s for ${slowWindowMs / 1000} s, which is the least that the download of a remote caller must reach here. The bytes received are kept.`
  return new DownloadError('STALLED', message, { retryable: true })
}

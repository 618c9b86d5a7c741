import { DownloadError, isDownloadError } from '../../errors.js'

/** Why a transfer has to begin again at byte 0. */
export type StartOverCause = 'changed' | 'ranges-lost' | 'part-lost' | 'checksum' | 'mirror'

/** How often a transfer begins again, by cause; for lost ranges the retry budget decides. */
const maxRestarts = { changed: 1, 'part-lost': 2, checksum: 1, mirror: 1 } as const

/** Counts how often a transfer has begun again. */
export class Restarts {
  readonly #counts = { changed: 0, 'part-lost': 0, checksum: 0, mirror: 0 }

  /** Counts one more; whether it is allowed. */
  allow(cause: Exclude<StartOverCause, 'ranges-lost'>): boolean {
    this.#counts[cause] += 1
    return this.#counts[cause] <= maxRestarts[cause]
  }
}

/** Thrown when what is on disk can't be completed: drop it and begin at byte 0. */
export class StartOver extends Error {
  /** Why; also the error of the transfer when it has started over too often. */
  readonly reason: DownloadError
  readonly trigger: StartOverCause
  /** When the transfer fails with it, the bytes may still be of use to a later run. */
  readonly keep: boolean

  constructor(reason: DownloadError, trigger: StartOverCause, keep = false) {
    super(reason.message)
    this.reason = reason
    this.trigger = trigger
    this.keep = keep
  }

  /** What was thrown, if starting over may help against it: a wrong digest gets one clean try (FAULTS row 46). */
  static of(thrown: unknown): StartOver | null {
    if (thrown instanceof StartOver) return thrown
    return isDownloadError(thrown, 'CHECKSUM_MISMATCH') ? new StartOver(thrown, 'checksum') : null
  }
}

/** Somebody else changed or deleted the part file. */
export function partLost(): StartOver {
  const message = 'The part file was changed or deleted by somebody else.'
  return new StartOver(new DownloadError('DISK_IO', message, { retryable: true }), 'part-lost')
}

/** Failures after which the bytes on disk are worth nothing. */
export const worthless: ReadonlySet<string> = new Set(['CHECKSUM_MISMATCH', 'CONTENT_MISMATCH'])

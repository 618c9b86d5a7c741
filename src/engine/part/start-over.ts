import { DownloadError, isDownloadError } from '../../errors.js'

/** Why a transfer has to start over at byte 0. */
export type StartOverCause =
  'changed' | 'ranges-lost' | 'no-ranges' | 'part-lost' | 'checksum' | 'pieces' | 'mirror'

/** How often a transfer may start over, by cause. For `ranges-lost` the retry budget decides. */
const maxRestarts = { changed: 1, 'no-ranges': 4, 'part-lost': 2, checksum: 1, pieces: 2, mirror: 1 } as const

/** Counts how often a transfer has started over. */
export class Restarts {
  readonly #counts = { changed: 0, 'no-ranges': 0, 'part-lost': 0, checksum: 0, pieces: 0, mirror: 0 }

  /** Whether bytes of the transfer have proved to be wrong. */
  get hadWrongBytes(): boolean {
    return this.#counts.checksum + this.#counts.pieces > 0
  }

  /** Counts one more restart, and returns whether it is allowed. */
  allow(cause: Exclude<StartOverCause, 'ranges-lost'>): boolean {
    this.#counts[cause] += 1
    return this.#counts[cause] <= maxRestarts[cause]
  }
}

/**
 * Thrown when the bytes on disk can't be completed: they must be discarded, and the download starts over at byte 0.
 */
export class StartOver extends Error {
  /** The error that caused it, and the error of the transfer if it may not start over any more. */
  readonly reason: DownloadError
  readonly trigger: StartOverCause
  /** Whether to keep the bytes if the transfer fails with this, because a later run may still use them. */
  readonly keep: boolean

  constructor(reason: DownloadError, trigger: StartOverCause, keep = false) {
    super(reason.message)
    this.reason = reason
    this.trigger = trigger
    this.keep = keep
  }

  /** Whether the bytes are only fetched again, and the version of the file must be the one that they were of. */
  get isSameVersion(): boolean {
    const { trigger, reason } = this
    const isOurs = trigger === 'ranges-lost' || trigger === 'no-ranges' || trigger === 'part-lost'
    return isOurs && reason.code !== 'SOURCE_CHANGED'
  }

  /** Converts what was thrown, if starting over may help. A wrong digest gets one more attempt (FAULTS row 46). */
  static of(thrown: unknown): StartOver | null {
    if (thrown instanceof StartOver) return thrown
    return isDownloadError(thrown, 'CHECKSUM_MISMATCH') ? new StartOver(thrown, 'checksum') : null
  }
}

/** For a part file that another program has changed or deleted. */
export function partLost(): StartOver {
  const message = 'The part file was changed or deleted by another program.'
  return new StartOver(new DownloadError('DISK_IO', message, { retryable: true }), 'part-lost')
}

/** Error codes after which the bytes on disk are useless and get deleted. */
const worthless: ReadonlySet<string> = new Set(['CHECKSUM_MISMATCH', 'CONTENT_MISMATCH'])

/**
 * Whether the bytes on disk are useless after a failure.
 *
 * @param thrown - what was thrown.
 * @param error - the error of the transfer that it stands for.
 */
export function isWorthless(thrown: unknown, { code }: DownloadError): boolean {
  const isChanged = thrown instanceof StartOver && thrown.trigger === 'changed' && !thrown.keep
  return isChanged || worthless.has(code)
}

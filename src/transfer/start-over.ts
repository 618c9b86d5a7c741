import { DownloadError } from '../errors.js'

/** Why a transfer has to begin again at byte 0. */
export type StartOverCause = 'changed' | 'ranges-lost' | 'part-lost'

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
}

/** Somebody else changed or deleted the part file. */
export function partLost(): StartOver {
  const message = 'The part file was changed or deleted by somebody else.'
  return new StartOver(new DownloadError('DISK_IO', message, { retryable: true }), 'part-lost')
}

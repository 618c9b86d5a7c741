/** Hashing of one file, as used by both this thread and the hash worker, and the messages between them. */
import { createHash } from 'node:crypto'
import { fsError } from '../../disk/errors.js'
import { DownloadError, type SerializedDownloadError } from '../../errors.js'

/** How much is read and hashed at a time, in bytes. Other files and messages are handled in between. */
export const stepBytes = 1024 * 1024

/** How much is hashed between two reports of progress, in bytes. */
const reportBytes = 16 * 1024 * 1024

/** Messages from the service to its worker. `fd` is a number, because threads of one process share descriptors. */
export type HashRequest =
  /** `reports`: whether progress is wanted. */
  | { type: 'open'; id: number; fd: number; reports: boolean }
  | { type: 'advance'; id: number; frontier: number }
  | { type: 'digest'; id: number; size: number; fresh: boolean }
  | { type: 'dispose'; id: number }

/** Messages from the worker to its service. */
export type HashReply =
  | { type: 'digest'; id: number; hex: string }
  | { type: 'error'; id: number; error: SerializedDownloadError }
  /** The bytes [0, position) are hashed. */
  | { type: 'progress'; id: number; position: number }
  /** The worker no longer uses the descriptor. */
  | { type: 'disposed'; id: number }

/** Result of a request for a digest. */
export type HashOutcome = { hex: string } | { error: DownloadError }

/** A range of the file to read, in bytes. */
export interface Step {
  position: number
  length: number
}

/**
 * Hashes one file: decides what to read next and takes what was read. It does no I/O itself, so that the worker can
 * read synchronously and the main thread asynchronously.
 */
export class HashJob {
  readonly fd: number
  readonly #settle: (outcome: HashOutcome) => void
  readonly #report: ((position: number) => void) | null
  #reported = 0
  #hash = createHash('sha256')
  /** Bytes [0, position) are hashed. */
  #position = 0
  #frontier = 0
  /** Size for which a digest was requested; null if none is pending. */
  #wanted: number | null = null
  /** Reading failed while no digest was requested. The next request tries again. */
  #stalled = false

  /**
   * @param fd - descriptor of the file, open for reading.
   * @param settle - called once for each {@link HashJob.want}.
   * @param report - called from time to time while a digest is requested, with the number of bytes hashed so far.
   */
  constructor(
    fd: number,
    settle: (outcome: HashOutcome) => void,
    report: ((position: number) => void) | null = null,
  ) {
    this.fd = fd
    this.#settle = settle
    this.#report = report
  }

  /** Notes that the bytes [0, frontier) have been written. */
  advance(frontier: number): void {
    this.#frontier = Math.max(this.#frontier, frontier)
  }

  /**
   * Requests the digest of [0, size).
   *
   * @param fresh - whether to hash again from byte 0, because earlier bytes may have changed.
   */
  want(size: number, fresh: boolean): void {
    if (fresh || this.#position > size) {
      this.#hash = createHash('sha256')
      this.#position = 0
      this.#reported = 0
    }
    this.#stalled = false
    this.#wanted = size
    this.#finishWhenDone()
  }

  /** The range to read next, at most {@link stepBytes}; null if there is nothing to do for now. */
  next(): Step | null {
    const end = this.#wanted ?? (this.#stalled ? 0 : this.#frontier)
    if (this.#position >= end) return null
    return { position: this.#position, length: Math.min(stepBytes, end - this.#position) }
  }

  /** Takes the bytes read for {@link HashJob.next}. There may be fewer; none mean the end of the file. */
  took(chunk: Uint8Array): void {
    if (chunk.length > 0) {
      this.#hash.update(chunk)
      this.#position += chunk.length
      if (this.#wanted !== null && this.#position - this.#reported >= reportBytes) {
        this.#reported = this.#position
        this.#report?.(this.#position)
      }
      this.#finishWhenDone()
    } else if (this.#wanted === null) {
      this.#stalled = true
    } else {
      this.#fail(shorterThan(this.#wanted, this.#position))
    }
  }

  /** Notes that the read failed. */
  failed(error: unknown): void {
    if (this.#wanted === null) this.#stalled = true
    else this.#fail(fsError(error, 'reading back what was downloaded'))
  }

  #finishWhenDone(): void {
    if (this.#wanted === null || this.#position !== this.#wanted) return
    this.#wanted = null
    // Copied, because the original is needed if the file turns out to be longer.
    this.#settle({ hex: this.#hash.copy().digest('hex') })
  }

  #fail(error: DownloadError): void {
    this.#wanted = null
    this.#stalled = true
    this.#settle({ error })
  }
}

/** The error for a file that is shorter than what was written to it, because another program truncated it. */
export function shorterThan(size: number, actual: number): DownloadError {
  return new DownloadError('TRUNCATED', `The file on disk ends at byte ${actual} of ${size}.`, {
    retryable: true,
  })
}

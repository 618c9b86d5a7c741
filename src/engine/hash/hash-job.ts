/** What the hash worker and the hashing in this thread have in common: one file's course, and the words between them. */
import { createHash } from 'node:crypto'
import { fsError } from '../../disk/errors.js'
import { DownloadError, type SerializedDownloadError } from '../../errors.js'

/** How much is read and hashed at a time, in bytes; other files and messages take their turn in between. */
export const stepBytes = 1024 * 1024

/** From the service to its worker. `fd` is a plain number: threads of one process share descriptors. */
export type HashRequest =
  | { type: 'open'; id: number; fd: number }
  | { type: 'advance'; id: number; frontier: number }
  | { type: 'digest'; id: number; size: number; fresh: boolean }
  | { type: 'dispose'; id: number }

/** From the worker to its service. */
export type HashReply =
  | { type: 'digest'; id: number; hex: string }
  | { type: 'error'; id: number; error: SerializedDownloadError }
  /** The worker will not touch the descriptor again. */
  | { type: 'disposed'; id: number }

/** How a call for a digest ended. */
export type HashOutcome = { hex: string } | { error: DownloadError }

/** A piece of the file, in bytes. */
export interface Step {
  position: number
  length: number
}

/**
 * Follows one file: says what to read next and takes what was read. It does no I/O itself, so that one thread can
 * read synchronously and the other not.
 */
export class HashJob {
  readonly fd: number
  readonly #settle: (outcome: HashOutcome) => void
  #hash = createHash('sha256')
  /** [0, position) is hashed. */
  #position = 0
  #frontier = 0
  /** Size whose digest is waited for. */
  #wanted: number | null = null
  /** Reading failed while nobody waited for a digest; whoever does will try it again. */
  #stalled = false

  /**
   * @param fd - open for reading.
   * @param settle - told once for each {@link HashJob.want}.
   */
  constructor(fd: number, settle: (outcome: HashOutcome) => void) {
    this.fd = fd
    this.#settle = settle
  }

  /** The bytes [0, frontier) are there. */
  advance(frontier: number): void {
    this.#frontier = Math.max(this.#frontier, frontier)
  }

  /**
   * Asks for the digest of [0, size).
   *
   * @param fresh - don't trust what was hashed before: begin at byte 0.
   */
  want(size: number, fresh: boolean): void {
    if (fresh || this.#position > size) {
      this.#hash = createHash('sha256')
      this.#position = 0
    }
    this.#stalled = false
    this.#wanted = size
    this.#finishWhenDone()
  }

  /** What to read next, at most {@link stepBytes}; null when there is nothing to do for now. */
  next(): Step | null {
    const end = this.#wanted ?? (this.#stalled ? 0 : this.#frontier)
    if (this.#position >= end) return null
    return { position: this.#position, length: Math.min(stepBytes, end - this.#position) }
  }

  /** Takes what a read of {@link HashJob.next} gave; fewer bytes are fine, none mean the end of the file. */
  took(chunk: Uint8Array): void {
    if (chunk.length > 0) {
      this.#hash.update(chunk)
      this.#position += chunk.length
      this.#finishWhenDone()
    } else if (this.#wanted === null) {
      this.#stalled = true
    } else {
      this.#fail(shorterThan(this.#wanted, this.#position))
    }
  }

  /** The read failed. */
  failed(error: unknown): void {
    if (this.#wanted === null) this.#stalled = true
    else this.#fail(fsError(error, 'reading back what was downloaded'))
  }

  #finishWhenDone(): void {
    if (this.#wanted === null || this.#position !== this.#wanted) return
    this.#wanted = null
    // The copy lets the original go on, should the file turn out to be longer.
    this.#settle({ hex: this.#hash.copy().digest('hex') })
  }

  #fail(error: DownloadError): void {
    this.#wanted = null
    this.#stalled = true
    this.#settle({ error })
  }
}

/** What is said when the file on disk is shorter than what was written to it: somebody else cut it. */
export function shorterThan(size: number, actual: number): DownloadError {
  return new DownloadError('TRUNCATED', `The file on disk ends at byte ${actual} of ${size}.`, {
    retryable: true,
  })
}

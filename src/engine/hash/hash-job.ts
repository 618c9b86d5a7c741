/** Hashing of one file, as used by both this thread and the hash worker, and the messages between them. */
import { fsError } from '../../disk/errors.js'
import { DownloadError, type SerializedDownloadError, toDownloadError } from '../../errors.js'
import type { DigestAlgorithm } from '../../util/digests.js'
import { type Digests, hashersOf, loadHashers } from './algorithms.js'
import type { Hasher } from './hash-function.js'

/** How much is read and hashed at a time, in bytes. Other files and messages are handled in between. */
export const stepBytes = 1024 * 1024

/** How much is hashed between two reports of progress, in bytes. */
const reportBytes = 16 * 1024 * 1024

/** Messages from the service to its worker. `fd` is a number, because threads of one process share descriptors. */
export type HashRequest =
  /** `reports`: whether progress is wanted. */
  | { type: 'open'; id: number; fd: number; reports: boolean; algorithms: readonly DigestAlgorithm[] }
  | { type: 'advance'; id: number; frontier: number }
  | { type: 'digest'; id: number; size: number; fresh: boolean }
  | { type: 'dispose'; id: number }

/** Messages from the worker to its service. */
export type HashReply =
  | { type: 'digest'; id: number; digests: Digests }
  | { type: 'error'; id: number; error: SerializedDownloadError }
  /** The bytes [0, position) are hashed. */
  | { type: 'progress'; id: number; position: number }
  /** The worker no longer uses the descriptor. */
  | { type: 'disposed'; id: number }

/** Result of a request for digests. */
export type HashOutcome = { digests: Digests } | { error: DownloadError }

/** The digests that are computed of every file. */
export const usualAlgorithms: readonly DigestAlgorithm[] = ['sha256']

/** What is wanted of a {@link HashJob}. */
export interface HashJobInit {
  /** Descriptor of the file, open for reading. */
  fd: number
  /** Which digests are computed, all with one reading of the file. */
  algorithms: readonly DigestAlgorithm[]
  /** Called once for each {@link HashJob.want}. */
  settle: (outcome: HashOutcome) => void
  /** Called from time to time while digests are requested, with the number of bytes hashed so far. */
  report: ((position: number) => void) | null
  /** Called when the job may have a next step without having been told anything. */
  wake: () => void
}

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
  readonly #algorithms: readonly DigestAlgorithm[]
  #reported = 0
  /** Null until they are loaded; nothing is read before. */
  #hashers: readonly Hasher[] | null
  /** Why they could not be loaded. */
  #broken: DownloadError | null = null
  /** Bytes [0, position) are hashed. */
  #position = 0
  #frontier = 0
  /** Size for which a digest was requested; null if none is pending. */
  #wanted: number | null = null
  /** Reading failed while no digest was requested. The next request tries again. */
  #stalled = false

  constructor({ fd, algorithms, settle, report, wake }: HashJobInit) {
    this.fd = fd
    this.#algorithms = algorithms
    this.#settle = settle
    this.#report = report
    this.#hashers = hashersOf(algorithms)
    if (this.#hashers === null) void this.#load(wake)
  }

  async #load(wake: () => void): Promise<void> {
    try {
      this.#hashers = await loadHashers(this.#algorithms)
    } catch (error) {
      this.#broken = toDownloadError(error)
    }
    this.#finishWhenDone()
    wake()
  }

  /** Notes that the bytes [0, frontier) have been written. */
  advance(frontier: number): void {
    this.#frontier = Math.max(this.#frontier, frontier)
  }

  /**
   * Requests the digests of [0, size).
   *
   * @param fresh - whether to hash again from byte 0, because earlier bytes may have changed.
   */
  want(size: number, fresh: boolean): void {
    if (fresh || this.#position > size) {
      for (const hasher of this.#hashers ?? []) hasher.reset()
      this.#position = 0
      this.#reported = 0
    }
    this.#stalled = false
    this.#wanted = size
    this.#finishWhenDone()
  }

  /** The range to read next, at most {@link stepBytes}; null if there is nothing to do for now. */
  next(): Step | null {
    if (this.#hashers === null) return null
    const end = this.#wanted ?? (this.#stalled ? 0 : this.#frontier)
    if (this.#position >= end) return null
    return { position: this.#position, length: Math.min(stepBytes, end - this.#position) }
  }

  /** Takes the bytes read for {@link HashJob.next}. There may be fewer; none mean the end of the file. */
  took(chunk: Uint8Array): void {
    if (chunk.length > 0) {
      for (const hasher of this.#hashers ?? []) hasher.update(chunk)
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
    if (this.#wanted === null) return
    if (this.#broken !== null) this.#fail(this.#broken)
    if (this.#hashers === null || this.#position !== this.#wanted) return
    this.#wanted = null
    const digests = this.#hashers.map((hasher, index) => [this.#algorithms[index], hasher.hex()])
    this.#settle({ digests: Object.fromEntries(digests) as Digests })
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

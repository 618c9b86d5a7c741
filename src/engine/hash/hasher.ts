/**
 * Computes SHA-256, and other digests where they are wanted, during the download. It follows the contiguous bytes by
 * reading the file back from the page cache, so it does not matter in which order segments arrive, from which address, or in which run.
 */
import { promisify } from 'node:util'
import { fsError } from '../../disk/errors.js'
import { existsSync, fstat } from '../../disk/fs.js'
import { builtFile } from '../../disk/system.js'
import { DownloadError } from '../../errors.js'
import { runtime } from '../../util/runtime.js'
import type { DigestAlgorithm } from '../../util/digests.js'
import type { Digests } from './algorithms.js'
import { type HashOutcome, shorterThan, usualAlgorithms } from './hash-job.js'
import { type HashReport, type LaneFile, type LaneJob, LocalLane, WorkerLane } from './hash-lanes.js'

const fstatAsync = promisify(fstat)

/** Smaller files are hashed at the end: this takes a few milliseconds and needs no worker. In bytes. */
const smallBytes = 4 * 1024 * 1024

/** Options of a {@link HashService}. */
export interface HashServiceOptions {
  /** Called once, with a message for people, when large files have to be hashed in this thread. */
  onFallback?: (message: string) => void
  /** Entry of the worker; null to use none. Default: `hash-worker.js` of the build. */
  workerFile?: URL | null
  /** Whether a worker could read from the descriptors of this thread. Default: as in this runtime. */
  sharesDescriptors?: boolean
}

/** Hashes files. Large ones are hashed in a worker that is started for the first of them. */
export class HashService {
  readonly #files = new Set<FileHash>()
  readonly #local = new LocalLane()
  readonly #workerFile: URL | null
  readonly #onFallback: (message: string) => void
  #worker: WorkerLane | null = null
  /** Whether large files are hashed in this thread. */
  #fellBack: boolean
  #closing: Promise<void> | null = null

  constructor(options: HashServiceOptions = {}) {
    this.#workerFile = options.workerFile === undefined ? builtFile('hash-worker.js') : options.workerFile
    this.#onFallback = options.onFallback ?? (() => undefined)
    // Nobody could do anything about that, so there is no message.
    this.#fellBack = !(options.sharesDescriptors ?? runtime.sharesDescriptors)
  }

  /**
   * Starts hashing a file; nothing is read before {@link FileHash.advance} or {@link FileHash.digest}.
   *
   * @param fd - descriptor, open for reading; it must stay open until {@link FileHash.dispose} has resolved.
   * @param expectedBytes - size of the file, or null while it is unknown.
   * @param report - called from time to time while a digest is computed, with the number of bytes hashed so far.
   * @param algorithms - digests to compute, all with one reading of the file. Default: SHA-256.
   * @throws DownloadError `CLOSED` after {@link close}.
   */
  open(
    fd: number,
    expectedBytes: number | null,
    report: HashReport | null = null,
    algorithms: readonly DigestAlgorithm[] = usualAlgorithms,
  ): FileHash {
    if (this.#closing !== null) throw new DownloadError('CLOSED', 'The hasher is closed.')
    const file: FileHash = new FileHash(fd, expectedBytes, {
      algorithms,
      large: (settle, lost) => this.#openLarge({ fd, algorithms, settle, report }, lost),
      local: (settle) => this.#local.open({ fd, algorithms, settle, report }),
      forget: () => this.#files.delete(file),
    })
    this.#files.add(file)
    return file
  }

  /** Stops all hashing; pending digests fail with `CLOSED`. Resolves when no descriptor is used any more. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const disposals = [...this.#files].map((file) =>
      file.stop(() => new DownloadError('CLOSED', 'The hasher is closed.')),
    )
    // Before waiting for the disposals: terminating the worker completes those that it would be slow to confirm.
    await this.#worker?.close()
    await Promise.all(disposals)
  }

  #openLarge(file: LaneFile, lost: () => void): LaneJob {
    if (!this.#fellBack && this.#worker === null) this.#startWorker()
    return this.#worker === null ? this.#local.open(file) : this.#worker.open(file, lost)
  }

  #startWorker(): void {
    if (this.#workerFile === null || !existsSync(this.#workerFile)) {
      this.#fallBack('its file is missing')
      return
    }
    try {
      this.#worker = new WorkerLane(this.#workerFile, (reason) => this.#fallBack(reason))
    } catch (error) {
      this.#fallBack(error instanceof Error ? error.message : String(error))
    }
  }

  #fallBack(reason: string): void {
    this.#worker = null
    this.#fellBack = true
    this.#onFallback(`The hash worker can't be used (${reason}); files are hashed in the main thread.`)
  }
}

/** How a {@link FileHash} uses the lanes of its service. */
interface FileHashHost {
  algorithms: readonly DigestAlgorithm[]
  large(settle: (outcome: HashOutcome) => void, lost: () => void): LaneJob
  local(settle: (outcome: HashOutcome) => void): LaneJob
  forget(): void
}

interface PendingDigest {
  size: number
  fresh: boolean
  resolve: (digests: Digests) => void
  reject: (error: DownloadError) => void
}

/** Computes the digests of one file. If bytes below the frontier change, dispose it and open another one. */
export class FileHash {
  readonly #fd: number
  readonly #expected: number
  readonly #host: FileHashHost
  readonly #settle = (outcome: HashOutcome) => this.#onOutcome(outcome)
  #job: LaneJob | null = null
  #frontier = 0
  #pending: PendingDigest | null = null
  /** Digests are computed one after the other. */
  #tail: Promise<unknown> = Promise.resolve()
  /** An `fstat` of the descriptor that is in progress. */
  #pendingStat: Promise<unknown> = Promise.resolve()
  #stopped: { why: () => DownloadError; done: Promise<void> } | null = null

  /** Use {@link HashService.open}. */
  constructor(fd: number, expectedBytes: number | null, host: FileHashHost) {
    this.#fd = fd
    this.#expected = expectedBytes ?? 0
    this.#host = host
  }

  /** Notes that the bytes [0, frontier) are in the file, so that they can be hashed. A smaller number is ignored. */
  advance(frontier: number): void {
    if (this.#stopped !== null || frontier <= this.#frontier) return
    this.#frontier = frontier
    if (Math.max(frontier, this.#expected) >= smallBytes) this.#large().advance(frontier)
  }

  /** The digests that it computes. */
  get algorithms(): readonly DigestAlgorithm[] {
    return this.#host.algorithms
  }

  /** The SHA-256 among the {@link digests} of the bytes [0, size). */
  async digest(size: number): Promise<string> {
    const { sha256 } = await this.digests(size)
    if (sha256 === undefined) throw new DownloadError('INTERNAL', 'The SHA-256 is not among the digests.')
    return sha256
  }

  /**
   * Digests of the bytes [0, size). Hashes the remaining bytes first.
   *
   * @throws DownloadError `TRUNCATED` (retryable) when the file is shorter, `DISK_IO` when it can't be read,
   * `CANCELED` when {@link FileHash.dispose} is called before the end, `CLOSED` when the service is closed.
   */
  digests(size: number): Promise<Digests> {
    const digests = this.#tail.then(() => this.#digests(size))
    this.#tail = digests.catch(() => undefined)
    return digests
  }

  /** Stops hashing. Resolves when the descriptor is no longer used and may be closed. */
  dispose(): Promise<void> {
    return this.stop(() => new DownloadError('CANCELED', 'Hashing was stopped.'))
  }

  /** Same as {@link FileHash.dispose}, but with the error for a pending digest. */
  stop(why: () => DownloadError): Promise<void> {
    this.#stopped ??= { why, done: this.#stop(why) }
    return this.#stopped.done
  }

  async #stop(why: () => DownloadError): Promise<void> {
    const pending = this.#pending
    this.#pending = null
    pending?.reject(why())
    await Promise.all([this.#job?.dispose(), this.#pendingStat])
    this.#host.forget()
  }

  async #digests(size: number): Promise<Digests> {
    if (this.#stopped !== null) throw this.#stopped.why()
    const fresh = await this.#mustStartOver(size)
    return new Promise((resolve, reject) => {
      if (this.#stopped !== null) {
        reject(this.#stopped.why())
        return
      }
      this.#pending = { size, fresh, resolve, reject }
      const job = size >= smallBytes ? this.#large() : (this.#job ??= this.#host.local(this.#settle))
      job.want(size, fresh)
    })
  }

  /**
   * Whether the bytes hashed so far may differ from those on disk now.
   *
   * @throws DownloadError `TRUNCATED` when the file is too short, `DISK_IO`.
   */
  async #mustStartOver(size: number): Promise<boolean> {
    // Nothing has been hashed yet, and reading the file shows where it ends.
    if (this.#job === null) return false
    const stat = fstatAsync(this.#fd)
    this.#pendingStat = stat.catch(() => undefined)
    const stats = await stat.catch((error: unknown) => {
      throw fsError(error, 'reading back what was downloaded')
    })
    if (stats.size < size) throw shorterThan(size, stats.size)
    // Another program may have truncated the file, and later writes extended it again, leaving a hole: the bytes
    // were hashed before but are gone. Compressed file systems report fewer blocks as well; there the file is only
    // read twice.
    return stats.blocks * 512 < size
  }

  #large(): LaneJob {
    this.#job ??= this.#host.large(this.#settle, () => this.#onLost())
    return this.#job
  }

  /** The worker has exited, and its state is lost: this thread hashes again from byte 0. */
  #onLost(): void {
    const job = this.#host.local(this.#settle)
    this.#job = job
    if (this.#pending !== null) job.want(this.#pending.size, true)
    else job.advance(this.#frontier)
  }

  #onOutcome(outcome: HashOutcome): void {
    const pending = this.#pending
    this.#pending = null
    if ('digests' in outcome) pending?.resolve(outcome.digests)
    else pending?.reject(outcome.error)
  }
}

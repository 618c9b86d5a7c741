/** The two places where files are hashed: this thread and a worker. */
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { read } from '../../disk/fs.js'
import { deserializeError } from '../../errors.js'
import type { DigestAlgorithm } from '../../util/digests.js'
import { HashJob, type HashOutcome, type HashReply, type HashRequest, stepBytes } from './hash-job.js'

/** See {@link HashJob}. */
export type HashReport = (position: number) => void

const readAsync = promisify(read)

/** What a lane is to hash. */
export interface LaneFile {
  fd: number
  algorithms: readonly DigestAlgorithm[]
  settle: (outcome: HashOutcome) => void
  report: HashReport | null
}

/** One file that a lane hashes. See {@link HashJob}. */
export interface LaneJob {
  advance(frontier: number): void
  want(size: number, fresh: boolean): void
  /** Stops hashing; resolves when the descriptor is no longer used. */
  dispose(): Promise<void>
}

/** Hashes in this thread, with one asynchronous read at a time, alternating between the files. */
export class LocalLane {
  readonly #jobs = new Set<HashJob>()
  #buffer: Buffer | null = null
  #running = false
  #reading: { job: HashJob; done: Promise<unknown> } | null = null

  open(file: LaneFile): LaneJob {
    const wake = () => {
      this.#wake()
    }
    const job = new HashJob({ ...file, wake })
    this.#jobs.add(job)
    return {
      advance: (frontier) => {
        job.advance(frontier)
        this.#wake()
      },
      want: (size, fresh) => {
        job.want(size, fresh)
        this.#wake()
      },
      dispose: async () => {
        this.#jobs.delete(job)
        if (this.#reading?.job === job) await this.#reading.done
      },
    }
  }

  #wake(): void {
    if (this.#running) return
    this.#running = true
    void this.#run()
  }

  async #run(): Promise<void> {
    let worked = true
    while (worked) {
      worked = false
      for (const job of this.#jobs) {
        if (await this.#step(job)) worked = true
      }
    }
    this.#running = false
  }

  async #step(job: HashJob): Promise<boolean> {
    const step = job.next()
    if (step === null) return false
    this.#buffer ??= Buffer.allocUnsafeSlow(stepBytes)
    const buffer = this.#buffer
    const reading = readAsync(job.fd, buffer, 0, step.length, step.position).then(
      ({ bytesRead }) => {
        if (this.#jobs.has(job)) job.took(buffer.subarray(0, bytesRead))
      },
      (error: unknown) => {
        if (this.#jobs.has(job)) job.failed(error)
      },
    )
    this.#reading = { job, done: reading }
    await reading
    this.#reading = null
    return true
  }
}

interface RemoteJob {
  settle: (outcome: HashOutcome) => void
  /** Called if the worker exits while the job is open. */
  lost: () => void
  report: HashReport | null
  /** Whether a digest has been requested. */
  wanted: boolean
  /** Resolves the disposal; null while the job is not being disposed. */
  disposed: (() => void) | null
}

/** Hashes in a worker. Once the worker has exited, the lane can't be used any more. */
export class WorkerLane {
  readonly #worker: Worker
  readonly #jobs = new Map<number, RemoteJob>()
  readonly #exited: Promise<void>
  #closing = false
  #dead = false
  #nextId = 1
  #reason = 'it exited unexpectedly'

  /**
   * @param file - the worker's entry.
   * @param onExit - called when the worker exits unexpectedly, after `lost` of each open job.
   * @throws what the constructor of `Worker` throws.
   */
  constructor(file: URL, onExit: (reason: string) => void) {
    this.#worker = new Worker(file, {
      name: 'model-downloader-hash',
      // Don't inherit the loaders and inspectors of the host.
      execArgv: [],
      // The worker has one buffer outside the heap and needs very little inside.
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    })
    this.#worker.unref()
    this.#worker.on('message', (message: HashReply) => this.#onReply(message))
    this.#worker.on(
      'error',
      (error) => (this.#reason = error instanceof Error ? error.message : String(error)),
    )
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#dead = true
        const jobs = [...this.#jobs.values()]
        this.#jobs.clear()
        for (const job of jobs) {
          if (job.disposed !== null) job.disposed()
          else if (!this.#closing) job.lost()
        }
        if (!this.#closing) onExit(this.#reason)
        resolve()
      })
    })
  }

  /** @param lost - called if the worker exits while the file is open. */
  open({ fd, algorithms, settle, report }: LaneFile, lost: () => void): LaneJob {
    const id = this.#nextId++
    const job: RemoteJob = { settle, lost, report, wanted: false, disposed: null }
    this.#jobs.set(id, job)
    this.#post({ type: 'open', id, fd, reports: report !== null, algorithms })
    let announced = 0
    return {
      advance: (frontier) => {
        // One message per step is enough; the request for the digest covers the rest.
        if (frontier - announced < stepBytes) return
        announced = frontier
        this.#post({ type: 'advance', id, frontier })
      },
      want: (size, fresh) => {
        job.wanted = true
        this.#post({ type: 'digest', id, size, fresh })
        this.#updateRef()
      },
      dispose: () => {
        if (!this.#jobs.has(id)) return this.#dead ? this.#exited : Promise.resolve()
        return new Promise((resolve) => {
          job.disposed = resolve
          this.#post({ type: 'dispose', id })
          this.#updateRef()
        })
      },
    }
  }

  /** Terminates the worker, which also completes pending disposals. */
  async close(): Promise<void> {
    this.#closing = true
    await this.#worker.terminate()
    await this.#exited
  }

  #post(request: HashRequest): void {
    this.#worker.postMessage(request)
  }

  /** Lets the worker keep the process alive only while a digest or a disposal is pending. */
  #updateRef(): void {
    const awaited = [...this.#jobs.values()].some((job) => job.wanted || job.disposed !== null)
    if (awaited) this.#worker.ref()
    else this.#worker.unref()
  }

  #onReply(message: HashReply): void {
    const job = this.#jobs.get(message.id)
    if (job === undefined) return
    if (message.type === 'progress') {
      if (job.disposed === null) job.report?.(message.position)
      return
    }
    if (message.type === 'disposed') {
      this.#jobs.delete(message.id)
      job.disposed?.()
    } else {
      job.wanted = false
      // The digest of a job that is being disposed is not needed any more.
      if (job.disposed === null) {
        job.settle(
          message.type === 'digest'
            ? { digests: message.digests }
            : { error: deserializeError(message.error) },
        )
      }
    }
    this.#updateRef()
  }
}

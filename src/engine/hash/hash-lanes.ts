/** The two places where hashing happens: this thread, and one worker beside it. */
import { read } from 'node:fs'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { deserializeError } from '../../errors.js'
import { HashJob, type HashOutcome, type HashReply, type HashRequest, stepBytes } from './hash-job.js'

const readAsync = promisify(read)

/** One file in a lane. */
export interface LaneJob {
  advance(frontier: number): void
  want(size: number, fresh: boolean): void
  /** Stops; resolves when nobody uses the descriptor any more. */
  dispose(): Promise<void>
}

/** Hashes in this thread: asynchronous reads, one at a time, the files taking turns. */
export class LocalLane {
  readonly #jobs = new Set<HashJob>()
  #buffer: Buffer | null = null
  #running = false
  #reading: { job: HashJob; done: Promise<unknown> } | null = null

  open(fd: number, settle: (outcome: HashOutcome) => void): LaneJob {
    const job = new HashJob(fd, settle)
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
  /** Told when the worker is gone while the job was open. */
  lost: () => void
  /** A digest is being waited for. */
  wanted: boolean
  /** Set once the job is being disposed of. */
  disposed: (() => void) | null
}

/** Hashes in one worker. Once the worker is gone the lane is dead. */
export class WorkerLane {
  readonly #worker: Worker
  readonly #jobs = new Map<number, RemoteJob>()
  readonly #exited: Promise<void>
  #closing = false
  #dead = false
  #nextId = 1
  #reason = 'it ended'

  /**
   * @param file - the worker's entry.
   * @param onExit - announced when the worker ends by itself, after each open job was told that it is lost.
   * @throws what the Worker constructor throws.
   */
  constructor(file: URL, onExit: (reason: string) => void) {
    this.#worker = new Worker(file, {
      name: 'model-downloader-hash',
      // The host's loaders and inspectors are not for this thread.
      execArgv: [],
      // It holds one buffer outside the heap and next to nothing inside.
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

  open(fd: number, settle: (outcome: HashOutcome) => void, lost: () => void): LaneJob {
    const id = this.#nextId++
    const job: RemoteJob = { settle, lost, wanted: false, disposed: null }
    this.#jobs.set(id, job)
    this.#post({ type: 'open', id, fd })
    let announced = 0
    return {
      advance: (frontier) => {
        // A message for each step is enough; the call for the digest covers the rest.
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

  /** Ends the worker; jobs that are being disposed of are done then. */
  async close(): Promise<void> {
    this.#closing = true
    await this.#worker.terminate()
    await this.#exited
  }

  #post(request: HashRequest): void {
    this.#worker.postMessage(request)
  }

  /** The worker keeps the process alive only while somebody waits for it. */
  #updateRef(): void {
    const awaited = [...this.#jobs.values()].some((job) => job.wanted || job.disposed !== null)
    if (awaited) this.#worker.ref()
    else this.#worker.unref()
  }

  #onReply(message: HashReply): void {
    const job = this.#jobs.get(message.id)
    if (job === undefined) return
    if (message.type === 'disposed') {
      this.#jobs.delete(message.id)
      job.disposed?.()
    } else {
      job.wanted = false
      // Nobody waits for the digest of a job that is being disposed of.
      if (job.disposed === null) {
        job.settle(
          message.type === 'digest' ? { hex: message.hex } : { error: deserializeError(message.error) },
        )
      }
    }
    this.#updateRef()
  }
}

import { DelayedError, type Queue, WaitingError, type Worker } from 'bullmq'
import { toDownloadError } from '../../errors.js'
import type { ClusterQueue, QueuedJob } from '../backend.js'
import type { Clock } from '../../util/clock.js'
import { settledWithin } from '../settled-within.js'
import type { QueueMaker } from './connections.js'

/** Content of a job; everything else is in the record. */
export interface Ticket {
  id: string
  generation: number
}

/** Name of all jobs. */
const jobName = 'download'

/**
 * When a job is offered again that could not be taken, in milliseconds: soon, since somebody may just be changing the
 * download, and each time twice as late, up to the highest, since its last owner may be alive.
 */
const laterMs = { first: 100, highest: 10_000 }

/** @param attempts - how often the job has been offered. */
export function laterDelay(attempts: number): number {
  return Math.min(laterMs.highest, laterMs.first * 2 ** Math.min(attempts - 1, 10))
}

/** How long to wait for what has been offered, in milliseconds. */
const closeMs = 1_500

/** The lock of a job lasts at least this long, in milliseconds, since a worker may be busy. */
const minLockMs = 5_000

/**
 * The lock of a job says only that its worker is alive: who may write says the lease of the download, so one that has run
 * out too early does no harm. One that lasts longer than leases would hold up the jobs that a dead worker had taken, and
 * keep them counted as running.
 */
function workerOptions(leaseMs: number) {
  const lockDuration = Math.max(minLockMs, leaseMs)
  // A download is taken over as often as its instances die.
  return { lockDuration, stalledInterval: Math.min(5_000, lockDuration / 4), maxStalledCount: 1_000_000 }
}

/** Lowest and highest number that stand for a priority; BullMQ has 1 for the first and 2^21 for the last. */
const maxPriority = 250_000

/**
 * The priority of a job: those of trusted callers come before those of remote ones, then those of higher priority, and of
 * these the ones that have begun before. So what a dead instance was doing need not wait for all that has not begun.
 */
export function jobPriority({ priority, remote, hasBegun }: Omit<QueuedJob, 'id' | 'generation'>): number {
  const clamped = Math.max(-maxPriority, Math.min(maxPriority, priority))
  const place = 2 * (maxPriority - clamped) + (hasBegun ? 0 : 1)
  return 1 + place + (remote ? 4 * maxPriority + 2 : 0)
}

/** A queue of BullMQ. It says whose turn it is, and nothing depends on it: the records know what has to run. */
export class BullmqQueue implements ClusterQueue {
  readonly #maker: QueueMaker<Ticket>
  readonly #leaseMs: number
  readonly #clock: Clock
  #queue: Queue<Ticket> | null = null
  #worker: Worker<Ticket> | null = null
  #isStopped = false

  constructor(maker: QueueMaker<Ticket>, { leaseMs, clock }: { leaseMs: number; clock: Clock }) {
    this.#maker = maker
    this.#leaseMs = leaseMs
    this.#clock = clock
  }

  async open(
    offer: (id: string, generation: number) => Promise<'done' | 'later'>,
    onProblem: (message: string) => void,
    { concurrency, clusterConcurrency }: { concurrency: number; clusterConcurrency: number | null },
  ): Promise<void> {
    const queue = this.#open()
    if (clusterConcurrency === null) await queue.removeGlobalConcurrency()
    else await queue.setGlobalConcurrency(clusterConcurrency)
    this.#worker = this.#maker.worker(
      async (job, token) => {
        // A worker that stops may still get a job that it was waiting for.
        const outcome = this.#isStopped ? 'later' : await offer(job.data.id, job.data.generation)
        if (outcome === 'done') return
        if (this.#isStopped) {
          // Others take it at once.
          await job.moveToWait(token)
          throw new WaitingError()
        }
        await job.moveToDelayed(this.#clock.wallNow() + laterDelay(job.attemptsStarted), token)
        throw new DelayedError()
      },
      { ...workerOptions(this.#leaseMs), concurrency },
    )
    this.#worker.on('error', (error) => {
      // Whether Redis can be reached is reported once, and not by every part.
      if (this.#maker.isWorthTelling(error)) onProblem(toDownloadError(error).message)
    })
  }

  async add(jobs: readonly QueuedJob[]): Promise<void> {
    if (jobs.length === 0) return
    await this.#open().addBulk(
      jobs.map((job) => ({
        name: jobName,
        data: { id: job.id, generation: job.generation },
        opts: {
          jobId: `${job.id}-${job.generation}`,
          priority: jobPriority(job),
          removeOnComplete: true,
          removeOnFail: 1_000,
        },
      })),
    )
  }

  async stopOffering(): Promise<void> {
    this.#isStopped = true
    await this.#worker?.pause(true).catch(() => undefined)
  }

  async close(): Promise<void> {
    await this.stopOffering()
    // What has been offered is given back first; otherwise it would count as running until its lock ends.
    if (this.#worker !== null) await settledWithin(this.#clock, closeMs, this.#worker.close())
    await this.#queue?.close().catch(() => undefined)
    this.#maker.close()
  }

  #open(): Queue<Ticket> {
    if (this.#queue !== null) return this.#queue
    const queue = this.#maker.queue()
    queue.on('error', () => undefined)
    this.#queue = queue
    return queue
  }
}

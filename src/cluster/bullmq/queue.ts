import { DelayedError, Queue, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import { toDownloadError } from '../../errors.js'
import type { ClusterQueue } from '../backend.js'
import type { Clock } from '../../util/clock.js'
import { connect, type RedisConnection } from '../redis/connection.js'

/** Content of a job; everything else is in the record. */
interface Ticket {
  id: string
  generation: number
}

/** Name of all jobs. */
const jobName = 'download'

/** When a job is offered again that could not be taken, in milliseconds. */
const laterMs = 10_000

/** The lock of a job says only that its worker is alive. Who may write says the lease of the download. */
const workerOptions = {
  lockDuration: 60_000,
  stalledInterval: 5_000,
  // A download is taken over as often as its instances die.
  maxStalledCount: 1_000_000,
}

/** Lowest and highest number that stand for a priority; BullMQ has 1 for the first and 2^21 for the last. */
const maxPriority = 500_000

/** The priority of a job: those of trusted callers come before those of remote ones. */
export function jobPriority({ priority, remote }: { priority: number; remote: boolean }): number {
  const clamped = Math.max(-maxPriority, Math.min(maxPriority, priority))
  return 1 + (maxPriority - clamped) + (remote ? 2 * maxPriority + 1 : 0)
}

/** A queue of BullMQ. It says whose turn it is, and nothing depends on it: the records know what has to run. */
export class BullmqQueue implements ClusterQueue {
  readonly #connection: RedisConnection
  readonly #name: string
  readonly #prefix: string
  readonly #clock: Clock
  #queue: Queue<Ticket> | null = null
  #worker: Worker<Ticket> | null = null
  #redis: Redis[] = []

  constructor({
    connection,
    name,
    prefix,
    clock,
  }: {
    connection: RedisConnection
    name: string
    prefix: string
    clock: Clock
  }) {
    this.#clock = clock
    this.#connection = connection
    this.#name = name
    this.#prefix = `{${prefix}}`
  }

  async open(
    offer: (id: string, generation: number) => Promise<'done' | 'later'>,
    onProblem: (message: string) => void,
    { concurrency, clusterConcurrency }: { concurrency: number; clusterConcurrency: number | null },
  ): Promise<void> {
    const queue = this.#open()
    if (clusterConcurrency === null) await queue.removeGlobalConcurrency()
    else await queue.setGlobalConcurrency(clusterConcurrency)
    const connection = connect(this.#connection, { maxRetriesPerRequest: null })
    this.#redis.push(connection)
    this.#worker = new Worker<Ticket>(
      this.#name,
      async (job, token) => {
        const outcome = await offer(job.data.id, job.data.generation)
        if (outcome === 'done') return
        await job.moveToDelayed(this.#clock.wallNow() + laterMs, token)
        throw new DelayedError()
      },
      { ...workerOptions, connection, prefix: this.#prefix, concurrency },
    )
    this.#worker.on('error', (error) => {
      // Whether Redis can be reached is reported once, and not by every part.
      if (/^(?:ERR|WRONGTYPE|NOAUTH)\b/.test(error.message)) onProblem(toDownloadError(error).message)
    })
  }

  async add(
    jobs: readonly { id: string; generation: number; priority: number; remote: boolean }[],
  ): Promise<void> {
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
    // Its jobs are done by now, or go on elsewhere.
    await this.#worker?.close(true).catch(() => undefined)
  }

  async close(): Promise<void> {
    await this.stopOffering()
    await this.#queue?.close().catch(() => undefined)
    for (const redis of this.#redis) redis.disconnect()
  }

  #open(): Queue<Ticket> {
    if (this.#queue !== null) return this.#queue
    const connection = connect(this.#connection, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      lazyConnect: false,
    })
    this.#redis.push(connection)
    const queue = new Queue<Ticket>(this.#name, { connection, prefix: this.#prefix })
    queue.on('error', () => undefined)
    this.#queue = queue
    return queue
  }
}

/** Where the queue of a cluster is kept: in Redis, or with BullMQ 6 in PostgreSQL. */
import * as bullmq from 'bullmq'
import type { Redis } from 'ioredis'
import { DownloadError } from '../../errors.js'
import { connect, type RedisConnection } from '../redis/connection.js'

/**
 * How to reach PostgreSQL: an address such as `postgres://host/database`, or options of a pool of `pg`, with `schema`,
 * `migrate` and the others of BullMQ.
 */
export type PostgresConnection = string | Readonly<Record<string, unknown>>

/** Makes the parts of BullMQ that work with one queue. */
export interface QueueMaker<T> {
  queue(): bullmq.Queue<T>
  worker(
    process: bullmq.Processor<T>,
    options: Pick<
      bullmq.WorkerOptions,
      'concurrency' | 'lockDuration' | 'stalledInterval' | 'maxStalledCount'
    >,
  ): bullmq.Worker<T>
  /** Whether an error says more than that the server can't be reached, which others report. */
  isWorthTelling(error: Error): boolean
  /** Closes what is left of the connections. */
  close(): void
}

/** A queue in Redis. */
export function redisQueues<T>(connection: RedisConnection, name: string, prefix: string): QueueMaker<T> {
  const opened: Redis[] = []
  const open = (more: Parameters<typeof connect>[1]) => {
    const redis = connect(connection, more)
    opened.push(redis)
    return redis
  }
  return {
    queue: () => {
      const redis = open({ enableOfflineQueue: false, maxRetriesPerRequest: 1, lazyConnect: false })
      return new bullmq.Queue<T>(name, { connection: redis, prefix: `{${prefix}}` })
    },
    worker: (process, options) => {
      const redis = open({ maxRetriesPerRequest: null })
      return new bullmq.Worker<T>(name, process, { ...options, connection: redis, prefix: `{${prefix}}` })
    },
    isWorthTelling: ({ message }) => /^(?:ERR|WRONGTYPE|NOAUTH)\b/.test(message),
    close: () => {
      for (const redis of opened) redis.disconnect()
    },
  }
}

/**
 * A queue in PostgreSQL, whose tables are made if they are missing. All queues of a database are in one schema, so the name
 * of the queue begins with the prefix of the cluster.
 *
 * @throws DownloadError `INVALID_OPTIONS` if the installed version of BullMQ can't do this.
 */
export function postgresQueues<T>(
  connection: PostgresConnection,
  name: string,
  prefix: string,
): QueueMaker<T> {
  // BullMQ 5 does not export it.
  const { createPostgresBackend } = bullmq as Partial<typeof bullmq>
  if (createPostgresBackend === undefined)
    throw new DownloadError(
      'INVALID_OPTIONS',
      'A queue in PostgreSQL needs BullMQ 6: npm install bullmq@6 pg',
    )
  const given = typeof connection === 'string' ? { connectionString: connection } : connection
  const migrates = 'migrate' in given || 'skipMigrations' in given ? {} : { migrate: true }
  const options = { connectionTimeoutMillis: 5_000, ...migrates, ...given }
  const fullName = `${prefix}/${name}`
  return {
    // The types of BullMQ know the parts of a queue by the kind of their server, which is of no concern to us.
    queue: () =>
      new bullmq.Queue(
        fullName,
        { connection: options },
        createPostgresBackend,
      ) as unknown as bullmq.Queue<T>,
    worker: (process, more) =>
      new bullmq.Worker(
        fullName,
        process as bullmq.Processor,
        { ...more, connection: options },
        createPostgresBackend,
      ) as unknown as bullmq.Worker<T>,
    isWorthTelling: (error) => !('code' in error && /^(?:E[A-Z]+|57P0\d|08\d{3})$/.test(String(error.code))),
    close: () => undefined,
  }
}

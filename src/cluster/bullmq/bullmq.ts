/** The entry `model-downloader/bullmq`. */
import * as z from 'zod'
import { parseOptions } from '../../download/options.js'
import type { Cluster } from '../../manager/cluster/coordinator.js'
import { hostNodeName } from '../../util/node-name.js'
import { ClusterCoordinator } from '../coordinator.js'
import { RedisBackend } from '../redis/backend.js'
import type { RedisConnection } from '../redis/connection.js'
import { type PostgresConnection, postgresQueues, redisQueues } from './connections.js'
import { BullmqQueue, type Ticket } from './queue.js'

export type { Cluster } from '../../manager/cluster/coordinator.js'
export type { RedisConnection } from '../redis/connection.js'
export type { PostgresConnection } from './connections.js'

/** Options of {@link bullmqCluster}. All but `connection` are optional, and all instances should have the same. */
export interface BullmqClusterOptions {
  /** Address such as `redis://host:6379`, options of ioredis, or a connection of ioredis, which is copied. */
  connection: RedisConnection
  /** Beginning of all keys; instances with another one are another cluster. Default `model-downloader`. */
  prefix?: string
  /** Name of this machine or pod, as it is shown. Default: the host name. */
  node?: string
  /** Name of the queue. Default `downloads`. */
  queue?: string
  /**
   * Keeps the queue, and nothing else, in PostgreSQL 13 or later: an address such as `postgres://host/database`, or options
   * of a pool of `pg`, and those of BullMQ such as `schema`. The tables are made at the start unless `migrate` is false.
   * Needs BullMQ 6 and the package `pg`. Default: the queue is in Redis.
   */
  queueConnection?: PostgresConnection
  /**
   * How long the right to run a download lasts without being renewed, in milliseconds, 1,000 to 600,000; it is renewed
   * four times as often. A download of an instance that has died goes on elsewhere after at most one and a quarter of
   * it. Default 20,000.
   */
  leaseMs?: number
  /** How many downloads run at the same time in the whole cluster, 1 to 100,000; null for no limit. Default null. */
  clusterConcurrency?: number | null
  /** Limit for all instances together in bytes per second, shared by demand; null for none. Default null. */
  clusterMaxBytesPerSecond?: number | null
  /**
   * Encrypts the headers of downloads in Redis. Without it, a download whose headers may hold a secret is refused with
   * `INVALID_OPTIONS`. At least 16 characters. Default: none.
   */
  secret?: string
  /**
   * What running downloads do when Redis can't be reached for longer than `leaseMs`: `stop` keeps their bytes and waits;
   * `continue` is for instances that have each their own disk. Default `stop`.
   */
  onStoreLost?: 'stop' | 'continue'
  /**
   * Where the files are: `shared`, in a folder that all instances have (NFS, EFS, CephFS), or `own`, each node with a disk of
   * its own, so that what a node has begun goes on there. Default `shared`.
   */
  placement?: 'shared' | 'own'
  /**
   * With `placement: 'own'`, for how long a download that has begun waits for the node that has its bytes before another one
   * starts it anew, in milliseconds, 0 to 86,400,000. It is counted from when the node died, ended or was told to resume.
   * Default 300,000.
   */
  affinityMs?: number
}

const name = z.string().regex(/^[\w.-]{1,64}$/, 'must be letters, digits, dot, dash or underscore')

const optionsSchema = z.strictObject({
  connection: z.custom<RedisConnection>(
    (value) => (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null),
    'must be an address, options of ioredis or a connection',
  ),
  prefix: name.default('model-downloader'),
  node: name.optional(),
  queue: name.default('downloads'),
  queueConnection: z
    .custom<PostgresConnection>(
      (value) => (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null),
      'must be an address or options of a pool',
    )
    .optional(),
  leaseMs: z.number().int().min(1_000).max(600_000).default(20_000),
  clusterConcurrency: z.number().int().min(1).max(100_000).nullable().default(null),
  clusterMaxBytesPerSecond: z.number().positive().nullable().default(null),
  secret: z.string().min(16).optional(),
  onStoreLost: z.enum(['stop', 'continue']).default('stop'),
  placement: z.enum(['shared', 'own']).default('shared'),
  affinityMs: z.number().int().min(0).max(86_400_000).default(300_000),
})

/**
 * Joins a manager to those of other processes and machines: one queue, and each instance answers for all downloads. The
 * records are kept in Redis or Valkey, and BullMQ says whose turn it is. Needs the packages `bullmq` and `ioredis`.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 *
 * @example
 * const cluster = bullmqCluster({ connection: 'redis://localhost:6379' })
 * const manager = new DownloadManager({ directory: '/mnt/models', cluster })
 */
export function bullmqCluster(options: BullmqClusterOptions): Cluster {
  const { connection, prefix, queue, queueConnection, leaseMs, secret, ...rest } = parseOptions(
    optionsSchema,
    options,
    'bullmqCluster options',
  )
  const node = rest.node ?? hostNodeName()
  const affinityMs = rest.placement === 'own' ? rest.affinityMs : 0
  return {
    join: ({ clock, directory }) =>
      new ClusterCoordinator(
        {
          backend: new RedisBackend({ connection, prefix, node, leaseMs, clock, affinityMs }),
          queue: new BullmqQueue(
            queueConnection === undefined
              ? redisQueues<Ticket>(connection, queue, prefix)
              : postgresQueues<Ticket>(queueConnection, queue, prefix),
            { leaseMs, clock },
          ),
          clusterConcurrency: rest.clusterConcurrency,
          clusterMaxBytesPerSecond: rest.clusterMaxBytesPerSecond,
          secret: secret ?? null,
          onStoreLost: rest.onStoreLost,
          ...(rest.placement === 'shared' ? { sharedFolder: directory } : {}),
        },
        clock,
      ),
  }
}

/** The entry `model-downloader/redis`. */
import type { DownloadStore } from '../../store/store.js'
import { RecordStore } from './record-store.js'
import type { RedisConnection } from './connection.js'

export type { RedisConnection } from './connection.js'

/** Options of {@link redisStore}. */
export interface RedisStoreOptions {
  /** Address such as `redis://host:6379`, options of ioredis, or a connection of ioredis, which is copied. */
  connection: RedisConnection
  /** Beginning of all keys. Default `model-downloader`. */
  prefix?: string
}

/**
 * Creates a store that keeps downloads in Redis, for one manager. Several managers that share their downloads need
 * `bullmqCluster` of `model-downloader/bullmq`.
 *
 * @example
 * const manager = new DownloadManager({ store: redisStore({ connection: 'redis://localhost:6379' }) })
 */
export function redisStore({ connection, prefix = 'model-downloader' }: RedisStoreOptions): DownloadStore {
  return new RecordStore({ connection, prefix })
}

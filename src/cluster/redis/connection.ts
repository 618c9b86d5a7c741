/** Connections to Redis that notice when nothing answers any more. */
import { createHash } from 'node:crypto'
import { Redis, type RedisOptions } from 'ioredis'
import { DownloadError, isDownloadError } from '../../errors.js'
import type { Clock, Timer } from '../../util/clock.js'

/** How to reach Redis: an address such as `redis://host:6379`, options of ioredis, or a connection to copy. */
export type RedisConnection = string | RedisOptions | Redis

/** A command without an answer has failed after this time, in milliseconds. */
const commandMs = 5_000

/** How often an idle connection is tried, in milliseconds. */
const pingMs = 2_000

/** Longest wait before a new attempt to connect, in milliseconds. */
const maxRetryMs = 1_000

/**
 * Makes a connection.
 *
 * @param more - options that matter for what it is used for.
 */
export function connect(connection: RedisConnection, more: RedisOptions = {}): Redis {
  const options: RedisOptions = {
    connectTimeout: commandMs,
    retryStrategy: (attempt) => Math.min(maxRetryMs, 50 * 2 ** Math.min(attempt, 6)),
    lazyConnect: true,
    ...more,
  }
  const redis =
    typeof connection === 'string'
      ? new Redis(connection, options)
      : 'duplicate' in connection
        ? connection.duplicate(options)
        : new Redis({ ...connection, ...options })
  // Each failure is reported by the command that it concerns.
  redis.on('error', () => undefined)
  return redis
}

/** The options of connections for commands: they fail at once while Redis can't be reached. */
export const forCommands: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: commandMs,
}

/** The retryable error of a store that can't be reached; others stay what they are. */
export function storeFailure(error: unknown): DownloadError {
  if (isDownloadError(error)) return error
  const reason = error instanceof Error ? error.message : String(error)
  // Redis answers, but does not want to: it is loading, full, a replica, or the script is wrong.
  const isRefusal = /^(?:ERR|WRONGTYPE|NOAUTH|WRONGPASS|NOPERM)\b/.test(reason)
  return new DownloadError('STORE_ERROR', `Redis: ${reason}`, {
    cause: error,
    retryable: !isRefusal,
    ...(isRefusal ? {} : { retryAfterMs: 5_000 }),
  })
}

/** Runs scripts by their digest, and sends a script only if Redis does not have it yet. */
export class ScriptRunner {
  readonly #redis: Redis
  readonly #digests = new Map<string, string>()

  constructor(redis: Redis) {
    this.#redis = redis
  }

  /** @throws DownloadError `STORE_ERROR`. */
  async run(script: string, key: string, values: readonly (string | number)[]): Promise<unknown> {
    let digest = this.#digests.get(script)
    if (digest === undefined) {
      digest = createHash('sha1').update(script).digest('hex')
      this.#digests.set(script, digest)
    }
    try {
      return await this.#redis.evalsha(digest, 1, key, ...values)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw storeFailure(error)
    }
    try {
      return await this.#redis.eval(script, 1, key, ...values)
    } catch (error) {
      throw storeFailure(error)
    }
  }
}

/** Tries connections from time to time, since a network that is silent closes none. */
export class Watchdog {
  readonly #timer: Timer
  readonly #redis: Redis
  readonly #others: readonly Redis[]
  readonly #onChange: (isUp: boolean, reason: string) => void
  #isTrying = false

  /**
   * @param redis - the connection that is tried.
   * @param others - connections to the same server, which are made anew together with it.
   */
  constructor(
    redis: Redis,
    others: readonly Redis[],
    clock: Clock,
    onChange: (isUp: boolean, reason: string) => void,
  ) {
    this.#redis = redis
    this.#others = others
    this.#onChange = onChange
    this.#timer = clock.interval(() => void this.#try(), pingMs).unref()
    redis.on('close', () => {
      onChange(false, 'the connection was closed')
    })
    redis.on('ready', () => void this.#try())
  }

  close(): void {
    this.#timer.cancel()
  }

  async #try(): Promise<void> {
    if (this.#isTrying) return
    this.#isTrying = true
    try {
      await this.#redis.ping()
      this.#onChange(true, '')
    } catch (error) {
      this.#onChange(false, error instanceof Error ? error.message : String(error))
      if (this.#redis.status === 'ready')
        for (const each of [this.#redis, ...this.#others]) each.disconnect(true)
    } finally {
      this.#isTrying = false
    }
  }
}

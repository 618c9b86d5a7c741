import type { Redis } from 'ioredis'
import { type DownloadRecord, downloadRecordSchema } from '../../download/record.js'
import {
  byArrival,
  checkDocumentName,
  type DownloadStore,
  type LoadedDocument,
  type LoadedRecords,
} from '../../store/store.js'
import { DownloadError } from '../../errors.js'
import { connect, forCommands, type RedisConnection, storeFailure } from './connection.js'

const idPattern = /^[0-9a-f]{64}$/

/** A {@link DownloadStore} in Redis, for one manager: a hash of records, and one key per document. */
export class RecordStore implements DownloadStore {
  readonly #redis: Redis
  readonly #prefix: string
  #connected: Promise<void> | null = null
  readonly #pending = new Set<Promise<unknown>>()

  constructor({ connection, prefix }: { connection: RedisConnection; prefix: string }) {
    this.#prefix = `{${prefix}}`
    // A store may wait for a moment; a manager that works alone has nothing else to rely on.
    this.#redis = connect(connection, { ...forCommands, enableOfflineQueue: true, maxRetriesPerRequest: 3 })
  }

  async load(): Promise<LoadedRecords> {
    return await this.#do(async (redis) => {
      const found = await redis.hgetall(`${this.#prefix}:records`)
      const records: DownloadRecord[] = []
      const problems: string[] = []
      for (const [id, text] of Object.entries(found)) {
        const record = parse(text)
        if (record?.id === id) records.push(record)
        else {
          problems.push(`The record ${id} was set aside: it is not valid.`)
          await redis
            .multi()
            .hset(`${this.#prefix}:corrupt`, id, text)
            .hdel(`${this.#prefix}:records`, id)
            .exec()
        }
      }
      return { records: records.sort(byArrival), problems }
    })
  }

  async save(record: DownloadRecord): Promise<void> {
    if (!idPattern.test(record.id))
      throw new DownloadError('STORE_ERROR', 'A record needs an id of 64 hexadecimal digits to be saved.')
    // Serialized now, because the caller may change the object in between.
    const text = JSON.stringify(record)
    await this.#do((redis) => redis.hset(`${this.#prefix}:records`, record.id, text))
  }

  async remove(id: string): Promise<void> {
    await this.#do((redis) => redis.hdel(`${this.#prefix}:records`, id))
  }

  async readDocument(name: string): Promise<LoadedDocument> {
    checkDocumentName(name)
    return await this.#do(async (redis) => {
      const text = await redis.get(`${this.#prefix}:document:${name}`)
      if (text === null) return { value: null, problem: null }
      try {
        return { value: JSON.parse(text) as unknown, problem: null }
      } catch {
        await redis.rename(`${this.#prefix}:document:${name}`, `${this.#prefix}:corrupt:${name}`)
        return { value: null, problem: `The document ${name} was set aside: it is not valid JSON.` }
      }
    })
  }

  async writeDocument(name: string, value: unknown): Promise<void> {
    checkDocumentName(name)
    const text = JSON.stringify(value ?? null)
    await this.#do((redis) => redis.set(`${this.#prefix}:document:${name}`, text))
  }

  /** Waits for what has been asked for, since `quit` would overtake it. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#pending)
    await this.#redis.quit().catch(() => undefined)
    this.#redis.disconnect()
  }

  #do<T>(task: (redis: Redis) => Promise<T>): Promise<T> {
    const done = this.#attempt(task)
    this.#pending.add(done)
    const forget = () => this.#pending.delete(done)
    done.then(forget, forget)
    return done
  }

  async #attempt<T>(task: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      this.#connected ??= this.#redis.connect()
      await this.#connected
      return await task(this.#redis)
    } catch (error) {
      if (this.#redis.status !== 'ready') this.#connected = null
      throw storeFailure(error)
    }
  }
}

function parse(text: string): DownloadRecord | null {
  try {
    return downloadRecordSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}

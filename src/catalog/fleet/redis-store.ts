/**
 * A fleet in Redis. Keys, below a prefix with a hash tag, so that all are on one server of a Redis Cluster: `nodes` is a hash
 * from a node to what it has said last, `wishes` and `claims` hashes with a field per pair of a key and a selector or node,
 * and `log` a stream with an entry per change.
 */
import * as z from 'zod'
import { type Clock, systemClock } from '../../util/clock.js'
import { lazily } from '../../util/lazy.js'
import type { FleetContent, FleetStore, FleetWish, NodeReport, SeenReport } from './store.js'

/** What is used of a client of ioredis. */
export interface FleetRedis {
  /** Sends a command. */
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  /** Another connection to the same server. */
  duplicate(): FleetRedis
  /** Adds a listener, without which an error would end the process. */
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Closes the connection at once. */
  disconnect(): void
}

/** Options of a {@link RedisFleetStore}. */
export interface RedisFleetStoreOptions {
  /** A client of ioredis. It is left connected, and its errors are its owner's. */
  redis: FleetRedis
  /** Prefix of all keys. Default `model-downloader`. */
  prefix?: string
  /** @internal */
  clock?: Clock
}

/** How long a read of the stream waits for something new, in milliseconds. */
const blockMs = 5_000

/** How long to wait after a read that has failed, in milliseconds. */
const retryMs = 1_000

/** About how many changes are kept; whoever has missed some reads everything anyway. */
const logLength = 1_000

/** Between the parts of a field: no key and no name contains it. */
const between = '\n'

const reportSchema = lazily(() =>
  z.object({
    name: z.string(),
    labels: z.array(z.string()),
    url: z.string().nullable(),
    models: z.record(
      z.string(),
      z.object({
        state: z.enum(['ready', 'queued', 'downloading', 'waiting', 'failed', 'missing']),
        percent: z.number(),
        speed: z.number(),
        error: z.string().nullable(),
      }),
    ),
    digests: z.array(z.string()),
    seenAt: z.number(),
  }),
)

/** Keeps a fleet in Redis. The methods reject with the error of the client. */
export class RedisFleetStore implements FleetStore {
  readonly #redis: FleetRedis
  readonly #prefix: string
  readonly #clock: Clock
  readonly #watchers = new Set<() => void>()
  /** The connection that waits for changes; null while nobody watches. */
  #reader: FleetRedis | null = null
  #isClosed = false

  constructor(options: RedisFleetStoreOptions) {
    const { redis, prefix = 'model-downloader', clock = systemClock } = options
    this.#redis = redis
    this.#prefix = `{${prefix}}:fleet:`
    this.#clock = clock
  }

  /** See {@link FleetStore.read}. */
  async read(): Promise<FleetContent> {
    const [now, nodes, wishes, claims] = await Promise.all([
      this.#now(),
      this.#hash('nodes'),
      this.#hash('wishes'),
      this.#hash('claims'),
    ])
    return {
      now,
      reports: [...nodes.values()].flatMap((text) => parseReport(text) ?? []),
      wishes: [...wishes.keys()].map(wishOf),
      claims: claimsOf(claims),
    }
  }

  async wish(wishes: readonly FleetWish[]): Promise<void> {
    if (wishes.length === 0) return
    const fields = wishes.flatMap(({ key, nodes }) => [`${key}${between}${nodes}`, '1'])
    await this.#call('HSET', 'wishes', ...fields)
    await this.#changed()
  }

  async unwish(wishes: readonly FleetWish[]): Promise<void> {
    if (wishes.length === 0) return
    await this.#call('HDEL', 'wishes', ...wishes.map(({ key, nodes }) => `${key}${between}${nodes}`))
    await this.#changed()
  }

  async report(report: NodeReport): Promise<void> {
    const seen: SeenReport = { ...report, seenAt: await this.#now() }
    await this.#call('HSET', 'nodes', report.name, JSON.stringify(seen))
    await this.#changed()
  }

  async claim(key: string, node: string): Promise<void> {
    // Each gets a number of its own, so all see the same order.
    const number = String(await this.#call('INCR', 'sequence'))
    await this.#call('HSETNX', 'claims', `${key}${between}${node}`, number)
  }

  async release(key: string, node: string): Promise<void> {
    const count = await this.#call('HDEL', 'claims', `${key}${between}${node}`)
    if (count !== 0) await this.#changed()
  }

  watch(changed: () => void): () => void {
    this.#watchers.add(changed)
    if (this.#reader === null) void this.#follow()
    return () => {
      this.#watchers.delete(changed)
      if (this.#watchers.size === 0) this.#stop()
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#watchers.clear()
    this.#stop()
  }

  #stop(): void {
    this.#reader?.disconnect()
    this.#reader = null
  }

  /** Reads the stream until nobody watches any more. Never rejects. */
  async #follow(): Promise<void> {
    const reader = this.#redis.duplicate()
    // They show in the reads below.
    reader.on('error', () => undefined)
    this.#reader = reader
    let last = '$'
    while (this.#reader === reader && !this.#isClosed) {
      try {
        const args = ['BLOCK', blockMs, 'COUNT', 100, 'STREAMS', `${this.#prefix}log`, last]
        const found = await reader.call('XREAD', ...args)
        const id = lastIdOf(found)
        if (id === null) continue
        last = id
      } catch {
        if (this.#reader !== reader) return
        await this.#clock.sleep(retryMs)
        // What has been missed is found by reading everything.
      }
      for (const changed of [...this.#watchers]) changed()
    }
  }

  async #changed(): Promise<void> {
    await this.#call('XADD', 'log', 'MAXLEN', '~', logLength, '*', 'c', '1')
  }

  async #call(command: string, key: string, ...args: (string | number)[]): Promise<unknown> {
    return await this.#redis.call(command, `${this.#prefix}${key}`, ...args)
  }

  async #hash(key: string): Promise<Map<string, string>> {
    const flat = z.array(z.string()).parse(await this.#call('HGETALL', key))
    return new Map(flat.flatMap((field, at) => (at % 2 === 0 ? [[field, flat[at + 1] ?? ''] as const] : [])))
  }

  /** The clock of the server, in milliseconds since the epoch, since those of nodes differ. */
  async #now(): Promise<number> {
    const [seconds, micros] = z
      .tuple([z.coerce.number(), z.coerce.number()])
      .parse(await this.#redis.call('TIME'))
    return seconds * 1_000 + Math.floor(micros / 1_000)
  }
}

/** A report of another version may mean nothing here; its node is then not seen. */
function parseReport(text: string): SeenReport | null {
  try {
    return reportSchema().parse(JSON.parse(text))
  } catch {
    return null
  }
}

function wishOf(field: string): FleetWish {
  const at = field.indexOf(between)
  return { key: field.slice(0, at), nodes: field.slice(at + 1) }
}

function claimsOf(fields: ReadonlyMap<string, string>): Record<string, string[]> {
  const claims: Record<string, string[]> = {}
  const sorted = [...fields].sort(([, a], [, b]) => Number(a) - Number(b))
  for (const [field] of sorted) {
    const { key, nodes: node } = wishOf(field)
    ;(claims[key] ??= []).push(node)
  }
  return claims
}

/** The id of the last entry of an answer to `XREAD`: streams with their entries; null if there is none. */
function lastIdOf(found: unknown): string | null {
  const entry = z.tuple([z.string()]).rest(z.unknown())
  const answer = z.array(z.tuple([z.string(), z.array(entry)])).safeParse(found)
  return answer.success ? (answer.data[0]?.[1].at(-1)?.[0] ?? null) : null
}

import { randomBytes, randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { type DownloadRecord, downloadRecordSchema } from '../../download/record.js'
import { DownloadError } from '../../errors.js'
import { checkDocumentName, type LoadedDocument } from '../../store/store.js'
import type { Clock } from '../../util/clock.js'
import type {
  BackendListener,
  Began,
  ClusterAnswer,
  ClusterBackend,
  ClusterContent,
  ClusterEntry,
  ClusterIntent,
  ClusterMessage,
  HeldLease,
  Inserted,
  Renewed,
  Saved,
} from '../backend.js'
import {
  connect,
  forCommands,
  type RedisConnection,
  ScriptRunner,
  storeFailure,
  Watchdog,
} from './connection.js'
import { LogReader } from './log-reader.js'
import { scripts } from './scripts.js'

/** How many records are read at once. */
const readBatch = 500

/** Settings of a {@link RedisBackend}. */
export interface RedisBackendOptions {
  connection: RedisConnection
  prefix: string
  node: string
  leaseMs: number
  clock: Clock
  /** For how long a download is kept for the node that ran it last, in milliseconds. Default 0. */
  affinityMs?: number
}

/** Records, leases and messages of a cluster in Redis. */
export class RedisBackend implements ClusterBackend {
  readonly instance: string
  readonly leaseMs: number
  readonly #affinityMs: number
  readonly #prefix: string
  readonly #clock: Clock
  readonly #redis: Redis
  readonly #reader: LogReader
  readonly #subscriber: Redis
  readonly #scripts: ScriptRunner
  #watchdog: Watchdog | null = null
  #listener: BackendListener | null = null
  #isUp = true
  #isClosed = false
  /** Identifies the data; another one means that Redis has lost all of it. */
  #birth: string | null = null

  constructor({ connection, prefix, node, leaseMs, clock, affinityMs = 0 }: RedisBackendOptions) {
    this.instance = `${node}:${randomBytes(4).toString('hex')}`
    this.leaseMs = leaseMs
    this.#affinityMs = affinityMs
    this.#prefix = `{${prefix}}`
    this.#clock = clock
    this.#redis = connect(connection, forCommands)
    this.#scripts = new ScriptRunner(this.#redis)
    const reading = connect(connection, { ...forCommands, commandTimeout: 10_000 })
    this.#subscriber = connect(connection, { enableOfflineQueue: true, maxRetriesPerRequest: null })
    this.#reader = new LogReader({
      redis: reading,
      commands: this.#redis,
      key: `${this.#prefix}:log`,
      clock,
      read: (ids) => this.read(ids),
      onEvents: (events) => this.#listener?.events(events),
      onGap: () => this.#listener?.back(),
    })
  }

  async open(listener: BackendListener): Promise<void> {
    this.#listener = listener
    try {
      await this.#redis.connect()
      await this.#check()
      await this.#reader.open()
      await this.#subscriber.connect()
      this.#subscriber.on('message', (_channel: string, text: string) => {
        this.#onMessage(text)
      })
      await this.#subscriber.subscribe(`${this.#prefix}:messages`)
    } catch (error) {
      this.#disconnect()
      throw storeFailure(error)
    }
    const all = [this.#reader.redis, this.#subscriber]
    this.#watchdog = new Watchdog(this.#redis, all, this.#clock, (isUp, reason) => {
      if (isUp === this.#isUp || this.#isClosed) return
      this.#isUp = isUp
      if (isUp) listener.back()
      else listener.away(reason)
    })
  }

  async load(): Promise<ClusterContent> {
    try {
      const birth = (await this.#redis.get(this.#key('birth'))) ?? (await this.#begin())
      const hasLost = (this.#birth !== null && this.#birth !== birth) || (await this.#reader.hasLost())
      this.#birth = birth
      await this.#reader.start()
      const ids = await this.#redis.smembers(this.#key('ids'))
      const entries: ClusterEntry[] = []
      const problems: string[] = []
      for (let first = 0; first < ids.length; first += readBatch) {
        const found = await this.#read(ids.slice(first, first + readBatch), problems)
        for (const entry of found.values()) if (entry !== null) entries.push(entry)
      }
      entries.sort((a, b) => a.record.sequence - b.record.sequence || (a.record.id < b.record.id ? -1 : 1))
      return { entries, problems, hasLost }
    } catch (error) {
      throw storeFailure(error)
    }
  }

  async catchUp(): Promise<void> {
    let last: number
    try {
      last = Number((await this.#redis.get(this.#key('seq'))) ?? 0)
    } catch (error) {
      throw storeFailure(error)
    }
    await this.#reader.reached(last)
  }

  async read(ids: readonly string[]): Promise<Map<string, ClusterEntry | null>> {
    try {
      return await this.#read(ids, [])
    } catch (error) {
      throw storeFailure(error)
    }
  }

  async insert(record: DownloadRecord, targets: readonly string[]): Promise<Inserted> {
    const outcome = await this.#run('insert', [record.id, JSON.stringify(record), ...targets])
    if (outcome === 'taken') return { type: 'taken' }
    const entry = (await this.read([record.id])).get(record.id) ?? null
    // It has been removed again in between.
    if (entry === null) return await this.insert(record, targets)
    return { type: outcome === 'known' ? 'known' : 'inserted', entry }
  }

  async begin(id: string, limit: number | null): Promise<Began> {
    const values = [id, this.instance, this.leaseMs, limit ?? '', this.#affinityMs]
    const [type, from = ''] = (await this.#run('begin', values)) as [Began['type'], string?] // see the script
    if (type !== 'granted') return { type }
    const entry = (await this.read([id])).get(id) ?? null
    if (entry === null) return { type: 'gone' }
    return { type, entry, from: from === '' ? null : from }
  }

  async renew(held: readonly HeldLease[]): Promise<Renewed[]> {
    const leases = held.flatMap(({ id, epoch }) => [id, epoch])
    const answers = (await this.#run('renew', [this.instance, this.leaseMs, ...leases])) as string[] // see the script
    return answers.map((answer) => ({
      holds: answer === '?' ? null : answer.startsWith('+'),
      intent: answer.length > 1 ? (JSON.parse(answer.slice(1)) as ClusterIntent) : null,
    }))
  }

  async confirm({ id, epoch }: HeldLease): Promise<boolean> {
    try {
      return (await this.#redis.hget(this.#key(`r:${id}`), 'epoch')) === String(epoch)
    } catch (error) {
      throw storeFailure(error)
    }
  }

  async save(
    { id, epoch }: HeldLease,
    record: DownloadRecord,
    { targets, requeue }: { targets: readonly string[]; requeue: boolean },
  ): Promise<Saved> {
    const values = [id, epoch, JSON.stringify(record), requeue ? 1 : 0, ...targets]
    const [type, revision, generation] = (await this.#run('save', values)) as [
      Saved['type'],
      number?,
      string?,
    ]
    if (type !== 'saved') return { type }
    return { type, revision: Number(revision), generation: Number(generation) }
  }

  async release({ id, epoch }: HeldLease): Promise<void> {
    await this.#run('release', [id, epoch])
  }

  async remove({ id, epoch }: HeldLease): Promise<boolean> {
    return (await this.#run('remove', [id, epoch])) === 1
  }

  async send(id: string, intent: ClusterIntent): Promise<boolean> {
    return (await this.#run('send', [id, JSON.stringify(intent), this.instance])) === 1
  }

  async answer(id: string, call: string, answer: ClusterAnswer): Promise<void> {
    await this.#run('answer', [id, call, JSON.stringify({ call, answer })])
  }

  async reap(): Promise<{ id: string; generation: number }[]> {
    const found = (await this.#run('reap', [this.instance, this.leaseMs])) as (string | number)[] // see the script
    const freed: { id: string; generation: number }[] = []
    for (let at = 0; at < found.length; at += 2)
      freed.push({ id: String(found[at]), generation: Number(found[at + 1]) })
    return freed
  }

  async restore(
    entries: readonly { entry: ClusterEntry; targets: readonly string[]; holds: boolean }[],
  ): Promise<void> {
    for (const { entry, targets, holds } of entries) {
      const { record, revision, generation, epoch } = entry
      const owner = holds ? this.instance : (entry.owner ?? '')
      const values = [record.id, JSON.stringify(record), revision + 1, generation, epoch, owner]
      await this.#run('restore', [...values, holds ? 1 : 0, this.leaseMs, entry.home ?? '', ...targets])
    }
  }

  tell(message: ClusterMessage): void {
    if (!this.#isUp || this.#isClosed) return
    const text = JSON.stringify({ from: this.instance, message })
    this.#redis.publish(`${this.#prefix}:messages`, text).catch(() => undefined)
  }

  async readDocument(name: string): Promise<LoadedDocument> {
    try {
      const text = await this.#redis.get(this.#key(`doc:${checkDocumentName(name)}`))
      return { value: text === null ? null : (JSON.parse(text) as unknown), problem: null }
    } catch (error) {
      throw storeFailure(error)
    }
  }

  async writeDocument(name: string, value: unknown): Promise<void> {
    await this.#run('document', [checkDocumentName(name), JSON.stringify(value ?? null)])
  }

  async lead(name: string): Promise<boolean> {
    return (await this.#run('lead', [name, this.instance, this.leaseMs])) === 1
  }

  async resign(name: string): Promise<void> {
    await this.#run('resign', [name, this.instance])
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#watchdog?.close()
    await this.#reader.close()
    await this.#redis.quit().catch(() => undefined)
    this.#disconnect()
  }

  #disconnect(): void {
    this.#isClosed = true
    for (const each of [this.#redis, this.#reader.redis, this.#subscriber]) each.disconnect()
  }

  #key(name: string): string {
    return `${this.#prefix}:${name}`
  }

  #run(name: keyof typeof scripts, values: readonly (string | number)[]): Promise<unknown> {
    return this.#scripts.run(scripts[name], this.#prefix, values)
  }

  /** Gives the data an identity, unless somebody else just has. */
  async #begin(): Promise<string> {
    await this.#redis.set(this.#key('birth'), randomUUID(), 'NX')
    return (await this.#redis.get(this.#key('birth'))) ?? ''
  }

  async #read(ids: readonly string[], problems: string[]): Promise<Map<string, ClusterEntry | null>> {
    const found = new Map<string, ClusterEntry | null>()
    const pipeline = this.#redis.pipeline()
    for (const id of ids) pipeline.hgetall(this.#key(`r:${id}`))
    const replies = (await pipeline.exec()) ?? []
    for (const [index, [error, reply]] of replies.entries()) {
      if (error !== null) throw error
      const id = ids[index] ?? ''
      const fields = reply as Record<string, string> // hgetall
      const entry = fields['record'] === undefined ? null : entryOf(fields, this.#affinityMs > 0)
      if (entry === undefined) problems.push(`The record ${id} of the cluster is not valid and was ignored.`)
      else found.set(id, entry)
    }
    return found
  }

  /** Refuses a server that deletes records to make room, and warns of one that forgets them when it restarts. */
  async #check(): Promise<void> {
    const info = await this.#redis.info()
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1]
    if (policy !== undefined && policy !== 'noeviction')
      throw new DownloadError(
        'STORE_ERROR',
        `Redis has maxmemory-policy ${policy}, and would delete records; set it to noeviction.`,
      )
    if (/^aof_enabled:0/m.test(info))
      this.#listener?.log(
        'warn',
        'Redis has no append-only file: what was requested since its last snapshot is lost if it stops. Set appendonly yes.',
      )
  }

  #onMessage(text: string): void {
    try {
      const { from, message } = JSON.parse(text) as { from: string; message: ClusterMessage } // see tell()
      if (from !== this.instance) this.#listener?.message(from, message)
    } catch {
      // Somebody else has published it.
    }
  }
}

/** The entry of a hash; undefined if it is not valid. `hasHome`: whether each node has its own disk. */
function entryOf(fields: Record<string, string>, hasHome: boolean): ClusterEntry | undefined {
  try {
    const record = downloadRecordSchema.parse(JSON.parse(fields['record'] ?? ''))
    const owner = fields['owner'] ?? ''
    return {
      record,
      revision: Number(fields['revision']),
      generation: Number(fields['generation']),
      epoch: Number(fields['epoch']),
      owner: owner === '' ? null : owner,
      intent: fields['intent'] === undefined ? null : (JSON.parse(fields['intent']) as ClusterIntent),
      home: hasHome ? (fields['home'] ?? null) : null,
    }
  } catch {
    return undefined
  }
}

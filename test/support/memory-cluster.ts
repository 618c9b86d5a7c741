/** A cluster within one process: what managers in it share. Small, and without any server. */
import { randomBytes } from 'node:crypto'
import type {
  BackendListener,
  Began,
  ClusterBackend,
  ClusterContent,
  ClusterEntry,
  ClusterAnswer,
  ClusterEvent,
  ClusterIntent,
  ClusterMessage,
  ClusterQueue,
  HeldLease,
  Inserted,
  Renewed,
  Saved,
} from '../../src/cluster/backend.js'
import type { DownloadRecord } from '../../src/download/record.js'
import { nodeNameOf } from '../../src/cluster/insight.js'
import { DownloadError } from '../../src/errors.js'
import { checkDocumentName, type LoadedDocument } from '../../src/store/store.js'
import type { Clock } from '../../src/util/clock.js'

interface Row extends ClusterEntry {
  targets: readonly string[]
  /** When the lease ends; null if nobody holds one. */
  until: number | null
  /** Whether its run counts for the limit. */
  runs: boolean
  /** The instance that ran it when it died, until another one runs it. */
  dead: string | null
  /** When its home left it unfinished. */
  left: number
}

const placeOf = (instance: string | null) => (instance === null ? null : nodeNameOf(instance))

const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

/** What all instances share. */
export class MemoryCluster {
  readonly rows = new Map<string, Row>()
  readonly documents = new Map<string, string>()
  readonly leaders = new Map<string, { instance: string; until: number }>()
  readonly backends = new Set<MemoryBackend>()
  birth = 1
  #number = 0

  constructor(
    readonly clock: Clock,
    readonly leaseMs: number,
  ) {}

  /** @param affinityMs - for how long a download is kept for the node that ran it last. Default 0. */
  join(node: string, affinityMs = 0): MemoryBackend {
    return new MemoryBackend(this, `${node}:${randomBytes(4).toString('hex')}`, affinityMs)
  }

  /** Tells all instances, in order. */
  tell(...events: ClusterEvent[]): void {
    this.#number += 1
    for (const backend of this.backends) backend.hear(this.#number, copy(events))
  }

  /** Makes all instances miss something. */
  skip(): void {
    this.#number += 1
  }

  get last(): number {
    return this.#number
  }

  /** Loses all data, as a server without a disk does. */
  lose(): void {
    this.rows.clear()
    this.documents.clear()
    this.leaders.clear()
    this.birth += 1
  }

  changed(row: Row): ClusterEvent {
    return { type: 'changed', id: row.record.id, entry: entryOf(row) }
  }

  isTaken(id: string, targets: readonly string[]): boolean {
    return [...this.rows.values()].some(
      (row) => row.record.id !== id && row.targets.some((target) => targets.includes(target)),
    )
  }

  lead(name: string, instance: string): boolean {
    const leader = this.leaders.get(name)
    if (leader !== undefined && leader.instance !== instance && leader.until > this.clock.now()) return false
    this.leaders.set(name, { instance, until: this.clock.now() + this.leaseMs })
    return true
  }
}

/** An instance of a {@link MemoryCluster}. */
class MemoryBackend implements ClusterBackend {
  readonly #cluster: MemoryCluster
  #listener: BackendListener | null = null
  #number = 0
  #birth: number | null = null
  #isClosed = false
  #told: Promise<void> = Promise.resolve()

  constructor(
    cluster: MemoryCluster,
    readonly instance: string,
    readonly affinityMs: number,
  ) {
    this.#cluster = cluster
  }

  get leaseMs(): number {
    return this.#cluster.leaseMs
  }

  async open(listener: BackendListener): Promise<void> {
    this.#listener = listener
    this.#number = this.#cluster.last
    this.#cluster.backends.add(this)
  }

  async load(): Promise<ClusterContent> {
    const { birth, rows } = await this.#open()
    const hasLost = this.#birth !== null && this.#birth !== birth
    this.#birth = birth
    const entries = [...rows.values()].map(entryOf)
    entries.sort((a, b) => a.record.sequence - b.record.sequence)
    return copy({ entries, problems: [], hasLost })
  }

  async catchUp(): Promise<void> {
    await this.#open()
    await this.#told
  }

  async read(ids: readonly string[]): Promise<Map<string, ClusterEntry | null>> {
    const { rows } = await this.#open()
    return new Map(
      ids.map((id) => {
        const row = rows.get(id)
        return [id, row === undefined ? null : copy(entryOf(row))]
      }),
    )
  }

  async insert(record: DownloadRecord, targets: readonly string[]): Promise<Inserted> {
    const cluster = await this.#open()
    const known = cluster.rows.get(record.id)
    if (known !== undefined) return { type: 'known', entry: copy(entryOf(known)) }
    if (cluster.isTaken(record.id, targets)) return { type: 'taken' }
    const free = { owner: null, intent: null, until: null, runs: false, dead: null, home: null, left: 0 }
    const first = cluster.last + 1
    const row: Row = { record: copy(record), targets, revision: first, generation: first, epoch: 0, ...free }
    cluster.rows.set(record.id, row)
    cluster.tell(cluster.changed(row))
    return { type: 'inserted', entry: copy(entryOf(row)) }
  }

  async begin(id: string, limit: number | null): Promise<Began> {
    const cluster = await this.#open()
    const now = cluster.clock.now()
    const row = cluster.rows.get(id)
    if (row === undefined) return { type: 'gone' }
    if (row.owner !== null && row.until !== null && row.until > now) return { type: 'owned' }
    const running = [...cluster.rows.values()].filter(({ runs, until }) => runs && (until ?? 0) > now)
    if (limit !== null && limit > 0 && running.length >= limit) return { type: 'full' }
    const from = row.runs ? row.owner : row.dead
    const [home, left] = row.runs ? [placeOf(row.owner), row.until ?? now] : [row.home, row.left]
    const isElsewhere = home !== null && home !== nodeNameOf(this.instance)
    if (limit !== null && isElsewhere && now < left + this.affinityMs) return { type: 'reserved' }
    if (limit !== null) row.home = null
    else if (row.runs) Object.assign(row, { home: this.affinityMs > 0 ? home : null, left })
    Object.assign(row, {
      epoch: row.epoch + 1,
      revision: row.revision + 1,
      owner: this.instance,
      intent: null,
      until: now + this.leaseMs,
      runs: limit !== null,
      dead: limit === null ? from : null,
    })
    cluster.tell(cluster.changed(row))
    return { type: 'granted', entry: copy(entryOf(row)), from }
  }

  #homeOf({ owner }: Row): string | null {
    return this.affinityMs > 0 ? placeOf(owner) : null
  }

  async renew(held: readonly HeldLease[]): Promise<Renewed[]> {
    const cluster = await this.#open()
    return held.map(({ id, epoch }) => {
      const row = cluster.rows.get(id)
      if (row === undefined) return { holds: null, intent: null }
      if (row.epoch !== epoch || (row.owner ?? this.instance) !== this.instance)
        return { holds: false, intent: null }
      row.owner = this.instance
      row.until = cluster.clock.now() + this.leaseMs
      return { holds: true, intent: copy(row.intent) }
    })
  }

  async confirm({ id, epoch }: HeldLease): Promise<boolean> {
    return (await this.#open()).rows.get(id)?.epoch === epoch
  }

  async save(
    { id, epoch }: HeldLease,
    record: DownloadRecord,
    { targets, requeue }: { targets: readonly string[]; requeue: boolean },
  ): Promise<Saved> {
    const cluster = await this.#open()
    const row = cluster.rows.get(id)
    if (row === undefined) return { type: 'gone' }
    if (row.epoch !== epoch) return { type: 'stale' }
    if (cluster.isTaken(id, targets)) return { type: 'taken' }
    Object.assign(row, { record: copy(record), targets, revision: row.revision + 1 })
    if (requeue) Object.assign(row, { generation: row.generation + 1, left: cluster.clock.now() })
    cluster.tell(cluster.changed(row))
    return { type: 'saved', revision: row.revision, generation: row.generation }
  }

  async release({ id, epoch }: HeldLease): Promise<void> {
    const cluster = await this.#open()
    const row = cluster.rows.get(id)
    if (row?.epoch !== epoch) return
    if (row.runs && !['completed', 'canceled'].includes(row.record.state))
      Object.assign(row, { home: this.#homeOf(row), left: cluster.clock.now() })
    Object.assign(row, { owner: null, until: null, runs: false, revision: row.revision + 1 })
    cluster.tell(cluster.changed(row), { type: 'freed', id })
  }

  async remove({ id, epoch }: HeldLease): Promise<boolean> {
    const cluster = await this.#open()
    const row = cluster.rows.get(id)
    if (row === undefined) return true
    if (row.epoch !== epoch) return false
    cluster.rows.delete(id)
    cluster.tell({ type: 'removed', id, revision: row.revision }, { type: 'freed', id })
    return true
  }

  async send(id: string, intent: ClusterIntent): Promise<boolean> {
    const cluster = await this.#open()
    const row = cluster.rows.get(id)
    if (row === undefined || row.owner === null || row.owner === this.instance) return false
    row.intent = copy(intent)
    cluster.tell({ type: 'intent', id, epoch: row.epoch, intent })
    return true
  }

  async answer(id: string, call: string, answer: ClusterAnswer): Promise<void> {
    const cluster = await this.#open()
    const row = cluster.rows.get(id)
    if (row?.intent?.call === call) row.intent = null
    cluster.tell({ type: 'answer', call, answer })
  }

  async reap(): Promise<{ id: string; generation: number }[]> {
    const cluster = await this.#open()
    if (!cluster.lead('the reaper', this.instance)) return []
    const now = cluster.clock.now()
    const dead = [...cluster.rows.values()].filter(({ until }) => until !== null && until <= now)
    for (const row of dead) {
      const next = { revision: row.revision + 1, generation: row.generation + 1 }
      const dead = row.runs ? row.owner : row.dead
      if (row.runs) Object.assign(row, { home: this.#homeOf(row), left: now })
      Object.assign(row, { owner: null, until: null, runs: false, dead, ...next })
      cluster.tell(cluster.changed(row), { type: 'freed', id: row.record.id })
    }
    return dead.map(({ record: { id }, generation }) => ({ id, generation }))
  }

  async restore(
    entries: readonly { entry: ClusterEntry; targets: readonly string[]; holds: boolean }[],
  ): Promise<void> {
    const cluster = await this.#open()
    for (const { entry, targets, holds } of entries) {
      const { id } = entry.record
      const found = cluster.rows.get(id)
      if (found !== undefined && (!holds || found.owner !== null)) continue
      if (found === undefined && cluster.isTaken(id, targets)) continue
      const row: Row = {
        ...copy(entry),
        targets,
        dead: null,
        left: cluster.clock.now(),
        revision: entry.revision + 1,
        generation: entry.generation + 1,
        owner: holds ? this.instance : null,
        intent: null,
        until: holds ? cluster.clock.now() + this.leaseMs : null,
        runs: holds,
      }
      cluster.rows.set(id, row)
      cluster.tell(cluster.changed(row))
    }
  }

  tell(message: ClusterMessage): void {
    if (this.#isClosed) return
    for (const backend of this.#cluster.backends)
      if (backend !== this) backend.#later(() => backend.#listener?.message(this.instance, copy(message)))
  }

  async readDocument(name: string): Promise<LoadedDocument> {
    const text = (await this.#open()).documents.get(checkDocumentName(name))
    return { value: text === undefined ? null : JSON.parse(text), problem: null }
  }

  async writeDocument(name: string, value: unknown): Promise<void> {
    const cluster = await this.#open()
    cluster.documents.set(checkDocumentName(name), JSON.stringify(value ?? null))
    cluster.tell({ type: 'document', name })
  }

  async lead(name: string): Promise<boolean> {
    return (await this.#open()).lead(name, this.instance)
  }

  async resign(name: string): Promise<void> {
    const cluster = await this.#open()
    if (cluster.leaders.get(name)?.instance === this.instance) cluster.leaders.delete(name)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cluster.backends.delete(this)
    await this.#told
  }

  /** Passes on what has happened, unless something before it was missed. */
  hear(number: number, events: readonly ClusterEvent[]): void {
    const isGap = number !== this.#number + 1
    this.#number = number
    this.#later(() => {
      if (isGap) this.#listener?.back()
      else this.#listener?.events(events)
    })
  }

  #later(task: () => void): void {
    this.#told = this.#told.then(() => {
      if (!this.#isClosed) task()
    })
  }

  /** The store, as far away as one on a server: nothing is answered in the same tick. */
  async #open(): Promise<MemoryCluster> {
    if (this.#isClosed) throw new DownloadError('STORE_ERROR', 'The store is closed.', { retryable: true })
    await Promise.resolve()
    return this.#cluster
  }
}

const entryOf = ({
  targets: _targets,
  until: _until,
  runs: _runs,
  dead: _dead,
  left: _left,
  ...entry
}: Row): ClusterEntry => entry

interface Job {
  id: string
  generation: number
  priority: number
  remote: boolean
  hasBegun: boolean
  state: 'waiting' | 'active' | 'later'
}

/** What the queues of all instances share. */
export class MemoryJobs {
  readonly jobs = new Map<string, Job>()
  readonly queues = new Set<MemoryQueue>()
  limit: number | null = null

  constructor(readonly laterMs: number) {}

  /** The next download whose turn it is. */
  take(): Job | undefined {
    const all = [...this.jobs.values()]
    if (this.limit !== null && all.filter(({ state }) => state === 'active').length >= this.limit)
      return undefined
    const rank = (job: Job) => (job.remote ? 1e9 : 0) - job.priority - (job.hasBegun ? 0.5 : 0)
    const [next] = all.filter(({ state }) => state === 'waiting').sort((a, b) => rank(a) - rank(b))
    if (next !== undefined) next.state = 'active'
    return next
  }

  look(): void {
    for (const queue of this.queues) queue.look()
  }
}

/** The queue of one instance. */
export class MemoryQueue implements ClusterQueue {
  readonly #jobs: MemoryJobs
  #offer: ((id: string, generation: number) => Promise<'done' | 'later'>) | null = null
  #concurrency = 0
  #active = 0

  constructor(jobs: MemoryJobs) {
    this.#jobs = jobs
  }

  async open(
    ...[offer, , { concurrency, clusterConcurrency }]: Parameters<ClusterQueue['open']>
  ): Promise<void> {
    this.#offer = offer
    this.#concurrency = concurrency
    this.#jobs.limit = clusterConcurrency
    this.#jobs.queues.add(this)
    this.look()
  }

  async add(jobs: Parameters<ClusterQueue['add']>[0]): Promise<void> {
    for (const job of jobs) {
      const key = `${job.id}-${job.generation}`
      if (!this.#jobs.jobs.has(key)) this.#jobs.jobs.set(key, { ...job, state: 'waiting' })
    }
    this.#jobs.look()
  }

  async stopOffering(): Promise<void> {
    this.#jobs.queues.delete(this)
  }

  async close(): Promise<void> {
    await this.stopOffering()
  }

  look(): void {
    while (this.#active < this.#concurrency) {
      const job = this.#jobs.take()
      if (job === undefined) return
      this.#active += 1
      void this.#run(job)
    }
  }

  async #run(job: Job): Promise<void> {
    const outcome = await this.#offer?.(job.id, job.generation)
    this.#active -= 1
    if (outcome === 'done') this.#jobs.jobs.delete(`${job.id}-${job.generation}`)
    else {
      job.state = 'later'
      setTimeout(() => {
        job.state = 'waiting'
        this.#jobs.look()
      }, this.#jobs.laterMs).unref()
    }
    this.#jobs.look()
  }
}

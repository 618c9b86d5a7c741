import type { Download } from '../download/download.js'
import { isActive } from '../download/states.js'
import { isDownloadError, toDownloadError } from '../errors.js'
import type { CoordinatorHost } from '../manager/cluster/coordinator.js'
import { type ClusterEntry, type ClusterQueue, recordOf } from './backend.js'
import type { Held, Leases } from './leases.js'
import type { Replica } from './replica.js'
import { settledWithin } from './settled-within.js'

/** How long to wait until the queue has taken jobs, in milliseconds. */
const addMs = 5_000

/** What {@link Turns} need. */
export interface TurnsInit {
  replica: Replica
  leases: Leases
  queue: ClusterQueue | null
  /** Whether this instance takes a download that waits by itself, and not when the queue offers it. */
  takesItself: (entry: ClusterEntry) => boolean
  /** How many downloads may run in the cluster; null for any number. */
  limit: number | null
  host: () => CoordinatorHost
  /** Whether downloads can be taken: the store can be reached, and the manager is not closing. */
  isOpen: () => boolean
  /** Reads records again. Never rejects. */
  refresh: (ids: readonly string[]) => Promise<void>
  warn: (message: string) => void
}

/** Whether an error says that the store can't be reached at the moment. */
export function isAwayError(error: unknown): boolean {
  return isDownloadError(error, 'STORE_ERROR') && error.retryable
}

/** When this instance runs a download: the queue offers one, or it is seen waiting, and then its lease is taken. */
export class Turns {
  readonly #init: TurnsInit
  /** What the queue has offered, and waits to be told of. It may offer a download twice, if it takes its worker for dead. */
  readonly #offered = new Map<string, Set<(outcome: 'done' | 'later') => void>>()
  /** Downloads that wait until fewer others run, or for the node that has their bytes. */
  readonly #parked = new Set<string>()
  /** The leases of the downloads that run here. */
  readonly #runs = new Map<Download, Held>()

  constructor(init: TurnsInit) {
    this.#init = init
  }

  /** A download does not wait any more, or can't be taken now. */
  settle(id: string, outcome: 'done' | 'later'): void {
    for (const tell of this.#offered.get(id) ?? []) tell(outcome)
    this.#offered.delete(id)
  }

  /** Another download has ended, so that one that was parked may run. */
  onFreed(): void {
    if (this.#parked.size > 0) this.offerWaiting()
  }

  close(): void {
    for (const id of [...this.#offered.keys()]) this.settle(id, 'later')
  }

  /** See `RunCoordinator.begin`. */
  async begin(download: Download): Promise<boolean> {
    const { id } = download.record
    try {
      const lease = await this.#init.leases.take(id, this.#init.limit ?? 0)
      if (typeof lease === 'object') {
        this.#runs.set(download, lease)
        return true
      }
      if (lease === 'full' || lease === 'reserved') this.#parked.add(id)
      else await this.#init.refresh([id])
      this.settle(id, lease === 'gone' ? 'done' : 'later')
    } catch (error) {
      this.settle(id, 'later')
      if (!isAwayError(error))
        this.#init.warn(`A download could not be taken: ${toDownloadError(error).message}`)
    }
    return false
  }

  /** See `RunCoordinator.confirm`. */
  async confirm(download: Download): Promise<boolean> {
    const held = this.#init.leases.get(download.record.id)
    if (held !== undefined && (await this.#init.leases.check(held))) return true
    this.#init.host().emitter.emit('writeFenced', { download })
    return false
  }

  /** See `RunCoordinator.end`. */
  async end(download: Download): Promise<void> {
    const { id } = download.record
    const held = this.#runs.get(download)
    this.#runs.delete(download)
    if (held !== undefined) await this.#init.leases.leave(held)
    this.settle(id, download.state === 'queued' && this.#init.isOpen() ? 'later' : 'done')
    // A run that has ended without the store goes on when it is back.
    if (held?.isLost === true && this.#init.isOpen()) await this.#init.refresh([id])
  }

  /**
   * Whether a download has a run here that has lost its lease. What such a run has to say is out of date: whoever has taken
   * the download over may even have completed it.
   */
  hasLost(id: string): boolean {
    if (this.#init.leases.has(id)) return false
    return [...this.#runs.values()].some((held) => held.id === id && held.isLost)
  }

  /** A job of the queue: it is this instance's turn, unless the job is out of date. */
  async offer(id: string, generation: number): Promise<'done' | 'later'> {
    if (!this.#init.isOpen()) return 'later'
    if ((this.#init.replica.get(id)?.generation ?? -1) < generation) await this.#init.refresh([id])
    const entry = this.#init.replica.get(id)
    const download = this.#init.replica.find(id)
    if (entry === undefined || download === undefined || entry.generation > generation) return 'done'
    if (isActive(download.state)) return 'later'
    if (download.state !== 'queued') return 'done'
    const { scheduler } = this.#init.host()
    const told = this.#offered.get(id) ?? new Set()
    this.#offered.set(id, told)
    const outcome = new Promise<'done' | 'later'>((resolve) => told.add(resolve))
    scheduler.offer(download)
    return await outcome
  }

  /** Adds a job for a download, if there is a queue. */
  enqueue(id: string, generation: number): Promise<void> {
    return this.enqueueAll([{ id, generation }])
  }

  /** Adds jobs for several downloads. Never rejects. */
  async enqueueAll(waiting: readonly { id: string; generation: number }[]): Promise<void> {
    const jobs = waiting.flatMap(({ id, generation }) => {
      const record = this.#init.replica.get(id)?.record
      if (record === undefined) return []
      const { priority, remote, startedAt } = record
      return [{ id, generation, priority, remote: remote !== null, hasBegun: startedAt !== null }]
    })
    const added = this.#init.queue?.add(jobs).catch((error: unknown) => {
      if (!isAwayError(error)) this.#init.warn(`A job could not be added: ${toDownloadError(error).message}`)
    })
    // What the queue does not have is added again later; nobody waits for it.
    await settledWithin(this.#init.host().clock, addMs, added ?? Promise.resolve())
  }

  /**
   * Adds the jobs of downloads that wait, the oldest first: the record is the truth, and the queue may have lost some. A job
   * that is there is not added again.
   */
  async reconcile(limit = Infinity): Promise<void> {
    if (this.#init.queue === null) return
    const waiting = this.#init.replica
      .all()
      .filter((entry) => recordOf(entry).state === 'queued')
      .sort((one, other) => one.record.sequence - other.record.sequence)
      .slice(0, limit)
    await this.enqueueAll(waiting.map(({ record: { id }, generation }) => ({ id, generation })))
  }

  /** Offers what nobody runs, and this instance takes by itself, to our own scheduler. */
  offerWaiting(): void {
    this.#parked.clear()
    for (const entry of this.#init.replica.all()) {
      const { id } = entry.record
      if (entry.owner !== null || this.#init.leases.has(id) || !this.#init.takesItself(entry)) continue
      const download = this.#init.replica.find(id)
      if (download?.state === 'queued') this.#init.host().scheduler.offer(download)
    }
  }
}

import type { Download } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import type { Clock } from '../util/clock.js'
import type { ClusterBackend, ClusterEntry, ClusterIntent } from './backend.js'
import { renewTransfers, type TransferLease } from './lease-engine.js'

/** A lease that this instance holds. */
export interface Held extends TransferLease {
  readonly id: string
  /** How many calls and runs need it. */
  users: number
  /** Whether it has been lost, or its record was removed. */
  isLost: boolean
  /** Whether its record is being removed with it, or was. */
  isRemoved: boolean
  /** Whether its loss has been told. */
  isTold: boolean
  /** Whether the record could not be saved. */
  isDirty: boolean
  /** Whether a job must be added for the download when the lease ends. */
  isQueued: boolean
}

/** Tells once that a lease was lost. */
export function tellLost(held: Held, download: Download, emitter: SafeEmitter): void {
  if (held.isTold) return
  held.isTold = true
  emitter.emit('leaseLost', { download })
}

/** Why a lease can't be had; see `Began`. */
export type Refused = 'owned' | 'full' | 'reserved' | 'gone'

/** What is known of a lease that has been granted. */
export interface GrantedHow {
  /** The instance that ran the download and has died; null if none has. */
  from: string | null
  /** Whether the download is going to run. */
  runs: boolean
}

/** Settings of {@link Leases}, and what follows from what happens to them. */
export interface LeasesInit {
  backend: ClusterBackend
  clock: Clock
  /** Whether running downloads go on while the store is away. */
  goesOn: boolean
  isAway: () => boolean
  /** Called before a lease that has been granted is used. */
  onGranted: (entry: ClusterEntry, how: GrantedHow) => void
  onReleased: (held: Held) => Promise<void>
  onLost: (held: Held) => void
  /** Called when a record is missing whose lease is held here: the store may have lost its data. */
  onMissing: () => void
  /** Stops the run of a download. */
  stop: (held: Held) => void
}

/** A run whose lease has this part left is stopped; more than the time between two attempts to renew it. */
const enough = 0.3

/** The leases of this instance: each is taken once, shared by all who need it here, and renewed until nobody does. */
export class Leases {
  readonly #init: LeasesInit
  readonly #held = new Map<string, Held>()
  readonly #beginning = new Map<string, Promise<Held | Refused>>()

  constructor(init: LeasesInit) {
    this.#init = init
  }

  get(id: string): Held | undefined {
    return this.#held.get(id)
  }

  has(id: string): boolean {
    return this.#held.has(id)
  }

  all(): Held[] {
    return [...this.#held.values()]
  }

  /** Calls back once it is known whether this instance holds a lease that it is asking for: at once if it is not asking. */
  whenKnown(id: string, callback: () => void): void {
    const beginning = this.#beginning.get(id)
    if (beginning === undefined) callback()
    else void beginning.then(callback, callback)
  }

  /**
   * Takes a lease, or joins those who hold it here. {@link leave} must be called for each.
   *
   * @param limit - how many downloads may run; null if it is not going to run.
   */
  async take(id: string, limit: number | null): Promise<Held | Refused> {
    const mine = this.#held.get(id)
    if (mine !== undefined) {
      mine.users += 1
      return mine
    }
    const pending = this.#beginning.get(id)
    if (pending !== undefined) {
      await pending.catch(() => undefined)
      return this.take(id, limit)
    }
    const beginning = this.#begin(id, limit)
    this.#beginning.set(id, beginning)
    try {
      return await beginning
    } finally {
      this.#beginning.delete(id)
    }
  }

  async #begin(id: string, limit: number | null): Promise<Held | Refused> {
    const { backend, clock, onGranted } = this.#init
    const sentAt = clock.now()
    const began = await backend.begin(id, limit)
    if (began.type !== 'granted') return began.type
    const held: Held = {
      id,
      epoch: began.entry.epoch,
      validUntil: sentAt + backend.leaseMs,
      transfers: new Set(),
      users: 1,
      isLost: false,
      isRemoved: false,
      isTold: false,
      isDirty: false,
      isQueued: false,
    }
    onGranted(began.entry, { from: began.from, runs: limit !== null })
    this.#held.set(id, held)
    return held
  }

  /**
   * Runs a task with a lease that was taken, and leaves the lease. False if it was lost meanwhile: what the task has done
   * may not have been stored, and whoever has the lease now is to be asked.
   *
   * @throws what the task throws while the lease holds.
   */
  async use(held: Held, task: () => Promise<void>): Promise<boolean> {
    const isLost = () => held.isLost && !held.isRemoved
    try {
      await task()
    } catch (error) {
      if (!isLost()) throw error
    } finally {
      await this.leave(held)
    }
    return !isLost()
  }

  /** Gives up one use of a lease, and releases it after the last one. */
  async leave(held: Held): Promise<void> {
    held.users -= 1
    if (held.users > 0 || held.isLost) return
    // What could not be saved is saved once the store is back.
    if (held.isDirty && this.#init.isAway()) return
    await this.release(held)
  }

  async release(held: Held): Promise<void> {
    this.drop(held)
    if (held.isLost) return
    try {
      await this.#init.backend.release(held)
      await this.#init.onReleased(held)
    } catch {
      // It runs out, and the download is queued again if it has to run.
    }
  }

  /** Whether a lease still is the last one, so that its owner may publish and delete. Never rejects. */
  async confirm(held: Held): Promise<boolean> {
    if (held.isLost) return false
    try {
      return await this.#init.backend.confirm(held)
    } catch {
      return this.#init.goesOn
    }
  }

  /**
   * The same for a command: one that is not the last any more is lost.
   *
   * @throws DownloadError `STORE_ERROR` if nobody can tell.
   */
  async check(held: Held): Promise<boolean> {
    if (!held.isLost && !(await this.#init.backend.confirm(held))) this.lose(held)
    return !held.isLost
  }

  /** Forgets a lease without releasing it. */
  drop(held: Held): void {
    if (this.#held.get(held.id) === held) this.#held.delete(held.id)
  }

  /** Renews all leases. Returns what the owners of downloads have been asked in the meantime. */
  async renew(): Promise<(readonly [id: string, intent: ClusterIntent])[]> {
    const { backend, clock, onMissing } = this.#init
    const held = this.all()
    if (held.length === 0) return []
    const sentAt = clock.now()
    const answers = await backend.renew(held)
    const asked: (readonly [string, ClusterIntent])[] = []
    for (const [index, lease] of held.entries()) {
      const { holds = false, intent = null } = answers[index] ?? {}
      if (holds === null) {
        onMissing()
        continue
      }
      if (!holds) {
        // It may have been released meanwhile.
        if (this.#held.get(lease.id) === lease) this.lose(lease)
        continue
      }
      lease.validUntil = sentAt + backend.leaseMs
      renewTransfers(lease, clock.now())
      if (intent !== null) asked.push([lease.id, intent])
    }
    return asked
  }

  /**
   * Stops what could not be renewed, unless it may go on without the store: early enough to put what was fetched on the disk
   * while it may still be written.
   */
  dropExpiring(): void {
    const { clock, backend, goesOn, stop } = this.#init
    const now = clock.now()
    const enoughMs = backend.leaseMs * enough
    for (const held of this.#held.values()) {
      if (goesOn) {
        held.validUntil = now + backend.leaseMs
        renewTransfers(held, now)
      } else if (held.validUntil - now <= enoughMs && held.users > 0) stop(held)
    }
  }

  /** A download was removed whose lease is held here, unless that has done it. */
  loseRemoved(id: string): void {
    const held = this.#held.get(id)
    if (held?.isRemoved === false) this.lose(held)
  }

  /** Another instance has taken the lease: its transfers stop writing. */
  lose(held: Held): void {
    if (held.isLost) return
    held.isLost = true
    held.validUntil = 0
    renewTransfers(held, this.#init.clock.now())
    this.drop(held)
    this.#init.onLost(held)
  }
}

import type { Download } from '../download/download.js'
import type { DownloadRecord } from '../download/record.js'
import { DownloadError } from '../errors.js'
import type { CoordinatorHost, SharedStore } from '../manager/cluster/coordinator.js'
import type { ClusterBackend } from './backend.js'
import type { Held, Leases } from './leases.js'
import type { Replica } from './replica.js'
import { sealHeaders } from './seal.js'
import { isAwayError, type Turns } from './turns.js'

/** What {@link Records} need. */
export interface RecordsInit {
  backend: ClusterBackend
  replica: Replica
  leases: Leases
  turns: Turns
  host: () => CoordinatorHost
  secret: string | null
  /** @throws DownloadError `STORE_ERROR` while the store can't be reached. */
  requireStore: () => void
}

function elsewhere(): DownloadError {
  const message = 'Another instance has the download at the moment.'
  return new DownloadError('STORE_ERROR', message, { retryable: true })
}

/** What a manager writes to the records of its cluster: only with the lease of the download. */
export class Records implements Pick<SharedStore, 'insert' | 'save' | 'remove'> {
  readonly #init: RecordsInit
  readonly #saving = new Set<Promise<void>>()

  constructor(init: RecordsInit) {
    this.#init = init
  }

  async insert(download: Download): Promise<boolean> {
    this.#init.requireStore()
    const targets = this.#init.host().registry.targetsOf(download)
    const outcome = await this.#init.backend.insert(this.#sealed(download.toRecord()), targets)
    if (outcome.type === 'taken')
      throw new DownloadError('CONFLICT', 'Another download of the cluster writes to the same file.')
    const { entry } = outcome
    const { id } = entry.record
    this.#init.replica.set(entry)
    if (outcome.type === 'known') {
      this.#init.host().registry.mirror(this.#init.replica.recordOf(entry))
      return false
    }
    await this.#init.turns.enqueue(id, entry.generation)
    return true
  }

  /** Resolves once what is being saved is stored. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#saving)
  }

  async save(record: DownloadRecord): Promise<void> {
    const saved = this.#save(record)
    this.#saving.add(saved)
    try {
      await saved
    } finally {
      this.#saving.delete(saved)
    }
  }

  async #save(record: DownloadRecord): Promise<void> {
    await this.#withLease(record.id, async (held) => {
      const host = this.#init.host()
      const download = this.#init.replica.find(record.id)
      if (held.isLost || download === undefined) return
      const stored = this.#init.replica.get(record.id)
      const requeue = record.state === 'queued' && stored !== undefined && stored.record.state !== 'queued'
      try {
        const targets = host.registry.targetsOf(download)
        const outcome = await this.#init.backend.save(held, this.#sealed(record), { targets, requeue })
        if (outcome.type === 'saved') {
          held.isDirty = false
          held.isQueued = record.state === 'queued' && (held.isQueued || requeue)
          const { revision, generation } = outcome
          this.#init.replica.set({
            ...(stored ?? { intent: null, home: null }),
            record,
            revision,
            generation,
            epoch: held.epoch,
            owner: this.#init.backend.instance,
          })
        } else if (outcome.type === 'gone') held.isDirty = true
        else if (outcome.type === 'stale') {
          host.emitter.emit('writeFenced', { download })
          this.#init.leases.lose(held)
        } else {
          const message = 'Another download of the cluster has claimed the same file.'
          host.emitter.emit('log', { download, level: 'error', message })
          void host.scheduler.abandon(download)
        }
      } catch (error) {
        if (!isAwayError(error)) throw error
        held.isDirty = true
      }
    })
  }

  async remove(id: string): Promise<void> {
    await this.#withLease(id, async (held) => {
      if (held.isRemoved) return
      // Said first, since the removal may be reported before the call returns.
      held.isRemoved = true
      held.isRemoved = await this.#init.backend.remove(held).catch((error: unknown) => {
        held.isRemoved = false
        throw error
      })
      if (!held.isRemoved) {
        const download = this.#init.replica.find(id)
        if (download !== undefined) this.#init.host().emitter.emit('writeFenced', { download })
        this.#init.leases.lose(held)
        throw elsewhere()
      }
      held.isLost = true
      this.#init.leases.drop(held)
      this.#init.replica.delete(id)
    })
  }

  /** Runs a task with the lease of a download, which is taken if this instance does not hold it. */
  async #withLease(id: string, task: (held: Held) => Promise<void>): Promise<void> {
    const mine = this.#init.leases.get(id)
    if (mine !== undefined) {
      await task(mine)
      return
    }
    this.#init.requireStore()
    const lease = await this.#init.leases.take(id, null)
    if (typeof lease !== 'object') {
      if (lease === 'gone') return
      throw elsewhere()
    }
    try {
      await task(lease)
    } finally {
      await this.#init.leases.leave(lease)
    }
  }

  #sealed(record: DownloadRecord): DownloadRecord {
    return { ...record, headers: sealHeaders(record.headers, this.#init.secret) }
  }
}

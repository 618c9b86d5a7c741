import type { Download } from '../download/download.js'
import type { DownloadRecord } from '../download/record.js'
import { isSettled } from '../download/states.js'
import type { CoordinatorHost } from '../manager/cluster/coordinator.js'
import { type ClusterEntry, recordOf } from './backend.js'
import type { Echo } from './echo.js'
import { unsealHeaders } from './seal.js'
import { tellTransition } from './transitions.js'

/** What a {@link Replica} needs. */
export interface ReplicaInit {
  host: () => CoordinatorHost
  secret: string | null
  /** See `ClusterBackend`. */
  instance: string
  /** Whether this instance holds the lease of a download, so that its own record is ahead of the stored one. */
  isHeld: (id: string) => boolean
  /** Called when a download has been removed whose lease is held here. */
  onHeldRemoved: (id: string) => void
  /** See `TurnsInit`. */
  takesItself: (entry: ClusterEntry) => boolean
  /** Called when a download does not wait any more. */
  onGone: (id: string) => void
  /** Marks the events of others. */
  echo: Echo
}

/** What this instance knows of all downloads of the cluster, and its registry with them. */
export class Replica {
  readonly #init: ReplicaInit
  readonly #entries = new Map<string, ClusterEntry>()

  constructor(init: ReplicaInit) {
    this.#init = init
  }

  get(id: string): ClusterEntry | undefined {
    return this.#entries.get(id)
  }

  set(entry: ClusterEntry): void {
    this.#entries.set(entry.record.id, entry)
  }

  delete(id: string): void {
    this.#entries.delete(id)
  }

  all(): ClusterEntry[] {
    return [...this.#entries.values()]
  }

  find(id: string): Download | undefined {
    const url = this.#entries.get(id)?.record.url
    return url === undefined ? undefined : this.#init.host().registry.get(url)
  }

  /** The record of an entry as a manager has it. */
  recordOf(entry: ClusterEntry): DownloadRecord {
    const record = recordOf(entry)
    return { ...record, headers: unsealHeaders(record.headers, this.#init.secret) }
  }

  /** Takes over what is stored, if it is newer than what is known. */
  apply(entry: ClusterEntry): void {
    const { id } = entry.record
    const known = this.#entries.get(id)
    if (known !== undefined && known.revision >= entry.revision && known.generation >= entry.generation)
      return
    if (this.#init.isHeld(id)) {
      const { generation, intent } = entry
      if (known !== undefined) this.#entries.set(id, { ...known, generation, intent })
      return
    }
    this.#entries.set(id, entry)
    // This instance is about to run the download itself, or has just given it up.
    if (entry.owner !== this.#init.instance) this.mirror(entry)
  }

  /** Takes over what is stored, whatever is known. */
  replace(entry: ClusterEntry): void {
    if (!this.#init.isHeld(entry.record.id)) this.#entries.delete(entry.record.id)
    this.apply(entry)
  }

  /** Makes the download of the registry what is stored. */
  mirror(entry: ClusterEntry): void {
    const { registry, scheduler, emitter } = this.#init.host()
    const record = this.recordOf(entry)
    const before = registry.get(record.url)
    if (before !== undefined && scheduler.isRunning(before)) return
    const from = before?.state
    const download = registry.mirror(record)
    if (record.state !== 'queued') {
      scheduler.withdraw(download)
      this.#init.onGone(record.id)
    } else if (entry.owner === null && this.#init.takesItself(entry)) scheduler.offer(download)
    this.#init.echo.run(() => {
      tellTransition(emitter, download, from)
    })
  }

  /**
   * Forgets a download that another instance has removed.
   *
   * @param revision - its last one. What is newer has been asked for again, and is another download.
   */
  forget(id: string, revision: number): void {
    if ((this.#entries.get(id)?.revision ?? 0) > revision) return
    if (this.#init.isHeld(id)) {
      this.#init.onHeldRemoved(id)
      return
    }
    const download = this.find(id)
    this.#entries.delete(id)
    if (download === undefined) return
    const { registry, scheduler, emitter } = this.#init.host()
    scheduler.withdraw(download)
    this.#init.onGone(id)
    this.#init.echo.run(() => {
      if (!isSettled(download.state)) {
        const from = download.state
        registry.mirror({ ...download.toRecord(), state: 'canceled', finishedAt: new Date().toISOString() })
        tellTransition(emitter, download, from)
      }
      registry.drop(download)
      emitter.emit('removed', { download })
    })
  }

  /**
   * Takes over everything that was stored. What is known and was not, or not in this revision, is read again: it has been
   * removed, added or changed since everything was loaded, or the store has lost its last changes.
   *
   * @param read - see `ClusterBackend.read`.
   */
  async reload(
    entries: readonly ClusterEntry[],
    read: (ids: readonly string[]) => Promise<ReadonlyMap<string, ClusterEntry | null>>,
  ): Promise<void> {
    const loaded = new Map(entries.map((entry) => [entry.record.id, entry]))
    const doubtful = this.all().filter(
      ({ record, revision }) => revision > (loaded.get(record.id)?.revision ?? -1),
    )
    const found = doubtful.length === 0 ? null : await read(doubtful.map(({ record }) => record.id))
    for (const { record, revision } of doubtful) {
      loaded.delete(record.id)
      const entry = found?.get(record.id) ?? null
      if (entry === null) this.forget(record.id, revision)
      // What has been reported after that was read is newer.
      else if (this.get(record.id)?.revision === revision) this.replace(entry)
    }
    for (const entry of loaded.values()) this.apply(entry)
  }
}

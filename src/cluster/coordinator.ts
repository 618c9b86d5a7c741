import type { Download } from '../download/download.js'
import { isActive } from '../download/states.js'
import type { DownloadRecord } from '../download/record.js'
import type { TransferEngine } from '../engine/protocol.js'
import { DownloadError, toDownloadError } from '../errors.js'
import type {
  ClusterCommand,
  Coordinator,
  CoordinatorHost,
  RunCoordinator,
  SharedStore,
} from '../manager/cluster/coordinator.js'
import type { Clock, Timer } from '../util/clock.js'
import { Latest } from '../util/schedule.js'
import type {
  BackendListener,
  ClusterBackend,
  ClusterContent,
  ClusterEntry,
  ClusterEvent,
} from './backend.js'
import { DownloadCommands } from './commands.js'
import { ClusterDocuments } from './documents.js'
import { Echo } from './echo.js'
import { endsOf, followHost } from './follow-host.js'
import { Insight, nodeNameOf } from './insight.js'
import { leaseEngine } from './lease-engine.js'
import { type GrantedHow, type Held, Leases, tellLost } from './leases.js'
import { Presence } from './presence.js'
import { Records } from './records.js'
import { Replica } from './replica.js'
import { Telling } from './telling.js'
import { isAwayError, Turns } from './turns.js'
import { checkSharedFolder } from './placement.js'
import type { ClusterSettings } from './settings.js'
import { settledWithin } from './settled-within.js'

/** How long to wait for the queue to close, in milliseconds. */
const closeMs = 2_000

/** How many of the downloads that wait longest are looked after each time, in case the queue has lost their jobs. */
const reconciled = 100

/** How long a reader waits at most until this instance knows what others have stored, in milliseconds. */
const catchUpMs = 1_000

/** Coordinates a manager with those of other instances, over a {@link ClusterBackend}. */
export class ClusterCoordinator implements Coordinator {
  readonly store: SharedStore
  readonly runs: RunCoordinator
  readonly documents: ClusterDocuments
  readonly insight: Insight
  readonly #catchingUp: Latest
  readonly #settings: ClusterSettings
  readonly #backend: ClusterBackend
  readonly #clock: Clock
  readonly #replica: Replica
  readonly #leases: Leases
  readonly #records: Records
  readonly #turns: Turns
  readonly #commands: DownloadCommands
  readonly #echo = new Echo()
  readonly #presence: Presence
  #nextEnd: () => Promise<void> = () => Promise.resolve()
  #telling: Telling | null = null
  #host: CoordinatorHost | null = null
  #timer: Timer | null = null
  #renewing: Promise<void> = Promise.resolve()
  #reloading: Promise<void> = Promise.resolve()
  #isReloading = false
  #isAway = false
  #reconcileAt = 0
  #isClosing = false

  constructor(settings: ClusterSettings, clock: Clock) {
    this.#settings = settings
    this.#backend = settings.backend
    this.#clock = clock
    this.#presence = new Presence(clock)
    this.#catchingUp = new Latest(() => settledWithin(clock, catchUpMs, this.#caughtUp()))
    this.documents = new ClusterDocuments(this.#backend)
    const node = nodeNameOf(this.#backend.instance)
    const takesItself = ({ home }: ClusterEntry) => settings.queue === null || home === node
    this.#replica = new Replica({
      host: () => this.#hosted,
      secret: settings.secret,
      instance: this.#backend.instance,
      isHeld: (id) => this.#leases.has(id),
      onHeldRemoved: (id) => {
        this.#leases.loseRemoved(id)
      },
      takesItself,
      onGone: (id) => {
        this.#turns.settle(id, 'done')
      },
      echo: this.#echo,
    })
    this.#leases = new Leases({
      backend: this.#backend,
      clock,
      goesOn: settings.onStoreLost === 'continue',
      isAway: () => this.#isAway,
      onGranted: (entry, how) => {
        this.#onGranted(entry, how)
      },
      onReleased: (held) => this.#onReleased(held),
      onLost: (held) => {
        this.#onLost(held)
      },
      onMissing: () => {
        void this.#reload()
      },
      stop: (held) => {
        this.#stop(held)
      },
    })
    this.#turns = new Turns({
      replica: this.#replica,
      leases: this.#leases,
      queue: settings.queue,
      takesItself,
      limit: settings.clusterConcurrency,
      host: () => this.#hosted,
      isOpen: () => !this.#isAway && !this.#isClosing,
      refresh: (ids) => this.#refresh(ids),
      warn: this.#warn,
    })
    this.#commands = new DownloadCommands({
      backend: this.#backend,
      clock,
      replica: this.#replica,
      leases: this.#leases,
      host: () => this.#hosted,
      requireStore: () => {
        this.#requireStore()
      },
      reload: () => this.#reload(),
    })
    this.#records = new Records({
      backend: this.#backend,
      replica: this.#replica,
      leases: this.#leases,
      turns: this.#turns,
      host: () => this.#hosted,
      secret: settings.secret,
      requireStore: () => {
        this.#requireStore()
      },
    })
    this.store = {
      load: () => this.#open(),
      insert: async (download) => {
        this.#commands.requireLease(download.record.id)
        return await this.#records.insert(download)
      },
      save: (record) => (this.#turns.hasLost(record.id) ? Promise.resolve() : this.#records.save(record)),
      remove: (id) => this.#records.remove(id),
      readDocument: (name) => this.documents.load(name),
      writeDocument: (name, value) => this.documents.write(name, value),
      close: () => this.#close(),
    }
    this.insight = new Insight({
      ...{ backend: this.#backend, clock, replica: this.#replica, leases: this.#leases },
      ...{ presence: this.#presence, echo: this.#echo },
      ...settings,
      downloads: () => this.#host?.registry.list() ?? [],
      isAway: () => this.#isAway,
      share: () => this.#telling?.share ?? null,
    })
    this.runs = {
      hasQueue: settings.queue !== null,
      begin: (download) => this.#turns.begin(download),
      end: (download) => this.#turns.end(download),
      confirm: (download) => this.#turns.confirm(download),
      engine: (download, engine) => this.#engineOf(download, engine),
    }
  }

  attach(host: CoordinatorHost): void {
    this.#host = host
    this.#nextEnd = endsOf(host.emitter)
    followHost(host, this.#leases, this.#replica)
  }

  loaded(): void {
    const { queue, clusterConcurrency } = this.#settings
    const host = this.#hosted
    this.#telling = new Telling({
      backend: this.#backend,
      clock: this.#clock,
      host,
      maxBytesPerSecond: this.#settings.clusterMaxBytesPerSecond,
      running: () => this.#leases.all().flatMap(({ id }) => this.#replica.find(id) ?? []),
      find: (id) => (this.#leases.has(id) ? undefined : this.#replica.find(id)),
      presence: this.#presence,
      echo: this.#echo,
    })
    const stepMs = Math.max(50, Math.floor(this.#backend.leaseMs / 4))
    this.#timer = this.#clock
      .interval(() => {
        // A silent store has the attempts to renew wait.
        if (this.#isAway) this.#leases.dropExpiring()
        this.#renewing = this.#renewing.then(() => this.#tick())
      }, stepMs)
      .unref()
    this.#turns.offerWaiting()
    void queue
      ?.open((id, generation) => this.#turns.offer(id, generation), this.#warn, {
        concurrency: host.concurrency,
        clusterConcurrency,
      })
      .then(() => this.#turns.reconcile())
      .catch((error: unknown) => {
        this.#warn(`The queue of the cluster can't be used: ${toDownloadError(error).message}`)
      })
  }

  control(download: Download, command: ClusterCommand, task: () => Promise<void>): Promise<void> {
    return this.#commands.control(download.record.id, command, task)
  }

  readonly catchUp = (): Promise<void> =>
    this.#isAway || this.#isClosing ? Promise.resolve() : this.#catchingUp.ask()

  async #caughtUp(): Promise<void> {
    await Promise.all([this.#records.settled(), this.documents.settled()])
    await this.#backend.catchUp()
    await Promise.all([this.#reloading, this.documents.settled()])
  }

  async idle(): Promise<boolean> {
    const isBusy = ({ state }: Download) => state === 'queued' || isActive(state)
    if (!this.#hosted.registry.list().some(isBusy)) return true
    await this.#nextEnd()
    return false
  }

  // ---- The store

  async #open(): Promise<{ records: DownloadRecord[]; problems: string[] }> {
    const listener: BackendListener = {
      events: (events) => {
        this.#onEvents(events)
      },
      message: (from, message) => this.#telling?.take(from, message),
      away: (reason) => {
        this.#onAway(reason)
      },
      back: () => {
        void this.#reload()
      },
      log: (level, message) => this.#hosted.emitter.emit('log', { level, message }),
    }
    await this.#backend.open(listener)
    const { entries, problems } = await this.#backend.load()
    for (const entry of entries) this.#replica.set(entry)
    await checkSharedFolder(this.#settings.sharedFolder, this.#clock, this.#warn)
    return { records: entries.map((entry) => this.#replica.recordOf(entry)), problems }
  }

  async #close(): Promise<void> {
    this.#isClosing = true
    this.#timer?.cancel()
    this.#telling?.close()
    const { queue } = this.#settings
    // What has been offered is given back after that, so that others take it at once.
    const stopped = queue?.stopOffering() ?? Promise.resolve()
    this.#turns.close()
    await this.#renewing
    await settledWithin(this.#clock, closeMs, stopped)
    // What waits again is added to the queue, so that others go on with it at once.
    for (const held of this.#leases.all()) await this.#leases.release(held)
    await settledWithin(this.#clock, closeMs, queue?.close() ?? Promise.resolve())
    this.#commands.close()
    await this.#backend.close()
  }

  // ---- Leases

  /** What the last owner has stored comes first, and whoever has lost the lease writes no more. */
  #onGranted(entry: ClusterEntry, { from, runs }: GrantedHow): void {
    this.#replica.set(entry)
    // Also what is known already: what was stored with the lease may have been reported first.
    this.#replica.mirror({ ...entry, owner: null })
    const download = this.#replica.find(entry.record.id)
    if (!runs || from === null || from === this.#backend.instance || download === undefined) return
    this.#info(`Took over a download whose instance has died: ${entry.record.filename}.`)
    this.#hosted.emitter.emit('takenOver', { download, from: nodeNameOf(from) })
  }

  async #onReleased({ id, isQueued }: Held): Promise<void> {
    const entry = this.#replica.get(id)
    if (entry === undefined) return
    this.#replica.set({ ...entry, owner: null })
    if (isQueued) await this.#turns.enqueue(id, entry.generation)
  }

  async #tick(): Promise<void> {
    if (this.#isClosing) return
    try {
      await this.#renew()
      const freed = await this.#backend.reap()
      if (freed.length > 0) await this.#turns.enqueueAll(freed)
      if (this.#clock.now() >= this.#reconcileAt) {
        this.#reconcileAt = this.#clock.now() + this.#backend.leaseMs
        await this.#turns.reconcile(reconciled)
      }
      this.#turns.offerWaiting()
      if (this.#isAway) await this.#reload()
    } catch (error) {
      // It may also be there and refuse to write, since it has no memory left, is loading or has become a replica.
      const { message } = toDownloadError(error)
      if (isAwayError(error)) this.#onAway(message)
      else this.#warn(`The leases could not be renewed: ${message}`)
      this.#leases.dropExpiring()
    }
  }

  async #renew(): Promise<void> {
    for (const [id, intent] of await this.#leases.renew()) this.#commands.obey(id, intent)
  }

  #stop(held: Held): void {
    const download = this.#replica.find(held.id)
    if (download === undefined) return
    tellLost(held, download, this.#hosted.emitter)
    void this.#hosted.scheduler.abandon(download)
  }

  #onLost(held: Held): void {
    const download = this.#replica.find(held.id)
    if (download === undefined || this.#isClosing) return
    this.#warn(`Another instance has taken over ${download.filename}; it goes on there.`)
    tellLost(held, download, this.#hosted.emitter)
    void this.#hosted.scheduler.abandon(download).then(() => this.#refresh([held.id]))
  }

  // ---- Runs

  #engineOf(download: Download, engine: TransferEngine): TransferEngine {
    const held = this.#leases.get(download.record.id) ?? null
    return leaseEngine(engine, {
      lease: held,
      clock: this.#clock,
      confirm: async () => {
        const isHeld = held !== null && (await this.#leases.confirm(held))
        if (!isHeld) this.#hosted.emitter.emit('writeFenced', { download })
        return isHeld
      },
      onLost: () => {
        // Without the store nobody can tell; the lease may still be the last one when it is back.
        if (held !== null && !this.#isAway && held.validUntil > this.#clock.now()) this.#leases.lose(held)
        else if (held !== null) this.#stop(held)
      },
    })
  }

  // ---- The replica

  #onEvents(events: readonly ClusterEvent[]): void {
    for (const event of events) {
      switch (event.type) {
        case 'changed':
          this.#replica.apply(event.entry)
          break
        case 'removed':
          this.#replica.forget(event.id, event.revision)
          this.#commands.removed(event.id)
          break
        case 'freed':
          this.#commands.freed(event.id)
          this.#turns.onFreed()
          break
        case 'intent':
          // A lease may be reported before it is granted, and so may what is asked of its owner.
          this.#leases.whenKnown(event.id, () => {
            if (this.#leases.get(event.id)?.epoch === event.epoch) this.#commands.obey(event.id, event.intent)
          })
          break
        case 'answer':
          this.#commands.answered(event.call, event.answer)
          break
        case 'document':
          this.documents.changed(event.name)
      }
    }
  }

  async #refresh(ids: readonly string[]): Promise<void> {
    try {
      for (const entry of (await this.#backend.read(ids)).values()) {
        // It has been removed, or the store has lost it.
        if (entry === null) await this.#reload()
        else this.#replica.replace(entry)
      }
    } catch {
      // Once the store is back, everything is loaded again.
    }
  }

  // ---- When the store is away

  #onAway(reason: string): void {
    if (this.#isAway || this.#isClosing) return
    this.#isAway = true
    this.#warn(`The store of the cluster can't be reached (${reason}). Running downloads go on for now.`)
  }

  /** Loads everything again, one load at a time. */
  #reload(): Promise<void> {
    if (this.#isReloading) return this.#reloading
    this.#isReloading = true
    this.#reloading = this.#loadAgain()
      .catch((error: unknown) => {
        this.#warn(`The records of the cluster could not be loaded: ${toDownloadError(error).message}`)
      })
      .finally(() => (this.#isReloading = false))
    return this.#reloading
  }

  async #loadAgain(): Promise<void> {
    let content: ClusterContent = await this.#backend.load()
    if (content.hasLost) {
      const there = new Set(content.entries.map(({ record: { id } }) => id))
      const lost = this.#replica.all().filter(({ record: { id } }) => !there.has(id))
      this.#warn(`The store of the cluster has lost data; ${lost.length} records are stored again.`)
      await this.#backend.restore(
        lost.map((entry) => {
          const download = this.#replica.find(entry.record.id)
          const targets = download === undefined ? [] : this.#hosted.registry.targetsOf(download)
          return { entry, targets, holds: this.#leases.has(entry.record.id) }
        }),
      )
      content = await this.#backend.load()
    }
    if (this.#isAway) this.#info('The store of the cluster can be reached again.')
    this.#isAway = false
    await this.#renew()
    await this.#replica.reload(content.entries, (ids) => this.#backend.read(ids))
    for (const held of this.#leases.all()) {
      const download = this.#replica.find(held.id)
      if (held.isDirty && download !== undefined) await this.#hosted.registry.save(download)
      if (held.users <= 0) await this.#leases.release(held)
    }
    await this.#turns.reconcile()
    this.#turns.offerWaiting()
  }

  #requireStore(): void {
    if (!this.#isAway) return
    const message = 'The store of the cluster cannot be reached; try again later.'
    throw new DownloadError('STORE_ERROR', message, { retryable: true, retryAfterMs: 5_000 })
  }

  // ---- Helpers

  #info(message: string): void {
    this.#hosted.emitter.emit('log', { level: 'info', message })
  }

  readonly #warn = (message: string): void => {
    this.#hosted.emitter.emit('log', { level: 'warn', message })
  }

  get #hosted(): CoordinatorHost {
    if (this.#host === null) throw new Error('The coordinator has no manager.')
    return this.#host
  }
}

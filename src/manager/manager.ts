import { resolve } from 'node:path'
import { Destinations } from '../download/destination.js'
import type { Download, DownloadOwner } from '../download/download.js'
import { type DownloadOptions, parseOptions } from '../download/options.js'
import { type DownloadRequestContext, outranks, readRequest } from '../download/request.js'
import { recordProblem } from '../download/stored-record.js'
import type { TransferEngine } from '../engine/protocol.js'
import { DownloadError, toDownloadError } from '../errors.js'
import { type Resolver, sourceRegistry } from '../sources/resolver.js'
import { systemClock } from '../util/clock.js'
import { requireRuntime, runtime } from '../util/runtime.js'
import { Serial } from '../util/schedule.js'
import { adjusters } from './adjust.js'
import type { ClusterCommand, Coordinator } from './cluster/coordinator.js'
import { execute } from './cluster/execute.js'
import { SoloCoordinator } from './cluster/solo.js'
import { Interest } from './interest.js'
import { internals, type ManagerInternals, servicesOf } from './internals.js'
import {
  defaultMaxRecords,
  type DownloadManagerOptions,
  managerOptionsSchema,
  slotCount,
  remoteBounds,
  type ResolvedManagerOptions,
} from './options.js'
import { type DownloadPlan, planDownload } from './plan.js'
import { openStore, Registry } from './registry.js'
import { DownloadRequests } from './requests.js'
import { Scheduler } from './scheduler.js'
import { createServices } from './services.js'
import { DiskBudget } from './space/budget.js'
import type { DiskUsage } from './space/report.js'
import { ManagerUpstream } from './upstream/upstream.js'

/**
 * Manages downloads: a queue with a limited number of slots, a registry by URL, events, and state that
 * survives a restart.
 *
 * @example
 * const manager = new DownloadManager({ directory: './models' })
 * const download = await manager.download({ url: 'https://example.com/model.gguf' })
 * const { path, sha256 } = await download.finished
 * await manager.close()
 */
export class DownloadManager extends ManagerUpstream {
  /** Resolves once the store is loaded; rejects with `STORE_ERROR`. Every async method waits for it. */
  readonly ready: Promise<void>
  /** Absolute path of the root folder of all files. */
  readonly directory: string
  /** @internal */
  readonly [internals]: ManagerInternals

  readonly #places: Destinations
  readonly #context: DownloadRequestContext
  readonly #options: ResolvedManagerOptions
  readonly #engine: TransferEngine
  readonly #resolver: Resolver
  readonly #registry: Registry
  readonly #scheduler: Scheduler
  readonly #space: DiskBudget
  readonly #owner: DownloadOwner
  readonly #serial = new Serial<Download>()
  readonly #requests: DownloadRequests
  readonly #coordinator: Coordinator
  readonly #interest = new Interest((download) => {
    if (this.#closed !== null) return
    this.cancel(download.url).catch((error: unknown) => {
      const message = `Canceling failed: ${toDownloadError(error).message}`
      this.emit('log', { download, level: 'warn', message })
    })
  })
  #maxBytesPerSecond: number | null
  /** What others leave to this manager, in bytes per second; null for no limit. */
  #share: number | null = null
  #closed: Promise<void> | null = null
  readonly #closing = new AbortController()

  /**
   * @param options - see {@link DownloadManagerOptions}.
   * @throws DownloadError `UNSUPPORTED_RUNTIME`, `INVALID_OPTIONS`.
   */
  constructor(options: DownloadManagerOptions = {}) {
    super()
    requireRuntime(runtime)
    this.#options = parseOptions(managerOptionsSchema, options, 'DownloadManager options')
    const { modes, defaultMode } = this.#options
    const { clock = systemClock, secrets } = servicesOf(options)
    this.directory = resolve(this.#options.directory)
    this.#places = new Destinations(this.directory, modes, defaultMode, this.#options.linkedModes)
    this.#maxBytesPerSecond = this.#options.maxBytesPerSecond
    const sources = sourceRegistry(this.#options.sources)
    this.#coordinator =
      this.#options.cluster?.join({ clock, directory: this.directory }) ??
      new SoloCoordinator(openStore(this.#options.store, this.directory, clock))
    const { store, runs, documents, catchUp, insight } = this.#coordinator
    this.#registry = new Registry(store, (event) => {
      this.emit('log', event)
    })
    this[internals] = {
      ...{ store, documents, catchUp, cluster: insight },
      destinations: this.#places,
      sources,
      resolver: () => this.#resolver,
      clock,
      layout: this.#options.layout,
      read: (request) => readRequest(request, this.#context),
      closed: this.#closing.signal,
      holderOf: (place) => this.#registry.holderOf(place),
      protect: (isProtected) => this.#space.protect(isProtected),
      isProtected: (download) => this.#space.isProtected(download),
      report: async (measure) => (await this.#engine.report?.(measure)) ?? null,
    }
    const shared = { clock, secrets }
    const { engine, resolver, tuning, gates } = createServices(
      this.#options,
      sources,
      shared,
      (level, message) => {
        this.emit('log', { level, message })
      },
    )
    this.#engine = engine
    this.#resolver = resolver
    this.#space = new DiskBudget({
      limits: this.#options,
      places: this.#places,
      downloads: () => this.list(),
      clock,
      enqueue: (download) => this.#scheduler.enqueue(download),
      evict: (victim, bytes, neededFor) =>
        this.#serial.run(victim, () => this.#scheduler.evict(victim, bytes, neededFor)),
      discardParts: (download) => this.#scheduler.discardParts(download),
      onNoneWaiting: () => this.#scheduler.checkIdle(),
    })
    this.#context = {
      places: this.#places,
      resolver: this.#resolver,
      layout: this.#options.layout,
      adopt: this.#options.adopt,
      xet: this.#options.xet,
      ownsCache: options.directory !== undefined,
    }
    this.#scheduler = new Scheduler({
      engine: this.#engine,
      resolver: this.#resolver,
      tuning,
      clock,
      registry: this.#registry,
      places: this.#places,
      emitter: this,
      concurrency: this.#options.concurrency,
      remoteConcurrency: this.#options.remoteConcurrency,
      remoteBounds: remoteBounds(this.#options),
      connections: this.#options.connections,
      proxy: this.#options.proxy,
      space: this.#space,
      runs,
      isClosed: () => this.#closed !== null,
    })
    this.#owner = {
      pathOf: (record) => this.#places.pathOf(record),
      pause: (url) => this.pause(url),
      resume: (url) => this.resume(url),
      cancel: (url) => this.cancel(url),
      retry: (url) => this.retry(url),
      nodeOf: (download) => insight?.nodeOf(download) ?? null,
      ...adjusters(this.#scheduler, this.#registry, this.#coordinator),
    }
    this.#requests = new DownloadRequests({
      context: this.#context,
      places: this.#places,
      registry: this.#registry,
      scheduler: this.#scheduler,
      coordinator: this.#coordinator,
      interest: this.#interest,
      serial: this.#serial,
      owner: this.#owner,
      emitter: this,
      ready: () => this.ready,
      requireOpen: () => {
        this.#requireOpen()
      },
      remove: (url) => this.remove(url),
      forgetOldest: () => this.#forgetOldest(),
    })
    this.#coordinator.attach({
      directory: this.directory,
      clock,
      registry: this.#registry,
      scheduler: this.#scheduler,
      owner: this.#owner,
      emitter: this,
      gates,
      concurrency: this.#scheduler.concurrency,
      execute: (url, command) => execute(this, url, command),
      limit: (share) => {
        this.#share = share
        this.#limit()
      },
    })
    this.ready = this.#load()
    this.ready.catch(() => undefined)
  }
  /** @internal Starts what the first download would otherwise have to wait for. Used by servers. */
  warmUp(): void {
    this.#engine.prepare?.()
  }

  /**
   * Maximum number of downloads that run at the same time, 1 to 1,000. Lowering it does not stop running
   * downloads; the new limit applies when the next slot becomes free. With `concurrency: 'auto'` it is the number of
   * the moment, and setting it ends that.
   *
   * @throws DownloadError `INVALID_OPTIONS` when it is set to another value.
   */
  get concurrency(): number {
    return this.#scheduler.concurrency
  }

  set concurrency(slots: number) {
    this.#scheduler.concurrency = parseOptions(slotCount, slots, 'concurrency')
  }

  /**
   * Limit for all downloads together in bytes per second, or null for none. A change takes effect
   * immediately.
   *
   * @throws DownloadError `INVALID_OPTIONS` when it is set to anything but null or a positive number.
   */
  get maxBytesPerSecond(): number | null {
    return this.#maxBytesPerSecond
  }

  set maxBytesPerSecond(limit: number | null) {
    this.#maxBytesPerSecond = parseOptions(
      managerOptionsSchema.shape.maxBytesPerSecond,
      limit,
      'maxBytesPerSecond',
    )
    this.#limit()
  }

  #limit(): void {
    const limits = [this.#maxBytesPerSecond, this.#share].filter((limit) => limit !== null)
    this.#engine.setMaxBytesPerSecond(limits.length === 0 ? null : Math.min(...limits))
  }

  /**
   * Requests a file. Resolves when the download is queued; `download.finished` resolves when the file is
   * complete.
   *
   * If the URL is already known and its download has not settled, the call joins it. A failed or canceled
   * download starts again and reuses the bytes it kept. A completed one is checked, and completes immediately
   * if its file is still valid. A file that already exists and does not need to be hashed does not wait for a
   * slot.
   *
   * A trusted request never builds upon what a `remote` one said. If only remote callers have requested the URL
   * so far, their download continues as the trusted one; and a download of theirs of another URL that claims
   * the same file is removed.
   *
   * @throws DownloadError `INVALID_OPTIONS`, `INVALID_URL`, `UNSAFE_FILENAME`; `CONFLICT` when the URL is
   * known with a different directory, file name, mode, size or digest, or another download writes to the same
   * file; `CANCELED` when the signal is already aborted; `CLOSED`; `STORE_ERROR`.
   */
  async download(options: DownloadOptions): Promise<Download> {
    return await this.#requests.add(options)
  }

  /**
   * Reports what {@link download} with the same options would do: which files it consists of, their sizes and
   * digests, how much of them already exists, and whether the rest fits on the disk. A ref is resolved by its
   * source; of a plain URL only the first byte is requested. Nothing is started or written.
   *
   * @throws DownloadError the same errors as {@link download}, and those that the download itself would fail
   * with before its first byte.
   */
  async plan(options: DownloadOptions): Promise<DownloadPlan> {
    const request = readRequest(options, this.#context)
    this.#requireOpen()
    await this.ready
    this.#requireOpen()
    const existing = this.#registry.get(request.wanted.url)
    const known = existing === undefined || outranks(request.wanted, existing.record) ? undefined : existing
    return await planDownload(request, {
      ...this.#context,
      known,
      requireFree: (place, filenames) => void this.#registry.requireFree(place, filenames, existing),
      allows: (folder, bytes) => this.#space.allows(folder, bytes),
      closed: this.#closing.signal,
      remoteBounds: remoteBounds(this.#options),
      clock: this[internals].clock,
    })
  }

  /** Returns the download of a URL, or undefined if the URL is unknown. */
  get(url: string): Download | undefined {
    return this.#registry.get(url)
  }

  /** Number of downloads that wait for a slot; in a cluster, of all instances together. */
  get waiting(): number {
    return this.#coordinator.insight?.waiting ?? this.#scheduler.waiting
  }

  /** Returns all known downloads in order of arrival. */
  list(): Download[] {
    return this.#registry.list()
  }

  /**
   * Reports what takes the disk space of this manager, model by model, and its limits. The disk is looked at no more
   * often than every few seconds, or when this manager has changed something.
   *
   * @throws DownloadError `CLOSED`, `STORE_ERROR`.
   */
  async disk(): Promise<DiskUsage> {
    this.#requireOpen()
    await this.ready
    return await this.#space.usage()
  }

  /**
   * Keeps a download from being evicted, see {@link DownloadManagerOptions.whenFull}, also after a restart.
   *
   * @param pinned - false to allow it again. Default true.
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, `CLOSED`.
   */
  pin(url: string, pinned = true): Promise<Download> {
    return this.#control(url, { type: 'pin', pinned }, async (download) => {
      download.update({ pinned: pinned ? true : undefined })
      await this.#registry.save(download)
    })
  }

  /**
   * Stops a download and keeps its bytes. Does nothing if it is already paused.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is settled; `CLOSED`.
   */
  pause(url: string): Promise<Download> {
    return this.#control(url, { type: 'pause' }, (download) => this.#scheduler.pause(download))
  }

  /**
   * Queues a paused download again. Does nothing if it is already queued or running.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is settled (see {@link retry});
   * `CLOSED`.
   */
  resume(url: string): Promise<Download> {
    return this.#control(url, { type: 'resume' }, (download) => this.#scheduler.resume(download))
  }

  /**
   * Stops a download and deletes its bytes; `finished` rejects with `CANCELED`. If the file is already being
   * published, the download completes instead. Does nothing if it is already canceled.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is completed; `CLOSED`.
   */
  cancel(url: string): Promise<Download> {
    return this.#control(url, { type: 'cancel' }, (download) => this.#scheduler.cancel(download))
  }

  /**
   * Starts a failed or canceled download again, from the bytes it kept if there are any. Does nothing if it
   * has not settled.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is completed; `CLOSED`.
   */
  retry(url: string): Promise<Download> {
    return this.#control(url, { type: 'retry' }, (download) => this.#scheduler.retry(download))
  }

  /**
   * Removes a download from the manager; one that has not settled is canceled first. Does nothing if the URL
   * is unknown.
   *
   * @param options - `deleteFile`: also delete the finished file. Default false.
   * @throws DownloadError `PERMISSION`, `DISK_IO` when the file can't be deleted; `STORE_ERROR`; `CLOSED`.
   */
  async remove(url: string, options: { deleteFile?: boolean } = {}): Promise<void> {
    this.#requireOpen()
    await this.ready
    this.#requireOpen()
    await this.#lookAgain(url)
    const download = this.#registry.get(url)
    if (download === undefined) return
    await this.#serial.run(download, async () => {
      this.#requireOpen()
      const deleteFile = options.deleteFile ?? false
      await this.#coordinator.control(download, { type: 'remove', deleteFile }, () =>
        this.#scheduler.remove(download, deleteFile),
      )
    })
  }

  /** Resolves when no download is queued or running. Paused downloads do not count. */
  async onIdle(): Promise<void> {
    await this.ready
    while (this.#closed === null) {
      await this.#scheduler.idle()
      // A listener may have made a call that is about to queue a download.
      await this.#serial.settled()
      if (this.#scheduler.isIdle && (await this.#coordinator.idle())) return
    }
  }

  /**
   * Stops all transfers and keeps their bytes; the next manager of the same directory resumes them.
   * `finished` of downloads that have not settled rejects with `CLOSED`. Does nothing if the manager is
   * already closed.
   */
  close(): Promise<void> {
    this.#closing.abort()
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #load(): Promise<void> {
    const context = { places: this.#places, sources: this[internals].sources }
    // In a cluster, what others do goes on.
    const autoResume = this.#coordinator.runs === null ? this.#options.autoResume : null
    await this.#registry.load(this.#owner, autoResume, {
      folders: this.#places.modeFolders,
      problemOf: (record) => recordProblem(record, context),
    })
    await this.#space.load()
    for (const download of autoResume === null ? [] : this.list()) {
      if (download.state === 'queued') this.#scheduler.enqueue(download)
    }
    this.#coordinator.loaded()
  }

  /** Removes the oldest settled downloads of remote callers beyond `maxRecords`; their finished files stay. */
  async #forgetOldest(): Promise<void> {
    const { maxRecords = defaultMaxRecords } = this.#options
    for (const { url } of this.#registry.beyond(maxRecords)) await this.remove(url)
  }

  async #close(): Promise<void> {
    const error = new DownloadError('CLOSED', 'The manager was closed.', { retryable: true })
    await this.ready.catch(() => undefined)
    this.#space.close()
    await this.#scheduler.stopAll()
    // Calls in progress, such as a cancel, finish before the manager does.
    await this.#serial.settled()
    try {
      await Promise.all([this.#engine.close(), this.#resolver.close()])
      await this.#registry.close()
    } finally {
      for (const download of this.list()) download.abandon(error)
      this.#scheduler.endIdle()
    }
  }

  /** Another manager may have added the download a moment ago. */
  async #lookAgain(url: string): Promise<void> {
    if (this.#registry.get(url) === undefined) await this.#coordinator.catchUp?.()
  }

  #requireOpen(): void {
    if (this.#closed !== null) throw new DownloadError('CLOSED', 'The manager is closed.')
  }

  /**
   * Runs the control calls of one download one after another, so that many concurrent calls leave it in a
   * consistent state.
   */
  async #control(
    url: string,
    command: ClusterCommand,
    task: (download: Download) => Promise<void>,
  ): Promise<Download> {
    this.#requireOpen()
    await this.ready
    await this.#lookAgain(url)
    const find = () => {
      this.#requireOpen()
      const download = this.#registry.get(url)
      if (download === undefined)
        throw new DownloadError('UNKNOWN_DOWNLOAD', 'No download of this URL is known.')
      return download
    }
    const download = find()
    const done = await this.#serial.run(download, async () => {
      if (find() !== download) return false
      await this.#coordinator.control(download, command, () => task(download))
      return true
    })
    // If the URL was removed and requested again in the meantime, the call applies to the new download.
    return done ? download : await this.#control(url, command, task)
  }
}

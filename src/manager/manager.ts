import { join, resolve } from 'node:path'
import { Destinations } from '../download/destination.js'
import { Download, type DownloadOwner } from '../download/download.js'
import { SafeEmitter } from '../download/events.js'
import { type DownloadOptions, parseOptions } from '../download/options.js'
import {
  type DownloadRequestContext,
  type ValidatedRequest,
  expectations,
  isStricter,
  newRecord,
  destinationFor,
  readRequest,
  requireSame,
} from '../download/request.js'
import { isSettled } from '../download/states.js'
import { createEngine, type EngineOptions } from '../engine/engine.js'
import type { TransferEngine } from '../engine/protocol.js'
import { WorkerEngine } from '../engine/worker.js'
import { DownloadError, toDownloadError } from '../errors.js'
import { defaultTuning } from '../net/tuning.js'
import { Resolver, sourceRegistry } from '../sources/resolver.js'
import { createFileStore } from '../store/file.js'
import { createMemoryStore } from '../store/memory.js'
import type { DownloadStore } from '../store/store.js'
import { Serial } from '../util/schedule.js'
import { internals, type ManagerInternals } from './internals.js'
import { type DownloadManagerOptions, managerOptionsSchema, type ResolvedManagerOptions } from './options.js'
import { type DownloadPlan, planDownload } from './plan.js'
import { Registry } from './registry.js'
import { Interest, Scheduler } from './scheduler.js'

/**
 * Keeps downloads: a queue with slots, a registry by URL, events, and a memory that outlives the process.
 *
 * @example
 * const manager = new DownloadManager({ directory: './models' })
 * const download = await manager.download({ url: 'https://example.com/model.gguf' })
 * const { path, sha256 } = await download.finished
 * await manager.close()
 */
export class DownloadManager extends SafeEmitter {
  /** Resolves when the store is loaded; rejects with `STORE_ERROR`. Every async method waits for it. */
  readonly ready: Promise<void>
  /** Absolute path of the root of all files. */
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
  readonly #owner: DownloadOwner
  readonly #serial = new Serial<Download>()
  readonly #interest = new Interest((download) => {
    if (this.#closed !== null) return
    this.cancel(download.url).catch((error: unknown) => {
      const message = `Canceling failed: ${toDownloadError(error).message}`
      this.emit('log', { download, level: 'warn', message })
    })
  })
  #maxBytesPerSecond: number | null
  #closed: Promise<void> | null = null
  readonly #closing = new AbortController()

  /**
   * @param options - see {@link DownloadManagerOptions}.
   * @throws DownloadError `INVALID_OPTIONS`.
   */
  constructor(options: DownloadManagerOptions = {}) {
    super()
    this.#options = parseOptions(managerOptionsSchema, options, 'DownloadManager options')
    const { modes, defaultMode } = this.#options
    this.directory = resolve(this.#options.directory)
    this.#places = new Destinations(this.directory, modes, defaultMode)
    this.#maxBytesPerSecond = this.#options.maxBytesPerSecond
    const sources = sourceRegistry(this.#options.sources)
    const store = openStore(this.#options.store, this.directory)
    this[internals] = { store, destinations: this.#places, sources }
    this.#registry = new Registry(store, (event) => {
      this.emit('log', event)
    })
    const engineOptions: EngineOptions = {
      tuning: this.#options.tuning,
      maxBytesPerSecond: this.#maxBytesPerSecond,
      onLog: (level, message) => {
        this.emit('log', { level, message })
      },
    }
    this.#engine = this.#options.worker
      ? new WorkerEngine({ ...engineOptions, fallback: createEngine })
      : createEngine(engineOptions)
    const tuning = { ...defaultTuning, ...engineOptions.tuning }
    this.#resolver = new Resolver({
      sources,
      tuning,
      proxy: this.#options.proxy,
    })
    this.#context = {
      places: this.#places,
      resolver: this.#resolver,
      layout: this.#options.layout,
      adopt: this.#options.adopt,
      ownsCache: options.directory !== undefined,
    }
    this.#scheduler = new Scheduler({
      engine: this.#engine,
      resolver: this.#resolver,
      tuning,
      registry: this.#registry,
      places: this.#places,
      emitter: this,
      concurrency: this.#options.concurrency,
      connections: this.#options.connections,
      proxy: this.#options.proxy,
      isClosed: () => this.#closed !== null,
    })
    this.#owner = {
      pathOf: (record) => this.#places.pathOf(record),
      pause: (url) => this.pause(url),
      resume: (url) => this.resume(url),
      cancel: (url) => this.cancel(url),
      retry: (url) => this.retry(url),
      setLimit: (download, limit) => {
        this.#setLimit(download, limit)
      },
    }
    this.ready = this.#load()
    this.ready.catch(() => undefined)
  }

  /** @internal For servers: what the first download would have to wait for is started now. */
  warmUp(): void {
    this.#engine.prepare?.()
  }

  /** Downloads at a time, 1 to 1,000. Lowering it stops nobody; it holds from the next free slot on. */
  get concurrency(): number {
    return this.#scheduler.concurrency
  }

  set concurrency(slots: number) {
    this.#scheduler.concurrency = parseOptions(managerOptionsSchema.shape.concurrency, slots, 'concurrency')
  }

  /** Limit over all downloads in bytes per second, or null. Takes effect at once. */
  get maxBytesPerSecond(): number | null {
    return this.#maxBytesPerSecond
  }

  set maxBytesPerSecond(limit: number | null) {
    this.#maxBytesPerSecond = parseOptions(
      managerOptionsSchema.shape.maxBytesPerSecond,
      limit,
      'maxBytesPerSecond',
    )
    this.#engine.setMaxBytesPerSecond(this.#maxBytesPerSecond)
  }

  /**
   * Asks for a file. Resolves when it is queued, not when it is there: that is `download.finished`.
   *
   * A URL that is known and live is joined; a failed or canceled one starts anew from its kept bytes; a completed one
   * is looked at, and completes at once when its file is still right. A file that is there already and needs no
   * hashing waits for no slot.
   *
   * @throws DownloadError `INVALID_OPTIONS`, `INVALID_URL`, `UNSAFE_FILENAME`; `CONFLICT` when the URL is known with
   * another directory, file name, mode, size or digest, or another download goes to the same file; `CANCELED` when the signal
   * is aborted already; `CLOSED`; `STORE_ERROR`.
   */
  async download(options: DownloadOptions): Promise<Download> {
    const request = readRequest(options, this.#context)
    const { wanted } = request
    this.#requireOpen()
    await this.ready
    this.#requireOpen()
    if (wanted.signal?.aborted === true)
      throw new DownloadError('CANCELED', 'The signal was aborted beforehand.')

    const known = this.#registry.get(wanted.url)
    if (known !== undefined) {
      const joined = await this.#join(known, request)
      // When it was forgotten meanwhile, this is the first call for it.
      return joined ? known : await this.download(options)
    }
    const record = newRecord(wanted, { ...destinationFor(request), sequence: this.#registry.nextSequence() })
    const download = new Download(record, this.#owner)
    this.#registry.add(download)
    await this.#serial.run(download, async () => {
      try {
        await this.#registry.insert(download)
      } catch (error) {
        this.#registry.drop(download)
        throw error
      }
      const isThere = await this.#places.holds(record)
      this.#requireOpen()
      this.#scheduler.enqueue(download, isThere)
      this.#interest.add(download, wanted.signal)
    })
    return download
  }

  /**
   * Says what {@link download} with the same options would do: which files, their sizes and digests, what of them is there,
   * and whether the rest fits. A ref's source is asked, and of a URL the first byte; nothing is started or written.
   *
   * @throws DownloadError as {@link download}, and as the download itself would before its first byte.
   */
  async plan(options: DownloadOptions): Promise<DownloadPlan> {
    const request = readRequest(options, this.#context)
    this.#requireOpen()
    await this.ready
    this.#requireOpen()
    const known = this.#registry.get(request.wanted.url)
    return await planDownload(request, {
      ...this.#context,
      known,
      requireFree: (place, filenames) => {
        this.#registry.requireFree(place, filenames, known)
      },
      closed: this.#closing.signal,
    })
  }

  /** The download of a URL, if it is known. */
  get(url: string): Download | undefined {
    return this.#registry.get(url)
  }

  /** How many downloads wait for a slot. */
  get waiting(): number {
    return this.#scheduler.waiting
  }

  /** All known downloads in order of arrival. */
  list(): Download[] {
    return this.#registry.list()
  }

  /**
   * Stops a download and keeps its bytes. Harmless when it is paused.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is settled; `CLOSED`.
   */
  pause(url: string): Promise<Download> {
    return this.#control(url, (download) => this.#scheduler.pause(download))
  }

  /**
   * Queues a paused download again. Harmless when it is queued or works.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is settled (see {@link retry}); `CLOSED`.
   */
  resume(url: string): Promise<Download> {
    return this.#control(url, (download) => this.#scheduler.resume(download))
  }

  /**
   * Stops a download and deletes its bytes; `finished` rejects with `CANCELED`. One whose file is being published
   * completes instead. Harmless when it is canceled.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is completed; `CLOSED`.
   */
  cancel(url: string): Promise<Download> {
    return this.#control(url, (download) => this.#scheduler.cancel(download))
  }

  /**
   * Starts a failed or canceled download anew, from its kept bytes where there are some. Harmless when it is live.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is completed; `CLOSED`.
   */
  retry(url: string): Promise<Download> {
    return this.#control(url, (download) => this.#scheduler.retry(download))
  }

  /**
   * Forgets a download; a live one is canceled first. Harmless when the URL is unknown.
   *
   * @param options - `deleteFile`: also delete the finished file. Default false.
   * @throws DownloadError `PERMISSION`, `DISK_IO` when the file can't be deleted; `STORE_ERROR`; `CLOSED`.
   */
  async remove(url: string, options: { deleteFile?: boolean } = {}): Promise<void> {
    this.#requireOpen()
    await this.ready
    this.#requireOpen()
    const download = this.#registry.get(url)
    if (download === undefined) return
    await this.#serial.run(download, async () => {
      this.#requireOpen()
      await this.#scheduler.remove(download, options.deleteFile ?? false)
    })
  }

  /** Resolves when nothing is queued or works (paused ones don't count). */
  async onIdle(): Promise<void> {
    await this.ready
    while (this.#closed === null) {
      await this.#scheduler.idle()
      // A call that a listener made may be about to queue something.
      await this.#serial.settled()
      if (this.#scheduler.isIdle) return
    }
  }

  /**
   * Stops all transfers and keeps their bytes; a manager of the same directory goes on with them. `finished` of live
   * downloads rejects with `CLOSED`. Harmless when closed.
   */
  close(): Promise<void> {
    this.#closing.abort()
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // ---- inside ----

  async #load(): Promise<void> {
    await this.#registry.load(this.#owner, this.#options.autoResume)
    for (const download of this.list()) {
      if (download.state === 'queued') this.#scheduler.enqueue(download)
    }
  }

  /** Joins a download that is known; false when it was forgotten before its turn came. */
  #join(known: Download, request: ValidatedRequest): Promise<boolean> {
    const { wanted } = request
    return this.#serial.run(known, async () => {
      if (!this.#registry.has(known)) return false
      this.#requireOpen()
      requireSame(known, wanted, request)
      if (isSettled(known.state)) {
        await this.#scheduler.again(known, wanted)
      } else if (isStricter(known.record, wanted)) {
        known.update(expectations(known.record, wanted))
        await this.#registry.save(known)
      }
      this.#interest.add(known, wanted.signal)
      return true
    })
  }

  async #close(): Promise<void> {
    const error = new DownloadError('CLOSED', 'The manager was closed.', { retryable: true })
    await this.ready.catch(() => undefined)
    await this.#scheduler.stopAll()
    // A call that is under way, such as a cancel, ends before the manager does.
    await this.#serial.settled()
    try {
      await Promise.all([this.#engine.close(), this.#resolver.close()])
      await this.#registry.close()
    } finally {
      for (const download of this.list()) download.abandon(error)
      this.#scheduler.endIdle()
    }
  }

  #setLimit(download: Download, limit: number | null): void {
    const maxBytesPerSecond = parseOptions(
      managerOptionsSchema.shape.maxBytesPerSecond,
      limit,
      'maxBytesPerSecond',
    )
    download.update({ maxBytesPerSecond })
    this.#scheduler.limit(download, maxBytesPerSecond)
    void this.#registry.save(download)
  }

  #requireOpen(): void {
    if (this.#closed !== null) throw new DownloadError('CLOSED', 'The manager is closed.')
  }

  /** Control calls of one download run one after the other, so that a storm of them leaves it consistent. */
  async #control(url: string, task: (download: Download) => Promise<void>): Promise<Download> {
    this.#requireOpen()
    await this.ready
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
      await task(download)
      return true
    })
    // When it was forgotten and asked for again meanwhile, the new one is meant.
    return done ? download : await this.#control(url, task)
  }
}

// ---- open

/** The store that a manager's options ask for. */
export function openStore(store: ResolvedManagerOptions['store'], directory: string): DownloadStore {
  if (store === 'file') return createFileStore(join(directory, '.model-downloader'))
  return store === 'memory' ? createMemoryStore() : store
}

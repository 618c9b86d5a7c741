import { join, resolve } from 'node:path'
import { Download, type DownloadOwner } from './download.js'
import { DownloadError, isDownloadError, toDownloadError } from './errors.js'
import type { LogEvent } from './events.js'
import { checkFilename, fallbackFilename, filenameFromUrl } from './files/names.js'
import {
  downloadOptionsSchema,
  managerOptionsSchema,
  parseOptions,
  parseUrl,
  type DownloadManagerOptions,
  type DownloadOptions,
  type ResolvedDownloadOptions,
  type ResolvedManagerOptions,
} from './options.js'
import { Interest } from './interest.js'
import { Places, requireFreeTarget } from './places.js'
import { DownloadQueue } from './queue.js'
import { expectations, isStricter, newRecord, renewal, requireSame } from './records.js'
import { Runner } from './runner.js'
import { SafeEmitter } from './safe-emitter.js'
import { Serial } from './serial.js'
import { isSettled } from './states.js'
import { createFileStore } from './store/file.js'
import { createMemoryStore } from './store/memory.js'
import type { DownloadStore } from './store/store.js'
import { createEngine } from './transfer/engine.js'
import type { TransferEngine } from './transfer/protocol.js'

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

  readonly #places: Places
  readonly #options: ResolvedManagerOptions
  readonly #store: DownloadStore
  readonly #engine: TransferEngine
  readonly #downloads = new Map<string, Download>()
  readonly #queue: DownloadQueue<Download>
  readonly #running = new Map<Download, Runner>()
  readonly #idle = new Set<() => void>()
  readonly #owner: DownloadOwner
  readonly #serial = new Serial<Download>()
  readonly #interest = new Interest((download) => {
    if (this.#closed !== null) return
    this.cancel(download.url).catch((error: unknown) => {
      this.#log(download, 'warn', `Canceling failed: ${toDownloadError(error).message}`)
    })
  })
  #sequence = 0
  #maxBytesPerSecond: number | null
  #closed: Promise<void> | null = null

  /**
   * @param options - see {@link DownloadManagerOptions}.
   * @throws DownloadError `INVALID_OPTIONS`.
   */
  constructor(options: DownloadManagerOptions = {}) {
    super()
    this.#options = parseOptions(managerOptionsSchema, options, 'DownloadManager options')
    const { modes, defaultMode } = this.#options
    this.directory = resolve(this.#options.directory)
    this.#places = new Places(this.directory, modes, defaultMode)
    this.#maxBytesPerSecond = this.#options.maxBytesPerSecond
    this.#store = openStore(this.#options.store, this.directory)
    this.#engine = createEngine({
      tuning: defined(this.#options.tuning),
      maxBytesPerSecond: this.#maxBytesPerSecond,
      onLog: (level, message) => {
        this.emit('log', { level, message })
      },
    })
    this.#queue = new DownloadQueue(
      this.#options.concurrency,
      (download) => download.record,
      (download) => this.#run(download),
    )
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

  /** Downloads at a time, 1 to 1,000. Lowering it stops nobody; it holds from the next free slot on. */
  get concurrency(): number {
    return this.#queue.concurrency
  }

  set concurrency(slots: number) {
    this.#queue.concurrency = parseOptions(managerOptionsSchema.shape.concurrency, slots, 'concurrency')
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
   * is looked at, and completes at once when its file is still right.
   *
   * @throws DownloadError `INVALID_OPTIONS`, `INVALID_URL`, `UNSAFE_FILENAME`; `CONFLICT` when the URL is known with
   * another file name, mode, size or digest, or another download goes to the same file; `CANCELED` when the signal
   * is aborted already; `CLOSED`; `STORE_ERROR`.
   */
  async download(options: DownloadOptions): Promise<Download> {
    const wanted = parseOptions(downloadOptionsSchema, options, 'download options')
    const url = parseUrl(wanted.url)
    const mode = this.#places.modeOf(wanted.mode)
    const given = wanted.filename === undefined ? null : checkFilename(wanted.filename)
    const named = given ?? filenameFromUrl(url)
    this.#requireOpen()
    await this.ready
    this.#requireOpen()
    if (wanted.signal?.aborted === true)
      throw new DownloadError('CANCELED', 'The signal was aborted beforehand.')

    const known = this.#downloads.get(wanted.url)
    if (known !== undefined) {
      const joined = await this.#join(known, wanted, { mode, filename: given })
      // When it was forgotten meanwhile, this is the first call for it.
      return joined ? known : await this.download(options)
    }
    const filename = named ?? fallbackFilename
    if (named !== null)
      requireFreeTarget(this.#downloads.values(), { url: wanted.url, mode, filename: named })
    const record = newRecord(wanted, { filename, named: named !== null, mode, sequence: this.#sequence++ })
    const download = new Download(record, this.#owner)
    this.#downloads.set(download.url, download)
    await this.#serial.run(download, async () => {
      try {
        await this.#store.save(download.record)
      } catch (error) {
        this.#downloads.delete(download.url)
        throw storeError(error, 'The download could not be stored.')
      }
      this.#requireOpen()
      this.#enqueue(download)
    })
    this.#interest.add(download, wanted.signal)
    return download
  }

  /** The download of a URL, if it is known. */
  get(url: string): Download | undefined {
    return this.#downloads.get(url)
  }

  /** All known downloads in order of arrival. */
  list(): Download[] {
    return [...this.#downloads.values()].sort((a, b) => a.record.sequence - b.record.sequence)
  }

  /**
   * Stops a download and keeps its bytes. Harmless when it is paused.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is settled; `CLOSED`.
   */
  pause(url: string): Promise<Download> {
    return this.#control(url, async (download) => {
      if (download.state === 'paused') return
      requireLive(download, 'paused')
      const runner = this.#running.get(download)
      if (runner !== undefined) {
        await runner.stop('pause')
        return
      }
      this.#queue.delete(download)
      this.#moveTo(download, 'paused')
      await this.#save(download)
      this.#checkIdle()
    })
  }

  /**
   * Queues a paused download again. Harmless when it is queued or works.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is settled (see {@link retry}); `CLOSED`.
   */
  resume(url: string): Promise<Download> {
    return this.#control(url, async (download) => {
      requireLive(download, 'resumed')
      if (download.state !== 'paused') return
      download.move('queued')
      this.#emitState(download, 'resumed')
      this.#enqueue(download)
      await this.#save(download)
    })
  }

  /**
   * Stops a download and deletes its bytes; `finished` rejects with `CANCELED`. One whose file is being published
   * completes instead. Harmless when it is canceled.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is completed; `CLOSED`.
   */
  cancel(url: string): Promise<Download> {
    return this.#control(url, (download) => this.#cancel(download))
  }

  /**
   * Starts a failed or canceled download anew, from its kept bytes where there are some. Harmless when it is live.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is completed; `CLOSED`.
   */
  retry(url: string): Promise<Download> {
    return this.#control(url, async (download) => {
      if (download.state === 'completed') throw invalidState(download, 'retried')
      if (isSettled(download.state)) await this.#again(download, null)
    })
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
    const download = this.#downloads.get(url)
    if (download === undefined) return
    await this.#serial.run(download, async () => {
      if (this.#downloads.get(url) !== download) return
      if (!isSettled(download.state)) await this.#cancel(download)
      if (download.state === 'failed') await this.#places.discardBytes(download)
      if (options.deleteFile === true && download.state === 'completed')
        await this.#places.deleteFile(download)
      try {
        await this.#store.remove(download.record.id)
      } catch (error) {
        throw storeError(error, 'The download could not be taken out of the store.')
      }
      this.#downloads.delete(url)
      this.emit('removed', { download })
    })
  }

  /** Resolves when nothing is queued or works (paused ones don't count). */
  async onIdle(): Promise<void> {
    await this.ready
    if (this.#isIdle() || this.#closed !== null) return
    await new Promise<void>((done) => this.#idle.add(done))
  }

  /**
   * Stops all transfers and keeps their bytes; a manager of the same directory goes on with them. `finished` of live
   * downloads rejects with `CLOSED`. Harmless when closed.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // ---- inside ----

  async #load(): Promise<void> {
    let loaded
    try {
      loaded = await this.#store.load()
    } catch (error) {
      throw storeError(error, 'The store could not be read.')
    }
    for (const message of loaded.problems) this.emit('log', { level: 'warn', message })
    for (const record of loaded.records) {
      this.#sequence = Math.max(this.#sequence, record.sequence + 1)
      const live = !isSettled(record.state) && record.state !== 'paused'
      const state = live ? (this.#options.autoResume ? 'queued' : 'paused') : record.state
      const download = new Download({ ...record, state }, this.#owner)
      this.#downloads.set(download.url, download)
    }
    for (const download of this.list()) {
      if (download.state === 'queued') this.#enqueue(download)
    }
  }

  #enqueue(download: Download): void {
    this.#queue.add(download)
    this.#emitState(download, 'queued')
  }

  /** Joins a download that is known; false when it was forgotten before its turn came. */
  #join(
    known: Download,
    wanted: ResolvedDownloadOptions,
    place: { mode: string | null; filename: string | null },
  ): Promise<boolean> {
    return this.#serial.run(known, async () => {
      if (this.#downloads.get(known.url) !== known) return false
      this.#requireOpen()
      requireSame(known, wanted, place)
      if (isSettled(known.state)) {
        await this.#again(known, wanted)
      } else if (isStricter(known.record, wanted)) {
        known.update(expectations(known.record, wanted))
        await this.#save(known)
      }
      return true
    })
  }

  /** A settled one is asked for again. */
  async #again(download: Download, wanted: ResolvedDownloadOptions | null): Promise<void> {
    // Another one may have taken the name since this one failed.
    const { url, mode, filename, named } = download
    if (named) requireFreeTarget(this.#downloads.values(), { url, mode, filename })
    download.move('queued', renewal(download.record, wanted))
    this.#enqueue(download)
    await this.#save(download)
  }

  async #run(download: Download): Promise<void> {
    if (this.#closed !== null || download.state !== 'queued') return
    const runner = new Runner({
      download,
      engine: this.#engine,
      directory: this.#places.folderOf(download.mode),
      connections: download.record.connections ?? this.#options.connections,
      proxy: this.#options.proxy && !download.record.remote,
      emitter: this,
      save: () => this.#save(download),
      claimName: (filename) => {
        const { url, mode } = download
        requireFreeTarget(this.#downloads.values(), { url, mode, filename })
      },
    })
    this.#running.set(download, runner)
    try {
      await runner.run()
    } finally {
      this.#running.delete(download)
      // After this turn the slot is free again.
      queueMicrotask(() => {
        this.#checkIdle()
      })
    }
  }

  async #close(): Promise<void> {
    const error = new DownloadError('CLOSED', 'The manager was closed.', { retryable: true })
    await this.ready.catch(() => undefined)
    await Promise.all([...this.#running.values()].map((runner) => runner.stop('close')))
    try {
      await this.#engine.close()
      await this.#store.close?.()
    } catch (failure) {
      throw storeError(failure, 'The store could not be closed.')
    } finally {
      for (const download of this.#downloads.values()) download.abandon(error)
      for (const done of this.#idle) done()
    }
  }

  #setLimit(download: Download, limit: number | null): void {
    const maxBytesPerSecond = parseOptions(
      managerOptionsSchema.shape.maxBytesPerSecond,
      limit,
      'maxBytesPerSecond',
    )
    download.update({ maxBytesPerSecond })
    this.#running.get(download)?.limit(maxBytesPerSecond)
    void this.#save(download)
  }

  async #save(download: Download): Promise<void> {
    if (this.#downloads.get(download.url) !== download) return
    try {
      await this.#store.save(download.record)
    } catch (error) {
      // A transfer goes on without its record; what is lost is that it would be taken up again by itself.
      this.#log(download, 'error', `The record could not be saved: ${toDownloadError(error).message}`)
    }
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
      const download = this.#downloads.get(url)
      if (download === undefined)
        throw new DownloadError('UNKNOWN_DOWNLOAD', 'No download of this URL is known.')
      return download
    }
    const download = find()
    await this.#serial.run(download, () => task(find()))
    return download
  }

  async #cancel(download: Download): Promise<void> {
    if (download.state === 'canceled') return
    if (download.state === 'completed') throw invalidState(download, 'canceled')
    const runner = this.#running.get(download)
    if (runner !== undefined) {
      await runner.stop('cancel')
      if (isSettled(download.state)) return
    }
    this.#queue.delete(download)
    await this.#places.discardBytes(download)
    this.#moveTo(download, 'canceled', { downloaded: 0, finishedAt: new Date().toISOString() })
    await this.#save(download)
    this.#checkIdle()
  }

  #moveTo(
    download: Download,
    state: 'paused' | 'canceled',
    patch: Parameters<Download['move']>[1] = {},
  ): void {
    download.move(state, patch)
    this.#emitState(download, state)
  }

  #emitState(download: Download, event: 'queued' | 'paused' | 'resumed' | 'canceled'): void {
    this.emit(event, { download })
    download.wake()
  }

  #log(download: Download, level: LogEvent['level'], message: string): void {
    this.emit('log', { download, level, message })
  }

  #isIdle(): boolean {
    return this.#running.size === 0 && this.#queue.waiting === 0
  }

  #checkIdle(): void {
    if (!this.#isIdle()) return
    for (const done of this.#idle) done()
    this.#idle.clear()
  }
}

function openStore(store: ResolvedManagerOptions['store'], directory: string): DownloadStore {
  if (store === 'file') return createFileStore(join(directory, '.model-downloader'))
  return store === 'memory' ? createMemoryStore() : store
}

/** What a store of the caller throws may be anything. */
function storeError(error: unknown, message: string): DownloadError {
  return isDownloadError(error) ? error : new DownloadError('STORE_ERROR', message, { cause: error })
}

function invalidState(download: Download, what: string): DownloadError {
  return new DownloadError('INVALID_STATE', `A download that is ${download.state} cannot be ${what}.`)
}

function requireLive(download: Download, what: string): void {
  if (isSettled(download.state)) throw invalidState(download, what)
}

/** Without the keys whose value is undefined. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  // Object.fromEntries forgets the key types; the filter removed every undefined.
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as never
}

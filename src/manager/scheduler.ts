import { asDownloadError } from '../disk/errors.js'
import { machineCaches, type Destinations } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import type { ResolvedDownloadOptions } from '../download/options.js'
import type { DownloadRecord } from '../download/record.js'
import { mirrorTrust, renewal } from '../download/request.js'
import { isSettled } from '../download/states.js'
import type { RemoteBounds, TransferEngine } from '../engine/protocol.js'
import { DownloadError } from '../errors.js'
import { DownloadRun } from '../job/run.js'
import type { ProxySetting } from '../net/proxies.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Resolver } from '../sources/resolver.js'
import type { Clock } from '../util/clock.js'
import { formatBytes } from '../util/format.js'
import { lazily } from '../util/lazy.js'
import type { RunCoordinator } from './cluster/coordinator.js'
import { Deletions } from './deletion.js'
import { FilesAtOnce } from './files-at-once.js'
import { DownloadQueue, type QueueLimit } from './queue.js'
import type { Registry } from './registry.js'
import type { DiskBudget } from './space/budget.js'
import { evictFiles, isEvictable } from './space/evict.js'

/** Maximum number of existing files that are checked at the same time. */
const maxParallelChecks = 16

/** Settings and services that a {@link Scheduler} needs. */
export interface SchedulerInit {
  engine: TransferEngine
  resolver: Resolver
  tuning: TransferTuning
  clock: Clock
  registry: Registry
  places: Destinations
  emitter: SafeEmitter
  /** Number of slots; `auto` to find out how many are worth it. */
  concurrency: number | 'auto'
  /** Number of slots that downloads of remote callers may take. Default: all but one of three or more. */
  remoteConcurrency?: number | undefined
  /** Bounds for downloads of remote callers. */
  remoteBounds: RemoteBounds
  /** Connections per download, unless the download sets its own number. */
  connections: number
  proxy: ProxySetting
  space: DiskBudget
  /** Asked before a download runs; null if there are no other managers. Default null. */
  runs?: RunCoordinator | null
  isClosed: () => boolean
}

/**
 * Decides which downloads run: manages the waiting queue, the running downloads, and pause, resume and
 * cancel. Calls for the same download must not overlap; the caller ensures that.
 */
export class Scheduler {
  readonly #init: SchedulerInit
  readonly #queue: DownloadQueue<Download>
  /** Decides about the number of slots; null if it is fixed. */
  #files: FilesAtOnce<Download> | null = null
  /**
   * Downloads whose files already exist. They take no slot, but checking them opens files, so only a limited
   * number is checked at the same time.
   */
  readonly #checks: DownloadQueue<Download>
  readonly #running = new Map<Download, DownloadRun>()
  readonly #caches = lazily(machineCaches)
  readonly #idle = new Set<() => void>()
  readonly #deletions: Deletions

  constructor(init: SchedulerInit) {
    this.#init = init
    this.#deletions = new Deletions(init)
    const { concurrency, clock } = init
    const queue = (slots: number, limit?: QueueLimit<Download>) =>
      new DownloadQueue<Download>(
        slots,
        (download) => download.record,
        (download) => (limit === undefined ? this.#run(download) : this.#runInSlot(download)),
        limit,
      )
    if (concurrency === 'auto') {
      const files = (this.#files = new FilesAtOnce())
      init.emitter.on('retrying', ({ error: { status } }) => {
        if (status !== 429 && status !== 503) return
        files.refused(clock.now())
        this.#adapt()
      })
    }
    this.#queue = queue(concurrency === 'auto' ? (this.#files?.size ?? 1) : concurrency, {
      applies: (download) => download.record.remote !== null,
      slots: (all) => Math.min(init.remoteConcurrency ?? (all < 3 ? all : all - 1), all),
    })
    this.#checks = queue(maxParallelChecks)
  }

  /** Number of slots, which is the maximum number of downloads that run at the same time. */
  get concurrency(): number {
    return this.#queue.concurrency
  }

  set concurrency(slots: number) {
    this.#files = null
    this.#queue.concurrency = slots
  }

  /** Number of downloads that wait for a slot. */
  get waiting(): number {
    return this.#queue.waiting + this.#checks.waiting + this.#init.space.waiting
  }

  /**
   * Adds a queued download to the queue.
   *
   * @param fileExists - whether its file already exists as expected; then it only needs a check and takes no
   * slot.
   */
  enqueue(download: Download, fileExists = false): void {
    if (fileExists) this.#checks.add(download)
    else if (this.#init.runs?.hasQueue !== true) this.#addToQueue(download)
    this.#emitState(download, 'queued')
  }

  /** Adds a queued download that this or another manager has queued before. */
  offer(download: Download): void {
    if (!this.#running.has(download)) this.#addToQueue(download)
  }

  #addToQueue(download: Download): void {
    this.#queue.add(download)
    this.#files?.know(this.#queue.waiting + this.#running.size)
    this.#adapt()
  }

  #adapt(): void {
    const size = this.#files?.size ?? this.#queue.concurrency
    if (size !== this.#queue.concurrency) this.#queue.concurrency = size
  }

  /** Removes a download from the queue, since another manager has taken it. */
  withdraw(download: Download): void {
    this.#dequeue(download)
    this.checkIdle()
  }

  /** Whether a run of a download has begun and not ended. */
  isRunning(download: Download): boolean {
    return this.#running.has(download)
  }

  /** Stops the run of a download and keeps its bytes, since this manager has lost the right to run it. */
  async abandon(download: Download): Promise<void> {
    await this.#running.get(download)?.stop('close')
  }

  /** See {@link DownloadManager.pause}. */
  async pause(download: Download): Promise<void> {
    if (download.state === 'paused') return
    requireLive(download, 'paused')
    const run = this.#running.get(download)
    if (run !== undefined) {
      await run.stop('pause')
      // It may have ended at that very moment, to wait for disk space.
      if (download.waitingFor === null) return
    }
    this.#dequeue(download)
    this.#moveTo(download, 'paused')
    await this.#save(download)
    this.checkIdle()
  }

  /** See {@link DownloadManager.resume}. */
  async resume(download: Download): Promise<void> {
    requireLive(download, 'resumed')
    if (download.state !== 'paused') return
    await this.#lastRun(download)
    download.move('queued')
    this.#emitState(download, 'resumed')
    this.enqueue(download)
    await this.#save(download)
  }

  /** See {@link DownloadManager.cancel}. */
  async cancel(download: Download): Promise<void> {
    if (download.state === 'canceled') return
    if (download.state === 'completed') throw invalidState(download, 'canceled')
    const run = this.#running.get(download)
    if (run !== undefined) {
      await run.stop('cancel')
      // A download that has failed at that very moment is canceled all the same.
      if (download.file !== null) return
    }
    this.#dequeue(download)
    await this.#deletions.discard(download)
    this.#moveTo(download, 'canceled', { downloaded: 0, finishedAt: new Date().toISOString() })
    await this.#save(download)
    this.checkIdle()
  }

  /** See {@link DownloadManager.retry}. */
  async retry(download: Download): Promise<void> {
    if (download.state === 'completed') throw invalidState(download, 'retried')
    if (isSettled(download.state)) await this.requeue(download, null)
  }

  /** Queues a settled download again. `wanted` holds the options of the new call; null for a retry. */
  async requeue(download: Download, wanted: ResolvedDownloadOptions | null): Promise<void> {
    await this.#lastRun(download)
    const patch = { ...renewal(download.record, wanted), ...(wanted === null ? {} : mirrorTrust(wanted)) }
    const fileExists = await this.#init.places.holds({ ...download.record, ...patch })
    // Another download may have claimed the file name since this one failed.
    if (download.named) this.#init.registry.claim(download, download.targets)
    renewGroup(download, wanted)
    download.move('queued', patch)
    this.enqueue(download, fileExists)
    await this.#save(download)
  }

  /**
   * Queues a download as another request for its URL, see `replacement`. A running transfer is stopped first;
   * its bytes stay, and the next run decides whether it can use them.
   *
   * @param replaced - returns the record of the new request, given the known one.
   */
  async replace(download: Download, replaced: (known: DownloadRecord) => DownloadRecord): Promise<void> {
    const { registry } = this.#init
    const wanted = replaced(download.record)
    // Claimed before anything is stopped, so that a conflict leaves the known download as it is.
    if (wanted.named) registry.claim(download, [wanted.filename], wanted)
    await this.#running.get(download)?.stop('close')
    this.#dequeue(download)
    const record = replaced(download.record)
    await this.#discardElsewhere(download, record)
    registry.release(download)
    if (record.named) registry.claim(download, [record.filename], record)
    download.replace(record)
    this.enqueue(download, await this.#init.places.holds(record))
    await this.#save(download)
  }

  /** Deletes the partial bytes of a download that is about to be stored under another name. */
  async #discardElsewhere(download: Download, to: DownloadRecord): Promise<void> {
    const { places } = this.#init
    if (!to.named || places.pathOf(to) === download.path) return
    if (isSettled(download.state) && download.state !== 'failed') return
    await this.#deletions.discard(download)
  }

  /** See {@link DownloadManager.remove}. */
  async remove(download: Download, deleteFile: boolean): Promise<void> {
    const { registry, emitter } = this.#init
    if (!registry.has(download)) return
    if (!isSettled(download.state)) await this.cancel(download)
    await this.#deletions.clear(download, deleteFile)
    await registry.forget(download)
    emitter.emit('removed', { download })
  }

  /**
   * Deletes the files of a finished download and forgets it, to make room for another one. Never rejects.
   *
   * @param bytes - what its files take.
   * @returns false if nothing was deleted, since it is in use by now or its files are not those that were fetched.
   */
  async evict(download: Download, bytes: number, neededFor: Download): Promise<boolean> {
    const { registry, places, emitter } = this.#init
    await this.#lastRun(download)
    try {
      if (!registry.has(download) || !isEvictable(places, download)) return false
      if (!(await evictFiles(places, download))) return false
    } catch (error) {
      const message = `The files could not be evicted: ${asDownloadError(error).message}`
      emitter.emit('log', { download, level: 'warn', message })
      return false
    }
    const message = `Evicted to make room for ${neededFor.filename}: ${formatBytes(bytes)} were deleted.`
    emitter.emit('log', { download, level: 'info', message })
    emitter.emit('evicted', { download, bytes, neededFor })
    const kept = await registry.forget(download).then(() => null, asDownloadError)
    if (kept === null) emitter.emit('removed', { download })
    else emitter.emit('log', { download, level: 'error', message: kept.message })
    return true
  }

  /** Deletes the partial bytes of a download that waits for disk space. Never rejects. */
  async discardParts(download: Download): Promise<void> {
    await this.#deletions.discardParts(download)
    const { groupFiles } = download
    const { total } = download.record
    download.note(this.#init.clock.now(), { downloaded: groupFiles?.downloaded ?? 0, total, connections: 0 })
  }

  /** Changes the limit of a running download. */
  limit(download: Download, maxBytesPerSecond: number | null): void {
    this.#running.get(download)?.limit(maxBytesPerSecond)
    this.#emitSettings(download)
  }

  /** Changes the priority of a download. If it waits, it moves in its queue. */
  reorder(download: Download, priority: number): void {
    const queue = [this.#queue, this.#checks].find((each) => each.delete(download))
    download.update({ priority })
    queue?.add(download)
    this.#emitSettings(download)
  }

  /** Reports a changed setting with the event that reports all that is not a change of the state. */
  #emitSettings(download: Download): void {
    this.#init.emitter.emit('progress', { download, progress: download.current })
  }

  /** Stops all running downloads before the manager closes; their bytes are kept. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((run) => run.stop('close')))
  }

  /** Whether no download is waiting or running. */
  get isIdle(): boolean {
    return this.#running.size === 0 && this.waiting === 0
  }

  /** Resolves when no download is waiting or running. */
  async idle(): Promise<void> {
    if (!this.isIdle) await new Promise<void>((done) => this.#idle.add(done))
  }

  /** Resolves all pending calls of {@link idle}. */
  endIdle(): void {
    for (const done of this.#idle) done()
    this.#idle.clear()
  }

  #dequeue(download: Download): void {
    this.#init.space.leave(download)
    this.#queue.delete(download)
    this.#checks.delete(download)
  }

  /** Runs a download, and measures whether the number of slots is worth it. */
  async #runInSlot(download: Download): Promise<void> {
    const { clock } = this.#init
    const bytesOf = ({ current }: Download) => current.downloaded
    this.#files?.started(download, bytesOf(download), clock.now())
    this.#files?.take(bytesOf, clock.now())
    this.#adapt()
    try {
      await this.#run(download)
    } finally {
      this.#files?.ended(download, bytesOf(download), clock.now())
    }
  }

  async #run(download: Download): Promise<void> {
    const { runs = null } = this.#init
    if (runs === null) {
      await this.#runNow(download)
      return
    }
    if (this.#init.isClosed() || download.state !== 'queued' || !(await runs.begin(download))) return
    try {
      await this.#runNow(download)
    } finally {
      await runs.end(download)
    }
  }

  async #runNow(download: Download): Promise<void> {
    const init = this.#init
    if (init.isClosed() || download.state !== 'queued') return
    let run: DownloadRun
    try {
      run = this.#makeRun(download)
    } catch (error) {
      // Whatever a source or a setting makes go wrong ends this download, and nothing else.
      download.move('failed', {
        error: asDownloadError(error).toJSON(),
        finishedAt: new Date().toISOString(),
      })
      init.emitter.emit('failed', { download, error: asDownloadError(error) })
      download.wake()
      await this.#save(download)
      return
    }
    this.#running.set(download, run)
    try {
      await run.run()
    } finally {
      this.#running.delete(download)
      init.space.ended(download)
      // The slot becomes free only after this promise has settled.
      queueMicrotask(() => {
        this.checkIdle()
      })
    }
  }

  #makeRun(download: Download): DownloadRun {
    const init = this.#init
    return new DownloadRun({
      download,
      engine: init.runs?.engine(download, init.engine) ?? init.engine,
      resolver: init.resolver,
      tuning: init.tuning,
      clock: init.clock,
      space: init.space.runOf(download),
      directory: init.places.folderOf(download.record),
      root: init.places.rootOf(download.record),
      connections: download.record.connections ?? init.connections,
      remoteBounds: init.remoteBounds,
      proxy: init.proxy,
      emitter: init.emitter,
      caches: this.#caches,
      save: () => this.#save(download),
      claim: (filenames) => {
        init.registry.claim(download, filenames)
      },
    })
  }

  /**
   * Waits for the previous run. After its last event it may still be saving the record, and that must be done
   * before the next run begins.
   */
  async #lastRun(download: Download): Promise<void> {
    await this.#running.get(download)?.ended
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
    this.#init.emitter.emit(event, { download })
    download.wake()
  }

  #save(download: Download): Promise<void> {
    return this.#init.registry.save(download)
  }

  /** Must be called when a download has left the queue other than by running. */
  checkIdle(): void {
    if (this.isIdle) this.endIdle()
  }
}

/** Prepares a group for another run. What is known about its files is useful only if they are to be kept. */
function renewGroup(download: Download, wanted: ResolvedDownloadOptions | null): void {
  if (download.state === 'canceled' || wanted?.force === true) download.forgetGroup()
  else if (download.state === 'completed') download.groupFiles?.keepFiles()
}

function invalidState(download: Download, what: string): DownloadError {
  return new DownloadError('INVALID_STATE', `A download that is ${download.state} cannot be ${what}.`)
}

function requireLive(download: Download, what: string): void {
  if (isSettled(download.state)) throw invalidState(download, what)
}

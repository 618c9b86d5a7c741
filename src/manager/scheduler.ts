import pLimit from 'p-limit'
import type { LimitFunction } from 'p-limit'
import { machineCaches, type Destinations } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import type { ResolvedDownloadOptions } from '../download/options.js'
import { renewal } from '../download/request.js'
import { isSettled } from '../download/states.js'
import type { TransferEngine } from '../engine/protocol.js'
import { DownloadError } from '../errors.js'
import { cancelGroup, removeGroup } from '../job/group-disk.js'
import { DownloadRun } from '../job/run.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Resolver } from '../sources/resolver.js'
import { lazily } from '../util/lazy.js'
import type { Registry } from './registry.js'

/** How many files that are there already are looked at together. */
const looksAtATime = 16

/** What {@link Scheduler} works with. */
export interface SchedulerInit {
  engine: TransferEngine
  resolver: Resolver
  tuning: TransferTuning
  registry: Registry
  places: Destinations
  emitter: SafeEmitter
  concurrency: number
  /** Connections per download, unless it says otherwise itself. */
  connections: number
  proxy: boolean
  isClosed: () => boolean
}

/**
 * Decides which downloads run: the waiting queue, the running set, and pause, resume and cancel. The caller sees to it
 * that calls for one download come one after the other.
 */
export class Scheduler {
  readonly #init: SchedulerInit
  readonly #queue: DownloadQueue<Download>
  /** Those whose files are there already. They take no slot, but they open files: not all of them at once. */
  readonly #looks: DownloadQueue<Download>
  readonly #running = new Map<Download, DownloadRun>()
  readonly #caches = lazily(machineCaches)
  readonly #idle = new Set<() => void>()

  constructor(init: SchedulerInit) {
    this.#init = init
    const queue = (slots: number) =>
      new DownloadQueue<Download>(
        slots,
        (download) => download.record,
        (download) => this.#run(download),
      )
    this.#queue = queue(init.concurrency)
    this.#looks = queue(looksAtATime)
  }

  /** Slots. */
  get concurrency(): number {
    return this.#queue.concurrency
  }

  set concurrency(slots: number) {
    this.#queue.concurrency = slots
  }

  /** Downloads that wait for a slot. */
  get waiting(): number {
    return this.#queue.waiting + this.#looks.waiting
  }

  /**
   * Lets a queued download wait for a slot.
   *
   * @param isThere - its file lies there as it should: a look will end it, so it needs no slot.
   */
  enqueue(download: Download, isThere = false): void {
    const queue = isThere ? this.#looks : this.#queue
    queue.add(download)
    this.#emitState(download, 'queued')
  }

  /** See {@link DownloadManager.pause}. */
  async pause(download: Download): Promise<void> {
    if (download.state === 'paused') return
    requireLive(download, 'paused')
    const run = this.#running.get(download)
    if (run !== undefined) {
      await run.stop('pause')
      return
    }
    this.#dequeue(download)
    this.#moveTo(download, 'paused')
    await this.#save(download)
    this.#checkIdle()
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
      // One that has failed by itself in that moment is canceled all the same.
      if (download.file !== null) return
    }
    this.#dequeue(download)
    await this.#discard(download)
    this.#moveTo(download, 'canceled', { downloaded: 0, finishedAt: new Date().toISOString() })
    await this.#save(download)
    this.#checkIdle()
  }

  /** See {@link DownloadManager.retry}. */
  async retry(download: Download): Promise<void> {
    if (download.state === 'completed') throw invalidState(download, 'retried')
    if (isSettled(download.state)) await this.again(download, null)
  }

  /** A settled one is asked for again; `wanted` is what the caller says now. */
  async again(download: Download, wanted: ResolvedDownloadOptions | null): Promise<void> {
    await this.#lastRun(download)
    const patch = renewal(download.record, wanted)
    const isThere = await this.#init.places.holds({ ...download.record, ...patch })
    // Another one may have taken the name since this one failed.
    if (download.named) this.#init.registry.claim(download, download.targets)
    renewGroup(download, wanted)
    download.move('queued', patch)
    this.enqueue(download, isThere)
    await this.#save(download)
  }

  /** See {@link DownloadManager.remove}. */
  async remove(download: Download, deleteFile: boolean): Promise<void> {
    const { registry, places, emitter } = this.#init
    if (!registry.has(download)) return
    if (!isSettled(download.state)) await this.cancel(download)
    const { groupFiles } = download
    if (groupFiles !== null) await removeGroup(groupFiles, deleteFile)
    else if (download.state === 'failed') await places.discardBytes(download.record)
    else if (deleteFile && download.state === 'completed') await places.deleteFile(download.record)
    await registry.forget(download)
    emitter.emit('removed', { download })
  }

  /** Changes the limit of a running download. */
  limit(download: Download, maxBytesPerSecond: number | null): void {
    this.#running.get(download)?.limit(maxBytesPerSecond)
  }

  /** Stops what runs, for closing; the bytes are kept. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((run) => run.stop('close')))
  }

  /** Whether nothing waits or runs. */
  get isIdle(): boolean {
    return this.#running.size === 0 && this.waiting === 0
  }

  /** Resolves when nothing waits or runs. */
  async idle(): Promise<void> {
    if (!this.isIdle) await new Promise<void>((done) => this.#idle.add(done))
  }

  /** Lets go of everybody who waits for {@link idle}. */
  endIdle(): void {
    for (const done of this.#idle) done()
    this.#idle.clear()
  }

  /** Deletes what a canceled one brought: its bytes, and of a group the files, too, that it has brought already. */
  async #discard({ groupFiles, record }: Download): Promise<void> {
    if (groupFiles === null) await this.#init.places.discardBytes(record)
    else await cancelGroup(groupFiles)
  }

  #dequeue(download: Download): void {
    this.#queue.delete(download)
    this.#looks.delete(download)
  }

  async #run(download: Download): Promise<void> {
    const { engine, resolver, tuning, registry, places, emitter, connections, proxy, isClosed } = this.#init
    if (isClosed() || download.state !== 'queued') return
    const run = new DownloadRun({
      download,
      engine,
      resolver,
      tuning,
      directory: places.folderOf(download.record),
      connections: download.record.connections ?? connections,
      proxy: proxy && download.record.remote === null,
      emitter,
      caches: this.#caches,
      save: () => this.#save(download),
      claim: (filenames) => {
        registry.claim(download, filenames)
      },
    })
    this.#running.set(download, run)
    try {
      await run.run()
    } finally {
      this.#running.delete(download)
      // After this turn the slot is free again.
      queueMicrotask(() => {
        this.#checkIdle()
      })
    }
  }

  /** A run whose end has been told may still be saving; it must be over before the next one begins. */
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

  #checkIdle(): void {
    if (this.isIdle) this.endIdle()
  }
}

/** A group that is asked for again: what it knows of its files is of use as long as they are meant to stay. */
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

// ---- interest

/** Who still wants a download: each call that asked for it, until its signal aborts or the download settles. */
export class Interest {
  /** By `finished`, which is another one each time that a settled download is asked for again. */
  readonly #callers = new WeakMap<Promise<unknown>, number>()
  readonly #abandoned: (download: Download) => void

  /** @param abandoned - called when the last caller of a live download has aborted. */
  constructor(abandoned: (download: Download) => void) {
    this.#abandoned = abandoned
  }

  /** Notes a caller. One without a signal stays interested to the end. */
  add(download: Download, signal: AbortSignal | undefined): void {
    const { finished } = download
    this.#callers.set(finished, (this.#callers.get(finished) ?? 0) + 1)
    if (signal === undefined) return
    const aborted = () => {
      const left = (this.#callers.get(finished) ?? 1) - 1
      this.#callers.set(finished, left)
      if (left <= 0 && download.finished === finished && !isSettled(download.state)) this.#abandoned(download)
    }
    signal.addEventListener('abort', aborted, { once: true })
    const forget = () => {
      signal.removeEventListener('abort', aborted)
    }
    finished.then(forget, forget)
    if (signal.aborted) aborted()
  }
}

// ---- queue

/** What can wait in a {@link DownloadQueue}. */
export interface Queued {
  readonly priority: number
  /** Order of arrival. */
  readonly sequence: number
}

/** Which of two takes a free slot first: higher priority, then earlier arrival. */
export function compareQueued(a: Queued, b: Queued): number {
  return b.priority - a.priority || a.sequence - b.sequence
}

/**
 * Slots from p-limit; who takes a free one is ours. Each entry adds one ticket to p-limit, and a ticket that gets its
 * turn takes the best entry of that moment, not the one that it was drawn for.
 */
export class DownloadQueue<T extends object> {
  readonly #slots: LimitFunction
  readonly #run: (item: T) => Promise<void>
  readonly #order: (item: T) => Queued
  /** In the order in which they will take their turns. */
  readonly #waiting: T[] = []

  /**
   * @param concurrency - slots.
   * @param order - by what items are ordered; it doesn't change while one waits.
   * @param run - works on an item; never rejects.
   */
  constructor(concurrency: number, order: (item: T) => Queued, run: (item: T) => Promise<void>) {
    this.#slots = pLimit(concurrency)
    this.#order = order
    this.#run = run
  }

  /** Slots. May change at any time; running items are not stopped. */
  get concurrency(): number {
    return this.#slots.concurrency
  }

  set concurrency(slots: number) {
    this.#slots.concurrency = slots
  }

  /** Items that wait. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Lets an item wait for a slot. */
  add(item: T): void {
    if (this.#waiting.includes(item)) return
    const order = this.#order(item)
    // Who comes last mostly goes last.
    const before = this.#waiting.findLastIndex((other) => compareQueued(this.#order(other), order) <= 0)
    this.#waiting.splice(before + 1, 0, item)
    void this.#slots(async () => {
      const next = this.#waiting.shift()
      if (next !== undefined) await this.#run(next)
    })
  }

  /** Takes an item out; whether it was waiting. */
  delete(item: T): boolean {
    const index = this.#waiting.indexOf(item)
    if (index !== -1) this.#waiting.splice(index, 1)
    return index !== -1
  }
}

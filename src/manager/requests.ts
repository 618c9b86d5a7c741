import type { Destinations } from '../download/destination.js'
import { Download, type DownloadOwner } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import type { DownloadOptions } from '../download/options.js'
import {
  destinationFor,
  type DownloadRequestContext,
  expectations,
  isStricter,
  newRecord,
  outranks,
  readRequest,
  replacement,
  requireSame,
  type ValidatedRequest,
} from '../download/request.js'
import { isSettled } from '../download/states.js'
import { DownloadError } from '../errors.js'
import { Arrivals, type Serial } from '../util/schedule.js'
import type { Coordinator } from './cluster/coordinator.js'
import type { Interest } from './interest.js'
import type { Registry } from './registry.js'
import type { Scheduler } from './scheduler.js'
import { claimFromStrangers } from './strangers.js'

/** What {@link DownloadRequests} need of their manager. */
export interface RequestsInit {
  context: DownloadRequestContext
  places: Destinations
  registry: Registry
  scheduler: Scheduler
  coordinator: Coordinator
  interest: Interest
  serial: Serial<Download>
  owner: DownloadOwner
  emitter: SafeEmitter
  /** Resolves when the store is loaded. */
  ready: () => Promise<void>
  /** @throws DownloadError `CLOSED`. */
  requireOpen: () => void
  remove: (url: string) => Promise<void>
  /** Makes room in the list for a download of a remote caller. */
  forgetOldest: () => Promise<void>
}

/** Requests for downloads: each adds one, or joins the one that is known. */
export class DownloadRequests {
  readonly #init: RequestsInit
  readonly #arrivals = new Arrivals()

  constructor(init: RequestsInit) {
    this.#init = init
  }

  /** See {@link DownloadManager.download}. */
  async add(options: DownloadOptions): Promise<Download> {
    const { context, registry, emitter, requireOpen } = this.#init
    const validated = readRequest(options, context)
    requireOpen()
    await this.#init.ready()
    requireOpen()
    if (validated.wanted.signal?.aborted === true)
      throw new DownloadError('CANCELED', 'The signal is already aborted.')

    // What another manager has removed is not joined.
    if (this.#init.coordinator.catchUp !== null) await this.#init.coordinator.catchUp()
    if (validated.wanted.remote !== null) await this.#init.forgetOldest()
    // Nothing may be awaited between looking the URL up and adding it, because another call may do the same.
    const request = await claimFromStrangers(validated, registry, async (holder, message) => {
      emitter.emit('log', { download: holder, level: 'warn', message })
      await this.#init.remove(holder.url)
    })
    const { wanted } = request
    const known = registry.get(wanted.url)
    if (known !== undefined) {
      const joined = await this.#join(known, request, options)
      // If the known download has been removed in the meantime, this call is the first one for the URL.
      return joined ? known : await this.add(options)
    }
    const record = newRecord(wanted, { ...destinationFor(request), sequence: registry.nextSequence() })
    const download = new Download(record, this.#init.owner)
    registry.add(download)
    const isNew = await this.#arrivals.run((pass) =>
      this.#init.serial.run(download, () => this.#insert(download, wanted.signal, pass)),
    )
    if (isNew) return download
    // Another manager was the first to ask for the URL.
    return (await this.#join(download, request, options)) ? download : await this.add(options)
  }

  /** Returns false if another manager has requested the URL before. */
  async #insert(
    download: Download,
    signal: AbortSignal | undefined,
    pass: () => Promise<void>,
  ): Promise<boolean> {
    const { registry, places, scheduler, interest, requireOpen } = this.#init
    if (!(await registry.insert(download))) return false
    const fileExists = await places.holds(download.record)
    // Records are written at the same time, and the last one may be on disk first.
    await pass()
    requireOpen()
    // In a cluster, another manager may have taken it already.
    if (download.state === 'queued') scheduler.enqueue(download, fileExists)
    interest.add(download, signal)
    return true
  }

  /** Joins a known download. Returns false if it was removed before this call could run. */
  #join(known: Download, request: ValidatedRequest, options: DownloadOptions): Promise<boolean> {
    const { registry, scheduler, interest, serial, coordinator, requireOpen } = this.#init
    const { wanted } = request
    const command = { type: 'download', options } as const
    return serial.run(known, async () => {
      if (!registry.has(known)) return false
      requireOpen()
      if (outranks(wanted, known.record)) {
        await coordinator.control(known, command, () =>
          scheduler.replace(known, (record) => replacement(record, request)),
        )
        interest.add(known, wanted.signal)
        return true
      }
      requireSame(known, wanted, request)
      if (isSettled(known.state)) {
        await coordinator.control(known, command, async () => {
          if (isSettled(known.state)) await scheduler.requeue(known, wanted)
        })
      } else if (isStricter(known.record, wanted)) {
        await coordinator.control(known, command, async () => {
          known.update(expectations(known.record, wanted))
          await registry.save(known)
        })
      }
      // A remote caller must not keep a trusted caller's download alive after that caller has given it up.
      if (wanted.remote === null || known.record.remote !== null) interest.add(known, wanted.signal)
      return true
    })
  }
}

/**
 * Runs the transfers of a group: many at the same time within one budget of connections, with one progress
 * and one outcome.
 */
import { asDownloadError } from '../disk/errors.js'
import { destinationOf } from '../download/destination.js'
import type { GroupEntry, GroupFiles } from '../download/group.js'
import {
  type StopMode,
  strongerStop,
  type TransferEvent,
  type TransferHandle,
  type TransferResult,
} from '../engine/protocol.js'
import { DownloadError } from '../errors.js'
import { pointRef } from '../layouts/hf-files.js'
import { cachePlaceOf } from '../layouts/hf-paths.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'
import { Throttle } from '../util/schedule.js'
import { ConnectionBudget, usefulConnections } from './connection-budget.js'
import { FailureStreak, groupError } from './group-rules.js'
import { prepareGroup } from './group-start.js'
import { type AddressRequest, answerRefresh, type Refresh } from './fresh-address.js'
import type { Job, JobHost } from './job.js'
import { answerReserve } from './space.js'
import { jobEventOf } from './transfer-events.js'

/**
 * Minimum milliseconds between saves of the record while files complete. What is lost in a kill is found
 * again on disk.
 */
const saveMs = 1_000

/** Saving the record may take at most one part in this many of the time. */
const saveShare = 20

/** The running transfer of one file. */
interface Active {
  handle: TransferHandle
  /** Answers its requests for addresses. */
  refresh: Refresh
  connections: number
}

/** Finds the addresses of files. */
interface GroupAddresses {
  /** The latest known address of a file. */
  latest(file: ResolvedFile): ResolvedFile
  /** Answers the requests of the transfer of a file. */
  answers(file: ResolvedFile): Refresh
}

/** Job of a download that consists of several files. */
export class GroupJob implements Job {
  readonly #host: JobHost
  readonly #addresses: GroupAddresses
  readonly #active = new Map<GroupEntry, Active>()
  readonly #failures = new FailureStreak()
  readonly #progress: Throttle
  readonly #saving: Throttle
  #group: GroupFiles | null = null
  #sources: ReadonlyMap<GroupEntry, ResolvedFile> = new Map()
  #budget: ConnectionBudget<GroupEntry>
  #stopMode: StopMode | null = null
  #fetchedBytes = 0
  #existed = true
  /** Highest number of bytes reported so far: progress does not go back when a file starts over. */
  #peak = 0

  constructor(host: JobHost, resolution: Resolution, addresses: GroupAddresses) {
    this.#host = host
    this.#addresses = addresses
    this.#budget = this.#makeBudget([])
    this.#progress = new Throttle(
      () => host.tuning.progressIntervalMs,
      () => {
        host.emit({ type: 'progress', ...this.#current() })
      },
      host.clock,
    )
    let lastSaveMs = 0
    this.#saving = new Throttle(
      () => Math.max(saveMs, lastSaveMs * saveShare),
      async () => {
        const begin = host.clock.now()
        await host.save()
        lastSaveMs = host.clock.now() - begin
      },
      host.clock,
    )
    void this.#run(resolution)
  }

  stop(mode: StopMode): void {
    const stronger = strongerStop(this.#stopMode, mode)
    this.#stopMode = stronger
    this.#budget.drain()
    for (const { handle } of this.#active.values()) handle.send({ type: 'stop', mode: stronger })
  }

  limit(maxBytesPerSecond: number | null): void {
    // The transfers share one limit, so each of them sets it for all.
    for (const { handle } of this.#active.values()) handle.send({ type: 'limit', maxBytesPerSecond })
  }

  async #run(resolution: Resolution): Promise<void> {
    const host = this.#host
    try {
      const { group, sources } = await prepareGroup(host, resolution, () => this.#stopMode !== null)
      this.#group = group
      this.#sources = sources
      this.#peak = group.downloaded
      if (this.#stopMode === null && group.pending.length > 0) {
        this.#budget = this.#makeBudget(group.pending)
        host.emit({ type: 'phase', phase: 'downloading' })
        this.#progress.ask()
      }
      this.#pump(group)
    } catch (error) {
      this.#endTimers()
      const mode = this.#stopMode
      host.emit(
        mode === null
          ? { type: 'failed', error: asDownloadError(error).toJSON() }
          : { type: 'stopped', mode },
      )
    }
  }

  #makeBudget(files: readonly GroupEntry[]): ConnectionBudget<GroupEntry> {
    const { minSegmentBytes } = this.#host.tuning
    const { connections } = this.#host.spec()
    return new ConnectionBudget(
      connections,
      ({ size }) => usefulConnections(size, minSegmentBytes, connections),
      files,
    )
  }

  /** Starts the transfers that the budget allows. Finishes when nothing is running and nothing is left. */
  #pump(group: GroupFiles): void {
    const { connections } = this.#host.spec()
    // Transfers that verify or publish hold no connection, but their number is limited as well.
    while (this.#stopMode === null && this.#active.size < 2 * connections) {
      const grant = this.#budget.next()
      if (grant === null) break
      if (grant.kind === 'start') this.#start(group, grant.file, grant.connections)
      else {
        this.#active.get(grant.file)?.handle.send({ type: 'connections', connections: grant.connections })
      }
    }
    if (this.#active.size === 0) this.#finish(group)
  }

  #start(group: GroupFiles, entry: GroupEntry, connections: number): void {
    const host = this.#host
    const resolved = this.#sources.get(entry)
    if (resolved === undefined) throw new DownloadError('INTERNAL', 'A file of the group has no source.')
    // The credentials of the first address may have expired since.
    const file = this.#addresses.latest(resolved)
    const { record } = host.download
    const { directory: root } = host.spec()
    const { cache = null, ...destination } = destinationOf(file, record, {
      root,
      folder: group.path,
      path: entry.filename,
      caches: host.caches(),
      older: entry.older,
    })
    const handle = host.engine.start(
      {
        ...host.spec(),
        ...destination,
        renewable: true,
        // The ref is written only when all files are complete.
        cache: cache === null ? null : { ...cache, ref: null },
        copies: entry.copies,
        connections,
        // By its id in git, the transfer finds out itself whether the file that is there is the right one.
        force: record.force || (entry.stale && entry.gitOid === null),
        // A blob is never replaced, so what it was before tells nothing.
        known: entry.stamp ?? (cache === null ? entry.older : null),
        share: record.id,
      },
      (event) => {
        this.#on(group, entry, event)
      },
    )
    this.#active.set(entry, { handle, refresh: this.#addresses.answers(file), connections: 1 })
  }

  #on(group: GroupFiles, entry: GroupEntry, event: TransferEvent): void {
    switch (event.type) {
      case 'phase':
        group.move(entry, event.phase)
        this.#onPhase(group, entry)
        return
      case 'progress':
        group.note(entry, event.downloaded, event.total ?? entry.size)
        this.#noteConnections(entry, event.connections)
        this.#progress.ask()
        return
      case 'refresh':
        this.#onRefresh(entry, event).catch((error: unknown) => {
          this.#host.crash(error)
        })
        return
      case 'reserve':
        void answerReserve(this.#host.space, event, (command) => {
          this.#active.get(entry)?.handle.send(command)
        })
        return
      case 'completed':
        this.#host.space?.completed(entry.written)
        this.#onCompleted(group, entry, event.result)
        return
      case 'failed':
        this.#onFailed(group, entry, event)
        return
      case 'stopped':
        this.#leave(group, entry)
        return
      // The files of a group have their names from the start. Whoever gives a lease answers for it, before this is told.
      case 'claim':
      case 'named':
      case 'confirmLease':
        return
      case 'restarted':
        group.note(entry, 0)
        break
      default:
    }
    this.#host.emit(jobEventOf(event, entry.filename))
  }

  /** A file that is being verified no longer needs its connections. */
  #onPhase(group: GroupFiles, entry: GroupEntry): void {
    if (entry.state === 'verifying') {
      this.#budget.release(entry)
      this.#noteConnections(entry, 0)
    }
    const all =
      this.#budget.waiting === 0 && [...this.#active.keys()].every(({ state }) => state === 'verifying')
    this.#host.emit({ type: 'phase', phase: all ? 'verifying' : 'downloading' })
    if (entry.state === 'verifying') this.#pump(group)
  }

  #noteConnections(entry: GroupEntry, connections: number): void {
    const active = this.#active.get(entry)
    if (active !== undefined) active.connections = connections
  }

  async #onRefresh(entry: GroupEntry, event: AddressRequest): Promise<void> {
    const active = this.#active.get(entry)
    if (active !== undefined) active.handle.send(await answerRefresh(event, active.refresh))
  }

  #onCompleted(group: GroupFiles, entry: GroupEntry, result: TransferResult): void {
    group.complete(entry, result)
    this.#failures.succeeded()
    this.#fetchedBytes += result.fetchedBytes
    this.#existed &&= result.existed
    this.#saving.ask()
    this.#progress.ask()
    this.#leave(group, entry)
  }

  #onFailed(
    group: GroupFiles,
    entry: GroupEntry,
    { error, whole = false }: TransferEvent & { type: 'failed' },
  ): void {
    group.fail(entry, error)
    this.#warn(`${entry.filename}: ${error.message}`)
    if (this.#failures.failed(error.code) || whole) {
      const rest = this.#budget.drain()
      if (rest.length > 0) this.#warn(`The remaining ${rest.length} files are skipped.`)
      for (const other of rest) group.fail(other, error)
    }
    this.#leave(group, entry)
  }

  #leave(group: GroupFiles, entry: GroupEntry): void {
    this.#active.delete(entry)
    this.#budget.release(entry)
    this.#pump(group)
  }

  #current(): { downloaded: number; total: number | null; connections: number } {
    const { downloaded = 0, total = null } = this.#group ?? {}
    this.#peak = Math.max(this.#peak, downloaded)
    let connections = 0
    for (const active of this.#active.values()) connections += active.connections
    // A file that starts over as a smaller version lowers the total, but bytes that were counted are not taken back.
    return { downloaded: Math.min(this.#peak, total ?? Infinity), total, connections }
  }

  #finish(group: GroupFiles): void {
    this.#endTimers()
    const host = this.#host
    const { missing, files } = group
    if (missing.length === 0) {
      void this.#succeed(group)
      return
    }
    host.download.note(host.clock.now(), { ...this.#current(), connections: 0 })
    if (this.#stopMode !== null) {
      host.emit({ type: 'stopped', mode: this.#stopMode })
      return
    }
    const failures = missing.flatMap(({ failure }) => failure ?? [])
    host.emit({
      type: 'failed',
      error: groupError(failures, { missing: missing.length, total: files.length }),
    })
  }

  async #succeed(group: GroupFiles): Promise<void> {
    const host = this.#host
    try {
      await this.#writeRef()
      group.pinned = false
      const size = group.total ?? group.downloaded
      host.emit({
        type: 'completed',
        patch: {
          downloaded: size,
          total: size,
          resultSha256: null,
          verified: group.files.every(({ verified }) => verified),
          stamp: null,
        },
        run: { existed: this.#existed, fetchedBytes: this.#fetchedBytes, adoptedFrom: null },
      })
    } catch (error) {
      host.emit({ type: 'failed', error: asDownloadError(error).toJSON() })
    }
  }

  /** In a cache, points the requested branch or tag to the commit. */
  async #writeRef(): Promise<void> {
    const { layout } = this.#host.download.record
    const [file] = this.#sources.values()
    if (layout === 'hf-cache' && file !== undefined)
      await pointRef(this.#host.spec().directory, cachePlaceOf(file)).catch((error: unknown) => {
        this.#warn(`The files are complete. ${asDownloadError(error).message}`)
      })
  }

  #warn(message: string): void {
    this.#host.emit({ type: 'log', level: 'warn', message })
  }

  #endTimers(): void {
    this.#progress.end()
    this.#saving.end()
  }
}

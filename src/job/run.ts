import { asDownloadError } from '../disk/errors.js'
import { adoptSpecOf, destinationOf, expectedOf, ownName } from '../download/destination.js'
import type { DownloadRecord } from '../download/record.js'
import { type DownloadState, isActive, isSettled } from '../download/states.js'
import { type StopMode, strongerStop, type TransferPhase } from '../engine/protocol.js'
import { deserializeError, DownloadError, offlineError, type SerializedDownloadError } from '../errors.js'
import { isUnreachable } from '../net/errors.js'
import { isRef } from '../sources/identify.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'
import { claimName } from './file-job.js'
import { freshAddresses } from './fresh-address.js'
import { GroupJob } from './group-job.js'
import type { Job, JobEvent, JobHost, JobOutcome } from './job.js'
import { recall, type Recalled, type RecallPlace, requireDescribed } from './recall.js'
import { RefAddress } from './ref.js'
import type { DownloadRunInit } from './run-init.js'
import { fromDiskMessage, isOfAnother, isOwn } from './outcomes.js'
import { startFileJob } from './sidecar.js'
import type { RunSpace } from './space.js'

/** What a run uses while its source is not asked. */
interface DiskAnswer extends Recalled {
  /** Why the source could not be reached; null if the network must not be used. */
  reason: DownloadError | null
}

const unknownOffline =
  'Which files this ref stands for is not known from the disk, and the network must not be used.'

const forcedOffline = 'With force, the files have to be fetched again, and the network must not be used.'

/** How long a run that has crashed waits for its transfers to stop, in milliseconds. */
const crashMs = 5_000

/** One run of a download: from taking a slot to the end of its job. Changes the state of the download. */
export class DownloadRun {
  readonly #init: DownloadRunInit
  readonly #done: Promise<void>
  #resolve: () => void = () => undefined
  #job: Job | null = null
  readonly #aborted = new AbortController()
  #stopMode: StopMode | null = null
  /** Null for a plain URL. */
  readonly #address: RefAddress | null
  readonly #space: RunSpace | null
  readonly #host: JobHost
  /** Whether the network must not be used. */
  readonly #offline: boolean
  /** Set while the ref is answered from disk. */
  #disk: DiskAnswer | null = null
  /** The only file of a ref, as its source describes it now. */
  #file: ResolvedFile | null = null
  /** An error that nothing else has handled; the outcome of the run, whatever the job still reports. */
  #crashed: SerializedDownloadError | null = null
  #ended = false

  constructor(init: DownloadRunInit) {
    this.#init = init
    this.#done = new Promise((resolve) => (this.#resolve = resolve))
    const { download, resolver } = init
    this.#offline = resolver.isOffline(download.url, download.record.offline)
    this.#space = init.space?.(this.#aborted.signal) ?? null
    this.#host = this.#makeHost(init)
    // A ref whose source the host no longer registers is still a ref: the resolver reports that no source
    // knows it.
    this.#address = !isRef(download.url, resolver)
      ? null
      : new RefAddress(
          resolver,
          download,
          {
            onRetry: (error, attempt, delayMs) => {
              this.#on({ type: 'retrying', error, attempt, delayMs })
            },
            onLog: (message) => {
              this.#on({ type: 'log', level: 'warn', message })
            },
          },
          init.clock,
        )
  }

  /**
   * Starts the run. Resolves when the job has ended, the state has changed and the record is saved. Never
   * rejects.
   */
  run(): Promise<void> {
    const { download, emitter } = this.#init
    download.move('resolving', { startedAt: new Date().toISOString() })
    emitter.emit('started', { download })
    download.wake()
    try {
      if (this.#address === null) this.#startUrl()
      else void this.#startRef(this.#address)
    } catch (error) {
      this.#crash(error)
    }
    return this.#done
  }

  /** Requests the job to stop; resolves when it has stopped. */
  async stop(mode: StopMode): Promise<void> {
    this.#stopMode = strongerStop(this.#stopMode, mode)
    this.#aborted.abort()
    this.#job?.stop(this.#stopMode)
    await this.#done
  }

  /** Resolves when the job has ended, the state has changed and the record is saved. */
  get ended(): Promise<void> {
    return this.#done
  }

  /** Changes the limit of the running job. */
  limit(maxBytesPerSecond: number | null): void {
    this.#job?.limit(maxBytesPerSecond)
  }

  // ---- starting the job ----

  #startUrl(): void {
    const { download, resolver } = this.#init
    const { filename, named, stamp } = download.record
    const spec = { ...this.#host.spec(), filename: named ? filename : null, known: stamp }
    this.#job = startFileJob(this.#host, resolver, spec, () => Promise.resolve(download.record))
  }

  async #startRef(address: RefAddress): Promise<void> {
    await this.#start(async () => {
      const { record, groupFiles } = this.#init.download
      const recalled = record.force ? null : await recall(record, groupFiles, this.#placeOf(record))
      if (this.#offline) {
        if (recalled === null)
          throw new DownloadError('OFFLINE', record.force ? forcedOffline : unknownOffline)
        return this.#useDisk(address, recalled, null)
      }
      try {
        const resolution = await address.resolve(this.#aborted.signal, recalled?.complete)
        if (recalled !== null) requireDescribed(resolution, recalled)
        return this.#startResolved(address, resolution)
      } catch (error) {
        const reason = asDownloadError(error)
        if (recalled === null || !isUnreachable(reason)) throw reason
        return this.#useDisk(address, recalled, reason)
      }
    })
  }

  #useDisk(
    address: RefAddress,
    recalled: Recalled,
    reason: DownloadError | null,
  ): SerializedDownloadError | null {
    this.#disk = { ...recalled, reason }
    return this.#startResolved(address, recalled.resolution)
  }

  /**
   * Asks the source after all when the files on disk are not what they were: with patience, unless it has been asked so
   * already.
   *
   * @param error - why the files on disk can't be used.
   * @returns false if that is the outcome of the run.
   */
  #goOnline({ code }: SerializedDownloadError): boolean {
    const disk = this.#disk
    const address = this.#address
    if (disk === null || address === null || this.#stopMode !== null || this.#crashed !== null) return false
    // Other errors are those of the disk.
    if (code !== 'OFFLINE' && code !== 'GROUP_INCOMPLETE') return false
    const { reason, complete } = disk
    if (reason === null) return false
    this.#disk = null
    this.#onPhase('resolving')
    void this.#start(async () => {
      if (!complete) throw reason
      return this.#startResolved(address, await address.resolve(this.#aborted.signal))
    })
    return true
  }

  /** Starts a job, unless the run has been stopped; `begin` returns why it can't be started, or null. */
  async #start(begin: () => Promise<SerializedDownloadError | null>): Promise<void> {
    let failure: SerializedDownloadError | null
    try {
      failure = await begin()
      if (failure === null) return
    } catch (error) {
      failure = asDownloadError(error).toJSON()
    }
    const mode = this.#stopMode
    this.#end(mode === null ? { type: 'failed', error: failure } : { type: 'stopped', mode })
  }

  /** A download that was a group stays one, even if only one file is left. */
  #startResolved(address: RefAddress, resolution: Resolution): SerializedDownloadError | null {
    if (this.#stopMode !== null) throw new DownloadError('CANCELED', 'The download was stopped.')
    const [file] = resolution.files
    if (file !== undefined && resolution.files.length === 1 && this.#init.download.group === null) {
      return this.#startFile(address, file)
    }
    if (this.#init.download.record.urls.length > 0) {
      const message = 'Mirrors (urls) apply to a single file, but the ref names several.'
      return new DownloadError('INVALID_OPTIONS', message).toJSON()
    }
    this.#job = new GroupJob(this.#host, resolution, {
      latest: (one) => address.latest(one),
      answers: (one) =>
        freshAddresses(address, one, this.#init.download.record.headers, this.#aborted.signal),
    })
    return null
  }

  #startFile(address: RefAddress, file: ResolvedFile): SerializedDownloadError | null {
    const { download, resolver, directory: root } = this.#init
    const { named, layout, filename: recorded, stamp: older } = download.record
    const own = named && layout === 'flat' ? recorded : ownName(file, layout)
    const caches = this.#host.caches()
    const destination = destinationOf(file, download.record, { root, path: own, caches, older })
    const { cache = null } = destination
    if (cache !== null) {
      const { folder, commit, path, blob } = cache
      download.update({ cache: { folder, commit, path, blob } })
    }
    // In a cache, the commit is part of the path and may have changed.
    const failure = download.named && cache === null ? null : claimName(this.#host, own)
    if (failure !== null) return failure
    const { filename, stamp, headers } = download.record
    const spec = {
      ...this.#host.spec(),
      ...destination,
      renewable: true,
      filename: cache === null ? filename : cache.blob,
      known: stamp,
    }
    this.#file = file
    const refresh = freshAddresses(address, file, headers, this.#aborted.signal)
    this.#job = startFileJob(this.#host, resolver, spec, refresh)
    return null
  }

  // ---- handling the job's events ----

  #makeHost(init: DownloadRunInit): JobHost {
    const { download, caches } = init
    return {
      download,
      engine: {
        start: (spec, listener) =>
          init.engine.start(spec, (event) => {
            try {
              listener(event)
            } catch (error) {
              this.#crash(error)
            }
          }),
      },
      tuning: init.tuning,
      clock: init.clock,
      space: this.#space,
      root: init.root,
      spec: () => {
        const { record } = download
        return {
          id: record.id,
          url: record.url,
          urls: record.urls,
          spread: record.spread,
          directory: init.directory,
          root: init.root,
          ...expectedOf(record),
          headers: record.headers,
          connections: init.connections,
          maxBytesPerSecond: record.maxBytesPerSecond,
          checkFormat: record.checkFormat ?? true,
          force: record.force,
          offline: this.#offline || this.#disk !== null,
          remote: record.remote,
          bounds: record.remote === null ? null : init.remoteBounds,
          untrusted: record.untrustedMirrors === true,
          proxy: init.proxy,
          reserves: this.#space !== null,
          share: null,
          adopt: adoptSpecOf(record, caches(), record.named ? record.filename : null),
        }
      },
      caches,
      claim: init.claim,
      save: init.save,
      emit: (event) => {
        this.#on(event)
      },
      crash: (error) => {
        this.#crash(error)
      },
    }
  }

  #placeOf({ url, adopt }: DownloadRecord): RecallPlace {
    const { directory, resolver, caches } = this.#init
    return {
      folder: directory,
      cached: resolver.find(url)?.cachedFile?.(url) ?? null,
      caches: adopt === false ? [] : caches().hub,
    }
  }

  /** Ends the run with an error that nothing else has handled: it must never reach the host's process. */
  #crash(thrown: unknown): void {
    if (this.#ended || this.#crashed !== null) return
    const { clock } = this.#init
    const error = asDownloadError(thrown).toJSON()
    this.#crashed = error
    const job = this.#job
    if (job === null) {
      this.#end({ type: 'failed', error })
      return
    }
    // The transfers release their files before the download ends, unless the error has cut them off from it.
    const timer = clock.timer(() => {
      this.#end({ type: 'failed', error })
    }, crashMs)
    void this.#done.then(() => {
      timer.cancel()
    })
    try {
      job.stop('pause')
    } catch {
      this.#end({ type: 'failed', error })
    }
  }

  #on(event: JobEvent): void {
    const { download, emitter, clock } = this.#init
    if (this.#ended) return
    switch (event.type) {
      case 'phase':
        this.#onPhase(event.phase)
        return
      case 'progress':
        download.note(clock.now(), event)
        this.#emitProgress()
        return
      case 'retrying': {
        const { error, attempt, delayMs } = event
        emitter.emit('retrying', { download, error, attempt, delayMs })
        return
      }
      case 'log': {
        const { level, message } = event
        emitter.emit('log', { download, level, message })
        return
      }
      case 'failed':
        if (!this.#goOnline(event.error)) this.#end(event)
        return
      case 'completed':
      case 'stopped':
        this.#end(event)
    }
  }

  #onPhase(phase: TransferPhase): void {
    const { download, emitter } = this.#init
    if (download.state === phase || !isActive(download.state)) return
    download.move(phase)
    if (phase !== 'resolving') emitter.emit(phase, { download })
    download.wake()
  }

  #onCompleted({ patch, run }: JobOutcome & { type: 'completed' }): void {
    const { download, emitter } = this.#init
    const known = this.#disk === null ? this.#described() : this.#onDisk(this.#disk, patch.verified)
    const fetched = isOwn(download, run.existed) ? { fetched: true as const } : {}
    this.#settle('completed', { ...patch, ...known, ...fetched, force: false, error: null })
    this.#emitProgress()
    const file = download.complete(run)
    emitter.emit('completed', { download, file })
  }

  /** What the source says about the only file, for the time when it can't be asked. */
  #described(): Partial<DownloadRecord> {
    if (this.#file === null) return {}
    const { sha256, revision } = this.#file
    return { sourceSha256: sha256, revision }
  }

  /** Marks a download that was answered from disk. */
  #onDisk({ reason, pinned, verifies }: DiskAnswer, verified = false): Partial<DownloadRecord> {
    const { download, emitter } = this.#init
    const message = fromDiskMessage(reason, pinned)
    emitter.emit('log', { download, level: 'warn', message })
    return { verified: verified && verifies, ...(pinned ? {} : { stale: true as const }) }
  }

  #onFailed(failure: SerializedDownloadError): void {
    const { download, emitter } = this.#init
    const error = failure.code === 'OFFLINE' ? offlineError(failure.message).toJSON() : failure
    // That a file is not on disk does not explain why it could not be fetched.
    const group = this.#offline ? null : download.groupFiles
    for (const entry of group?.pending ?? []) if (entry.failure?.code === 'OFFLINE') group?.fail(entry, error)
    this.#settle('failed', { error })
    this.#emitProgress()
    emitter.emit('failed', { download, error: download.error ?? deserializeError(error) })
  }

  #onWaiting(failure: SerializedDownloadError): void {
    const { download, emitter } = this.#init
    const error = deserializeError(failure)
    download.move('queued')
    download.waitFor(error)
    emitter.emit('log', { download, level: 'warn', message: `Waiting for disk space: ${error.message}` })
    emitter.emit('queued', { download })
    download.wake()
  }

  #onStopped(mode: StopMode): void {
    const { download, emitter } = this.#init
    // Whoever canceled the download changes its state, once its bytes have been deleted.
    if (mode === 'cancel') return
    download.move(mode === 'pause' ? 'paused' : 'queued')
    if (mode === 'pause') {
      this.#emitProgress()
      emitter.emit('paused', { download })
    }
    download.wake()
  }

  #settle(state: DownloadState, patch: Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>>): void {
    const { download } = this.#init
    download.move(state, isSettled(state) ? { ...patch, finishedAt: new Date().toISOString() } : patch)
    download.wake()
  }

  #emitProgress(): void {
    const { download, emitter } = this.#init
    emitter.emit('progress', { download, progress: download.current })
    download.wake()
  }

  /**
   * Handles the outcome. The state changes before any listener is called, and the record is saved before the
   * slot becomes free.
   */
  #end(outcome: JobOutcome): void {
    if (this.#ended) return
    this.#ended = true
    const { download } = this.#init
    try {
      if (this.#crashed !== null && this.#stopMode !== 'cancel') this.#onFailed(this.#crashed)
      else if (outcome.type === 'completed') this.#onCompleted(outcome)
      else if (outcome.type === 'failed' && this.#space?.waitsFor(outcome.error) === true)
        this.#onWaiting(outcome.error)
      else if (outcome.type === 'failed') this.#onFailed(outcome.error)
      else this.#onStopped(outcome.mode)
    } catch (error) {
      if (!isSettled(download.state)) this.#onFailed(asDownloadError(error).toJSON())
    }
    // The record may be that of another manager of the folder, which is downloading the files.
    const saved = isOfAnother(download) ? Promise.resolve() : this.#init.save()
    void saved.finally(() => {
      this.#resolve()
    })
  }
}

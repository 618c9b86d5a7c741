import { asDownloadError } from '../disk/errors.js'
import { addressOf, adoptSpecOf, destinationOf, ownName } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import type { DownloadRecord } from '../download/record.js'
import { type DownloadState, isActive, isSettled } from '../download/states.js'
import {
  type RemoteBounds,
  type StopMode,
  strongerStop,
  type TransferEngine,
  type TransferPhase,
} from '../engine/protocol.js'
import { deserializeError, DownloadError, type SerializedDownloadError } from '../errors.js'
import type { ProxySetting } from '../net/proxies.js'
import type { TransferTuning } from '../net/tuning.js'
import { isRef } from '../sources/identify.js'
import type { Resolver } from '../sources/resolver.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'
import type { Clock } from '../util/clock.js'
import { claimName, FileJob } from './file-job.js'
import { GroupJob } from './group-job.js'
import type { Job, JobEvent, JobHost, JobOutcome } from './job.js'
import { RefAddress } from './ref.js'

/** Settings and services that a {@link DownloadRun} needs. */
export interface DownloadRunInit {
  download: Download
  engine: TransferEngine
  resolver: Resolver
  tuning: TransferTuning
  clock: Clock
  /** Folder that the file is stored in. */
  directory: string
  /** See {@link JobHost.root}. */
  root: string
  connections: number
  /** Bounds of the download if its caller is remote. */
  remoteBounds: RemoteBounds
  proxy: ProxySetting
  emitter: SafeEmitter
  caches: JobHost['caches']
  save: () => Promise<void>
  /** Claims file names; throws when another download has claimed one of them. */
  claim: (filenames: readonly string[]) => void
}

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
  readonly #host: JobHost
  /** An error that nothing else has handled; the outcome of the run, whatever the job still reports. */
  #crashed: SerializedDownloadError | null = null
  #ended = false

  constructor(init: DownloadRunInit) {
    this.#init = init
    this.#done = new Promise((resolve) => (this.#resolve = resolve))
    const { download, resolver } = init
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
    const { download } = this.#init
    const { filename, named, stamp } = download.record
    const spec = { ...this.#host.spec(), filename: named ? filename : null, known: stamp }
    this.#job = new FileJob(this.#host, spec, () => Promise.resolve(download.record))
  }

  async #startRef(address: RefAddress): Promise<void> {
    let failure: SerializedDownloadError | null = null
    try {
      const resolution = await address.resolve(this.#aborted.signal)
      if (this.#stopMode === null) {
        failure = this.#startResolved(address, resolution)
        if (failure === null) return
      }
    } catch (error) {
      failure = asDownloadError(error).toJSON()
    }
    const mode = this.#stopMode
    if (mode !== null) this.#end({ type: 'stopped', mode })
    else if (failure !== null) this.#end({ type: 'failed', error: failure })
  }

  /** A download that was a group stays one, even if only one file is left. */
  #startResolved(address: RefAddress, resolution: Resolution): SerializedDownloadError | null {
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
      refresh: (one) => address.refresh(one, this.#aborted.signal),
    })
    return null
  }

  #startFile(address: RefAddress, file: ResolvedFile): SerializedDownloadError | null {
    const { download, directory: root } = this.#init
    const { named, layout, filename: recorded } = download.record
    const own = named && layout === 'flat' ? recorded : ownName(file, layout)
    const destination = destinationOf(file, download.record, { root, path: own, caches: this.#host.caches() })
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
    let current = file
    this.#job = new FileJob(this.#host, spec, async () => {
      current = await address.refresh(current, this.#aborted.signal)
      return addressOf(current, headers)
    })
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
          sha256: record.sha256,
          size: record.size,
          headers: record.headers,
          connections: init.connections,
          maxBytesPerSecond: record.maxBytesPerSecond,
          checkFormat: record.checkFormat ?? true,
          force: record.force,
          remote: record.remote,
          bounds: record.remote === null ? null : init.remoteBounds,
          untrusted: record.untrustedMirrors === true,
          proxy: init.proxy,
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
      case 'completed':
      case 'failed':
      case 'stopped':
        this.#end(event)
    }
  }

  #onPhase(phase: TransferPhase): void {
    const { download, emitter } = this.#init
    if (download.state === phase || !isActive(download.state)) return
    download.move(phase)
    if (phase === 'verifying') emitter.emit('verifying', { download })
    download.wake()
  }

  #onCompleted({ patch, run }: JobOutcome & { type: 'completed' }): void {
    const { download, emitter } = this.#init
    this.#settle('completed', { ...patch, force: false, error: null })
    this.#emitProgress()
    const file = download.complete(run)
    emitter.emit('completed', { download, file })
  }

  #onFailed(error: SerializedDownloadError): void {
    const { download, emitter } = this.#init
    this.#settle('failed', { error })
    this.#emitProgress()
    emitter.emit('failed', { download, error: download.error ?? deserializeError(error) })
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
      else if (outcome.type === 'failed') this.#onFailed(outcome.error)
      else this.#onStopped(outcome.mode)
    } catch (error) {
      if (!isSettled(download.state)) this.#onFailed(asDownloadError(error).toJSON())
    }
    // The record may be that of another manager of the folder, which is downloading the files.
    const saved = this.#isOfAnother() ? Promise.resolve() : this.#init.save()
    void saved.finally(() => {
      this.#resolve()
    })
  }

  /** Whether the download has failed because another process is writing its files. */
  #isOfAnother(): boolean {
    const { state, error, groupFiles } = this.#init.download
    const codes = [error?.code, ...(groupFiles?.missing ?? []).map(({ failure }) => failure?.code)]
    return state === 'failed' && codes.includes('TARGET_LOCKED')
  }
}

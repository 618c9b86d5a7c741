import type { Download } from './download.js'
import { deserializeError, toDownloadError, type SerializedDownloadError } from './errors.js'
import { RefAddress, type Destination } from './ref-address.js'
import type { SafeEmitter } from './safe-emitter.js'
import type { Resolver } from './sources/resolver.js'
import { isActive, isSettled, type DownloadState } from './states.js'
import type { DownloadRecord } from './store/store.js'
import type {
  StopMode,
  TransferEngine,
  TransferEvent,
  TransferHandle,
  TransferPhase,
  TransferResult,
  TransferSpec,
} from './transfer/protocol.js'

/** What a {@link Runner} works with. */
export interface RunnerInit {
  download: Download
  engine: TransferEngine
  resolver: Resolver
  /** Folder that the file goes to. */
  directory: string
  connections: number
  proxy: boolean
  emitter: SafeEmitter
  save: () => Promise<void>
  /** Throws when another download has the name. */
  claimName: (filename: string) => void
}

/** One run of one download: from a slot to the end of its transfer. Drives the states. */
export class Runner {
  readonly #init: RunnerInit
  readonly #done: Promise<void>
  #resolve: () => void = () => undefined
  #transfer: TransferHandle | null = null
  readonly #aborted = new AbortController()
  #stopMode: StopMode | null = null
  /** Null for a plain URL. */
  readonly #address: RefAddress | null

  constructor(init: RunnerInit) {
    this.#init = init
    this.#done = new Promise((resolve) => (this.#resolve = resolve))
    const { download, emitter, resolver } = init
    this.#address =
      // Of a source that the host no longer has, nobody knows what its refs mean: that is told by the resolver.
      resolver.find(download.url) === null && /^https?:/i.test(download.url)
        ? null
        : new RefAddress(resolver, () => download.record, {
            onRetry: (error, attempt, delayMs) => {
              emitter.emit('retrying', { download, error, attempt, delayMs })
            },
            onLog: (message) => {
              emitter.emit('log', { download, level: 'warn', message })
            },
          })
  }

  /** Resolves when the transfer has ended and the state says so. Never rejects. */
  run(): Promise<void> {
    const { download, emitter } = this.#init
    download.move('resolving', { startedAt: new Date().toISOString() })
    emitter.emit('started', { download })
    download.wake()
    if (this.#address === null) this.#start(null)
    else void this.#startResolved(this.#address)
    return this.#done
  }

  /** Asks the transfer to stop; resolves when it has. */
  async stop(mode: StopMode): Promise<void> {
    // As in a transfer: what was asked for first holds, and only cancel outranks it.
    if (this.#stopMode === null || mode === 'cancel') this.#stopMode = mode
    this.#aborted.abort()
    this.#transfer?.send({ type: 'stop', mode })
    await this.#done
  }

  /** Resolves when the transfer has ended, the state says so, and the record is saved. */
  get ended(): Promise<void> {
    return this.#done
  }

  /** Changes the limit of the running transfer. */
  limit(maxBytesPerSecond: number | null): void {
    this.#transfer?.send({ type: 'limit', maxBytesPerSecond })
  }

  #start(found: Destination | null): void {
    this.#transfer = this.#init.engine.start({ ...this.#spec(), ...found }, (event) => {
      this.#on(event)
    })
  }

  async #startResolved(address: RefAddress): Promise<void> {
    const { download } = this.#init
    let failure: SerializedDownloadError | null = null
    try {
      const found = await address.resolve(this.#aborted.signal)
      if (!download.named) failure = this.#claim(found.filename)
      if (failure === null && this.#stopMode === null) {
        this.#start({ ...found, filename: download.filename })
        return
      }
    } catch (error) {
      failure = toDownloadError(error).toJSON()
    }
    const mode = this.#stopMode
    this.#end(() => {
      if (mode !== null) this.#onStopped(mode)
      else if (failure !== null) this.#onFailed(failure)
    })
  }

  async #refresh(requestId: number): Promise<void> {
    const { record } = this.#init.download
    const fresh = (await this.#address?.refresh(this.#aborted.signal)) ?? record
    this.#transfer?.send({ type: 'refreshed', requestId, url: fresh.url, headers: fresh.headers })
  }

  #spec(): TransferSpec {
    const { download, directory, connections, proxy } = this.#init
    const { id, url, filename, named, sha256, size, headers, maxBytesPerSecond, force, remote, stamp } =
      download.record
    return {
      id,
      url,
      directory,
      filename: named ? filename : null,
      sha256,
      size,
      headers,
      connections,
      maxBytesPerSecond,
      force,
      remote,
      proxy,
      known: stamp,
    }
  }

  #on(event: TransferEvent): void {
    const { download, emitter } = this.#init
    switch (event.type) {
      case 'phase':
        this.#onPhase(event.phase)
        return
      case 'claim':
        this.#transfer?.send({
          type: 'claimed',
          requestId: event.requestId,
          error: this.#claim(event.filename),
        })
        return
      case 'named':
        if (!download.named || download.filename !== event.filename) {
          download.update({ filename: event.filename, named: true })
          void this.#init.save()
        }
        return
      case 'progress':
        download.note(performance.now(), event)
        this.#emitProgress()
        return
      case 'retrying': {
        const { attempt, delayMs } = event
        emitter.emit('retrying', { download, error: deserializeError(event.error), attempt, delayMs })
        return
      }
      case 'restarted':
        download.note(performance.now(), { downloaded: 0, total: download.record.total, connections: 0 })
        emitter.emit('log', { download, level: 'warn', message: `Starting over: ${event.error.message}` })
        return
      case 'log':
        emitter.emit('log', { download, level: event.level, message: event.message })
        return
      case 'refresh':
        void this.#refresh(event.requestId)
        return
      case 'completed':
        this.#end(() => {
          this.#onCompleted(event.result)
        })
        return
      case 'failed':
        this.#end(() => {
          this.#onFailed(event.error)
        })
        return
      case 'stopped':
        this.#end(() => {
          this.#onStopped(event.mode)
        })
    }
  }

  #onPhase(phase: TransferPhase): void {
    const { download, emitter } = this.#init
    if (download.state === phase || !isActive(download.state)) return
    download.move(phase)
    if (phase === 'verifying') emitter.emit('verifying', { download })
    download.wake()
  }

  #claim(filename: string): SerializedDownloadError | null {
    try {
      this.#init.claimName(filename)
      this.#init.download.update({ filename, named: true })
      return null
    } catch (error) {
      return toDownloadError(error).toJSON()
    }
  }

  #onCompleted(result: TransferResult): void {
    const { download, emitter } = this.#init
    const { filename, size, sha256, verified, stamp } = result
    this.#settle('completed', {
      filename,
      named: true,
      downloaded: size,
      total: size,
      resultSha256: sha256,
      verified,
      stamp,
      force: false,
      error: null,
    })
    this.#emitProgress()
    const file = download.complete(result)
    emitter.emit('completed', { download, file })
  }

  #onFailed(error: SerializedDownloadError): void {
    const { download, emitter } = this.#init
    this.#settle('failed', { error })
    this.#emitProgress()
    emitter.emit('failed', { download, error: deserializeError(error) })
  }

  #onStopped(mode: StopMode): void {
    const { download, emitter } = this.#init
    // A canceled one is moved by who canceled it, when its bytes are gone for sure.
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

  /** The last event: the state is right before anybody hears of it, and it is saved before the slot is free. */
  #end(settle: () => void): void {
    settle()
    void this.#init.save().finally(() => {
      this.#resolve()
    })
  }
}

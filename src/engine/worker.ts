/** Runs the engine in a worker, so that the host's event loop stays free. */
import { SHARE_ENV, Worker } from 'node:worker_threads'
import { declareDead } from '../disk/lock.js'
import { builtFile } from '../disk/system.js'
import { DownloadError } from '../errors.js'
import { HostGates } from '../net/host-gate.js'
import { isInArchive } from '../util/archives.js'
import { monotonicMs, systemClock } from '../util/clock.js'
import { runtime } from '../util/runtime.js'
import type { EngineOptions } from './engine.js'
import { PendingReports } from './report.js'
import { agedSpec, ageOf } from './lease-age.js'
import {
  type EngineReport,
  type StopMode,
  strongerStop,
  type TransferCommand,
  type TransferEngine,
  type TransferEvent,
  type TransferHandle,
  type TransferSpec,
  type WorkerInit,
  type WorkerReply,
  type WorkerRequest,
} from './protocol.js'

/** After more crashes than this, transfers fail instead of being restarted. */
const maxLosses = 3

/** How long to wait for the worker to close before it is terminated, in milliseconds. */
const closeMs = 5_000

/** Options of a {@link WorkerEngine}. A clock can't be passed to a worker, which uses the system clock. */
export interface WorkerEngineOptions extends Omit<EngineOptions, 'resolve'> {
  /** Creates the engine to use if no worker can be started. */
  fallback: (options: EngineOptions) => TransferEngine
  /** Entry of the worker; null to use none. Default: `engine-worker.js` of the build. */
  file?: URL | null
}

/** A transfer that has not ended. */
interface Run {
  spec: TransferSpec
  listener: (event: TransferEvent) => void
  /** How it was asked to stop; null if it was not. */
  stop: StopMode | null
  /** Its handle in the fallback engine; null while it runs in the worker. */
  handle: TransferHandle | null
  /** When its lease was last renewed, by {@link monotonicMs}; null without one. */
  renewedMs: number | null
}

/** An engine that runs in a worker. The worker is started with the first transfer. */
export class WorkerEngine implements TransferEngine {
  readonly #options: WorkerEngineOptions
  readonly #runs = new Map<number, Run>()
  readonly #deadThreads: string[] = []
  #limit: number | null
  #worker: Worker | null = null
  /** The worker's name as an owner of locks; null until it is ready. */
  #thread: string | null = null
  #fallback: TransferEngine | null = null
  #nextId = 1
  #losses = 0
  /** Whether its file is in an archive of Electron, from which not every version starts threads. */
  #isInArchive = false
  #exitReason = 'it exited unexpectedly'
  #onClosed: (() => void) | null = null
  readonly #reports: PendingReports
  readonly #gates: HostGates
  readonly #forgetGates: () => void

  constructor(options: WorkerEngineOptions) {
    this.#options = options
    this.#limit = options.maxBytesPerSecond ?? null
    this.#reports = new PendingReports(options.clock ?? systemClock)
    this.#gates = options.gates ?? new HostGates()
    this.#forgetGates = this.#gates.onWait((wait) => {
      this.#post({ type: 'wait', wait })
    })
  }

  start(spec: TransferSpec, listener: (event: TransferEvent) => void): TransferHandle {
    const id = this.#nextId++
    const renewedMs = spec.lease === undefined ? null : monotonicMs()
    const run: Run = { spec, listener, stop: null, handle: null, renewedMs }
    this.#runs.set(id, run)
    this.#begin(id, run)
    return {
      send: (command) => {
        this.#send(id, run, command)
      },
    }
  }

  prepare(): void {
    if (this.#fallback === null && this.#worker === null) this.#startWorker()
  }

  async report(measure: boolean): Promise<EngineReport | null> {
    if (this.#fallback?.report !== undefined) return await this.#fallback.report(measure)
    if (this.#worker === null) return null
    return await this.#reports.ask((id) => {
      this.#post({ type: 'report', id, measure })
    })
  }

  setMaxBytesPerSecond(limit: number | null): void {
    this.#limit = limit
    this.#fallback?.setMaxBytesPerSecond(limit)
    this.#post({ type: 'limit', maxBytesPerSecond: limit })
  }

  async close(): Promise<void> {
    this.#forgetGates()
    await Promise.all([this.#closeWorker(), this.#fallback?.close()])
  }

  async #closeWorker(): Promise<void> {
    const worker = this.#worker
    if (worker === null) return
    const { clock = systemClock } = this.#options
    worker.ref()
    await new Promise<void>((resolve) => {
      const timer = clock.timer(resolve, closeMs)
      this.#onClosed = () => {
        timer.cancel()
        resolve()
      }
      this.#post({ type: 'close' })
    })
    await worker.terminate()
  }

  #begin(id: number, run: Run): void {
    this.prepare()
    if (this.#fallback === null) {
      this.#post({ type: 'start', id, spec: run.spec, ...sentAt(run) })
      // The worker keeps the process alive only while it has transfers.
      this.#worker?.ref()
    } else {
      const spec = agedSpec(run.spec, ageOf(sentAt(run).sentMs, monotonicMs()))
      run.handle = this.#fallback.start(spec, (event) => {
        this.#deliver(id, event)
      })
    }
  }

  #send(id: number, run: Run, command: TransferCommand): void {
    if (command.type === 'stop') run.stop = strongerStop(run.stop, command.mode)
    if (command.type === 'connections') run.spec = { ...run.spec, connections: command.connections }
    if (command.type === 'limit') run.spec = { ...run.spec, maxBytesPerSecond: command.maxBytesPerSecond }
    if (command.type === 'lease' && run.spec.lease !== undefined) {
      run.spec = { ...run.spec, lease: { ...run.spec.lease, validForMs: command.validForMs } }
      run.renewedMs = monotonicMs()
    }
    const sent = command.type === 'lease' ? sentAt(run) : {}
    if (run.handle === null) this.#post({ type: 'command', id, command, ...sent })
    else run.handle.send(command)
  }

  #deliver(id: number, event: TransferEvent): void {
    const run = this.#runs.get(id)
    if (run === undefined) return
    // If the transfer has to be restarted, it must find its part file under this name.
    if (event.type === 'named' && run.spec.filename === null)
      run.spec = { ...run.spec, filename: event.filename }
    if (event.type === 'completed' || event.type === 'failed' || event.type === 'stopped') {
      this.#runs.delete(id)
      if (this.#runs.size === 0) this.#worker?.unref()
    }
    run.listener(event)
  }

  #post(request: WorkerRequest): void {
    this.#worker?.postMessage(request)
  }

  #startWorker(): void {
    const file = this.#options.file === undefined ? builtFile('engine-worker.js') : this.#options.file
    if (file === null) {
      warnOfMissingFile()
      this.#fallBack('its file is missing')
      return
    }
    this.#isInArchive = runtime.hasArchives && isInArchive(file.pathname)
    const workerData: WorkerInit = {
      tuning: this.#options.tuning ?? {},
      maxBytesPerSecond: this.#limit,
      ca: this.#options.ca,
      deadThreads: this.#deadThreads,
      waits: this.#gates.waits(this.#now()),
    }
    try {
      // Don't inherit the loaders and inspectors of the host, but share its environment, which may name a proxy.
      const worker = new Worker(file, { name: 'model-downloader', execArgv: [], env: SHARE_ENV, workerData })
      this.#worker = worker
      worker.unref()
      worker.on('message', (message: WorkerReply) => {
        if (worker === this.#worker) this.#onReply(message)
      })
      worker.on('error', (error) => {
        this.#exitReason = error instanceof Error ? error.message : String(error)
      })
      worker.once('exit', () => {
        this.#onExit()
      })
    } catch (error) {
      if (this.#isInArchive) warnOfArchive()
      this.#fallBack(error instanceof Error ? error.message : String(error))
    }
  }

  #onReply(message: WorkerReply): void {
    switch (message.type) {
      case 'ready':
        this.#thread = message.thread
        return
      case 'events':
        for (const [id, event] of message.events) this.#deliver(id, event)
        return
      case 'log':
        this.#options.onLog?.(message.level, message.message)
        return
      case 'wait':
        this.#gates.take(message.wait, this.#now())
        return
      case 'report':
        this.#reports.answer(message.id, message.report)
        return
      case 'closed':
        this.#onClosed?.()
    }
  }

  #now(): number {
    return (this.#options.clock ?? systemClock).now()
  }

  #onExit(): void {
    const thread = this.#thread
    this.#worker = null
    this.#thread = null
    this.#reports.fail(this.#exitReason)
    if (this.#onClosed !== null) {
      this.#onClosed()
      return
    }
    this.#losses += 1
    if (thread === null) {
      if (this.#isInArchive) warnOfArchive()
      this.#fallBack(this.#exitReason)
    } else
      this.#options.onLog?.(
        'warn',
        `The transfer worker failed (${this.#exitReason}); continuing in a new one.`,
      )
    if (thread !== null) this.#deadThreads.push(thread)
    for (const [id, run] of [...this.#runs]) this.#restart(id, run)
  }

  /** Restarts a run whose worker has exited. It resumes from the bytes on disk. */
  #restart(id: number, run: Run): void {
    if (run.stop !== null) {
      this.#deliver(id, { type: 'stopped', mode: run.stop })
    } else if (this.#losses > maxLosses) {
      const error = new DownloadError('INTERNAL', `The transfer worker failed: ${this.#exitReason}`, {
        retryable: true,
      })
      this.#deliver(id, { type: 'failed', error: error.toJSON() })
    } else {
      this.#begin(id, run)
    }
  }

  #fallBack(reason: string): void {
    declareDead(this.#deadThreads)
    this.#options.onLog?.(
      'warn',
      `The transfer worker can't be used (${reason}); files are downloaded in the main thread.`,
    )
    const { tuning = {}, clock = systemClock } = this.#options
    // Without `onLog`: a second warning, that the hash worker is missing too, would not help.
    this.#fallback = this.#options.fallback({
      tuning,
      maxBytesPerSecond: this.#limit,
      ca: this.#options.ca,
      clock,
      gates: this.#gates,
    })
  }
}

function sentAt({ renewedMs }: Run): { sentMs?: number } {
  return renewedMs === null ? {} : { sentMs: renewedMs }
}

let hasWarned = false

/** Once per process, and where everybody sees it: a host that listens to no log would only notice that it is slow. */
function warn(code: string, problem: string): void {
  if (hasWarned) return
  hasWarned = true
  process.emitWarning(`${problem} Downloads run in the main thread.`, {
    type: 'ModelDownloaderWarning',
    code,
  })
}

function warnOfMissingFile(): void {
  warn(
    'MODEL_DOWNLOADER_BUNDLED',
    'engine-worker.js was not found beside the code of model-downloader. ' +
      'A bundler has most likely included the package: leave it out of the bundle.',
  )
}

function warnOfArchive(): void {
  warn(
    'MODEL_DOWNLOADER_PACKED',
    'The worker of model-downloader could not be started from inside of an archive. ' +
      "Unpack it: asarUnpack: '**/node_modules/model-downloader/**' (docs/runtimes.md).",
  )
}

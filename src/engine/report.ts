/** Reports about the thread of an engine: whether it answers, and how late its event loop is. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { DownloadError } from '../errors.js'
import type { Clock, Timer } from '../util/clock.js'
import type { EngineReport, LoopDelay } from './protocol.js'

/** How long an engine may take to answer, in milliseconds. */
export const reportMs = 5_000

/** How often the event loop is looked at, in milliseconds. */
const resolution = 20

const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - resolution / 1000)

/**
 * Measures the event loop of its thread from its first {@link read} on, so that an engine that nobody asks pays nothing.
 */
export class LoopMeter {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | null = null

  /** The delays since the last call; null at the first one, and in runtimes that can't tell. */
  read(): LoopDelay | null {
    try {
      if (this.#histogram === null) {
        this.#histogram = monitorEventLoopDelay({ resolution })
        this.#histogram.enable()
        return null
      }
      const { mean, max } = this.#histogram
      const p99 = this.#histogram.percentile(99)
      this.#histogram.reset()
      // Nothing was measured yet.
      if (Number.isNaN(mean)) return null
      return { mean: seconds(mean), p99: seconds(p99), max: seconds(max) }
    } catch {
      return null
    }
  }
}

/** A request for a report. */
interface Waiting {
  resolve: (report: EngineReport) => void
  reject: (error: DownloadError) => void
  timer: Timer
}

/** The reports that a worker has been asked for. */
export class PendingReports {
  readonly #clock: Clock
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Asks for a report.
   *
   * @throws DownloadError `INTERNAL` when there is none within five seconds.
   */
  ask(post: (id: number) => void): Promise<EngineReport> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timer = this.#clock.timer(() => {
        this.#waiting.delete(id)
        reject(failure('The transfer worker does not respond.'))
      }, reportMs)
      this.#waiting.set(id, { resolve, reject, timer: timer.unref() })
      post(id)
    })
  }

  /** Passes on the answer of the worker. */
  answer(id: number, report: Omit<EngineReport, 'thread'>): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    waiting.timer.cancel()
    waiting.resolve({ thread: 'worker', ...report })
  }

  /** Rejects all requests, because the worker has exited. */
  fail(reason: string): void {
    for (const { reject, timer } of this.#waiting.values()) {
      timer.cancel()
      reject(failure(`The transfer worker failed: ${reason}`))
    }
    this.#waiting.clear()
  }
}

function failure(message: string): DownloadError {
  return new DownloadError('INTERNAL', message, { retryable: true })
}

/** Watches managers as their callers see them, and notes what they say. */
import type { Download } from '../../src/download/download.js'
import type { DownloadState } from '../../src/download/states.js'
import type { DownloadManager } from '../../src/manager/manager.js'
import type { SimProcess } from './process.js'
import type { World } from './world.js'

/** What has become of a download, as its caller saw it. */
export interface Observation {
  readonly file: number
  readonly process: SimProcess
  state: DownloadState
  readonly states: DownloadState[]
  settled: 'no' | 'resolved' | 'rejected'
  error: { code: string; message: string; retryable: boolean } | null
  finished: Promise<unknown> | null
}

export class Observer {
  readonly seen = new Map<Download, Observation>()
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  watch(manager: DownloadManager, process: SimProcess): void {
    const move = (download: Download) => this.observe(download, process)
    for (const event of [
      'queued',
      'started',
      'paused',
      'resumed',
      'verifying',
      'completed',
      'failed',
      'canceled',
    ] as const)
      manager.on(event, ({ download }: { download: Download }) => {
        this.#world.note(
          `${event} ${download.filename}${event === 'failed' ? `: ${download.error?.code}` : ''}`,
        )
        move(download)
        if (event === 'completed') this.#world.checkSaved(download)
        if (this.#world.spec.listenersThrow) throw new Error('A listener throws.')
      })
    manager.on('progress', ({ download, progress }) => {
      const seen = move(download)
      if (progress.total !== null && progress.downloaded > progress.total)
        this.#world.violate(`progress of file ${seen.file} is beyond its total`)
    })
    manager.on('log', ({ message, level }) => {
      this.#world.note(`log ${level}: ${message}`)
      const { rivalAtMs, diskFaults } = this.#world.spec
      const isAlone = rivalAtMs === null && diskFaults.length === 0
      if (isAlone && /Starting over: .* by another program/.test(message))
        this.#world.violate('a download starts over because of another program, and there is none')
    })
    manager.on('retrying', ({ error, attempt, delayMs }) => {
      this.#world.note(`retrying (${attempt}) in ${delayMs.toFixed(0)} ms: ${error.code} ${error.message}`)
    })
  }

  observe(download: Download, process: SimProcess): Observation {
    let seen = this.seen.get(download)
    if (seen === undefined) {
      const file = this.#world.files.findIndex(({ url }) => url === download.url)
      seen = {
        file,
        process,
        state: download.state,
        states: [download.state],
        settled: 'no',
        error: null,
        finished: null,
      }
      this.seen.set(download, seen)
    }
    if (seen.state !== download.state) seen.states.push(download.state)
    seen.state = download.state
    if (seen.finished !== download.finished) this.#follow(download, seen)
    return seen
  }

  /** A retried download has a new promise. */
  #follow({ finished }: Download, seen: Observation): void {
    seen.finished = finished
    seen.settled = 'no'
    finished.then(
      () => {
        if (seen.finished === finished) seen.settled = 'resolved'
      },
      (error: unknown) => {
        const thrown = this.thrown('finished', error)
        if (seen.finished !== finished) return
        seen.settled = 'rejected'
        seen.error = thrown
      },
    )
  }

  /** An error that a caller got: it must be one of ours, with a documented code. */
  thrown(from: string, error: unknown): Observation['error'] {
    const { code, message, retryable } = error as { code?: unknown; message?: unknown; retryable?: unknown }
    const shown = error instanceof Error || typeof message === 'string' ? String(message) : String(error)
    if (typeof code !== 'string' || !/^[A-Z_]+$/.test(code) || typeof retryable !== 'boolean')
      this.#world.violate(`${from} threw something that is not a DownloadError: ${shown}`)
    if (code === 'INTERNAL') this.#world.violate(`${from} failed with INTERNAL: ${shown}`)
    return { code: String(code), message: shown, retryable: retryable === true }
  }
}

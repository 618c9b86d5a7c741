/** What `serve` writes to standard error: a line for whatever a person who runs it may want to know. */
import { logLine } from '../catalog/log.js'
import type { Preloader } from '../catalog/preloader.js'
import type { Download } from '../download.js'
import type { DownloadManager } from '../manager.js'
import { finishedLine, formatDuration, plain } from './format.js'
import type { Print } from './reporters.js'

/** How much a line matters. */
export type Level = 'info' | 'warning' | 'error'

/** Lines with their time: `2026-02-15T02:00:01Z [llm/model.gguf] started: https://…`, without secrets. */
export class ServeLog {
  readonly #print: Print
  readonly #quiet: boolean

  /** @param quiet - errors only. */
  constructor(print: Print, quiet: boolean) {
    this.#print = print
    this.#quiet = quiet
  }

  /**
   * Writes a line.
   *
   * @param about - `server`, or what file it is about.
   */
  line(about: string, message: string, level: Level = 'info'): void {
    if (this.#quiet && level !== 'error') return
    const mark = level === 'info' ? '' : `${level}: `
    this.#print(`${plain(logLine(new Date(), about, mark + message))}\n`)
  }

  /** Tells of every download's start and end, and of what goes wrong between them. */
  follow(manager: DownloadManager): void {
    const began = new WeakMap<Download, number>()
    manager.on('started', ({ download }) => {
      began.set(download, performance.now())
      this.line(nameOf(download), `started: ${download.url}`)
    })
    manager.on('completed', ({ download, file }) => {
      const now = performance.now()
      const seconds = (now - (began.get(download) ?? now)) / 1000
      this.line(nameOf(download), `completed: ${finishedLine({ ...file, seconds })}`)
    })
    manager.on('failed', ({ download, error }) =>
      this.line(nameOf(download), `${error.message} (${error.code})`, 'error'),
    )
    manager.on('retrying', ({ download, error, delayMs }) => {
      const wait = formatDuration(Math.ceil(delayMs / 1000))
      this.line(nameOf(download), `${error.message} (${error.code}); again in ${wait}`, 'warning')
    })
    manager.on('paused', ({ download }) => this.line(nameOf(download), 'paused'))
    manager.on('canceled', ({ download }) => this.line(nameOf(download), 'canceled'))
    manager.on('log', ({ download, level, message }) => {
      if (level !== 'warn' && level !== 'error') return
      const about = download === undefined ? 'server' : nameOf(download)
      this.line(about, message, level === 'warn' ? 'warning' : 'error')
    })
  }

  /** Tells of preloads as a whole; of their files the manager tells. */
  followPreload(preloader: Preloader): void {
    preloader.on('log', ({ line }) => {
      const message = /^\S+ \[preload\] (.*)$/.exec(line)?.[1]
      if (message !== undefined) this.line('preload', message)
    })
  }
}

function nameOf({ mode, filename }: Download): string {
  return mode === null ? filename : `${mode}/${filename}`
}

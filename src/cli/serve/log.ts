/** The log of `serve` on standard error, for the person who runs it, or for a program that collects logs. */
import type { Preloader } from '../../catalog/preloader.js'
import { logLine } from '../../catalog/run.js'
import type { Download } from '../../download/download.js'
import { errorText } from '../../download/error-text.js'
import { logText } from '../../download/log-text.js'
import type { DownloadErrorCode } from '../../errors.js'
import type { DownloadManager } from '../../manager/manager.js'
import { systemClock } from '../../util/clock.js'
import { formatBytes, formatDuration } from '../../util/format.js'
import { redactUrls } from '../../util/redact.js'
import { finishedLine, jsonLine, plain } from '../format.js'
import { texts, voice } from '../language.js'
import type { Print } from '../reporters.js'

/** From the most to the least; `silent` logs nothing. */
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** Which lines are logged: those of this level, and of the more severe ones. */
export type LogLevel = (typeof logLevels)[number]

/** How lines are written: for people, or as one JSON object each. */
export const logFormats = ['text', 'json'] as const

/** See {@link logFormats}. */
export type LogFormat = (typeof logFormats)[number]

/** Severity of a line. */
export type Level = Exclude<LogLevel, 'silent'>

/** Settings of a {@link ServeLog}. */
export interface LogSettings {
  format: LogFormat
  level: LogLevel
}

/** What a line tells to programs, besides its time, level and message. The names are stable. */
export interface LogFacts {
  /** What has happened. */
  event:
    | 'server'
    | 'preload'
    | 'log'
    | 'started'
    | 'completed'
    | 'failed'
    | 'retrying'
    | 'paused'
    | 'canceled'
    | 'evicted'
  /** Code of the error. */
  error?: DownloadErrorCode
  /** Time until the next attempt, in milliseconds. */
  delayMs?: number
  /** Size of the file, or of what was deleted, in bytes. */
  bytes?: number
}

/**
 * Writes lines without secrets: `2026-02-15T02:00:01Z [llm/model.gguf] started: https://…`, or a JSON object each, whose
 * fields are `time`, `level`, `event`, `msg` and, where they apply, `id`, `url`, `filename`, `mode`, `error`, `delayMs` and
 * `bytes`.
 */
export class ServeLog {
  readonly #print: Print
  readonly #settings: LogSettings

  constructor(print: Print, settings: LogSettings) {
    this.#print = print
    this.#settings = settings
  }

  /**
   * Writes a line.
   *
   * @param about - `server`, or what else the line is about.
   */
  line(about: 'server' | 'preload' | Download, message: string, level: Level, facts: LogFacts): void {
    const { format, level: least } = this.#settings
    if (logLevels.indexOf(level) < logLevels.indexOf(least)) return
    this.#print(format === 'json' ? jsonText(about, message, level, facts) : lineText(about, message, level))
  }

  /** Writes a line about the server itself. */
  server(message: string, level: Level = 'info'): void {
    this.line('server', message, level, { event: 'server' })
  }

  /** Logs the start and end of every download, and problems in between. */
  follow(manager: DownloadManager): void {
    const began = new WeakMap<Download, number>()
    manager.on('started', ({ download }) => {
      began.set(download, systemClock.now())
      this.line(download, texts().started(download.url), 'info', { event: 'started' })
    })
    manager.on('completed', ({ download, file }) => {
      const now = systemClock.now()
      const seconds = (now - (began.get(download) ?? now)) / 1000
      const message = texts().completed(finishedLine({ ...file, seconds }))
      this.line(download, message, 'info', { event: 'completed', bytes: file.size })
    })
    manager.on('failed', ({ download, error }) => {
      const message = `${errorText(error, voice())} (${error.code})`
      this.line(download, message, 'error', { event: 'failed', error: error.code })
    })
    manager.on('retrying', ({ download, error, delayMs }) => {
      const wait = formatDuration(Math.ceil(delayMs / 1000))
      const message = texts().retryingIn(errorText(error, voice()), error.code, wait)
      this.line(download, message, 'warn', { event: 'retrying', error: error.code, delayMs })
    })
    manager.on('paused', ({ download }) => {
      this.line(download, texts().paused, 'info', { event: 'paused' })
    })
    manager.on('canceled', ({ download }) => {
      this.line(download, texts().canceled, 'info', { event: 'canceled' })
    })
    manager.on('evicted', ({ download, bytes, neededFor }) => {
      const message = texts().evicted(formatBytes(bytes), neededFor.filename)
      this.line(download, message, 'info', { event: 'evicted', bytes })
    })
    manager.on('log', ({ download, level, message }) => {
      // Most of what is told beside the events is of interest only when something is looked into.
      const severity = level === 'info' ? 'debug' : level
      this.line(download ?? 'server', logText(message, voice()), severity, { event: 'log' })
    })
  }

  /** Logs events of preloads as a whole; their files are covered by {@link follow}. */
  followPreload(preloader: Preloader): void {
    preloader.on('log', ({ line }) => {
      const message = /^\S+ \[preload\] (.*)$/.exec(line)?.[1]
      if (message !== undefined) this.line('preload', message, 'info', { event: 'preload' })
    })
  }
}

function lineText(about: 'server' | 'preload' | Download, message: string, level: Level): string {
  const mark = level === 'warn' ? texts().warning : level === 'error' ? texts().error : ''
  return `${plain(logLine(new Date(), typeof about === 'string' ? about : nameOf(about), mark + message))}\n`
}

function jsonText(
  about: 'server' | 'preload' | Download,
  message: string,
  level: Level,
  { event, ...facts }: LogFacts,
): string {
  const download = typeof about === 'string' ? null : about
  return jsonLine({
    time: new Date().toISOString(),
    level,
    event,
    msg: redactUrls(message),
    ...(download === null
      ? {}
      : {
          id: download.record.id,
          url: redactUrls(download.url),
          filename: download.filename,
          mode: download.mode,
        }),
    ...facts,
  })
}

function nameOf({ mode, filename }: Download): string {
  return mode === null ? filename : `${mode}/${filename}`
}

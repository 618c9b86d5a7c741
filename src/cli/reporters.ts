import { relative } from 'node:path'
import { errorText } from '../download/error-text.js'
import { logText } from '../download/log-text.js'
import { displayName } from '../sources/identify.js'
import { sourceRegistry } from '../sources/resolver.js'
import { type Clock, systemClock, type Timer } from '../util/clock.js'
import { isCheckingText } from '../util/checking.js'
import { formatBytes, formatDuration } from '../util/format.js'
import { namesApart } from './display/apart.js'
import { type PartOfSum, sumOf } from './display/totals.js'
import { finishedLine, jsonLine, type LineState, plain, progressLine } from './format.js'
import { texts, voice } from './language.js'
import type {
  CompletedReport,
  ExecutedReport,
  FailedReport,
  ProgressReport,
  Report,
  Reporter,
} from './report.js'

/** The command uses only the sources of this package. */
const sources = sourceRegistry()

/** Writes text, such as the `write` method of a stream. */
export type Print = (text: string) => void

/** Reports errors only: `--quiet`. */
export class QuietReporter implements Reporter {
  readonly #stderr: Print

  constructor(stderr: Print) {
    this.#stderr = stderr
  }

  report(report: Report): void {
    if (report.type === 'failed' && report.code !== 'CLOSED')
      this.#stderr([failedLine(report), ...missingLines(report)].map((line) => `${line}\n`).join(''))
    if (report.type === 'executed' && report.exitCode !== 0) this.#stderr(`${executedLine(report)}\n`)
  }

  finish(): void {}

  close(): void {}
}

/** Writes NDJSON to standard output: `--json`. Failures are also written to standard error. */
export class JsonReporter implements Reporter {
  readonly #stdout: Print
  readonly #quiet: boolean
  readonly #verbose: boolean
  readonly #errors: QuietReporter

  /**
   * @param quiet - report only `completed` and `failed`.
   * @param verbose - report what is only worth knowing when something is wrong, too.
   */
  constructor(stdout: Print, stderr: Print, quiet: boolean, verbose = false) {
    this.#stdout = stdout
    this.#quiet = quiet
    this.#verbose = verbose
    this.#errors = new QuietReporter(stderr)
  }

  report(report: Report): void {
    const wanted = this.#quiet
      ? report.type === 'completed' || report.type === 'failed'
      : this.#verbose || report.type !== 'log' || report.level !== 'debug'
    if (wanted) this.#stdout(jsonLine(report))
    this.#errors.report(report)
  }

  finish(): void {}

  close(): void {}
}

/** `error: <address>: <message> (<CODE>)`. */
export function failedLine(report: FailedReport): string {
  const { error, colon } = texts()
  return `${error}${plain(displayName(report.url, sources))}${colon}${messageOf(report)} (${report.code})`
}

/** `error: <path>: <how the program of --exec ended>`, without the mark of an error if it succeeded. */
export function executedLine({ path, exitCode, signal, error }: ExecutedReport): string {
  const all = texts()
  const ended = all.execEnded(exitCode ?? signal ?? '')
  const outcome = error === null ? ended : all.execNotStarted(plain(error))
  return `${exitCode === 0 ? '' : all.error}${plain(shortPath(path))}${all.colon}${outcome}`
}

/** The message of a report in the language of this process. Reports themselves are English, as `--json` shows them. */
function messageOf(report: Pick<FailedReport, 'code' | 'message'>): string {
  return plain(errorText(report, voice()))
}

function notAttempted(message: string): string {
  return voice().locale === 'en-US' ? plain(message) : texts().notAttempted
}

/** Maximum number of missing files of a group to list. */
const maxMissing = 20

/** One line for each missing file of a group. */
export function missingLines({ missing = [] }: FailedReport): string[] {
  const all = texts()
  const lines = missing
    .slice(0, maxMissing)
    .map(
      ({ path, code, message }) =>
        `  ${all.missing}${plain(path)}${all.colon}${code === null ? notAttempted(message) : `${messageOf({ code, message })} (${code})`}`,
    )
  const more = missing.length - lines.length
  return more === 0 ? lines : [...lines, `  ${all.andMore(more)}`]
}

/** State of an active download in the human-readable reporters. */
interface Active {
  url: string
  startedAt: number
  progress: ProgressReport | null
  retry: { until: number; code: string; attempt: number } | null
  /** How often it was retried in all. */
  retries: number
  /** Whether a file that was there before is read. */
  isChecking: boolean
}

/** Kind of a permanent line; `sum` is the last one. */
export type LineKind = 'start' | 'done' | 'error' | 'more' | 'note' | 'sum'

/** Totals of a run. */
export interface RunTotals {
  urls: number
  completed: number
  failed: number
  fetchedBytes: number
}

/**
 * Base class of the human-readable reporters. It keeps track of active downloads and formats starts, ends and
 * retries; subclasses decide how active downloads are shown.
 */
export abstract class HumanReporter implements Reporter {
  protected readonly totals: RunTotals
  readonly #clock: Clock
  readonly #active = new Map<string, Active>()
  /** What has ended, as a part of the sum. */
  readonly #ended: PartOfSum[] = []
  readonly #beganAt: number
  readonly #paths: Print | null
  readonly #verbose: boolean

  /**
   * @param urls - number of URLs in the run.
   * @param paths - takes the path of each finished file, one per line; null if they are not printed
   * separately.
   * @param verbose - whether to print every retry, and what is only worth knowing when something is wrong.
   */
  constructor(urls: number, paths: Print | null, clock: Clock, verbose = false) {
    this.#verbose = verbose
    this.totals = { urls, completed: 0, failed: 0, fetchedBytes: 0 }
    this.#clock = clock
    this.#beganAt = clock.now()
    this.#paths = paths
  }

  /** Prints a permanent line. */
  protected abstract line(text: string, kind: LineKind): void

  abstract close(): void

  /** Prints the summary of the run. */
  finish(): void {
    this.close()
    const summary = this.#summary()
    if (summary !== null) this.line(summary, 'sum')
  }

  /** Active downloads, oldest first. */
  protected activeLines(): LineState[] {
    const now = this.#clock.now()
    const all = [...this.#active.values()]
    const names = namesApart(all.map(({ url, progress }) => nameOf(url, progress)))
    return all.map((active, index) => lineState(active, counted(names[index] ?? '', active), now))
  }

  /** Whether anything has been reported but that downloads wait. */
  protected get hasReported(): boolean {
    return this.#active.size > 0 || this.#ended.length > 0
  }

  /** The sum of all downloads, or null if there is a single one. */
  protected sumLine(separator: string): string | null {
    const { urls, failed } = this.totals
    if (urls < 2) return null
    const active = [...this.#active.values()].map(shareOf)
    const shares = [...this.#ended, ...active]
    const sum = sumOf(shares, Math.max(0, urls - shares.length))
    const { filesOf, failedCount, activeCount } = texts()
    const total = sum.total === 0 ? '' : `/${formatBytes(sum.total)}${sum.isWhole ? '' : '+'}`
    return [
      filesOf(sum.filesDone, sum.files),
      ...(failed === 0 ? [] : [failedCount(failed)]),
      activeCount(active.length),
      `${formatBytes(sum.downloaded)}${total}`,
      `${formatBytes(sum.bytesPerSecond)}/s`,
      ...(sum.etaSeconds === null ? [] : [`ETA ${formatDuration(sum.etaSeconds)}`]),
    ].join(separator)
  }

  report(report: Report): void {
    switch (report.type) {
      case 'queued':
        return
      case 'started':
        this.#active.set(report.url, {
          url: report.url,
          startedAt: this.#clock.now(),
          progress: null,
          retry: null,
          retries: 0,
          isChecking: false,
        })
        return this.line(shortUrl(report.url), 'start')
      case 'progress':
        return this.#progress(report)
      case 'verifying': {
        const progress = this.#active.get(report.url)?.progress
        if (progress !== undefined && progress !== null) progress.phase = 'verifying'
        return
      }
      case 'retrying':
        return this.#retrying(report)
      case 'log': {
        if (isCheckingText(report.message)) this.#checking(report)
        const isProblem = report.level === 'warn' || report.level === 'error'
        if (isProblem || this.#verbose) this.line(plain(logText(report.message, voice())), 'note')
        return
      }
      case 'output':
        return this.line(plain(report.text), 'more')
      case 'executed':
        if (report.exitCode !== 0) this.line(executedLine(report), 'error')
        else if (this.#verbose) this.line(executedLine(report), 'note')
        return
      case 'completed':
        return this.#completed(report)
      case 'failed':
        this.#end(report.url, null)
        // CLOSED means that the command itself is stopping, which is reported once for all downloads.
        if (report.code === 'CLOSED') return
        this.totals.failed += 1
        this.line(failedLine(report), 'error')
        for (const line of missingLines(report)) this.line(line, 'more')
        return
    }
  }

  /** A file that is on disk already is read, which may take long. The next progress tells that it has ended. */
  #checking({ url = '', message }: Extract<Report, { type: 'log' }>): void {
    const active = this.#active.get(url)
    if (active === undefined) return
    active.isChecking = true
    if (!this.#verbose) this.line(plain(logText(message, voice())), 'note')
  }

  /** Summary of the run, or null if there was a single file. */
  #summary(): string | null {
    const { urls, completed, failed, fetchedBytes } = this.totals
    if (urls < 2) return null
    const seconds = (this.#clock.now() - this.#beganAt) / 1000
    return texts().summary(completed, urls, failed, formatBytes(fetchedBytes), formatDuration(seconds))
  }

  /** One line tells of all retries of a download, unless each is wanted; its running state shows the current one. */
  #retrying({ url, delayMs, code, message, attempt }: Extract<Report, { type: 'retrying' }>): void {
    const active = this.#active.get(url)
    const reason = messageOf({ message, code })
    if (active !== undefined) {
      active.retry = { until: this.#clock.now() + delayMs, code, attempt }
      active.retries += 1
    }
    if (!this.#verbose && active !== undefined && active.retries > 1) return
    const wait = formatDuration(Math.ceil(delayMs / 1000))
    const { name } = nameOf(url, active?.progress ?? null)
    const shown = active === undefined ? name : counted(name, active)
    const text = `${shown}${texts().colon}${texts().retryingIn(reason, code, wait)}`
    this.line(text, 'note')
  }

  /** Takes a download out of the running ones; `size` is that of what is complete, or null. */
  #end(url: string, size: number | null): Active | undefined {
    const active = this.#active.get(url)
    this.#active.delete(url)
    const { files, downloaded } = active === undefined ? { files: 1, downloaded: 0 } : shareOf(active)
    const bytes = size ?? downloaded
    this.#ended.push({
      files,
      filesDone: size === null ? 0 : files,
      downloaded: bytes,
      total: bytes,
      bytesPerSecond: 0,
    })
    return active
  }

  #progress(report: ProgressReport): void {
    const active = this.#active.get(report.url)
    if (active === undefined) return
    // Bytes are arriving again, so the retry has started.
    if (report.downloaded > (active.progress?.downloaded ?? 0) || report.connections > 0) active.retry = null
    active.isChecking = false
    active.progress = report
  }

  #completed(report: CompletedReport): void {
    const active = this.#end(report.url, report.size)
    const startedAt = active?.startedAt ?? this.#clock.now()
    this.totals.completed += 1
    this.totals.fetchedBytes += report.fetchedBytes
    this.line(
      finishedLine({
        ...report,
        path: plain(shortPath(report.path)),
        seconds: (this.#clock.now() - startedAt) / 1000,
        retries: active?.retries ?? 0,
      }),
      'done',
    )
    this.#paths?.(`${report.path}\n`)
  }
}

function lineState(active: Active, name: string, now: number): LineState {
  const { progress, retry, isChecking } = active
  return {
    name,
    phase: isChecking ? 'verifying' : (progress?.phase ?? 'resolving'),
    downloaded: progress?.downloaded ?? 0,
    total: progress?.total ?? null,
    percent: progress?.percent ?? 0,
    bytesPerSecond: progress?.bytesPerSecond ?? 0,
    etaSeconds: progress?.etaSeconds ?? null,
    connections: progress?.connections ?? 0,
    retry:
      retry === null || retry.until <= now
        ? null
        : {
            code: retry.code,
            seconds: (retry.until - now) / 1000,
            attempt: retry.attempt,
          },
  }
}

function shareOf({ progress }: Active): PartOfSum {
  const { fileCount: files = 1, filesCompleted: filesDone = 0 } = progress ?? {}
  const { downloaded = 0, total = null, bytesPerSecond = 0 } = progress ?? {}
  return { files, filesDone, downloaded, total, bytesPerSecond }
}

/** The name of a file, and the folders that it has at its source. */
function nameOf(url: string, progress: ProgressReport | null): { name: string; folders: string[] } {
  const bare = plain(displayName(url, sources).replace(/\?…$/, ''))
  const folders = bare.replace(/^[a-z][a-z0-9+.-]*:(?:\/\/)?/i, '').split('/')
  const last = folders.pop() ?? ''
  return { name: plain(progress?.filename ?? (last === '' ? bare : last)), folders }
}

/**
 * A name with the file count of a group. The count comes first, because a name that is too long is truncated at
 * its end.
 */
function counted(name: string, { progress }: Active): string {
  const { fileCount, filesCompleted = 0 } = progress ?? {}
  return fileCount === undefined ? name : `${filesCompleted}/${fileCount} ${name}`
}

/** The path relative to the working directory, if that is shorter. */
function shortPath(absolute: string): string {
  const seen = relative(process.cwd(), absolute)
  return seen.length < absolute.length ? seen : absolute
}

function shortUrl(url: string): string {
  return plain(displayName(url, sources))
}

function prefixOf(kind: LineKind): string {
  const { start, done, note } = texts()
  return { start, done, error: '', more: '', note, sum: '' }[kind]
}

/**
 * Reporter for logs and pipes: a line at the start and the end of each download, and one every few seconds in
 * between.
 */
export class LineReporter extends HumanReporter {
  readonly #stderr: Print
  readonly #timer: Timer

  /** @param intervalMs - time between the progress lines of an active download. */
  constructor(
    urls: number,
    stderr: Print,
    paths: Print | null,
    intervalMs = 3_000,
    clock: Clock = systemClock,
    verbose = false,
  ) {
    super(urls, paths, clock, verbose)
    this.#stderr = stderr
    this.#timer = clock.interval(() => this.#tick(), intervalMs).unref()
  }

  protected line(text: string, kind: LineKind): void {
    this.#stderr(`${prefixOf(kind)}${text}\n`)
  }

  close(): void {
    this.#timer.cancel()
  }

  #tick(): void {
    const lines = this.activeLines().map((state) => `${progressLine(state)}\n`)
    const sum = this.sumLine(texts().comma)
    if (lines.length > 0) this.#stderr(`${lines.join('')}${sum === null ? '' : `${sum}\n`}`)
  }
}

/** Reporter for a log file: a line for everything that happens, but none for progress. */
export class LogReporter extends HumanReporter {
  readonly #print: Print

  /** @param print - takes a line without its end. */
  constructor(print: Print, clock: Clock = systemClock) {
    super(0, null, clock, true)
    this.#print = print
  }

  protected line(text: string, kind: LineKind): void {
    this.#print(`${prefixOf(kind)}${text}`)
  }

  close(): void {}
}

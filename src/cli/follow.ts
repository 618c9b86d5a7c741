import type { Download } from '../download/download.js'
import type { DownloadManager } from '../manager/manager.js'
import { formatBytes } from '../util/format.js'
import { redactUrls } from '../util/redact.js'
import { UsageError } from './checks/usage-error.js'
import { withLogFile } from './display/log-file.js'
import { texts } from './language.js'
import { progressReport, type Report, type Reporter } from './report.js'
import { JsonReporter, LineReporter, QuietReporter } from './reporters.js'
import type { Interruption } from './signals.js'
import { printError, surroundings } from './process/surroundings.js'

/** Options about what a command prints. */
export interface OutputOptions {
  json?: boolean | undefined
  quiet?: boolean | undefined
  verbose?: boolean | undefined
  logFile?: string | undefined
}

/**
 * Creates the reporter for the options: JSON, errors only, bars if standard error is a terminal, or lines.
 *
 * @throws UsageError when the log file can't be opened, or the options contradict each other.
 */
export async function createReporter(urls: number, options: OutputOptions): Promise<Reporter> {
  if (options.quiet === true && options.verbose === true) throw new UsageError(texts().quietAndVerbose)
  const reporter = await reporterOf(urls, options)
  return options.logFile === undefined ? reporter : withLogFile(reporter, options.logFile)
}

async function reporterOf(urls: number, options: OutputOptions): Promise<Reporter> {
  const { stdout, stderr, env } = surroundings()
  const { verbose = false } = options
  const out = (text: string) => void stdout.write(text)
  const error = (text: string) => void stderr.write(text)
  if (options.json === true) return new JsonReporter(out, error, options.quiet === true, verbose)
  if (options.quiet === true) return new QuietReporter(error)
  // On a terminal, the human-readable lines contain the paths already.
  const paths = stdout.isTTY === true ? null : out
  if (stderr.isTTY !== true || env['TERM'] === 'dumb')
    return new LineReporter(urls, error, paths, undefined, undefined, verbose)
  // Imported lazily, because loading the progress bars takes a tenth of the startup time.
  const { BarReporter } = await import('./bars.js')
  return new BarReporter(urls, stderr, paths, !env['NO_COLOR'], verbose)
}

/**
 * Passes reports on until the final one of each URL, which is `completed` or `failed`. Later reports about
 * that URL are dropped.
 *
 * @returns the function that takes reports; it returns false if the report was dropped.
 */
export function lastOnce(reporter: Pick<Reporter, 'report'>): (report: Report) => boolean {
  const ended = new Set<string>()
  return (report) => {
    if (report.url !== undefined) {
      if (ended.has(report.url)) return false
      if (report.type === 'completed' || report.type === 'failed') ended.add(report.url)
    }
    reporter.report(report)
    return true
  }
}

/** Reports the events of a manager, except for the end of its downloads. */
export function forwardEvents(
  manager: DownloadManager,
  report: (report: Report) => void,
  urlOf: (download: Download) => string,
): void {
  manager.on('queued', ({ download }) => report({ type: 'queued', url: urlOf(download) }))
  manager.on('started', ({ download }) => report({ type: 'started', url: urlOf(download) }))
  manager.on('verifying', ({ download }) => report({ type: 'verifying', url: urlOf(download) }))
  manager.on('progress', ({ download, progress }) =>
    report(
      progressReport(urlOf(download), download.named ? download.filename : null, progress, download.group),
    ),
  )
  manager.on('retrying', ({ download, error, attempt, delayMs }) =>
    report({
      type: 'retrying',
      url: urlOf(download),
      attempt,
      delayMs,
      code: error.code,
      message: redactUrls(error.message),
    }),
  )
  manager.on('log', ({ download, level, message }) =>
    report({
      type: 'log',
      ...(download === undefined ? {} : { url: urlOf(download) }),
      level,
      message: redactUrls(message),
    }),
  )
}

/**
 * Ends a command that was interrupted before everything was there: waits until all is closed, and says what is kept.
 *
 * @returns the exit code; null if it was not interrupted, or had done all there was to do.
 */
export async function interruptedCode(
  interruption: Interruption,
  downloads: readonly Download[],
  isDone: boolean,
): Promise<number | null> {
  if (interruption.exitCode === null || isDone) return null
  await interruption.closed
  printError(`${interruptionSummary(downloads)}\n`)
  return interruption.exitCode
}

/** Message after an interruption: how much data is kept on disk, and how to resume. */
function interruptionSummary(downloads: readonly Download[]): string {
  const unfinished = downloads.filter((download) => download.file === null)
  const kept = unfinished.reduce((sum, download) => sum + download.current.downloaded, 0)
  return texts().interrupted(formatBytes(kept))
}

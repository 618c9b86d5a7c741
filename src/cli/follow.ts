import type { Download } from '../download/download.js'
import type { DownloadManager } from '../manager/manager.js'
import { formatBytes } from '../util/format.js'
import { redactUrls } from '../util/redact.js'
import { progressReport, type Report, type Reporter } from './report.js'
import { JsonReporter, LineReporter, QuietReporter } from './reporters.js'

/** JSON, silence, bars or lines: as asked for, and as standard error is a terminal or not. */
export async function createReporter(
  urls: number,
  options: { json?: boolean | undefined; quiet?: boolean | undefined },
): Promise<Reporter> {
  const { stdout, stderr, env } = process
  const printOut = (text: string) => void stdout.write(text)
  const printError = (text: string) => void stderr.write(text)
  if (options.json === true) return new JsonReporter(printOut, printError, options.quiet === true)
  if (options.quiet === true) return new QuietReporter(printError)
  // On a terminal the paths are in the lines for people already.
  const paths = stdout.isTTY ? null : printOut
  if (!stderr.isTTY || env['TERM'] === 'dumb') return new LineReporter(urls, printError, paths)
  // Only here: loading what draws them is a tenth of the command's start.
  const { BarReporter } = await import('./bars.js')
  return new BarReporter(urls, stderr, paths, !env['NO_COLOR'])
}

/**
 * Lets reports through until the last one of each URL, which is `completed` or `failed`; what is heard of that URL
 * later is dropped.
 *
 * @returns the way in; false for a report that was dropped.
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

/** Passes on what a manager tells of its downloads, less their ends. */
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

/** What stays on disk after an interruption, and how to go on. */
export function farewell(downloads: readonly Download[]): string {
  const unfinished = downloads.filter((download) => download.file === null)
  const kept = unfinished.reduce((sum, download) => sum + download.current.downloaded, 0)
  return `Interrupted. ${formatBytes(kept)} kept on disk; run the same command again to go on.`
}

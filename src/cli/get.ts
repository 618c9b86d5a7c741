import { blockThisThread } from '../files/io.js'
import type { Download } from '../download.js'
import { type DownloadError, isDownloadError, toDownloadError } from '../errors.js'
import { DownloadManager } from '../manager.js'
import { type DownloadOptions, parseUrl } from '../options.js'
import { redactUrl, redactUrls } from '../redact.js'
import { defaultPools } from './arguments.js'
import { BarReporter } from './bars.js'
import { formatBytes, plain } from './format.js'
import { completedReport, failedReport, progressReport, type Report, type Reporter } from './report.js'
import { JsonReporter, LineReporter, QuietReporter } from './reporters.js'
import { onSignal } from './signals.js'

/** The options of `get`, parsed. */
export interface GetOptions {
  directory: string
  output?: string | undefined
  mode?: string | undefined
  sha256?: string | undefined
  size?: number | undefined
  connections?: number | undefined
  concurrency?: number | undefined
  header?: Record<string, string> | undefined
  limitRate?: number | undefined
  force?: boolean | undefined
  json?: boolean | undefined
  quiet?: boolean | undefined
}

/** Exit codes of the command; a signal adds its number to 128. */
export const exitCodes = { done: 0, failed: 1, usage: 2 } as const

/** Codes that a request can only earn by how it was written. */
const usageCodes = new Set<string>(['INVALID_OPTIONS', 'INVALID_URL', 'UNSAFE_FILENAME'])

/** The command line asks for something that makes no sense: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * Fetches every URL and reports on the way.
 *
 * @returns the exit code.
 * @throws UsageError before anything was fetched.
 */
export async function get(urls: readonly string[], options: GetOptions): Promise<number> {
  const wanted = distinctUrls(urls)
  if (wanted.size > 1) {
    for (const name of ['output', 'sha256', 'size'] as const) {
      if (options[name] !== undefined)
        throw new UsageError(`--${name} goes with a single URL; there are ${wanted.size}.`)
    }
  }
  const manager = createManager(wanted.size, options)
  const reporter = createReporter(wanted.size, options)
  const interruption = onSignal(() => {
    reporter.close()
    return manager.close()
  })
  try {
    const downloads: Download[] = []
    const report = forwardEvents(manager, reporter, wanted)
    const ends: Promise<boolean>[] = []
    const request = requestOptions(options)
    for (const url of wanted.values()) {
      try {
        const download = await manager.download({ ...request, url })
        downloads.push(download)
        ends.push(settle(download, url, report))
      } catch (error) {
        if (isUsage(error)) throw toUsageError(error)
        report(failedReport(url, toDownloadError(error)))
        ends.push(Promise.resolve(false))
      }
    }
    const good = await Promise.all(ends)
    if (interruption.exitCode !== null && good.includes(false)) {
      await interruption.closed
      process.stderr.write(`${farewell(downloads)}\n`)
      return interruption.exitCode
    }
    reporter.finish()
    return good.every(Boolean) ? exitCodes.done : exitCodes.failed
  } finally {
    reporter.close()
    await manager.close()
    interruption.dispose()
  }
}

/** Normalised URL to the URL as it was given first. */
function distinctUrls(urls: readonly string[]): Map<string, string> {
  const wanted = new Map<string, string>()
  for (const url of urls) {
    const key = asUsageError(() => parseUrl(url).href, `${plain(redactUrl(url))}: `)
    if (!wanted.has(key)) wanted.set(key, url)
  }
  return wanted
}

function isUsage(error: unknown): error is DownloadError {
  return isDownloadError(error) && usageCodes.has(error.code)
}

function toUsageError(error: DownloadError, prefix = ''): UsageError {
  return new UsageError(`${prefix}${plain(redactUrls(error.message))} (${error.code})`, { cause: error })
}

function asUsageError<T>(make: () => T, prefix?: string): T {
  try {
    return make()
  } catch (error) {
    throw isUsage(error) ? toUsageError(error, prefix) : error
  }
}

/** What all URLs of the run have in common. */
function requestOptions(options: GetOptions): Omit<DownloadOptions, 'url'> {
  const { output, sha256, size, header, force } = options
  return {
    ...(output === undefined ? {} : { filename: output }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(size === undefined ? {} : { size }),
    ...(header === undefined ? {} : { headers: header }),
    ...(force === undefined ? {} : { force }),
  }
}

function createManager(urls: number, options: GetOptions): DownloadManager {
  // The process has nothing else to do.
  blockThisThread()
  return asUsageError(
    () =>
      new DownloadManager({
        directory: options.directory,
        ...defaultPools(urls, options),
        maxBytesPerSecond: options.limitRate ?? null,
        modes: options.mode === undefined ? [] : [options.mode],
        defaultMode: options.mode ?? null,
        // What makes a later run resume is the journal beside the file.
        store: 'memory',
        autoResume: false,
        worker: false,
      }),
  )
}

/** JSON, silence, bars or lines: as asked for, and as standard error is a terminal or not. */
function createReporter(urls: number, options: GetOptions): Reporter {
  const { stdout, stderr, env } = process
  const printOut = (text: string) => void stdout.write(text)
  const printError = (text: string) => void stderr.write(text)
  if (options.json === true) return new JsonReporter(printOut, printError, options.quiet === true)
  if (options.quiet === true) return new QuietReporter(printError)
  // On a terminal the paths are in the lines for people already.
  const paths = stdout.isTTY ? null : printOut
  if (!stderr.isTTY || env['TERM'] === 'dumb') return new LineReporter(urls, printError, paths)
  return new BarReporter(urls, stderr, paths, !env['NO_COLOR'])
}

/**
 * Passes the manager's events on as reports. A URL's last report is `completed` or `failed`; they come from
 * {@link settle}, and what is heard of that URL later is dropped.
 */
function forwardEvents(
  manager: DownloadManager,
  reporter: Reporter,
  wanted: ReadonlyMap<string, string>,
): (report: Report) => void {
  const ended = new Set<string>()
  const urlOf = (download: Download) => wanted.get(download.url) ?? download.url
  const report = (one: Report) => {
    if (one.url !== undefined) {
      if (ended.has(one.url)) return
      if (one.type === 'completed' || one.type === 'failed') ended.add(one.url)
    }
    reporter.report(one)
  }
  manager.on('queued', ({ download }) => report({ type: 'queued', url: urlOf(download) }))
  manager.on('started', ({ download }) => report({ type: 'started', url: urlOf(download) }))
  manager.on('verifying', ({ download }) => report({ type: 'verifying', url: urlOf(download) }))
  manager.on('progress', ({ download, progress }) =>
    report(progressReport(urlOf(download), download.named ? download.filename : null, progress)),
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
  return report
}

/**
 * Follows one download to its end.
 *
 * @returns whether the file arrived; never rejects.
 */
async function settle(download: Download, url: string, report: (report: Report) => void): Promise<boolean> {
  try {
    report(completedReport(url, await download.finished))
    return true
  } catch (error) {
    report(failedReport(url, toDownloadError(error)))
    return false
  }
}

/** What stays on disk after an interruption, and how to go on. */
function farewell(downloads: readonly Download[]): string {
  const unfinished = downloads.filter((download) => download.file === null)
  const kept = unfinished.reduce((sum, download) => sum + download.current.downloaded, 0)
  return `Interrupted. ${formatBytes(kept)} kept on disk; run the same command again to go on.`
}

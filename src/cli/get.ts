import { createHash } from 'node:crypto'
import { blockThisThread } from '../files/io.js'
import type { Download } from '../download.js'
import { toDownloadError } from '../errors.js'
import { DownloadManager } from '../manager.js'
import { type DownloadOptions, type Layout, parseUrl } from '../options.js'
import { environmentCache } from '../placement.js'
import { redactUrl } from '../redact.js'
import { sourceRegistry } from '../sources/built-in.js'
import { dirname, resolve } from 'node:path'
import { defaultPools } from './arguments.js'
import { begunGroups } from './begun-groups.js'
import { dryRun } from './dry-run.js'
import { createReporter, farewell, forwardEvents, lastOnce } from './follow.js'
import { plain } from './format.js'
import { completedReport, failedReport, type Report } from './report.js'
import { onSignal } from './signals.js'
import { asUsageError, exitCodes, isUsage, toUsageError, UsageError } from './usage.js'

/** The options of `get`, parsed. */
export interface GetOptions {
  directory?: string | undefined
  layout?: Layout | undefined
  /** False with `--no-adopt`. */
  adopt?: boolean | undefined
  dryRun?: boolean | undefined
  output?: string | undefined
  mode?: string | undefined
  sha256?: string | undefined
  size?: number | undefined
  mirror?: string[] | undefined
  spread?: boolean | undefined
  connections?: number | undefined
  concurrency?: number | undefined
  header?: Record<string, string> | undefined
  limitRate?: number | undefined
  force?: boolean | undefined
  include?: string[] | undefined
  exclude?: string[] | undefined
  json?: boolean | undefined
  quiet?: boolean | undefined
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
    for (const name of ['output', 'sha256', 'size', 'mirror'] as const) {
      if (options[name] !== undefined)
        throw new UsageError(`--${name} goes with a single URL; there are ${wanted.size}.`)
    }
  }
  requireLayout(options)
  const manager = createManager(new Set(wanted.values()), options)
  if (options.dryRun === true) return await dryRun(manager, wanted.values(), requestOptions(options), options)
  const reporter = await createReporter(wanted.size, options)
  const interruption = onSignal(() => {
    reporter.close()
    return manager.close()
  })
  try {
    const downloads: Download[] = []
    const report = lastOnce(reporter)
    // Quiet means the ends only, which are told below.
    if (options.quiet !== true)
      forwardEvents(manager, report, (download) => wanted.get(download.url) ?? download.url)
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
  const sources = sourceRegistry()
  const wanted = new Map<string, string>()
  for (const url of urls) {
    const identify = () => {
      const source = sources.find(url)
      if (source === null) return parseUrl(url).href
      // A ref that makes no sense is told before anything is fetched.
      source.filenameOf?.(url)
      return url
    }
    const key = asUsageError(identify, `${plain(redactUrl(url))}: `)
    if (!wanted.has(key)) wanted.set(key, url)
  }
  return wanted
}

/** What all URLs of the run have in common. */
function requestOptions(options: GetOptions): Omit<DownloadOptions, 'url'> {
  const { output, sha256, size, mirror, spread, header, force, include, exclude, layout } = options
  return {
    ...(output === undefined ? {} : { filename: output }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(size === undefined ? {} : { size }),
    ...(mirror === undefined ? {} : { urls: mirror }),
    ...(spread === undefined ? {} : { spread }),
    ...(header === undefined ? {} : { headers: header }),
    ...(force === undefined ? {} : { force }),
    ...(include === undefined ? {} : { include }),
    ...(exclude === undefined ? {} : { exclude }),
    ...(layout === undefined ? {} : { layout }),
  }
}

/** A digest of what must be the same for a group to go on. */
function groupsOf({ output, mode, include, exclude, force, layout }: GetOptions): string {
  const wanted = JSON.stringify({ output, mode, include, exclude, force, layout })
  return createHash('sha256').update(wanted).digest('hex').slice(0, 16)
}

/** Without a folder a cache goes where the environment says. */
function folderOf({ directory, layout }: GetOptions): { directory?: string } {
  if (directory !== undefined) return { directory }
  return layout === 'hf-cache' ? {} : { directory: '.' }
}

/** Where is remembered which groups have begun: beside the cache of the environment, whose folders are all repositories. */
function notesOf(options: GetOptions): string {
  return resolve(folderOf(options).directory ?? dirname(environmentCache()))
}

function requireLayout({ layout, output, mode }: GetOptions): void {
  if (layout !== 'hf-cache') return
  const given = output !== undefined ? 'output' : mode !== undefined ? 'mode' : null
  if (given !== null)
    throw new UsageError(`--${given} does not go with --layout hf-cache, which names the files itself.`)
}

function createManager(urls: ReadonlySet<string>, options: GetOptions): DownloadManager {
  // The process has nothing else to do.
  blockThisThread()
  return asUsageError(
    () =>
      new DownloadManager({
        ...folderOf(options),
        adopt: options.adopt ?? true,
        ...defaultPools(urls.size, options),
        maxBytesPerSecond: options.limitRate ?? null,
        modes: options.mode === undefined ? [] : [options.mode],
        defaultMode: options.mode ?? null,
        store: begunGroups(notesOf(options), ['get', groupsOf(options)], urls),
        autoResume: false,
        worker: false,
      }),
  )
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
    report(failedReport(url, toDownloadError(error), download.group))
    return false
  }
}

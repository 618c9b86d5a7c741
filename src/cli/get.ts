import { createHash } from 'node:crypto'
import { dirname, relative, resolve } from 'node:path'
import { isInside } from '../disk/inside.js'
import { useSyncIo } from '../disk/io.js'
import { environmentCache } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { DownloadOptions } from '../download/options.js'
import { toDownloadError } from '../errors.js'
import type { Layout } from '../layouts/hf-paths.js'
import { DownloadManager } from '../manager/manager.js'
import type { DownloadPlan } from '../manager/plan.js'
import { displayName, identify } from '../sources/identify.js'
import { sourceRegistry } from '../sources/resolver.js'
import { formatBytes } from '../util/format.js'
import { asUsageError, defaultPools, exitCodes, isUsage, toUsageError, UsageError } from './arguments.js'
import { createReporter, farewell, forwardEvents, lastOnce } from './follow.js'
import { plain } from './format.js'
import { completedReport, failedReport, type Report } from './report.js'
import { failedLine } from './reporters.js'
import { onSignal } from './signals.js'
import { begunGroups } from './stores.js'

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
    // A ref that makes no sense is reported before anything is fetched.
    const identified = asUsageError(() => identify(url, sources), `${plain(displayName(url, sources))}: `)
    const key = identified.kind === 'url' ? identified.url.href : url
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
  useSyncIo()
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

// ---- dry-run

/** What a plan's files are called on the terminal. */
const words = {
  missing: 'to fetch',
  partial: 'to go on',
  complete: 'there',
  adoptable: 'in a cache',
} as const

/**
 * Says what the downloads of some URLs would do, and closes the manager.
 *
 * @returns the exit code: 1 when one can't be had, or doesn't fit.
 * @throws UsageError.
 */
export async function dryRun(
  manager: DownloadManager,
  urls: Iterable<string>,
  request: Omit<DownloadOptions, 'url'>,
  { json = false, quiet = false }: { json?: boolean | undefined; quiet?: boolean | undefined },
): Promise<number> {
  const interruption = onSignal(() => manager.close())
  let good = true
  try {
    for (const url of urls) {
      try {
        const plan = await manager.plan({ ...request, url })
        good &&= plan.fits !== false
        if (json) process.stdout.write(`${JSON.stringify({ type: 'plan', ...plan })}\n`)
        else if (!quiet) process.stdout.write(planText(plan))
      } catch (error) {
        if (isUsage(error)) throw toUsageError(error)
        if (interruption.exitCode !== null) return interruption.exitCode
        good = false
        const report = failedReport(url, toDownloadError(error))
        if (json) process.stdout.write(`${JSON.stringify(report)}\n`)
        process.stderr.write(`${failedLine(report)}\n`)
      }
    }
    return good ? exitCodes.done : exitCodes.failed
  } finally {
    await manager.close()
    interruption.dispose()
  }
}

/** A table of the files, and a line that sums up. */
export function planText({ files, totalBytes, missingBytes, freeBytes, fits }: DownloadPlan): string {
  const size = (bytes: number | null) => (bytes === null ? '?' : formatBytes(bytes))
  const lines = files.map(({ status, size: bytes, path }) => {
    const shown = isInside(resolve(), path) ? relative('', path) : path
    return `${words[status].padEnd(10)}  ${size(bytes).padStart(7)}  ${plain(shown)}\n`
  })
  const count = files.length === 1 ? '1 file' : `${files.length} files`
  const free = freeBytes === null ? '' : `, ${size(freeBytes)} free`
  const verdict = fits === false ? ': not enough room' : ''
  return `${lines.join('')}${count}, ${size(totalBytes)}; ${size(missingBytes)} to fetch${free}${verdict}\n`
}

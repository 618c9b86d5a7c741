import { createHash } from 'node:crypto'
import { dirname, join, relative, resolve } from 'node:path'
import { isInside } from '../disk/inside.js'
import { useSyncIo } from '../disk/io.js'
import { environmentCache, userCache } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { DownloadOptions } from '../download/options.js'
import { toDownloadError } from '../errors.js'
import type { Layout } from '../layouts/hf-paths.js'
import { DownloadManager } from '../manager/manager.js'
import type { DownloadPlan } from '../manager/plan.js'
import { displayName, identify, isRef } from '../sources/identify.js'
import { sourceRegistry } from '../sources/resolver.js'
import type { DownloadStore } from '../store/store.js'
import { formatBytes } from '../util/format.js'
import { asUsageError, defaultPools, exitCodes, isUsage, toUsageError, UsageError } from './arguments.js'
import { createReporter, forwardEvents, interruptionSummary, lastOnce } from './follow.js'
import { fit, jsonLine, plain } from './format.js'
import { texts } from './language.js'
import { networkSettings, type NetworkOptions } from './network.js'
import { completedReport, failedReport, type Report } from './report.js'
import { failedLine } from './reporters.js'
import { onSignal } from './signals.js'
import { begunGroups, withFinishedRefs } from './stores.js'

/** Parsed options of `get`. */
export interface GetOptions extends NetworkOptions {
  directory?: string | undefined
  layout?: Layout | undefined
  /** False with `--no-adopt`. */
  adopt?: boolean | undefined
  /** False with `--no-format-check`. */
  formatCheck?: boolean | undefined
  restrictNames?: boolean | undefined
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
 * Downloads every URL and reports the progress.
 *
 * @returns the exit code.
 * @throws UsageError before anything is downloaded.
 */
export async function get(urls: readonly string[], options: GetOptions): Promise<number> {
  const wanted = distinctUrls(urls, options.restrictNames)
  if (wanted.size > 1) {
    for (const name of ['output', 'sha256', 'size', 'mirror'] as const) {
      if (options[name] !== undefined) throw new UsageError(texts().singleUrlOnly(`--${name}`, wanted.size))
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
    // With --quiet only the outcomes are reported, see below.
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
      process.stderr.write(`${interruptionSummary(downloads)}\n`)
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

/** Maps each normalized URL to the first spelling of it that was given. */
function distinctUrls(urls: readonly string[], restrictNames?: boolean): Map<string, string> {
  const sources = sourceRegistry()
  const wanted = new Map<string, string>()
  for (const url of urls) {
    // Invalid refs are reported before anything is downloaded.
    const identified = asUsageError(
      () => identify(url, sources, null, restrictNames),
      `${plain(displayName(url, sources))}${texts().colon}`,
    )
    const key = identified.kind === 'url' ? identified.url.href : url
    if (!wanted.has(key)) wanted.set(key, url)
  }
  return wanted
}

/** Download options that all URLs of the run share. */
function requestOptions(options: GetOptions): Omit<DownloadOptions, 'url'> {
  const request: Omit<DownloadOptions, 'url'> = {}
  if (options.output !== undefined) request.filename = options.output
  if (options.sha256 !== undefined) request.sha256 = options.sha256
  if (options.size !== undefined) request.size = options.size
  if (options.mirror !== undefined) request.urls = options.mirror
  if (options.spread !== undefined) request.spread = options.spread
  if (options.header !== undefined) request.headers = options.header
  if (options.formatCheck !== undefined) request.checkFormat = options.formatCheck
  if (options.restrictNames !== undefined) request.restrictNames = options.restrictNames
  if (options.force !== undefined) request.force = options.force
  if (options.include !== undefined) request.include = options.include
  if (options.exclude !== undefined) request.exclude = options.exclude
  if (options.layout !== undefined) request.layout = options.layout
  return request
}

/** Digest of the options that must be unchanged for a later run to resume a group. */
function groupsOf({ output, mode, include, exclude, force, layout, restrictNames }: GetOptions): string {
  const wanted = JSON.stringify({ output, mode, include, exclude, force, layout, restrictNames })
  return createHash('sha256').update(wanted).digest('hex').slice(0, 16)
}

/** Without `directory`, the location of the Hugging Face cache is taken from the environment. */
function folderOf({ directory, layout }: GetOptions): { directory?: string } {
  if (directory !== undefined) return { directory }
  return layout === 'hf-cache' ? {} : { directory: '.' }
}

/**
 * Folder in which unfinished groups are recorded. For the default cache it is the parent folder, because all
 * folders in the cache must be repositories.
 */
function notesOf(options: GetOptions): string {
  return resolve(folderOf(options).directory ?? dirname(environmentCache()))
}

/** Folder for the records of finished refs; null if there is none. They hold for the same options in the same folder. */
function finishedOf(options: GetOptions): string | null {
  const cache = userCache()
  const { output, mode, include, exclude, layout, restrictNames, sha256, size } = options
  const wanted = {
    folder: notesOf(options),
    output,
    mode,
    include,
    exclude,
    layout,
    restrictNames,
    sha256,
    size,
  }
  const key = createHash('sha256').update(JSON.stringify(wanted)).digest('hex').slice(0, 32)
  return cache === null ? null : join(cache, 'refs', key)
}

function storeOf(urls: ReadonlySet<string>, options: GetOptions): DownloadStore {
  const sources = sourceRegistry()
  const refs = new Set([...urls].filter((url) => isRef(url, sources)))
  const begun = begunGroups(notesOf(options), ['get', groupsOf(options)], urls)
  return withFinishedRefs(begun, finishedOf(options), refs)
}

function requireLayout({ layout, output, mode }: GetOptions): void {
  if (layout !== 'hf-cache') return
  const given = output !== undefined ? 'output' : mode !== undefined ? 'mode' : null
  if (given !== null) throw new UsageError(texts().layoutFixesNames(`--${given}`))
}

function createManager(urls: ReadonlySet<string>, options: GetOptions): DownloadManager {
  // Blocking I/O is fine, because the process does nothing else.
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
        store: storeOf(urls, options),
        autoResume: false,
        ...networkSettings(options),
        worker: false,
      }),
  )
}

/**
 * Waits for the end of a download and reports it.
 *
 * @returns whether it completed; never rejects.
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

// ---- Dry run

/**
 * Prints what downloading the URLs would do, and closes the manager.
 *
 * @returns the exit code: 1 when a file is unavailable or does not fit on the disk.
 * @throws UsageError for invalid options or URLs.
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
        good &&= plan.fits !== false && plan.files.every(({ status }) => status !== 'refused')
        if (json) process.stdout.write(jsonLine({ type: 'plan', ...plan }))
        else if (!quiet) process.stdout.write(planText(plan))
      } catch (error) {
        if (isUsage(error)) throw toUsageError(error)
        if (interruption.exitCode !== null) return interruption.exitCode
        good = false
        const report = failedReport(url, toDownloadError(error))
        if (json) process.stdout.write(jsonLine(report))
        process.stderr.write(`${failedLine(report)}\n`)
      }
    }
    return good ? exitCodes.done : exitCodes.failed
  } finally {
    await manager.close()
    interruption.dispose()
  }
}

/** Formats a table of the files and a summary line. */
export function planText({ files, totalBytes, missingBytes, freeBytes, fits }: DownloadPlan): string {
  const size = (bytes: number | null) => (bytes === null ? '?' : formatBytes(bytes))
  const lines = files.map(({ status, size: bytes, path }) => {
    const shown = isInside(resolve(), path) ? relative('', path) : path
    return `${fit(texts().plan[status], 10)}  ${size(bytes).padStart(7)}  ${plain(shown)}\n`
  })
  const free = freeBytes === null ? null : size(freeBytes)
  const { planSummary } = texts()
  return `${lines.join('')}${planSummary(files.length, size(totalBytes), size(missingBytes), free, fits !== false)}\n`
}

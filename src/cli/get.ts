import { createHash } from 'node:crypto'
import { dirname, join, relative, resolve } from 'node:path'
import pLimit from 'p-limit'
import { isInside } from '../disk/inside.js'
import { environmentCache, userCache } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { DownloadOptions } from '../download/options.js'
import { toDownloadError } from '../errors.js'
import type { XetMode } from '../download/xet.js'
import type { Layout } from '../layouts/hf-paths.js'
import { internals, withServices } from '../manager/internals.js'
import { DownloadManager } from '../manager/manager.js'
import type { DownloadPlan } from '../manager/plan.js'
import { sourceRegistry } from '../sources/resolver.js'
import type { DownloadStore } from '../store/store.js'
import { formatBytes } from '../util/format.js'
import { defaultPools } from './arguments.js'
import { asUsageError, exitCodes, isUsage, toUsageError } from './checks/usage.js'
import { UsageError } from './checks/usage-error.js'
import { type ExecOptions, Executor } from './exec/run.js'
import { createReporter, forwardEvents, interruptedCode, lastOnce, type OutputOptions } from './follow.js'
import { fit, jsonLine, plain } from './format.js'
import type { ListedOptions } from './input/list.js'
import { readLists } from './input/read-list.js'
import { foldersKept, requestOf, type Wanted, wantedModes, wantedOf } from './input/wanted.js'
import { texts } from './language.js'
import type { HostSecrets } from '../net/host-secrets.js'
import type { NetworkOptions } from './network.js'
import { networkSettings } from './checks/network.js'
import { completedReport, failedReport, type Report } from './report.js'
import { failedLine } from './reporters.js'
import { secretsOf } from './secrets/options.js'
import type { SecretOptions } from './secrets/read.js'
import { onSignal } from './signals.js'
import { begunGroups, storeByUrl, withFileNotes, withFinishedRefs } from './stores.js'
import { printError, printOut } from './process/surroundings.js'
import { blockIfAlone } from './process/blocking.js'

/** Parsed options of `get`. */
export interface GetOptions extends NetworkOptions, SecretOptions, ExecOptions, OutputOptions {
  directory?: string | undefined
  layout?: Layout | undefined
  xet?: XetMode | undefined
  /** False with `--no-adopt`. */
  adopt?: boolean | undefined
  /** False with `--no-format-check`. */
  formatCheck?: boolean | undefined
  restrictNames?: boolean | undefined
  dryRun?: boolean | undefined
  /** Lists of URLs. */
  inputFile?: string[] | undefined
  output?: string | undefined
  keepPaths?: boolean | undefined
  mode?: string | undefined
  sha256?: string | undefined
  digest?: string | undefined
  checksums?: string | undefined
  size?: number | undefined
  mirror?: string[] | undefined
  spread?: boolean | undefined
  connections?: number | undefined
  concurrency?: number | 'auto' | undefined
  header?: Record<string, string> | undefined
  limitRate?: number | undefined
  force?: boolean | undefined
  include?: string[] | undefined
  exclude?: string[] | undefined
}

/**
 * Downloads every URL and reports the progress.
 *
 * @param urls - URLs and refs, each possibly preceded by `NAME=`.
 * @returns the exit code.
 * @throws UsageError before anything is downloaded.
 */
export async function get(urls: readonly string[], options: GetOptions): Promise<number> {
  const listed = await readLists(options.inputFile ?? [])
  const wanted = wantedOf(urls, listed, { ...options, sources: sourceRegistry() })
  if (wanted.size === 0) {
    if (options.quiet !== true) printError(`${texts().note}${texts().listEmpty}\n`)
    return exitCodes.done
  }
  requireSingle(wanted, options)
  requireLayout(options)
  const manager = createManager(wanted, options, await secretsOf(options))
  await requireValid(manager, wanted, options)
  if (options.dryRun === true) return await dryRun(manager, requestsOf(manager, wanted, options), options)
  let print: (report: Report) => void = () => undefined
  // A program that is missing is reported before anything is shown.
  const executor = Executor.of(options, (one) => {
    print(one)
  })
  const reporter = await createReporter(wanted.size, options)
  print = (one) => {
    reporter.report(one)
  }
  const interruption = onSignal(() => {
    reporter.close()
    executor?.stop()
    return manager.close()
  })
  try {
    const downloads: Download[] = []
    const report = lastOnce({
      report: (one) => {
        reporter.report(one)
        if (one.type === 'completed') executor?.add(one)
      },
    })
    // With --quiet only the outcomes are reported, see below.
    if (options.quiet !== true || options.logFile !== undefined)
      forwardEvents(manager, report, (download) => wanted.get(download.url)?.url ?? download.url)
    const ends: Promise<boolean>[] = []
    const start = async ({ url, prefix }: Wanted, request: () => Promise<DownloadOptions>) => {
      try {
        const download = await manager.download(await request())
        downloads.push(download)
        return await settle(download, url, report)
      } catch (error) {
        if (isUsage(error)) throw toUsageError(error, prefix)
        report(failedReport(url, toDownloadError(error)))
        return false
      }
    }
    for (const [one, request] of requestsOf(manager, wanted, options)) ends.push(start(one, request))
    const good = await Promise.all(ends)
    good.push((await executor?.finished()) ?? true)
    const interrupted = await interruptedCode(interruption, downloads, !good.includes(false))
    if (interrupted !== null) return interrupted
    reporter.finish()
    return good.every(Boolean) ? exitCodes.done : exitCodes.failed
  } finally {
    reporter.close()
    await manager.close()
    interruption.dispose()
  }
}

/** Options that say something about one file are refused if there are several. */
function requireSingle(wanted: ReadonlyMap<string, Wanted>, options: GetOptions): void {
  const [only] = wanted.values()
  if (wanted.size === 1) {
    if (options.output !== undefined && only?.options.filename !== undefined)
      throw new UsageError(texts().namedTwice)
    return
  }
  for (const name of ['output', 'sha256', 'digest', 'size', 'mirror'] as const) {
    if (options[name] !== undefined) throw new UsageError(texts().singleUrlOnly(`--${name}`, wanted.size))
  }
}

/** Invalid requests are reported before anything is downloaded. */
async function requireValid(
  manager: DownloadManager,
  wanted: ReadonlyMap<string, Wanted>,
  options: GetOptions,
): Promise<void> {
  const shared = requestOptions(options)
  try {
    for (const one of wanted.values()) {
      const request = { ...requestOf(one, shared, placeOf(options), null), url: one.url }
      asUsageError(() => manager[internals].read(request), one.prefix)
    }
  } catch (error) {
    await manager.close()
    throw error
  }
}

/** How many refs are asked at a time how many files they stand for. */
const maxCounting = 8

/** The requests of a run, in their order. */
function requestsOf(
  manager: DownloadManager,
  wanted: ReadonlyMap<string, Wanted>,
  options: GetOptions,
): [Wanted, () => Promise<DownloadOptions>][] {
  const shared = requestOptions(options)
  const limit = pLimit(maxCounting)
  const requestFor = async (one: Wanted): Promise<DownloadOptions> => {
    const request = (folders: readonly string[] | null) => ({
      ...requestOf(one, shared, placeOf(options), folders),
      url: one.url,
    })
    if (one.kept === null) return request(null)
    // A ref that is known already stays where it is.
    await manager.ready
    const known = manager.get(one.url)?.record
    if (known !== undefined) return { ...request(null), mode: null, directory: known.directory ?? '.' }
    const countFiles = () => limit(async () => (await manager.plan(request(null))).files.length)
    return request(await foldersKept(one.kept, countFiles))
  }
  return [...wanted.values()].map((one) => [one, () => requestFor(one)])
}

/** The folder and the mode of the run. */
function placeOf({ directory = '.', mode }: GetOptions): { folder: string; mode: string | undefined } {
  return { folder: directory, mode }
}

/** Download options that all URLs of the run share. */
function requestOptions(options: GetOptions): ListedOptions {
  const request: ListedOptions = {}
  if (options.output !== undefined) request.filename = options.output
  if (options.sha256 !== undefined) request.sha256 = options.sha256
  if (options.digest !== undefined) request.digest = options.digest
  if (options.checksums !== undefined) request.checksums = options.checksums
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

/** The options of a run, with those of one of its refs. */
type RefOptions = GetOptions & { own: ListedOptions | undefined }

/** Digest of the options that must be unchanged for a later run to resume a group. */
function groupsOf(options: RefOptions): string {
  const { output, mode, include, exclude, force, layout, restrictNames, keepPaths, own } = options
  const given = { output, mode, include, exclude, force, layout, restrictNames, keepPaths, own }
  const wanted = JSON.stringify(given)
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

/** Options with which a ref stands for other files, or for files in other places. */
const decisive = [
  ...(['output', 'mode', 'include', 'exclude', 'layout', 'restrictNames', 'sha256', 'digest'] as const),
  ...(['checksums', 'size', 'keepPaths', 'own'] as const),
]

/** Folder for the records of finished refs; null if there is none. They hold for the same options in the same folder. */
function finishedOf(options: RefOptions): string | null {
  const cache = userCache()
  const wanted = {
    folder: notesOf(options),
    ...Object.fromEntries(decisive.map((name) => [name, options[name]])),
  }
  const key = createHash('sha256').update(JSON.stringify(wanted)).digest('hex').slice(0, 32)
  return cache === null ? null : join(cache, 'refs', key)
}

/** The store of a run. Refs with options of their own have a store for these options. */
function storeOf(wanted: Iterable<Wanted>, options: GetOptions): DownloadStore {
  const byOptions = new Map<
    string,
    { own: ListedOptions | undefined; urls: Set<string>; refs: Set<string> }
  >()
  for (const { url, options: given, isRef } of wanted) {
    // A plain URL leaves no record behind, only a note about its file.
    const own = isRef ? deciding(given) : undefined
    const key = JSON.stringify(own ?? null)
    const known = byOptions.get(key) ?? { own, urls: new Set(), refs: new Set() }
    byOptions.set(key, known)
    known.urls.add(url)
    if (isRef) known.refs.add(url)
  }
  const stores = [...byOptions.values()].map(({ own, urls, refs }): [ReadonlySet<string>, DownloadStore] => {
    const all = { ...options, own }
    const begun = begunGroups(notesOf(options), ['get', groupsOf(all)], urls)
    return [urls, withFinishedRefs(begun, finishedOf(all), refs)]
  })
  const [only] = stores
  const store = stores.length === 1 && only !== undefined ? only[1] : storeByUrl(stores)
  return withFileNotes(store, resolve(folderOf(options).directory ?? environmentCache()))
}

/** The options that decide what is downloaded, and where to; undefined if there are none. */
function deciding(options: ListedOptions): ListedOptions | undefined {
  const entries = Object.entries(options).filter(([name]) => name !== 'headers')
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

function requireLayout({ layout, output, mode, keepPaths }: GetOptions): void {
  if (layout !== 'hf-cache') return
  const names = { output, mode, 'keep-paths': keepPaths }
  const given = Object.entries(names).find(([, value]) => value !== undefined)?.[0] ?? null
  if (given !== null) throw new UsageError(texts().layoutFixesNames(`--${given}`))
}

function createManager(
  wanted: ReadonlyMap<string, Wanted>,
  options: GetOptions,
  secrets: HostSecrets | undefined,
): DownloadManager {
  const modes = new Set(wantedModes(wanted.values()))
  if (options.mode !== undefined) modes.add(options.mode)
  blockIfAlone()
  return asUsageError(
    () =>
      new DownloadManager(
        withServices(
          {
            ...folderOf(options),
            adopt: options.adopt ?? true,
            ...(options.xet === undefined ? {} : { xet: options.xet }),
            ...defaultPools(wanted.size, options),
            maxBytesPerSecond: options.limitRate ?? null,
            modes: [...modes],
            defaultMode: options.mode ?? null,
            store: storeOf(wanted.values(), options),
            autoResume: false,
            ...networkSettings(options),
            worker: false,
          },
          { secrets },
        ),
      ),
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
  requests: Iterable<[Wanted, () => Promise<DownloadOptions>]>,
  { json = false, quiet = false }: { json?: boolean | undefined; quiet?: boolean | undefined },
): Promise<number> {
  const interruption = onSignal(() => manager.close())
  let good = true
  try {
    for (const [{ url, prefix }, request] of requests) {
      try {
        const plan = await manager.plan(await request())
        good &&= plan.fits !== false && plan.files.every(({ status }) => status !== 'refused')
        if (json) printOut(jsonLine({ type: 'plan', ...plan }))
        else if (!quiet) printOut(planText(plan))
      } catch (error) {
        if (isUsage(error)) throw toUsageError(error, prefix)
        if (interruption.exitCode !== null) return interruption.exitCode
        good = false
        const report = failedReport(url, toDownloadError(error))
        if (json) printOut(jsonLine(report))
        printError(`${failedLine(report)}\n`)
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

import { basename, join, resolve } from 'node:path'
import type { Catalog, IdentifiedCatalog } from '../catalog/catalog.js'
import { locationIn } from '../catalog/model-files.js'
import { Preloader } from '../catalog/preloader.js'
import type { RunModel } from '../catalog/run.js'
import { stat } from '../disk/fs.js'
import { DownloadError, type DownloadErrorCode, isDownloadError } from '../errors.js'
import type { XetMode } from '../download/xet.js'
import type { Layout } from '../layouts/hf-paths.js'
import { internals, withServices } from '../manager/internals.js'
import { DownloadManager } from '../manager/manager.js'
import { createFileStore } from '../store/file.js'
import { defaultPools } from './arguments.js'
import { asUsageError, exitCodes, isUsage, toUsageError } from './checks/usage.js'
import { modesFor, readCatalog } from './catalog.js'
import { type ExecOptions, Executor } from './exec/run.js'
import { createReporter, forwardEvents, interruptedCode, lastOnce, type OutputOptions } from './follow.js'
import { texts, voice } from './language.js'
import type { HostSecrets } from '../net/host-secrets.js'
import type { NetworkOptions } from './network.js'
import { networkSettings } from './checks/network.js'
import { completedReport, failedReport, type Report } from './report.js'
import { secretsOf } from './secrets/options.js'
import type { SecretOptions } from './secrets/read.js'
import { onSignal } from './signals.js'
import { begunGroups, finishedOnly } from './stores.js'
import { printError } from './process/surroundings.js'
import { blockIfAlone } from './process/blocking.js'

/** Parsed options of `preload`. */
export interface PreloadCommandOptions extends NetworkOptions, SecretOptions, ExecOptions, OutputOptions {
  linkedModes?: boolean | undefined
  directory: string
  /** False if `directory` is the default one: a Hugging Face cache is then where the environment says. */
  ownDirectory?: boolean | undefined
  layout?: Layout | undefined
  xet?: XetMode | undefined
  /** Keys of the models. Default: every model with `auto_download`. */
  models?: string[] | undefined
  force?: boolean | undefined
}

/**
 * Downloads the models of a catalog and reports the progress.
 *
 * @returns the exit code.
 * @throws UsageError before anything is downloaded.
 */
export async function preload(file: string, options: PreloadCommandOptions): Promise<number> {
  const catalog = await readCatalog(file)
  const count = countOf(catalog, options)
  const manager = createManager(catalog, count, options, await secretsOf(options))
  const preloader = asUsageError(() => new Preloader({ manager, catalog, locale: voice().locale }))
  let print: (report: Report) => void = () => undefined
  // A program that is missing is reported before anything is shown.
  const executor = Executor.of(options, (one) => {
    print(one)
  })
  const reporter = await createReporter(count, options)
  print = (one) => {
    reporter.report(one)
  }
  const close = async () => {
    reporter.close()
    executor?.stop()
    await preloader.close()
    await manager.close()
  }
  const interruption = onSignal(close)
  try {
    const keys = new Map(catalog.entries.map((entry) => [entry.url, entry.key]))
    const failures = new Set<DownloadErrorCode>()
    const report = lastOnce({
      report: (one) => {
        const key = one.url === undefined ? undefined : keys.get(one.url)
        if (one.type === 'failed') failures.add(one.code)
        reporter.report(key === undefined ? one : { ...one, key })
        if (one.type === 'completed') executor?.add(one)
      },
    })
    follow(manager, report)
    if (count === 0) report({ type: 'log', level: 'warn', message: texts().nothingToDo })
    const { sources, layout } = manager[internals]
    const models = catalog.identifiedBy(sources, layout)
    const succeeded = await run({ manager, preloader, catalog: models, report }, options)
    const executed = (await executor?.finished()) ?? true
    const interrupted = await interruptedCode(interruption, manager.list(), succeeded === true && executed)
    if (interrupted !== null) return interrupted
    reporter.finish()
    if (failures.has('TARGET_LOCKED')) printError(`${texts().locked}\n`)
    return succeeded === true && executed ? exitCodes.done : exitCodes.failed
  } finally {
    await close()
    interruption.dispose()
  }
}

/** Number of models that will be downloaded, provided that the request is valid. */
function countOf(catalog: Catalog, { models }: PreloadCommandOptions): number {
  return models === undefined || models.includes('all')
    ? catalog.entries.filter((entry) => entry.auto_download).length
    : new Set(models).size
}

function createManager(
  catalog: Catalog,
  count: number,
  options: PreloadCommandOptions,
  secrets: HostSecrets | undefined,
): DownloadManager {
  blockIfAlone()
  const { directory, ownDirectory, layout } = options
  return asUsageError(
    () =>
      new DownloadManager(
        withServices(
          {
            ...(ownDirectory === false ? {} : { directory }),
            ...(layout === undefined ? {} : { layout }),
            ...(options.xet === undefined ? {} : { xet: options.xet }),
            ...defaultPools(count, {}),
            modes: modesFor(catalog),
            store: finishedOnly(
              createFileStore(join(directory, '.model-downloader')),
              begunGroups(resolve(directory), ['preload'], new Set(catalog.entries.map(({ url }) => url))),
            ),
            autoResume: false,
            ...networkSettings(options),
            linkedModes: options.linkedModes ?? false,
            worker: false,
          },
          { secrets },
        ),
      ),
  )
}

/** The parts of a preload run. */
interface RunParts {
  manager: DownloadManager
  preloader: Preloader
  catalog: IdentifiedCatalog
  report: (report: Report) => boolean
}

function follow(manager: DownloadManager, report: RunParts['report']): void {
  forwardEvents(manager, report, (download) => download.url)
  manager.on('completed', ({ download, file }) => report(completedReport(download.url, file)))
  manager.on('failed', ({ download, error }) => report(failedReport(download.url, error)))
}

/**
 * Runs the preload to its end. Afterwards, the outcome of each of its models has been reported.
 *
 * @returns whether all required models are ready; null when the run was interrupted.
 * @throws UsageError for keys that are not in the catalog.
 */
async function run(
  parts: RunParts,
  { models = [], force = false }: PreloadCommandOptions,
): Promise<boolean | null> {
  const { preloader, report } = parts
  const failure = new DownloadError('CLOSED', 'The command was interrupted.')
  try {
    await preloader.start({ models, force })
    for (const model of modelsOf(preloader)) await reportExisting(model, parts)
    const { success_flag: succeeded } = await preloader.finished()
    // A model that the manager refused has no download that could have reported it.
    for (const { url, phase, error } of modelsOf(preloader)) {
      if (phase !== 'completed') report(failedReport(url, { code: 'INTERNAL', message: error ?? phase }))
    }
    return succeeded
  } catch (error) {
    if (isUsage(error)) throw toUsageError(error)
    if (!isDownloadError(error, 'CLOSED')) throw error
    for (const { url } of modelsOf(preloader)) report(failedReport(url, failure))
    return null
  }
}

function modelsOf(preloader: Preloader): readonly RunModel[] {
  return preloader.run?.models ?? []
}

/** A model that was complete before the run has no download that would report it. */
async function reportExisting(
  { key, url, phase }: RunModel,
  { manager, catalog, report }: RunParts,
): Promise<void> {
  const entry = catalog.get(key)
  const path = entry === undefined ? undefined : (await locationIn(manager, entry, manager.directory))?.path
  if (phase !== 'completed' || path === undefined) return
  const known = manager.get(url)
  if (known?.group !== null && known?.file !== undefined && known.file !== null) {
    report(completedReport(url, { ...known.file, existed: true, fetchedBytes: 0 }))
    return
  }
  const size = await stat(path).then(
    (stats) => stats.size,
    () => 0,
  )
  const sha256 = entry?.sha256 ?? null
  const verification =
    sha256 === null ? null : ({ algorithm: 'sha256', value: sha256, from: 'caller' } as const)
  const verified = verification !== null
  const file = { url, path, filename: basename(path), size, sha256, verified, verification }
  report(completedReport(url, { ...file, existed: true, fetchedBytes: 0, adoptedFrom: null, files: null }))
}

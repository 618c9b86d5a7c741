import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Catalog } from '../catalog/catalog.js'
import { locationIn } from '../catalog/model-files.js'
import { Preloader } from '../catalog/preloader.js'
import type { RunModel } from '../catalog/run.js'
import { useSyncIo } from '../disk/io.js'
import { DownloadError, type DownloadErrorCode, isDownloadError } from '../errors.js'
import { DownloadManager } from '../manager/manager.js'
import { createFileStore } from '../store/file.js'
import { asUsageError, defaultPools, exitCodes, isUsage, toUsageError } from './arguments.js'
import { modesFor, readCatalog } from './catalog.js'
import { createReporter, farewell, forwardEvents, lastOnce } from './follow.js'
import { completedReport, failedReport, type Report } from './report.js'
import { onSignal } from './signals.js'
import { begunGroups, finishedOnly } from './stores.js'

/** The options of `preload`, parsed. */
export interface PreloadCommandOptions {
  directory: string
  /** Keys; without them every model that is fetched by itself. */
  models?: string[] | undefined
  force?: boolean | undefined
  json?: boolean | undefined
  quiet?: boolean | undefined
}

const nothingToDo = 'No model of the catalog is fetched by itself (auto_download); name some with --models.'

const lockedHint = `Another process is fetching into the same place: a running \`serve\`, perhaps. Start the preload
there (POST /api/v1/models/preload/start), or wait for it and run this command again.
`

/**
 * Brings the models of a catalog to disk and reports on the way.
 *
 * @returns the exit code.
 * @throws UsageError before anything was fetched.
 */
export async function preload(file: string, options: PreloadCommandOptions): Promise<number> {
  const catalog = await readCatalog(file)
  const count = countOf(catalog, options)
  const manager = createManager(catalog, count, options.directory)
  const preloader = asUsageError(() => new Preloader({ manager, catalog }))
  const reporter = await createReporter(count, options)
  const close = async () => {
    reporter.close()
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
      },
    })
    follow(manager, report)
    if (count === 0) report({ type: 'log', level: 'warn', message: nothingToDo })
    const succeeded = await run({ manager, preloader, catalog, report }, options)
    if (interruption.exitCode !== null && succeeded !== true) {
      await interruption.closed
      process.stderr.write(`${farewell(manager.list())}\n`)
      return interruption.exitCode
    }
    reporter.finish()
    if (failures.has('TARGET_LOCKED')) process.stderr.write(lockedHint)
    return succeeded === true ? exitCodes.done : exitCodes.failed
  } finally {
    await close()
    interruption.dispose()
  }
}

/** Models that will be fetched, as far as the request makes sense. */
function countOf(catalog: Catalog, { models }: PreloadCommandOptions): number {
  return models === undefined || models.includes('all')
    ? catalog.entries.filter((entry) => entry.auto_download).length
    : new Set(models).size
}

function createManager(catalog: Catalog, count: number, directory: string): DownloadManager {
  // The process has nothing else to do.
  useSyncIo()
  return asUsageError(
    () =>
      new DownloadManager({
        directory,
        ...defaultPools(count, {}),
        modes: modesFor(catalog),
        store: finishedOnly(
          createFileStore(join(directory, '.model-downloader')),
          begunGroups(resolve(directory), ['preload'], new Set(catalog.entries.map(({ url }) => url))),
        ),
        autoResume: false,
        worker: false,
      }),
  )
}

/** What a run works with. */
interface Scene {
  manager: DownloadManager
  preloader: Preloader
  catalog: Catalog
  report: (report: Report) => boolean
}

function follow(manager: DownloadManager, report: Scene['report']): void {
  forwardEvents(manager, report, (download) => download.url)
  manager.on('completed', ({ download, file }) => report(completedReport(download.url, file)))
  manager.on('failed', ({ download, error }) => report(failedReport(download.url, error)))
}

/**
 * Runs the preload to its end; then every model of it had its last word.
 *
 * @returns whether all that is required is there; null when it was interrupted.
 * @throws UsageError for keys that the catalog doesn't have.
 */
async function run(
  scene: Scene,
  { models = [], force = false }: PreloadCommandOptions,
): Promise<boolean | null> {
  const { preloader, report } = scene
  const failure = new DownloadError('CLOSED', 'The command was interrupted.')
  try {
    await preloader.start({ models, force })
    for (const model of modelsOf(preloader)) await tellIfThere(model, scene)
    const { success_flag: succeeded } = await preloader.finished()
    // What the manager refused has no download that could have told it.
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

/** A model that was there before the run has no download that would tell of it. */
async function tellIfThere(
  { key, url, phase }: RunModel,
  { manager, catalog, report }: Scene,
): Promise<void> {
  const entry = catalog.get(key)
  const path = entry === undefined ? undefined : locationIn(manager, entry, manager.directory)?.path
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
  const file = { url, path, filename: basename(path), size, sha256, verified: sha256 !== null }
  report(completedReport(url, { ...file, existed: true, fetchedBytes: 0, adoptedFrom: null, files: null }))
}

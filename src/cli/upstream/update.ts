import type { Download } from '../../download/download.js'
import type { DownloadRecord } from '../../download/record.js'
import { toDownloadError } from '../../errors.js'
import { DownloadManager } from '../../manager/manager.js'
import { sourceRegistry } from '../../sources/resolver.js'
import { canonicalText, displayName } from '../../sources/identify.js'
import { FileStore } from '../../store/file.js'
import type { DownloadStore } from '../../store/store.js'
import { networkSettings } from '../checks/network.js'
import { exitCodes } from '../checks/usage.js'
import { UsageError } from '../checks/usage-error.js'
import { openFolder, printNote, requireFolder, type ModelFolder } from '../files/folder.js'
import { createReporter, forwardEvents, interruptedCode, lastOnce } from '../follow.js'
import { plain } from '../format.js'
import type { NetworkOptions } from '../network.js'
import { completedReport, failedReport } from '../report.js'
import { onSignal } from '../signals.js'
import { withFileNotes } from '../stores.js'
import { finishedIn } from './records.js'
import { upstreamTexts } from './texts.js'

/** Parsed options of `update`. */
export interface UpdateCommandOptions extends NetworkOptions {
  directory: string
  /** Whether the folder was named. */
  ownDirectory: boolean
  json?: boolean | undefined
  quiet?: boolean | undefined
}

/**
 * Fetches what has changed at the source of finished downloads.
 *
 * @param refs - their URLs or refs; all if there are none.
 * @returns the exit code.
 * @throws UsageError for a URL or ref that nothing was downloaded by.
 */
export async function update(refs: readonly string[], options: UpdateCommandOptions): Promise<number> {
  await requireFolder(options)
  const folder = await openFolder(options.directory)
  const finished = await finishedIn(folder)
  const chosen = choose(
    finished.map(({ record }) => record),
    refs,
  )
  if (chosen.length === 0) {
    if (options.quiet !== true) printNote(upstreamTexts().nothingOutdated(0))
    return exitCodes.done
  }
  const manager = new DownloadManager({
    directory: folder.directory,
    modes: [...folder.modes],
    defaultMode: null,
    store: storeOf(folder, chosen),
    autoResume: false,
    worker: false,
    ...networkSettings(options),
  })
  const reporter = await createReporter(chosen.length, options)
  const report = lastOnce(reporter)
  const interruption = onSignal(() => {
    reporter.close()
    return manager.close()
  })
  const begun: Download[] = []
  const updateOne = async ({ url }: DownloadRecord): Promise<boolean> => {
    try {
      const download = await manager.update(url)
      begun.push(download)
      report(completedReport(url, await download.finished))
      return true
    } catch (error) {
      report(failedReport(url, toDownloadError(error), manager.get(url)?.group ?? null))
      return false
    }
  }
  try {
    if (options.quiet !== true) forwardEvents(manager, report, ({ url }) => url)
    const good = await Promise.all(chosen.map(updateOne))
    const interrupted = await interruptedCode(interruption, begun, !good.includes(false))
    if (interrupted !== null) return interrupted
    reporter.finish()
    return good.every(Boolean) ? exitCodes.done : exitCodes.failed
  } finally {
    reporter.close()
    await manager.close()
    interruption.dispose()
  }
}

function choose(records: readonly DownloadRecord[], refs: readonly string[]): DownloadRecord[] {
  if (refs.length === 0) return [...records]
  const sources = sourceRegistry()
  return refs.map((ref) => {
    const found = records.find(({ url }) => url === ref || canonicalText(url) === canonicalText(ref))
    if (found === undefined)
      throw new UsageError(upstreamTexts().notDownloaded(plain(displayName(ref, sources))))
    return found
  })
}

/**
 * A store of the chosen downloads. What completes is recorded wherever it was recorded before; an unfinished update is not
 * recorded, so that the next one compares again and continues from the bytes on disk.
 */
function storeOf({ directory, stores }: ModelFolder, records: readonly DownloadRecord[]): DownloadStore {
  const store: DownloadStore = {
    load: () => Promise.resolve({ records: [...records], problems: [] }),
    async save(record) {
      if (record.state !== 'completed') return
      for (const folder of stores.get(record.url) ?? []) {
        const known = new FileStore(folder)
        await known.save(record)
        await known.close()
      }
    },
    remove: () => Promise.resolve(),
  }
  return withFileNotes(store, directory)
}

import { relative } from 'node:path'
import { toDownloadError } from '../errors.js'
import type { DownloadManager } from '../manager.js'
import type { DownloadOptions } from '../options.js'
import type { DownloadPlan } from '../plan.js'
import { formatBytes, plain } from './format.js'
import { failedReport } from './report.js'
import { failedLine } from './reporters.js'
import { onSignal } from './signals.js'
import { exitCodes, isUsage, toUsageError } from './usage.js'

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
    const shown = relative('', path)
    return `${words[status].padEnd(10)}  ${size(bytes).padStart(9)}  ${plain(shown.startsWith('..') ? path : shown)}\n`
  })
  const count = files.length === 1 ? '1 file' : `${files.length} files`
  const free = freeBytes === null ? '' : `, ${size(freeBytes)} free`
  const verdict = fits === false ? ': not enough room' : ''
  return `${lines.join('')}${count}, ${size(totalBytes)}; ${size(missingBytes)} to fetch${free}${verdict}\n`
}

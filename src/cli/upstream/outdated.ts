import pLimit from 'p-limit'
import { errorText } from '../../download/error-text.js'
import { checkRecord, type UpstreamCheck } from '../../manager/upstream/check.js'
import { displayName } from '../../sources/identify.js'
import { sourceRegistry } from '../../sources/resolver.js'
import { formatBytes } from '../../util/format.js'
import { exitCodes } from '../checks/usage.js'
import { openFolder, printNote, requireFolder } from '../files/folder.js'
import { terminalWidth } from '../files/ls.js'
import { openResolver } from '../files/sources.js'
import { formatTable } from '../files/table.js'
import { jsonLine, plain } from '../format.js'
import { texts, voice } from '../language.js'
import type { NetworkOptions } from '../network.js'
import { finishedIn } from './records.js'
import { upstreamTexts } from './texts.js'
import { printOut } from '../process/surroundings.js'

/** Parsed options of `outdated`. */
export interface OutdatedCommandOptions extends NetworkOptions {
  directory: string
  /** Whether the folder was named. */
  ownDirectory: boolean
  all?: boolean | undefined
  json?: boolean | undefined
}

/** How many downloads are checked at the same time. */
const maxParallelChecks = 4

/**
 * Tells which finished downloads have changed at their source.
 *
 * @returns the exit code.
 */
export async function outdated(options: OutdatedCommandOptions): Promise<number> {
  await requireFolder(options)
  const finished = await finishedIn(await openFolder(options.directory))
  const resolver = openResolver(options)
  try {
    const { signal } = new AbortController()
    const checks = await pLimit(maxParallelChecks).map(finished, ({ record, path }) =>
      checkRecord(record, path, resolver, signal),
    )
    const shown = options.all === true ? checks : checks.filter(({ status }) => status !== 'current')
    if (options.json === true) for (const check of shown) printOut(jsonLine(checkJson(check)))
    else if (shown.length > 0) printOut(checkTable(shown, terminalWidth()))
    else printNote(upstreamTexts().nothingOutdated(checks.length))
    const failed = checks.filter(({ error, status }) => error !== null && status !== 'gone')
    for (const { url, error } of failed) {
      if (error !== null)
        printNote(
          `${texts().error}${nameOf(url)}${texts().colon}${plain(errorText(error, voice()))} (${error.code})`,
        )
    }
    return failed.length > 0 ? exitCodes.failed : exitCodes.done
  } finally {
    await resolver.close()
  }
}

const sources = sourceRegistry()

function nameOf(url: string): string {
  return plain(displayName(url, sources))
}

/** The JSON form of a check, as a line of `outdated --json`. */
export function checkJson({ url, error, ...check }: UpstreamCheck): object {
  const failure = error === null ? {} : { code: error.code, message: error.message }
  return { type: 'check', url: displayName(url, sources), ...check, ...failure }
}

/** The table of `outdated`. */
export function checkTable(checks: readonly UpstreamCheck[], width: number | null): string {
  const { columns, status: names } = upstreamTexts()
  const revision = (text: string | null) =>
    text === null ? '' : /^[0-9a-f]{40}$/.test(text) ? text.slice(0, 10) : plain(text)
  return formatTable(
    [
      { title: columns.ref, shrinks: true },
      { title: columns.status },
      { title: columns.changes, align: 'right' },
      { title: columns.size, align: 'right' },
      { title: columns.from },
      { title: columns.to },
    ],
    checks.map(({ url, status, changes, bytes, revision: from, latestRevision: to }) => [
      nameOf(url),
      names[status],
      changes.length === 0 ? '' : String(changes.length),
      bytes === null || changes.length === 0 ? '' : formatBytes(bytes),
      revision(from),
      revision(to),
    ]),
    width,
  )
}

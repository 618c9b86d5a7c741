import type { StoredFile } from '../../files/stored.js'
import { inspectRef } from '../../inspect/inspect.js'
import { displayName, identify } from '../../sources/identify.js'
import { sourceRegistry } from '../../sources/resolver.js'
import { shownDigest } from '../../util/digests.js'
import { formatBytes } from '../../util/format.js'
import { asUsageError, exitCodes } from '../checks/usage.js'
import { jsonLine, plain } from '../format.js'
import { listFolder, printNote, openFolder, requireFolder } from './folder.js'
import { lookProblems, lookText, modelJson } from '../upstream/look.js'
import { globsOf, openResolver, type SourceFile, type SourceOptions } from './sources.js'
import { percentText, formatTable, formatTime } from './table.js'
import { fileTexts } from './texts.js'
import { printOut, surroundings } from '../process/surroundings.js'

/** Parsed options of `ls`. */
export interface ListOptions extends SourceOptions {
  directory: string
  /** Whether the folder was named. */
  ownDirectory: boolean
  /** List the files of groups, too. */
  files?: boolean | undefined
  json?: boolean | undefined
}

/**
 * Lists what is on disk, or what a ref stands for.
 *
 * @returns the exit code.
 */
export async function ls(ref: string | undefined, options: ListOptions): Promise<number> {
  if (ref !== undefined) return await listSource(ref, options)
  await requireFolder(options)
  const { entries } = await listFolder(await openFolder(options.directory))
  const shown = entries.filter(({ state }) => state !== 'missing')
  if (options.json === true) {
    for (const entry of shown) printOut(jsonLine(entryJson(entry)))
    return exitCodes.done
  }
  if (shown.length === 0) {
    printNote(fileTexts().noFiles(plain(options.directory)))
    return exitCodes.done
  }
  printOut(entryTable(shown, options.files === true, terminalWidth()))
  const size = shown.reduce((sum, entry) => sum + entry.size, 0)
  printNote(fileTexts().total(shown.length, formatBytes(size)))
  return exitCodes.done
}

/** Cells per line of the terminal; null if standard output is none. */
export function terminalWidth(): number | null {
  // A terminal that does not know its size has 0 columns.
  const { isTTY, columns = 0 } = surroundings().stdout
  return isTTY === true && columns > 0 ? columns : null
}

/** The JSON form of an entry, as a line of `ls --json`. */
export function entryJson(entry: StoredFile): object {
  const { isGroup, files, modifiedAt, ...rest } = entry
  const time = (at: Date | null) => at?.toISOString() ?? null
  return {
    type: isGroup ? 'group' : 'file',
    ...rest,
    modifiedAt: time(modifiedAt),
    files: isGroup ? files.map((file) => ({ ...file, modifiedAt: time(file.modifiedAt) })) : null,
  }
}

/** The table of `ls`. */
export function entryTable(entries: readonly StoredFile[], withFiles: boolean, width: number | null): string {
  const { columns } = fileTexts()
  const rows = entries.flatMap((entry) => [
    rowOf(entry),
    ...(withFiles && entry.isGroup ? entry.files.map((file) => memberRow(file)) : []),
  ])
  return formatTable(
    [
      { title: columns.name, shrinks: true },
      { title: columns.size, align: 'right' },
      { title: columns.files, align: 'right' },
      { title: columns.digest },
      { title: columns.modified },
      { title: columns.from, shrinks: true },
    ],
    rows,
    width,
  )
}

const sources = sourceRegistry()

function rowOf({ name, isGroup, files, digestKnown, modifiedAt, url, ...entry }: StoredFile): string[] {
  const { known, unknownDigest } = fileTexts()
  return [
    plain(isGroup ? `${name}/` : name),
    sizeText(entry),
    isGroup ? String(files.length) : '',
    digestKnown ? known : unknownDigest,
    modifiedAt === null ? '' : formatTime(modifiedAt),
    url === null ? '' : plain(displayName(url, sources)),
  ]
}

function memberRow({ filename, sha256, gitOid, modifiedAt, ...file }: StoredFile['files'][number]): string[] {
  const { known, unknownDigest } = fileTexts()
  return [
    `  ${plain(filename)}`,
    sizeText(file),
    '',
    sha256 === null && gitOid === null ? unknownDigest : known,
    modifiedAt === null ? '' : formatTime(modifiedAt),
    '',
  ]
}

function sizeText({ state, size, total }: Pick<StoredFile, 'state' | 'size' | 'total'>): string {
  const { partial, missing } = fileTexts()
  if (state === 'missing') return missing
  if (state === 'complete') return formatBytes(size)
  return partial(formatBytes(size), total === null ? null : formatBytes(total), percentText(size, total))
}

// ---- At a source

async function listSource(ref: string, options: ListOptions): Promise<number> {
  const resolver = openResolver(options)
  try {
    asUsageError(() => identify(ref, resolver))
    const request = { remote: null, signal: new AbortController().signal, ...globsOf(options) }
    const found = await inspectRef(ref, resolver, request)
    const { source, revision, models } = found
    const files = found.files.map(({ filename, ...file }) => ({ path: filename, ...file }))
    if (options.json === true) {
      for (const file of files) printOut(jsonLine({ type: 'file', ref, source, revision, ...file }))
      for (const model of models) printOut(jsonLine(modelJson(ref, model)))
      return exitCodes.done
    }
    printOut(sourceTable(files, terminalWidth()) + lookText(found, terminalWidth()))
    for (const problem of lookProblems(found)) printNote(problem)
    printNote(fileTexts().sourceTotal(files.length, formatBytes(sizeOf(files))))
    return exitCodes.done
  } finally {
    await resolver.close()
  }
}

function sizeOf(files: readonly Pick<SourceFile, 'size'>[]): number {
  return files.reduce((sum, { size }) => sum + (size ?? 0), 0)
}

/** The table of files at a source. */
export function sourceTable(files: readonly SourceFile[], width: number | null): string {
  const { columns } = fileTexts()
  return formatTable(
    [
      { title: columns.name, shrinks: true },
      { title: columns.size, align: 'right' },
      { title: columns.digest, shrinks: true },
    ],
    files.map(({ path, size, ...digests }) => [
      plain(path),
      size === null ? '?' : formatBytes(size),
      shownDigest(digests),
    ]),
    width,
  )
}

/** A folder of models as the commands see it: with the records of servers, of `get` and of `preload`, and without a manager. */
import { dirname, join, resolve } from 'node:path'
import { nullIfMissing } from '../../disk/errors.js'
import { lstat, readdir, realpath } from '../../disk/fs.js'
import { checkFilename } from '../../disk/names.js'
import { isUnchanged } from '../../disk/stamp.js'
import { Destinations, userCache } from '../../download/destination.js'
import type { DownloadRecord } from '../../download/record.js'
import { recordProblem } from '../../download/stored-record.js'
import { type Inventory, repositoryAbove, takeInventory } from '../../files/inventory.js'
import { sourceRegistry } from '../../sources/resolver.js'
import { FileStore } from '../../store/file.js'
import { UsageError } from '../checks/usage-error.js'
import { plain } from '../format.js'
import { fileTexts } from './texts.js'
import { printError } from '../process/surroundings.js'

const notesName = '.model-downloader'

/** Modes that exist without being registered. */
const usualModes = ['llm', 'embed', 'rerank']

/** A folder of models and what is known of it. */
export interface ModelFolder {
  /** Absolute path. */
  readonly directory: string
  readonly places: Destinations
  readonly records: readonly DownloadRecord[]
  readonly modes: ReadonlySet<string>
  /** Folders of the stores that have a record of a URL. */
  readonly stores: ReadonlyMap<string, readonly string[]>
}

/** Reads the records of a folder. Nothing is written, and what can't be read is left out. */
export async function openFolder(directory: string): Promise<ModelFolder> {
  const absolute = resolve(directory)
  const byUrl = new Map<string, DownloadRecord>()
  const stores = new Map<string, string[]>()
  const own = join(absolute, notesName)
  const sources = sourceRegistry()
  const context = { places: { modeOf: anyMode }, sources }
  const finished = await foldersIn(userCache(), 'refs')
  const begun = [...(await foldersIn(own, 'get')), join(own, 'preload')]
  // The later ones are newer: a group is recorded as begun only while it is not complete.
  for (const store of [...finished, own, ...begun]) {
    for (const record of await new FileStore(store).peek().catch(() => [])) {
      if (recordProblem(record, context) !== null) continue
      // Records of finished refs do not name their folder, but only there do the files have their stamps.
      const isNote = finished.includes(store)
      if (isNote && !(await hasItsFiles(record, absolute))) continue
      byUrl.set(record.url, record)
      stores.set(record.url, [...(stores.get(record.url) ?? []), store])
    }
  }
  const records = [...byUrl.values()]
  const modes = new Set([...usualModes, ...records.flatMap(({ mode }) => mode ?? [])])
  const places = new Destinations(absolute, [...modes], null)
  return { directory: absolute, places, records, modes, stores }
}

function anyMode(mode: string | null | undefined): string | null {
  return mode === null || mode === undefined ? null : checkFilename(mode)
}

async function foldersIn(...path: (string | null)[]): Promise<string[]> {
  const [root] = path
  if (root === null) return []
  const folder = join(...path.map((part) => part ?? ''))
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))
}

/** Whether a file of a record is in a folder, unchanged since it was finished. */
async function hasItsFiles(record: DownloadRecord, directory: string): Promise<boolean> {
  const path = new Destinations(directory, [], null).pathOf(record)
  const linked = record.layout !== 'flat'
  if (record.group === null) return record.stamp !== null && (await isUnchanged(path, record.stamp, linked))
  for (const { path: inside, stamp } of record.group.files) {
    if (stamp !== undefined && (await isUnchanged(join(path, ...inside.split('/')), stamp, linked)))
      return true
  }
  return false
}

/** Lists a folder, and reports on standard error what could not be listed. */
export async function listFolder(folder: ModelFolder, roots?: readonly string[]): Promise<Inventory> {
  const inventory = await takeInventory({ ...folder, ...(roots === undefined ? {} : { roots }) })
  for (const path of inventory.unreadable) printNote(fileTexts().unreadableFolder(plain(path)))
  if (inventory.isCut) printNote(fileTexts().cut)
  return inventory
}

/** Writes a line to standard error. */
export function printNote(line: string): void {
  printError(`${line}\n`)
}

/**
 * Checks that a folder exists. The default one may be missing, which is only noted.
 *
 * @throws UsageError for a missing one that was named.
 */
export async function requireFolder({
  directory,
  ownDirectory,
}: {
  directory: string
  ownDirectory: boolean
}): Promise<void> {
  const stats = await lstat(resolve(directory)).catch(nullIfMissing)
  if (stats !== null) return
  const message = fileTexts().noFolder(plain(directory))
  if (ownDirectory) throw new UsageError(message)
  printNote(message)
}

/** What a path on the command line means. */
export interface VerifiedPath {
  /** Absolute path without links. */
  path: string
  /** The folder of models that it belongs to: the nearest one with records, or the cache that it is in. */
  directory: string
  isFolder: boolean
}

/** Finds the folder of models that a path belongs to; null if the path does not exist. */
export async function locate(text: string): Promise<VerifiedPath | null> {
  const path = await realpath(resolve(text)).catch(() => null)
  if (path === null) return null
  const stats = await lstat(path).catch(() => null)
  if (stats === null) return null
  const isFolder = stats.isDirectory()
  const start = isFolder ? path : dirname(path)
  const repository = repositoryAbove(path)
  if (repository !== null) return { path, directory: dirname(repository), isFolder }
  for (let folder = start; ; folder = dirname(folder)) {
    const notes = await lstat(join(folder, notesName)).catch(() => null)
    if (notes?.isDirectory() === true) return { path, directory: folder, isFolder }
    if (dirname(folder) === folder) return { path, directory: start, isFolder }
  }
}

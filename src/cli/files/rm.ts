import { isAbsolute, resolve } from 'node:path'
import { errorText } from '../../download/error-text.js'
import { isDownloadError, toDownloadError } from '../../errors.js'
import { removeEntry } from '../../files/remove.js'
import { findEntries, type StoredFile } from '../../files/stored.js'
import { FileStore } from '../../store/file.js'
import { sha256HexOf } from '../../util/digest.js'
import { formatBytes } from '../../util/format.js'
import { exitCodes } from '../checks/usage.js'
import { jsonLine, plain } from '../format.js'
import { texts, voice } from '../language.js'
import { confirm, type DeleteOptions } from './confirm.js'
import { listFolder, type ModelFolder, printNote, openFolder, requireFolder } from './folder.js'
import { fileTexts } from './texts.js'
import { printOut } from '../process/surroundings.js'

/** Parsed options of `rm`. */
export interface RemoveOptions extends DeleteOptions {
  directory: string
  ownDirectory: boolean
}

/**
 * Deletes files and groups.
 *
 * @returns the exit code: 1 if a name is unknown, in which case nothing is deleted, or something can't be deleted.
 */
export async function rm(names: readonly string[], options: RemoveOptions): Promise<number> {
  await requireFolder(options)
  const folder = await openFolder(options.directory)
  const { entries } = await listFolder(folder)
  const chosen = choose(entries, names, options)
  if (chosen === null) return exitCodes.failed
  const { dryRun = false, json = false } = options
  const total = chosen.reduce((sum, { size }) => sum + size, 0)
  if (!(await confirm(fileTexts().confirm(chosen.length, formatBytes(total)), options))) {
    printNote(fileTexts().notDeleted)
    return exitCodes.failed
  }
  let freed = 0
  let good = true
  for (const entry of chosen) {
    const { name, size } = entry
    try {
      if (!dryRun) await removeWithRecords(folder, entry)
      freed += size
      const { deleted, wouldDelete } = fileTexts()
      const line = `${dryRun ? wouldDelete : deleted}  ${plain(name)}  ${formatBytes(size)}\n`
      printOut(json ? jsonLine({ type: 'removed', name, freedBytes: size, dryRun }) : line)
    } catch (thrown) {
      good = false
      const error = toDownloadError(thrown)
      const { code, message } = error
      if (json) printOut(jsonLine({ type: 'failed', name, code, message }))
      const reason =
        code === 'TARGET_LOCKED'
          ? fileTexts().downloading(plain(name))
          : `${plain(name)}${texts().colon}${plain(errorText(error, voice()))}`
      printNote(`${texts().error}${reason} (${code})`)
    }
  }
  if (!json)
    printNote(dryRun ? fileTexts().wouldFree(formatBytes(freed)) : fileTexts().freed(formatBytes(freed)))
  return good ? exitCodes.done : exitCodes.failed
}

/** The entries that are named; null if any of the names is not usable, which is reported. */
function choose(
  entries: readonly StoredFile[],
  names: readonly string[],
  { directory, json }: RemoveOptions,
): StoredFile[] | null {
  const said = fileTexts()
  const chosen = new Set<StoredFile>()
  const problems: { name: string; code: string; message: string }[] = []
  for (const name of names) {
    const byName = findEntries(entries, name)
    const path = resolve(name)
    const found = byName.length > 0 ? byName : entries.filter((entry) => entry.path === path)
    const isAmbiguous = found.length > 1 && found.some(({ url }) => url !== name)
    const shown = plain(name)
    if (found.length === 0)
      problems.push({ name, code: 'NOT_FOUND', message: said.notFound(shown, plain(directory)) })
    else if (isAmbiguous) {
      const all = found.map((entry) => plain(entry.name)).join(texts().comma)
      problems.push({ name, code: 'CONFLICT', message: said.ambiguous(shown, all) })
    } else if (found.some((entry) => isAbsolute(entry.name)))
      problems.push({ name, code: 'ACCESS_DENIED', message: said.elsewhere(shown) })
    else for (const entry of found) chosen.add(entry)
  }
  for (const { name, code, message } of problems) {
    if (json === true) printOut(jsonLine({ type: 'failed', name, code, message }))
    printNote(`${texts().error}${message}`)
  }
  return problems.length === 0 ? [...chosen] : null
}

/** Deletes an entry, and then what is known of its download: otherwise a server would report it as completed. */
async function removeWithRecords(folder: ModelFolder, entry: StoredFile): Promise<void> {
  await removeEntry(folder.directory, entry)
  const { url } = entry
  if (url === null) return
  for (const path of folder.stores.get(url) ?? []) {
    const store = new FileStore(path)
    try {
      await store.remove(sha256HexOf(url))
    } catch (error) {
      // Without its file, a record is only out of date.
      if (isDownloadError(error)) printNote(`${texts().warning}${plain(errorText(error, voice()))}`)
    } finally {
      await store.close()
    }
  }
}

/** Restores downloads whose records are damaged, from the journals that lie beside their parts. */
import { readdir } from '../disk/fs.js'
import { checkFilename } from '../disk/names.js'
import { partPaths } from '../disk/part-paths.js'
import { type DownloadRecord, downloadRecordSchema } from '../download/record.js'
import { type Journal, parseJournal, readText } from '../engine/part/journal.js'
import { publicOnly } from '../net/address-policy.js'
import { sha256HexOf } from '../util/digest.js'

/** A folder of a manager. */
export interface ModeFolder {
  mode: string | null
  /** Absolute path. */
  folder: string
}

const journalSuffix = '.part.json'

/**
 * Restores what the journals tell of downloads of plain URLs: address, place, digest, and whom the download is for.
 * Headers and other settings are in records only. Never rejects.
 *
 * @param ids - the ids of the damaged records.
 * @param folders - where to look.
 */
export async function restoreLost(
  ids: readonly string[],
  folders: readonly ModeFolder[],
): Promise<DownloadRecord[]> {
  const lost = new Set(ids)
  const restored: DownloadRecord[] = []
  if (lost.size === 0) return restored
  for (const { mode, folder } of folders) {
    const names = await readdir(folder).catch(() => [])
    for (const name of names) {
      if (!name.endsWith(journalSuffix)) continue
      const filename = name.slice(0, -journalSuffix.length)
      const text = await readText(partPaths(folder, filename).journal).catch(() => null)
      const journal = text === null ? null : parseJournal(text)
      const record = journal === null ? null : recordOf(journal, mode, filename)
      // Whatever was found first, it is one download.
      if (record !== null && lost.delete(record.id)) restored.push(record)
    }
  }
  return restored
}

/** The record of a journal; null if it names no file that could have been asked for. */
function recordOf(journal: Journal, mode: string | null, filename: string): DownloadRecord | null {
  const { url, sha256, identity, remote } = journal
  try {
    checkFilename(filename)
    return downloadRecordSchema.parse({
      version: 1,
      id: sha256HexOf(url),
      url: new URL(url).href,
      filename,
      named: true,
      mode,
      state: 'queued',
      sha256,
      size: null,
      headers: {},
      priority: 0,
      connections: null,
      maxBytesPerSecond: null,
      // A journal of an earlier version does not say who has asked, and could be that of a remote caller.
      remote: remote === undefined ? publicOnly : remote,
      force: false,
      sequence: 0,
      downloaded: 0,
      total: identity.total,
      error: null,
      resultSha256: null,
      verified: false,
      stamp: null,
      createdAt: new Date().toISOString(),
      startedAt: null,
      finishedAt: null,
    })
  } catch {
    return null
  }
}

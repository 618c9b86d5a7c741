/** The finished downloads of a folder: those of servers, and what the command has downloaded. */
import { basename, dirname } from 'node:path'
import { lstat } from '../../disk/fs.js'
import { downloadOptionsSchema } from '../../download/options.js'
import type { DownloadRecord } from '../../download/record.js'
import { newRecord } from '../../download/request.js'
import { FileNotes } from '../../files/notes.js'
import { listFolder, type ModelFolder } from '../files/folder.js'

/** A finished download, and where it is. */
export interface FinishedDownload {
  record: DownloadRecord
  /** Absolute path of its file, or of the folder of its files. */
  path: string
}

/** Finds the finished downloads of a folder. */
export async function finishedIn(folder: ModelFolder): Promise<FinishedDownload[]> {
  const finished = folder.records
    .filter(({ state }) => state === 'completed')
    .map((record) => ({ record, path: folder.places.pathOf(record) }))
  const known = new Set(finished.map(({ record }) => record.url))
  // Of a plain URL, the command keeps only a note.
  const { entries } = await listFolder(folder)
  const notes = new FileNotes()
  for (const { path, url, state, isGroup } of entries) {
    // What is left of an address that had a query can't be asked.
    if (url === null || state !== 'complete' || isGroup || known.has(url) || !/^https?:\/\/[^?]+$/.test(url))
      continue
    const stats = await lstat(path).catch(() => null)
    const note = stats === null ? null : await notes.find(path, stats)
    if (note === null) continue
    known.add(url)
    const wanted = downloadOptionsSchema.parse({ url })
    const place = { directory: dirname(path), filename: basename(path), named: true, mode: null }
    const record: DownloadRecord = {
      ...newRecord(wanted, { ...place, layout: 'flat', sequence: 0 }),
      state: 'completed',
      stamp: note.stamp,
      downloaded: note.stamp.size,
      total: note.stamp.size,
      resultSha256: note.stamp.sha256,
      finishedAt: note.at,
      ...(note.validator === undefined ? {} : { validator: note.validator }),
    }
    finished.push({ record, path })
  }
  return finished
}

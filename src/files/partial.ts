/** What unfinished downloads have left beside their targets. */
import { basename, dirname } from 'node:path'
import { io } from '../disk/io.js'
import { partPaths } from '../disk/part-paths.js'
import { size as sizeOf } from '../engine/part/intervals.js'
import { type Journal, parseJournal, readText } from '../engine/part/journal.js'

/** The bytes of an unfinished download. */
export interface PartialFile {
  /** Bytes that were written. */
  size: number
  /** Size of the complete file; null if unknown. */
  total: number | null
  /** The URL as it was requested; null if unknown. */
  url: string | null
  /** Digest that the complete file must have; null if unknown. */
  sha256: string | null
  modifiedAt: Date
}

/** Looks for the bytes of an unfinished download of a file; null if there are none. Never rejects. */
export async function partialOf(target: string): Promise<PartialFile | null> {
  const { part, journal, recent } = partPaths(dirname(target), basename(target))
  const stats = await io.lstatIfThere(part).catch(() => null)
  if (stats?.isFile() !== true) return null
  const [saved, newer] = await Promise.all([journal, recent].map(readJournal))
  const known = [saved, newer].filter((one) => one !== null && one !== undefined)
  const [first] = known
  return {
    // A part file may have its full length from the start; only the journal tells what was written.
    size: first === undefined ? stats.size : Math.max(...known.map(({ written }) => sizeOf(written))),
    total: first?.identity.total ?? null,
    url: first?.url ?? null,
    sha256: first?.sha256 ?? null,
    modifiedAt: stats.mtime,
  }
}

async function readJournal(path: string): Promise<Journal | null> {
  const text = await readText(path).catch(() => null)
  return text === null ? null : parseJournal(text)
}

/** What unfinished downloads have left beside their targets. */
import { basename, dirname } from 'node:path'
import { io } from '../disk/io.js'
import { partPaths } from '../disk/part-paths.js'
import { size as sizeOf } from '../engine/part/intervals.js'
import { peekLeftover } from '../engine/part/journal.js'

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
  const paths = partPaths(dirname(target), basename(target))
  const stats = await io.lstatIfThere(paths.part).catch(() => null)
  if (stats?.isFile() !== true) return null
  const { journal } = await peekLeftover(paths, [], null).catch(() => ({ journal: null }))
  return {
    // A part file may have its full length from the start. Without a journal, only the space it takes tells what was written.
    size: journal === null ? Math.min(stats.size, stats.blocks * 512) : sizeOf(journal.written),
    total: journal?.identity.total ?? null,
    url: journal?.url ?? null,
    sha256: journal?.sha256 ?? null,
    modifiedAt: stats.mtime,
  }
}

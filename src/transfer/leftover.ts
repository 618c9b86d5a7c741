/** What lies beside a target: its names, and what an earlier run left there. */
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readRegularFile } from '../files/atomic.js'
import { bootId } from '../files/boot.js'
import { fsError } from '../files/fs-errors.js'
import { io } from '../files/io.js'
import { parseJournal, resumable, type Journal, type Resumable } from './journal.js'

/** Where the files of one target lie. */
export interface PartPaths {
  directory: string
  target: string
  part: string
  journal: string
  lock: string
  /** A file of another program's cache, while it is looked at. */
  adopted: string
}

/** The paths for a file name. */
export function partPaths(directory: string, filename: string): PartPaths {
  const target = join(directory, filename)
  return {
    directory,
    target,
    part: `${target}.part`,
    journal: `${target}.part.json`,
    lock: `${target}.part.lock`,
    adopted: `${target}.part.adopt`,
  }
}

/** What lies beside a target from an earlier run. */
export interface Leftover {
  journal: Journal | null
  /** Set when the part can be taken up again. */
  resume: Resumable | null
  /** Whether a journal lies there at all. */
  found: boolean
  partExists: boolean
}

/**
 * Looks at what an earlier run left, and clears away the journals that a kill kept from getting their name. Never throws
 * for what it finds, only for what it can't read.
 */
export async function inspectLeftover(...about: Parameters<typeof peekLeftover>): Promise<Leftover> {
  const leftover = await peekLeftover(...about)
  if (leftover.found) await removeTemporary(about[0])
  return leftover
}

/** The same, without changing anything. */
export async function peekLeftover(
  paths: PartPaths,
  urls: readonly string[],
  sha256: string | null,
): Promise<Leftover> {
  const text = await readText(paths.journal)
  // A part without a journal tells nothing; whoever begins a new one deletes it.
  if (text === null) return { journal: null, resume: null, found: false, partExists: false }
  const journal = parseJournal(text)
  const part = await statPart(paths.part)
  const found = true
  const partExists = part !== null
  if (journal === null || !part?.isFile()) return { journal, resume: null, found, partExists }
  const now = { urls, sha256, bootId: bootId(), partSize: part.size }
  return { journal, resume: resumable(journal, now), found, partExists }
}

/** Far more than any journal has: its intervals are as many as there were connections, or few more. */
const maxJournalBytes = 1024 * 1024

/** Deletes part and journal, whatever they are. */
export async function discardLeftover(paths: PartPaths): Promise<void> {
  await removeFiles([paths.part, paths.journal])
}

/**
 * Deletes files; those that aren't there are fine.
 *
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function removeFiles(files: readonly string[]): Promise<void> {
  await Promise.all(files.map(remove))
}

/** Deletes temporary journals (see `replaceFile`). They are only ever made beside a part or a journal. */
export async function removeTemporary({ directory, journal }: PartPaths): Promise<void> {
  const start = `${basename(journal)}.`
  const names = await readdir(directory).catch(() => [])
  const temporary = names.filter(
    (name) => name.startsWith(start) && /^[0-9a-z]{6}$/.test(name.slice(start.length)),
  )
  // What can't be deleted is litter, no reason to fail.
  await Promise.allSettled(temporary.map((name) => io.unlink(join(directory, name))))
}

/** A journal's text; null when there is none, empty when it can't be one: a folder, a FIFO, a link, far too long. */
export async function readText(path: string): Promise<string | null> {
  try {
    // Most have none, and an error costs more than this look.
    if ((await io.lstatIfThere(path)) === null) return null
    const { data, stats } = await readRegularFile(path, maxJournalBytes)
    return stats.size > maxJournalBytes ? '' : data.toString('utf8')
  } catch (error) {
    if (isMissing(error)) return null
    const reason = fsError(error, 'reading the journal')
    if (reason.code === 'TARGET_NOT_REGULAR') return ''
    throw reason
  }
}

/** What lies at a path, links not followed; null when nothing does. */
export async function statPart(path: string) {
  try {
    return await io.lstatIfThere(path)
  } catch (error) {
    throw fsError(error, 'looking at the part file')
  }
}

async function remove(path: string): Promise<void> {
  try {
    await io.unlink(path)
  } catch (error) {
    if (!isMissing(error)) throw fsError(error, 'deleting a left part file')
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** What a journal says, and how much of it may be believed. Pure. Transfer rule 9. */
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as z from 'zod'
import { readRegularFile } from '../../disk/atomic.js'
import { fsError, isMissing } from '../../disk/errors.js'
import { io } from '../../disk/io.js'
import type { PartPaths } from '../../disk/part-paths.js'
import { bootId } from '../../disk/system.js'
import { lazily } from '../../util/lazy.js'
import { mirrorId } from '../protocol.js'
import type { Identity } from './identity.js'
import { covers, type IntervalSet, parseIntervals } from './intervals.js'

/** The journal of a part file. Version 1. */
export interface Journal {
  version: 1
  /** The address as the caller gave it. */
  url: string
  /** The digest that was expected when the part was begun, or null. */
  sha256: string | null
  identity: Identity
  /** Whose `identity` it is, when not that of `url`: the `mirrorId` of another address of the file. */
  mirror?: string | undefined
  /** Boot in which `written` was true. */
  bootId: string
  /** Which run wrote it last; another one's means that the part is no longer ours. */
  writer: string
  /** Inode of the part file, as a string since it may pass 2^53; tells after a kill whether the rename took place. */
  inode: string
  /** Handed to the kernel: survives the death of the process. */
  written: IntervalSet
  /** Forced to the disk: survives a power cut. */
  synced: IntervalSet
  /** Set right before the rename: the file that is about to lie under the final name. */
  publishing: { size: number; sha256: string } | null
}

/** A download that begins anew reads no journal. */
const schema = lazily(() => {
  const intervals = z.unknown().transform((value, context): IntervalSet => {
    const parsed = parseIntervals(value)
    if (parsed !== null) return parsed
    context.addIssue({ code: 'custom', message: 'not a set of intervals' })
    return z.NEVER
  })

  const count = z.number().int().nonnegative()

  return z.object({
    version: z.literal(1),
    url: z.string(),
    sha256: z.string().nullable(),
    identity: z.object({
      total: count.nullable(),
      etag: z.string().nullable(),
      lastModified: z.string().nullable(),
      lastModifiedStrong: z.boolean(),
    }),
    mirror: z.string().optional(),
    bootId: z.string(),
    writer: z.string(),
    inode: z.string(),
    written: intervals,
    synced: intervals,
    publishing: z.object({ size: count, sha256: z.string() }).nullable(),
  })
})

/** The journal as it lies on disk. */
export function encodeJournal(journal: Journal): string {
  return JSON.stringify(journal)
}

/** Reads a journal; null for anything that is not one, of this version, in full. */
export function parseJournal(text: string): Journal | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  const result = schema().safeParse(value)
  if (!result.success) return null
  const { identity, written, synced } = result.data
  // What is on the disk went through the kernel first.
  if (!synced.every(([start, end]) => covers(written, start, end))) return null
  const end = written.at(-1)?.[1] ?? 0
  return identity.total !== null && end > identity.total ? null : result.data
}

/** What may be taken up again. */
export interface Resumable {
  identity: Identity
  /** Whose that is, as a `mirrorId`. */
  mirror: string
  /** Bytes that are there. */
  done: IntervalSet
  /** Those of them that are known to be on the disk. */
  synced: IntervalSet
}

/**
 * How much of a kept part can be used; null when nothing can.
 *
 * In the boot that wrote it the page cache holds all of `written`; after another boot only `synced` counts. A part
 * that is shorter than its journal claims is cut back to nothing: somebody else touched it.
 */
export function resumable(
  journal: Journal,
  now: { urls: readonly string[]; sha256: string | null; bootId: string; partSize: number },
): Resumable | null {
  // The same digest is the same file, whichever mirror or revision it came from.
  const sameDigest = now.sha256 !== null && journal.sha256 === now.sha256
  const mirror = journal.mirror ?? mirrorId(journal.url)
  const known = now.urls.includes(journal.url) || now.urls.some((url) => mirrorId(url) === mirror)
  if (!known && !sameDigest) return null
  if (now.sha256 !== null && journal.sha256 !== null && now.sha256 !== journal.sha256) return null
  const done = journal.bootId === now.bootId ? journal.written : journal.synced
  const end = done.at(-1)?.[1] ?? 0
  if (end === 0 || now.partSize < end) return null
  return { identity: journal.identity, mirror, done, synced: journal.synced }
}

// ---- What lies beside a target: its names, and what an earlier run left there.

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
export async function inspectLeftover(
  paths: PartPaths,
  urls: readonly string[],
  sha256: string | null,
): Promise<Leftover> {
  const leftover = await peekLeftover(paths, urls, sha256)
  if (leftover.found) await removeTemporary(paths)
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
  const partExists = part !== null
  if (journal === null || !part?.isFile()) return { journal, resume: null, found: true, partExists }
  const now = { urls, sha256, bootId: bootId(), partSize: part.size }
  return { journal, resume: resumable(journal, now), found: true, partExists }
}

/** Far more than any journal has: its intervals are as many as there were connections, or few more. */
const maxJournalBytes = 1024 * 1024

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

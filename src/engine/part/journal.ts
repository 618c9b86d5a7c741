/** Reads and validates the journal of a part file. Transfer rule 9. */
import { basename, join } from 'node:path'
import * as z from 'zod'
import { readRegularFile } from '../../disk/atomic.js'
import { fsError, isMissing } from '../../disk/errors.js'
import { readdir } from '../../disk/fs.js'
import { io } from '../../disk/io.js'
import type { PartPaths } from '../../disk/part-paths.js'
import { bootId, hostId } from '../../disk/system.js'
import { digestAlgorithms } from '../../util/digests.js'
import { lazily } from '../../util/lazy.js'
import type { RemoteGrant } from '../../net/address-policy.js'
import { mirrorId } from '../protocol.js'
import type { Identity } from './identity.js'
import { type IntervalSet, parseIntervals, size, union } from './intervals.js'
import type { Lease } from './lease.js'
import { parseRecords } from './live-journal.js'

/** The journal of a part file. Version 1. */
export interface Journal {
  version: 1
  /** The URL as the caller gave it; one that a source named has no signature. */
  url: string
  /** The digest that was expected when the part was created, or null. */
  sha256: string | null
  identity: Identity
  /** The `mirrorId` of the address that `identity` comes from; undefined for `url`. */
  mirror?: string | undefined
  /** The addresses that the URL may reach; null for a trusted caller, undefined in journals of the first versions. */
  remote?: RemoteGrant | null | undefined
  /** Some of the bytes may come from a mirror that a remote caller named. */
  untrusted?: true | undefined
  /** Id of the boot in which `written` is valid. */
  bootId: string
  /** The `hostId` of the owner, for which `written` is valid; undefined in journals of the first versions. */
  host?: string | undefined
  /** Number of the lease that it was written under, see `LeaseTerm.epoch`; undefined without one. */
  epoch?: number | undefined
  /** Id of the run that wrote it last. If it is not ours, another run has taken over the part. */
  writer: string
  /**
   * In a {@link PartPaths.recent}: the `writer` of the journal that it lies beside, if that is of an earlier run.
   */
  beside?: string | undefined
  /** How many that run had written before; undefined in journals of the first versions. */
  serial?: number | undefined
  /** Inode of the part file; shows after a kill whether the rename took place. A string, as it may exceed 2^53. */
  inode: string
  /** Bytes handed to the kernel; they survive the death of the process. */
  written: IntervalSet
  /** Bytes forced to the disk; they survive a power failure. */
  synced: IntervalSet
  /** Set right before the rename: the file that is about to get the final name. */
  publishing: { size: number; sha256: string } | null
}

/** Created on first use: a download that does not resume reads no journal. */
const schema = lazily(() => {
  const intervals = z.unknown().transform((value, context): IntervalSet => {
    const parsed = parseIntervals(value)
    if (parsed !== null) return parsed
    context.addIssue('not a set of intervals')
    return z.NEVER
  })

  const count = z.number().int().nonnegative()

  const serverDigest = z.object({
    algorithm: z.enum([...digestAlgorithms, 'git']),
    value: z.string().regex(/^(?:[0-9a-f]{2}){1,64}$/),
  })

  return z.object({
    version: z.literal(1),
    url: z.string(),
    sha256: z.string().nullable(),
    identity: z.object({
      total: count.nullable(),
      etag: z.string().nullable(),
      lastModified: z.string().nullable(),
      lastModifiedStrong: z.boolean(),
      digests: z.array(serverDigest).max(20).optional(),
    }),
    mirror: z.string().optional(),
    remote: z
      .object({ allowPrivateNetwork: z.boolean(), allowedHosts: z.array(z.string()) })
      .nullable()
      .optional(),
    untrusted: z.literal(true).optional(),
    bootId: z.string(),
    host: z.string().optional(),
    epoch: z.number().optional(),
    writer: z.string(),
    beside: z.string().optional(),
    serial: count.optional(),
    inode: z.string(),
    written: intervals,
    synced: intervals,
    publishing: z.object({ size: count, sha256: z.string() }).nullable(),
  })
})

/** Serializes a journal. */
export function encodeJournal(journal: Journal): string {
  return JSON.stringify(journal)
}

/** Parses a journal; null unless it is a complete and valid one of this version. */
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
  // Bytes can't be on the disk without having been handed to the kernel.
  if (size(union(written, synced)) !== size(written)) return null
  const end = written.at(-1)?.[1] ?? 0
  return identity.total !== null && end > identity.total ? null : result.data
}

/** The bytes of an earlier run that can be resumed. */
export interface Resumable {
  identity: Identity
  /** The `mirrorId` of the address that `identity` comes from. */
  mirror: string
  /** Bytes that the part has. */
  done: IntervalSet
  /** Those of them that were forced to the disk. */
  synced: IntervalSet
  /** The `writer` of the journal that lies under its name. */
  beside: string
  /** See {@link Journal.untrusted}. */
  untrusted?: true
}

/**
 * Determines how much of an existing part can be resumed.
 *
 * Within the boot that wrote it, the page cache holds all of `written`; after a reboot only `synced` is reliable. The
 * same holds for the journal of another container, although it shares the boot: what it has written may be in the cache
 * of its own mount, such as that of a network file system, and gone with it. The same holds for another lease. A part that is shorter than its journal states was changed by another program and can't be used at all.
 *
 * Bytes of mirrors that a remote caller named are of no use to a trusted caller, unless a digest will tell whether
 * they are right: whoever chose the mirror also chose its bytes.
 *
 * @returns null if nothing can be resumed.
 */
export function resumable(
  journal: Journal,
  now: {
    urls: readonly string[]
    sha256: string | null
    bootId: string
    /** The `hostId` of this process. Default: that of the journal. */
    host?: string
    partSize: number
    /** Whether the caller is trusted. Default true. */
    trusted?: boolean
    /** Number of the lease of this run, see `LeaseTerm.epoch`. Default: none. */
    epoch?: number | undefined
  },
): Resumable | null {
  if (isForeign(journal, now)) return null
  // The same digest means the same file, whichever mirror or revision it came from.
  const sameDigest = now.sha256 !== null && journal.sha256 === now.sha256
  const mirror = journal.mirror ?? mirrorId(journal.url)
  const known = now.urls.includes(journal.url) || now.urls.some((url) => mirrorId(url) === mirror)
  if (!known && !sameDigest) return null
  if (now.sha256 !== null && journal.sha256 !== null && now.sha256 !== journal.sha256) return null
  const { host = now.host } = journal
  const sameCache =
    journal.bootId === now.bootId && host === (now.host ?? host) && journal.epoch === now.epoch
  const done = sameCache ? journal.written : journal.synced
  const end = done.at(-1)?.[1] ?? 0
  if (end === 0 || now.partSize < end) return null
  const { identity, synced, untrusted, beside = journal.writer } = journal
  return { identity, mirror, done, synced, beside, ...(untrusted === true ? { untrusted } : {}) }
}

/** Whether a trusted caller must not rely on what the journal describes; see {@link resumable}. */
export function isForeign(
  { untrusted }: Pick<Journal, 'untrusted'>,
  { sha256, trusted = true }: { sha256: string | null; trusted?: boolean },
): boolean {
  return untrusted === true && trusted && sha256 === null
}

// ---- Files that an earlier run left next to a target.

/** Files that an earlier run left next to a target. */
export interface Leftover {
  journal: Journal | null
  /** What can be resumed; null if nothing can. */
  resume: Resumable | null
  /** Whether a journal file exists, valid or not. */
  found: boolean
  /** Whether a part file exists. Only checked if there is a journal. */
  partExists: boolean
}

/**
 * Inspects the files of an earlier run, and deletes temporary journals that a kill has left behind. Unusable files
 * are no error.
 *
 * @param trusted - whether the caller is trusted; see {@link resumable}.
 * @param lease - the right of this run to write. Default: none is needed.
 * @throws DownloadError `PERMISSION`, `DISK_IO` and others, if the files can't be read; `TAKEN_OVER`.
 */
export async function inspectLeftover(
  paths: PartPaths,
  urls: readonly string[],
  sha256: string | null,
  trusted = true,
  lease: Pick<Lease, 'epoch' | 'yieldTo'> | null = null,
): Promise<Leftover> {
  const leftover = await peekLeftover(paths, urls, sha256, trusted, lease?.epoch)
  lease?.yieldTo(leftover.journal?.epoch)
  if (leftover.found) await removeTemporary(paths)
  return leftover
}

/** Same as {@link inspectLeftover}, but changes nothing. */
export async function peekLeftover(
  paths: PartPaths,
  urls: readonly string[],
  sha256: string | null,
  trusted = true,
  epoch?: number,
): Promise<Leftover> {
  const text = await readText(paths.journal)
  // A part without a journal can't be resumed. It is deleted when a new part is created.
  if (text === null) return { journal: null, resume: null, found: false, partExists: false }
  const saved = parseJournal(text)
  const part = await statPart(paths.part)
  const partExists = part !== null
  const records = saved === null || part === null ? [] : await readRecords(paths.recent)
  const journal = saved === null ? null : newest(saved, records, String(part?.ino))
  if (journal === null || !part?.isFile()) return { journal, resume: null, found: true, partExists }
  const now = { urls, sha256, bootId: bootId(), host: hostId(), partSize: part.size, trusted, epoch }
  return { journal, resume: resumable(journal, now), found: true, partExists }
}

/**
 * The newest state of a part that has been recorded. What lies beside the journal is newer if the same run has written
 * both, by their numbers, or if it was written beside exactly this journal. It is never synced, so after a power cut, or
 * the end of a container that had its own mount, it says nothing.
 */
function newest(saved: Journal, records: readonly Journal[], inode: string): Journal {
  let found = saved
  for (const record of records) {
    if (record.bootId !== bootId() || record.host !== hostId() || record.inode !== inode) continue
    if (record.writer === found.writer) {
      if ((record.serial ?? 0) > (found.serial ?? 0)) found = record
    } else if (record.beside === saved.writer) found = record
  }
  return found === saved ? saved : { ...found, beside: saved.writer }
}

/** What can be read of the records beside a journal. */
async function readRecords(path: string): Promise<Journal[]> {
  const data = await readBytes(path).catch(() => null)
  return parseRecords(data ?? Buffer.alloc(0)).flatMap((record) => parseJournal(record) ?? [])
}

/**
 * A longer file is not read, in bytes. Most journals are far smaller, as they have few more intervals than connections. But
 * a file of which many pieces were damaged, or copied from an older version, may have a hundred thousand.
 */
const maxJournalBytes = 16 * 1024 * 1024

/**
 * Deletes temporary journals (see `replaceFile`) and locks, which exist only next to a part or a journal. The target
 * must be locked.
 */
export async function removeTemporary({ directory, journal, recent, lock }: PartPaths): Promise<void> {
  const starts = [journal, recent, lock].map((path) => `${basename(path)}.`)
  const names = await readdir(directory).catch(() => [])
  const temporary = names.filter((name) =>
    starts.some((start) => name.startsWith(start) && /^[0-9a-z]{6}$/.test(name.slice(start.length))),
  )
  // A file that can't be deleted does no harm.
  await Promise.allSettled(temporary.map((name) => io.unlink(join(directory, name))))
}

/** Text of a journal; null if there is none, empty if it can't be one (a folder, FIFO or link, or far too long). */
export async function readText(path: string): Promise<string | null> {
  return (await readBytes(path))?.toString('utf8') ?? null
}

async function readBytes(path: string): Promise<Buffer | null> {
  try {
    // Most files have no journal, and this check is cheaper than an error.
    if ((await io.lstatIfThere(path)) === null) return null
    const { data, stats } = await readRegularFile(path, maxJournalBytes)
    return stats.size > maxJournalBytes ? Buffer.alloc(0) : data
  } catch (error) {
    if (isMissing(error)) return null
    const reason = fsError(error, 'reading the journal')
    if (reason.code === 'TARGET_NOT_REGULAR') return Buffer.alloc(0)
    throw reason
  }
}

/** Metadata of a path, without following links; null if it does not exist. */
export async function statPart(path: string) {
  try {
    return await io.lstatIfThere(path)
  } catch (error) {
    throw fsError(error, 'checking the part file')
  }
}

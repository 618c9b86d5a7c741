/** What is known of the files on disk: types of lists and of checks, and the decisions about them. Pure. */
import type { Layout } from '../layouts/hf-paths.js'
import type { Verification } from '../util/digests.js'

/**
 * How much of a file exists.
 *
 * - `complete`: the file has its final name.
 * - `partial`: only bytes of an unfinished download exist.
 * - `missing`: nothing exists.
 */
export type StoredState = 'complete' | 'partial' | 'missing'

/** One file of a {@link StoredFile}. */
export interface StoredMember {
  /** Name of the file; in a group, its path inside the group's folder, with slashes. */
  readonly filename: string
  /** Absolute path of the bytes. In a Hugging Face cache, this is the blob. */
  readonly path: string
  /** How much of it exists. */
  readonly state: StoredState
  /** Bytes on disk; 0 if it is missing. */
  readonly size: number
  /** Size in bytes that it should have; null if unknown. */
  readonly total: number | null
  /** SHA-256 in lower-case hex that it should have; null if unknown. */
  readonly sha256: string | null
  /** Git object id that it should have, for files that a repository keeps in git; null if unknown. */
  readonly gitOid: string | null
  /** What it was verified with when it was downloaded, and who stated that; null if with nothing, or if that is unknown. */
  readonly verification: Verification | null
  /** When it was last written; null if it is missing. */
  readonly modifiedAt: Date | null
}

/** A model file on disk, or a group of files that were downloaded by one ref. */
export interface StoredFile {
  /**
   * Path relative to the manager's folder, with slashes: `llm/model.gguf`, or the folder of a group. Absolute for a file
   * elsewhere. It identifies the entry.
   */
  readonly name: string
  /** Absolute path of the file, or of the group's folder. */
  readonly path: string
  /**
   * The URL or ref that it was downloaded by; null if unknown. For a file that was fetched by the command and has no record, a
   * URL has no query, which `?…` stands for.
   */
  readonly url: string | null
  /** Sub-folder of the manager; null if it is in none. */
  readonly mode: string | null
  /** How its files are arranged. */
  readonly layout: Layout
  /** Revision that the source stated, such as a commit; null if unknown. */
  readonly revision: string | null
  /** `partial` also for a group of which some files are missing. */
  readonly state: StoredState
  /** Bytes on disk. */
  readonly size: number
  /** Bytes that it should have; null if unknown. */
  readonly total: number | null
  /** SHA-256 of a single file, as it should be; null if unknown, and for a group. */
  readonly sha256: string | null
  /** What a single file was verified with when it was downloaded; null if with nothing, if unknown, and for a group. */
  readonly verification: Verification | null
  /** Whether the digest of every file is known, so that damage can be found. */
  readonly digestKnown: boolean
  /** When the last of its files was written; null if nothing exists. */
  readonly modifiedAt: Date | null
  /** Whether all of it should be there: false while its download has not completed. */
  readonly finished: boolean
  /** Whether it is a group: several files in a folder, or a snapshot in a cache. */
  readonly isGroup: boolean
  /** The files; exactly one if it is not a group. */
  readonly files: readonly StoredMember[]
}

/** An entry before its members were looked at. */
export interface EntryInit extends Pick<
  StoredFile,
  'name' | 'path' | 'url' | 'mode' | 'layout' | 'isGroup' | 'finished'
> {
  revision?: string | null
}

/** Combines members to an entry. */
export function entryOf(init: EntryInit, files: readonly StoredMember[]): StoredFile {
  const { revision = null, ...rest } = init
  let [size, complete, missing] = [0, 0, 0]
  let total: number | null = 0
  let latest: Date | null = null
  for (const file of files) {
    size += file.size
    total = total === null || file.total === null ? null : total + file.total
    if (file.state === 'complete') complete += 1
    if (file.state === 'missing') missing += 1
    if (file.modifiedAt !== null && (latest === null || file.modifiedAt > latest)) latest = file.modifiedAt
  }
  const count = files.length
  return {
    ...rest,
    revision,
    state: missing === count ? 'missing' : complete === count ? 'complete' : 'partial',
    size,
    total,
    sha256: rest.isGroup ? null : (files[0]?.sha256 ?? null),
    verification: rest.isGroup ? null : (files[0]?.verification ?? null),
    digestKnown: count > 0 && files.every((file) => comparedWith(file) !== null),
    modifiedAt: latest,
    files,
  }
}

// ---- Checks

/**
 * Result of checking one file.
 *
 * - `ok`: its digest is the one that it should have.
 * - `damaged`: its digest is another one.
 * - `unknown`: it can be read, but it is not known which digest it should have.
 * - `size-differs`: it does not have the size that it should have; it was not hashed.
 * - `missing`: it does not exist, or is not complete.
 * - `unreadable`: it can't be read, or is not a regular file.
 * - `changed`: another program wrote to it while it was read.
 */
export type VerifyStatus =
  'ok' | 'damaged' | 'unknown' | 'size-differs' | 'missing' | 'unreadable' | 'changed'

/** What a file should be. */
export interface Expected {
  readonly size: number | null
  readonly sha256: string | null
  readonly gitOid: string | null
}

/** What a file was found to be. */
export interface Found {
  readonly size: number
  readonly sha256: string | null
  readonly gitOid: string | null
  /** Whether its metadata changed while it was read. */
  readonly changed: boolean
}

/** Whether the size alone shows that a file is not the right one. */
export function isOfWrongSize(expected: Pick<Expected, 'size'>, size: number): boolean {
  return expected.size !== null && expected.size !== size
}

/** What a file can be compared with; null if nothing is known of it. A source that states SHA-256 means it more than git. */
export function comparedWith({
  sha256,
  gitOid,
}: Pick<Expected, 'sha256' | 'gitOid'>): 'sha256' | 'git' | null {
  return sha256 !== null ? 'sha256' : gitOid !== null ? 'git' : null
}

/** Judges a file that was read to its end. A digest proves more than a size, so it decides where there is one. */
export function verdictOf(expected: Expected, found: Found): VerifyStatus {
  if (found.changed) return 'changed'
  if (isOfWrongSize(expected, found.size)) return 'size-differs'
  const by = comparedWith(expected)
  if (by === null) return 'unknown'
  const isRight = by === 'sha256' ? expected.sha256 === found.sha256 : expected.gitOid === found.gitOid
  return isRight ? 'ok' : 'damaged'
}

/** Whether a result shows that something is wrong. That a digest is unknown is no fault of the file. */
export function isFault(status: VerifyStatus): boolean {
  return status !== 'ok' && status !== 'unknown'
}

// ---- Names

/**
 * Finds the entries that a caller names: by the name of the entry, by its URL or ref, or by the last part of the name if
 * that is unambiguous.
 *
 * @returns the entries; empty if there is none, several if the name is ambiguous.
 */
export function findEntries<T extends Pick<StoredFile, 'name' | 'url'>>(
  entries: readonly T[],
  wanted: string,
): T[] {
  const asked = wanted
    .replaceAll('\\', '/')
    .replace(/^(?:\.\/)+/, '')
    .replace(/\/+$/, '')
  const exact = entries.filter(({ name, url }) => name === asked || url === wanted)
  if (exact.length > 0) return exact
  const ending = `/${asked}`
  return asked === '' ? [] : entries.filter(({ name }) => name.endsWith(ending))
}

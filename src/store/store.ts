import type { DownloadRecord } from '../download/record.js'
import { DownloadError, isDownloadError } from '../errors.js'

/** Order of arrival; the id settles ties, so that the order is the same each time. */
export function byArrival(a: DownloadRecord, b: DownloadRecord): number {
  return a.sequence - b.sequence || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

/**
 * The name, when it is one for a document.
 *
 * @throws DownloadError `STORE_ERROR`.
 */
export function checkDocumentName(name: string): string {
  if (documentNamePattern.test(name)) return name
  throw new DownloadError('STORE_ERROR', 'A document is named with lower-case letters, digits and dashes.')
}

/**
 * The error for a store that failed: callers know one code for all that can go wrong, and find the reason in its `cause`.
 *
 * @param error - what was thrown; a `STORE_ERROR` passes unchanged.
 * @param message - one sentence for people.
 */
export function storeError(error: unknown, message: string): DownloadError {
  if (isDownloadError(error, 'STORE_ERROR')) return error
  const retryable = isDownloadError(error) && error.retryable
  return new DownloadError('STORE_ERROR', message, { cause: error, retryable })
}

// ---- store

/** What {@link DownloadStore.load} found. */
export interface LoadedRecords {
  /** Valid records, by order of arrival (`sequence`). */
  records: DownloadRecord[]
  /** One sentence for each record that could not be read and was set aside. */
  problems: string[]
}

/** What {@link DownloadStore.readDocument} found. */
export interface LoadedDocument {
  /** The value as it was written, not validated; null when there is none. */
  value: unknown
  /** One sentence when there was one that could not be read and was set aside; else null. */
  problem: string | null
}

/** What documents may be called: lower-case letters, digits and dashes, at most 32 characters. */
export const documentNamePattern = /^[a-z][a-z0-9-]{0,31}$/

/**
 * Where downloads are remembered. Implementations must be safe to call concurrently; writes of one id take effect
 * in the order in which they were asked for.
 */
export interface DownloadStore {
  /**
   * Reads all records. A corrupt one is set aside and told in `problems`, never thrown.
   *
   * @throws DownloadError `STORE_ERROR` when the store can't be reached at all.
   */
  load(): Promise<LoadedRecords>
  /**
   * Writes one record, atomically: a reader sees the old or the new one.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  save(record: DownloadRecord): Promise<void>
  /**
   * Forgets one record; an unknown id is not an error.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  remove(id: string): Promise<void>
  /**
   * Reads a small document that is none of a download, such as the state of a preload. A corrupt one is set aside and
   * told in `problem`, never thrown. A store without it keeps downloads only; then the state of a preload lives no
   * longer than the process.
   *
   * @param name - see {@link documentNamePattern}.
   * @throws DownloadError `STORE_ERROR`.
   */
  readDocument?(name: string): Promise<LoadedDocument>
  /**
   * Writes such a document, atomically. Writes of one name take effect in the order in which they were asked for.
   *
   * @param name - see {@link documentNamePattern}.
   * @param value - plain JSON.
   * @throws DownloadError `STORE_ERROR`.
   */
  writeDocument?(name: string, value: unknown): Promise<void>
  /** Waits for writes under way and frees what is held. */
  close?(): Promise<void>
}

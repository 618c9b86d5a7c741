import type { DownloadRecord } from '../download/record.js'
import { DownloadError, isDownloadError } from '../errors.js'

/** Compares records by order of arrival. Ties are broken by id, so that the order is deterministic. */
export function byArrival(a: DownloadRecord, b: DownloadRecord): number {
  return a.sequence - b.sequence || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

/**
 * Returns the name if it is a valid name of a document.
 *
 * @throws DownloadError `STORE_ERROR`.
 */
export function checkDocumentName(name: string): string {
  if (documentNamePattern.test(name)) return name
  throw new DownloadError(
    'STORE_ERROR',
    'A document name must start with a lower-case letter and have at most 32 lower-case letters, digits and dashes.',
  )
}

/**
 * Wraps an error of a store: callers see one code for all failures, and find the reason in `cause`.
 *
 * @param error - what was thrown; a `STORE_ERROR` is returned unchanged.
 * @param message - one sentence for users.
 */
export function storeError(error: unknown, message: string): DownloadError {
  if (isDownloadError(error, 'STORE_ERROR')) return error
  const retryable = isDownloadError(error) && error.retryable
  return new DownloadError('STORE_ERROR', message, { cause: error, retryable })
}

/** Result of {@link DownloadStore.load}. */
export interface LoadedRecords {
  /** Valid records in order of arrival (`sequence`). */
  records: DownloadRecord[]
  /** One sentence for each record that could not be read and was set aside. */
  problems: string[]
}

/** Result of {@link DownloadStore.readDocument}. */
export interface LoadedDocument {
  /** The value as it was written, not validated; null if there is no such document. */
  value: unknown
  /** One sentence if the document could not be read and was set aside; otherwise null. */
  problem: string | null
}

/** Valid names of documents: 1 to 32 lower-case letters, digits and dashes, starting with a letter. */
export const documentNamePattern = /^[a-z][a-z0-9-]{0,31}$/

/**
 * Persistent storage of downloads. Implementations must support concurrent calls; writes of the same id take
 * effect in the order in which they were called.
 */
export interface DownloadStore {
  /**
   * Reads all records. A corrupt record is set aside and reported in `problems`, never thrown.
   *
   * @throws DownloadError `STORE_ERROR` when the store can't be reached at all.
   */
  load(): Promise<LoadedRecords>
  /**
   * Writes one record atomically: a reader sees either the old or the new one, also after a power failure. A record
   * that is not running (`queued`, `paused`, `canceled`) is what a caller was promised, and should survive a power
   * failure as soon as the promise resolves. Of the others the old one may come back: what is new in them, such as the
   * progress of a group, can be found out again.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  save(record: DownloadRecord): Promise<void>
  /**
   * Removes one record; an unknown id is not an error.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  remove(id: string): Promise<void>
  /**
   * Reads a small document that does not belong to a download, such as the state of a preload. A corrupt
   * document is set aside and reported in `problem`, never thrown. A store without this method keeps only
   * downloads; the state of a preload then lasts no longer than the process.
   *
   * @param name - see {@link documentNamePattern}.
   * @throws DownloadError `STORE_ERROR`.
   */
  readDocument?(name: string): Promise<LoadedDocument>
  /**
   * Writes such a document atomically. Writes of the same name take effect in the order in which they were
   * called. It should survive a power failure as soon as the promise resolves.
   *
   * @param name - see {@link documentNamePattern}.
   * @param value - plain JSON.
   * @throws DownloadError `STORE_ERROR`.
   */
  writeDocument?(name: string, value: unknown): Promise<void>
  /** Waits for pending writes and releases all resources. */
  close?(): Promise<void>
}

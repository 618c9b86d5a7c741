/** Pages of a list that changes while it is read. Pure. */
import { DownloadError } from '../errors.js'

/**
 * A cursor names the last entry of its page by its order of arrival, which never changes: whatever is added or removed
 * meanwhile, no page repeats or skips an entry that was there all the time.
 */
export function encodeCursor(sequence: number): string {
  return `s${sequence.toString(36)}`
}

/**
 * The order of arrival that a cursor names.
 *
 * @throws DownloadError `INVALID_OPTIONS` for anything that {@link encodeCursor} did not make.
 */
export function decodeCursor(cursor: string): number {
  const sequence = /^s[0-9a-z]{1,11}$/.test(cursor) ? parseInt(cursor.slice(1), 36) : NaN
  if (!Number.isSafeInteger(sequence) || encodeCursor(sequence) !== cursor) {
    throw new DownloadError('INVALID_OPTIONS', 'The query: cursor: is not one that this server gave', {
      issues: [{ path: 'cursor', message: 'is not one that this server gave' }],
    })
  }
  return sequence
}

/** What part of a list is wanted. */
export interface PageRequest {
  limit?: number | undefined
  cursor?: string | undefined
}

/** A part of a list. */
export interface Page<T> {
  items: T[]
  /** Where the next page begins; null when this is the last one. */
  next: string | null
}

/**
 * One page.
 *
 * @param items - in order of arrival.
 * @param sequenceOf - the order of arrival of an item.
 * @throws DownloadError `INVALID_OPTIONS` for a cursor that is none.
 */
export function pageOf<T>(
  items: readonly T[],
  { limit, cursor }: PageRequest,
  sequenceOf: (item: T) => number,
): Page<T> {
  const after = cursor === undefined ? -1 : decodeCursor(cursor)
  const rest = items.filter((item) => sequenceOf(item) > after)
  if (limit === undefined || rest.length <= limit) return { items: rest, next: null }
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  return { items: page, next: last === undefined ? null : encodeCursor(sequenceOf(last)) }
}

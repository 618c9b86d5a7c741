/** Pages of a list that changes while it is read. Pure. */
import { invalidOption } from '../../errors.js'

/** The most entries of a list that a response or an event contains unless the caller asks for another number. */
export const defaultPageSize = 1_000

/** Place of an entry in the list. It never changes, so that a page can begin behind an entry that is gone by now. */
export interface ListPlace {
  /** Number of the entry. Managers that act as one may have given the same number to several entries. */
  readonly sequence: number
  /** Decides the order of entries with the same number. Hexadecimal, at least 16 digits. */
  readonly id: string
}

/** What a cursor says: begin behind this place. Without an `id`, behind all entries of this number. */
export interface PageCursor {
  readonly sequence: number
  readonly id: string | null
}

/** How many digits of an id a cursor has. Only entries with the same number must differ in them. */
const idDigits = 16

/**
 * Encodes a cursor. It names the last entry of a page and not its position, so no page repeats or skips an entry that
 * exists all the time, even if others are added or removed.
 */
export function encodeCursor({ sequence, id }: PageCursor): string {
  return `s${sequence.toString(36)}${id === null ? '' : `-${id}`}`
}

/**
 * Decodes a cursor.
 *
 * @throws DownloadError `INVALID_OPTIONS` for anything that {@link encodeCursor} did not create.
 */
export function decodeCursor(text: string): PageCursor {
  const [, digits = '', id = null] = /^s([0-9a-z]{1,11})(?:-([0-9a-f]{16}))?$/.exec(text) ?? []
  const cursor = { sequence: parseInt(digits, 36), id }
  if (!Number.isSafeInteger(cursor.sequence) || encodeCursor(cursor) !== text) {
    throw invalidOption('cursor', 'was not issued by this server', 'The query')
  }
  return cursor
}

/** Which part of a list is requested. */
export interface PageRequest {
  /** Default: {@link defaultPageSize}. */
  limit?: number | undefined
  /** Default: from the start. */
  cursor?: string | undefined
}

/** One page of a list. */
export interface Page<T> {
  items: T[]
  /** Cursor of the next page; null when this is the last one. */
  next: string | null
}

/**
 * Returns one page.
 *
 * @param items - in the order of their places.
 * @param fitting - how many entries of a page fit into it, at least one; default all.
 * @throws DownloadError `INVALID_OPTIONS` for an invalid cursor.
 */
export function pageOf<T>(
  items: readonly T[],
  { limit = defaultPageSize, cursor }: PageRequest,
  placeOf: (item: T) => ListPlace,
  fitting: (page: readonly T[]) => number = ({ length }) => length,
): Page<T> {
  const from = cursor === undefined ? 0 : firstBehind(items, decodeCursor(cursor), placeOf)
  const longest = items.slice(from, from + limit)
  const page = longest.slice(0, fitting(longest))
  const last = page.at(-1)
  const following = items[from + page.length]
  if (last === undefined || following === undefined) return { items: page, next: null }
  const { sequence, id } = placeOf(last)
  const isAlone = placeOf(following).sequence !== sequence
  return { items: page, next: encodeCursor({ sequence, id: isAlone ? null : id.slice(0, idDigits) }) }
}

/** Index of the first entry behind a cursor. */
function firstBehind<T>(items: readonly T[], cursor: PageCursor, placeOf: (item: T) => ListPlace): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >> 1
    const item = items[middle]
    if (item !== undefined && isBehind(placeOf(item), cursor)) high = middle
    else low = middle + 1
  }
  return low
}

function isBehind({ sequence, id }: ListPlace, cursor: PageCursor): boolean {
  if (sequence !== cursor.sequence) return sequence > cursor.sequence
  return cursor.id !== null && id.slice(0, idDigits) > cursor.id
}

/** Pages of a snapshot that several readers get: the ones encoded last, as long as they are true. Pure. */

/** A page that is encoded. */
export interface EncodedPage {
  readonly bytes: Uint8Array
  /** Cursor of the next page; null for the last one. */
  readonly next: string | null
}

/** How many pages are kept. Readers that join together read about the same pages; each takes up to some megabytes. */
const maxPages = 4

/** The pages by their cursors. */
export class SnapshotPages {
  /** The one that was added last at the end. */
  readonly #pages = new Map<string, EncodedPage & { topics: ReadonlySet<string> }>()

  /** The page behind a cursor, if it is still true. */
  at(cursor: string): EncodedPage | null {
    return this.#pages.get(cursor) ?? null
  }

  /** @param topics - whose messages make the page untrue. */
  add(cursor: string, page: EncodedPage, topics: Iterable<string>): void {
    this.#pages.delete(cursor)
    this.#pages.set(cursor, { ...page, topics: new Set(topics) })
    const [oldest] = this.#pages.keys()
    if (this.#pages.size > maxPages && oldest !== undefined) this.#pages.delete(oldest)
  }

  /** Notes a message about a topic. One that is on no page needs none: its message reaches every reader. */
  changed(topic: string): void {
    for (const [cursor, { topics }] of this.#pages) if (topics.has(topic)) this.#pages.delete(cursor)
  }

  clear(): void {
    this.#pages.clear()
  }
}

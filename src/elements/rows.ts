/** Rows in a list, each kept for as long as its download is there: a row that moves is moved, not drawn anew. */
import type { WireDownload } from '../client/index.js'
import { RowElement } from './row.js'

/** The rows of one list. */
export class Rows {
  readonly #items = new Map<string, { item: HTMLLIElement; row: RowElement }>()

  /**
   * Brings a list to what it is to show.
   *
   * @param list - holds nothing but these rows.
   * @param update - gives a row what it shows.
   */
  place(
    list: Element | null,
    downloads: readonly WireDownload[],
    update: (row: RowElement, download: WireDownload) => void,
  ): void {
    const wanted = new Set(downloads.map(({ url }) => url))
    for (const [url, { item }] of this.#items) {
      if (list !== null && wanted.has(url)) continue
      item.remove()
      this.#items.delete(url)
    }
    if (list === null) return
    let place = list.firstElementChild
    for (const download of downloads) {
      const { item, row } = this.#itemOf(download.url)
      update(row, download)
      if (item === place) place = place.nextElementSibling
      else list.insertBefore(item, place)
    }
  }

  #itemOf(url: string): { item: HTMLLIElement; row: RowElement } {
    const known = this.#items.get(url)
    if (known !== undefined) return known
    const made = { item: document.createElement('li'), row: new RowElement() }
    made.item.append(made.row)
    this.#items.set(url, made)
    return made
  }
}

/** Keeps one row element per download, so that a row that changes its place is moved instead of rendered again. */
import type { WireDownload } from '../client/index.js'
import { RowElement } from './row.js'

/** The row elements of one list. */
export class Rows {
  readonly #items = new Map<string, { item: HTMLLIElement; row: RowElement }>()

  /**
   * Updates a list so that it shows these downloads in this order.
   *
   * @param list - the list element, which contains only these rows; null when it is not rendered.
   * @param update - sets the properties of a row from its download.
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

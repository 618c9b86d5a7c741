/**
 * The rows of a long list, of which only those in sight exist. A row that changes its place is moved instead of rendered
 * again, and keeps the focus.
 */
import {
  defaultRangeExtractor,
  elementScroll,
  observeElementOffset,
  observeElementRect,
  type Range,
  Virtualizer,
} from '@tanstack/virtual-core'
import type { WireDownload } from '../../client/index.js'
import { haveSameKeys, type Line, nextRow } from './lines.js'
import { RowElement } from './row.js'

/** Heights that are assumed until an element has been measured, in pixels. */
const assumedPx = { heading: 41, row: 108, settled: 90 }

/** Number of rows beyond the visible ones that exist, so that the focus can move on to them. */
const overscan = 6

/** Number of rows that are printed at most. */
const maxPrinted = 1_000

interface Item {
  readonly item: HTMLLIElement
  readonly row: RowElement
}

/** Sets the properties of a row from its download. */
export type UpdateRow = (row: RowElement, download: WireDownload) => void

/** The rows of one list. */
export class Rows {
  readonly #update: UpdateRow
  readonly #items = new Map<string, Item>()
  #lines: readonly Line[] = []
  #sizes: Readonly<Record<string, number>> = {}
  #indexes = new Map<string, number>()
  #scroller: HTMLElement | null = null
  #virtualizer: Virtualizer<HTMLElement, HTMLElement> | null = null
  #unmount: () => void = () => undefined
  #focused: string | null = null
  #isPrinting = false
  #isPainting = false
  #mustRepaint = false

  constructor(update: UpdateRow) {
    this.#update = update
  }

  /**
   * Shows these lines.
   *
   * @param scroller - what scrolls. It contains one element with an `h3` and an `ul` for each section, which has the
   * name of the section as its `data-section`. Null when it is not rendered.
   */
  place(scroller: HTMLElement | null, lines: readonly Line[]): void {
    if (scroller !== this.#scroller) this.#attach(scroller)
    if (this.#virtualizer === null) return
    const isSame = haveSameKeys(lines, this.#lines)
    this.#lines = lines
    if (!isSame) {
      this.#indexes = new Map(lines.map(({ key }, index) => [key, index]))
      const sizes: Record<string, number> = {}
      for (const { section } of lines) sizes[section] = (sizes[section] ?? -1) + 1
      this.#sizes = sizes
      // A new function for the keys has the virtualizer look at all of them again.
      this.#virtualizer.setOptions({
        ...this.#virtualizer.options,
        count: lines.length,
        getItemKey: (index) => this.#lines[index]?.key ?? index,
      })
    }
    this.#virtualizer._willUpdate()
    this.#paint()
  }

  /** Stops watching the scroller. */
  end(): void {
    this.#attach(null)
  }

  #attach(scroller: HTMLElement | null): void {
    this.#unmount()
    this.#unmount = () => undefined
    this.#scroller = scroller
    this.#virtualizer = null
    this.#items.clear()
    this.#lines = []
    if (scroller === null) return
    const virtualizer = new Virtualizer<HTMLElement, HTMLElement>({
      count: 0,
      overscan,
      getScrollElement: () => scroller,
      estimateSize: (index) => this.#estimate(index),
      scrollToFn: elementScroll,
      observeElementRect,
      observeElementOffset,
      rangeExtractor: (range) => this.#range(range),
      onChange: () => {
        this.#paint()
      },
    })
    this.#virtualizer = virtualizer
    const listening = new AbortController()
    const { signal } = listening
    scroller.addEventListener('focusin', this.#onFocus, { signal })
    scroller.addEventListener('focusout', this.#onBlur, { signal })
    scroller.addEventListener('keydown', this.#onKey, { signal })
    const print = (isPrinting: boolean) => () => {
      this.#isPrinting = isPrinting
      this.#chooseAgain()
    }
    addEventListener('beforeprint', print(true), { signal })
    addEventListener('afterprint', print(false), { signal })
    const unmount = virtualizer._didMount()
    this.#unmount = () => {
      listening.abort()
      unmount()
    }
  }

  #estimate(index: number): number {
    const line = this.#lines[index]
    if (line === undefined || line.download === null) return assumedPx.heading
    return line.section === 'finished' ? assumedPx.settled : assumedPx.row
  }

  /** The lines that exist: those in sight, and the one with the focus, which would otherwise lose it. */
  #range(range: Range): number[] {
    if (this.#isPrinting) return [...Array(Math.min(this.#lines.length, maxPrinted)).keys()]
    const wanted = defaultRangeExtractor(range)
    const focused = this.#focused === null ? undefined : this.#indexes.get(this.#focused)
    if (focused === undefined || wanted.includes(focused)) return wanted
    return [...wanted, focused].sort((a, b) => a - b)
  }

  /** Creates, moves and removes elements. A measurement that it leads to may call it again. */
  #paint(): void {
    this.#mustRepaint = true
    if (this.#isPainting) return
    this.#isPainting = true
    try {
      for (let round = 0; this.#mustRepaint && round < 4; round++) {
        this.#mustRepaint = false
        this.#paintOnce()
      }
    } finally {
      this.#isPainting = false
    }
  }

  #paintOnce(): void {
    const virtualizer = this.#virtualizer
    const canvas = this.#scroller?.firstElementChild
    if (virtualizer === null || !(canvas instanceof HTMLElement)) return
    const active = focusIn(canvas)
    const visible = virtualizer.getVirtualItems()
    canvas.style.height = `${virtualizer.getTotalSize()}px`
    for (const [index, line] of this.#lines.entries()) {
      if (line.download !== null) continue
      const heading = canvas.querySelector<HTMLElement>(`h3[data-section=${line.section}]`)
      if (heading !== null) moveTo(heading, virtualizer.measurementsCache[index]?.start ?? 0)
    }
    this.#removeOthers(new Set(visible.map(({ key }) => key)))
    const places = new Map<string, { list: Element; next: Element | null }>()
    for (const { index, start } of visible) {
      const line = this.#lines[index]
      if (line === undefined || line.download === null) continue
      const place = places.get(line.section) ?? placeIn(canvas, line.section)
      if (place === null) continue
      places.set(line.section, place)
      const { item, row } = this.#itemOf(line.key)
      this.#update(row, line.download)
      item.dataset['index'] = String(index)
      item.ariaPosInSet = String(line.position)
      item.ariaSetSize = String(this.#sizes[line.section] ?? 0)
      moveTo(item, start)
      if (item === place.next) place.next = item.nextElementSibling
      else place.list.insertBefore(item, place.next)
      row.renderNow()
      virtualizer.measureElement(item)
    }
    if (active !== null && focusIn(canvas) !== active) active.focus({ preventScroll: true })
  }

  /** Has the virtualizer ask again which lines exist. */
  #chooseAgain(): void {
    const virtualizer = this.#virtualizer
    if (virtualizer === null) return
    virtualizer.setOptions({ ...virtualizer.options, rangeExtractor: (range) => this.#range(range) })
    this.#paint()
  }

  #removeOthers(wanted: ReadonlySet<unknown>): void {
    let isAnyGone = false
    for (const [url, { item }] of this.#items) {
      if (wanted.has(url)) continue
      item.remove()
      this.#items.delete(url)
      isAnyGone = true
    }
    if (isAnyGone) this.#virtualizer?.measureElement(null)
  }

  #itemOf(url: string): Item {
    const known = this.#items.get(url)
    if (known !== undefined) return known
    const made = { item: document.createElement('li'), row: new RowElement() }
    made.item.append(made.row)
    this.#items.set(url, made)
    return made
  }

  readonly #onFocus = ({ target }: FocusEvent): void => {
    this.#focused = target instanceof RowElement ? (target.download?.url ?? null) : null
  }

  readonly #onBlur = (): void => {
    if (!this.#isPainting) this.#focused = null
  }

  /** The arrow keys go from row to row. */
  readonly #onKey = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : null
    const from = this.#focused === null ? undefined : this.#indexes.get(this.#focused)
    const [origin] = event.composedPath()
    if (step === null || from === undefined || event.altKey || event.ctrlKey || event.metaKey) return
    if (origin instanceof HTMLElement && origin.matches('.files, select, input')) return
    const next = nextRow(this.#lines, from, step)
    const key = next === null ? undefined : this.#lines[next]?.key
    if (key === undefined) return
    event.preventDefault()
    this.focus(key)
  }

  /** Moves the focus to the row of a URL, which comes into sight. */
  focus(url: string): void {
    this.#focused = url
    const index = this.#indexes.get(url)
    if (index === undefined) return
    // The row exists from now on, because it has the focus.
    this.#chooseAgain()
    const found = this.#items.get(url)
    found?.row.focus()
    found?.item.scrollIntoView({ block: 'nearest' })
  }
}

function moveTo(element: HTMLElement, start: number): void {
  const transform = `translateY(${start}px)`
  if (element.style.transform !== transform) element.style.transform = transform
}

function placeIn(canvas: Element, section: string): { list: Element; next: Element | null } | null {
  const list = canvas.querySelector(`ul[data-section=${section}]`)
  return list === null ? null : { list, next: list.firstElementChild }
}

/** The element inside of another one that has the focus, also across shadow roots. */
function focusIn(container: Element): HTMLElement | null {
  const root = container.getRootNode()
  let active = root instanceof ShadowRoot || root instanceof Document ? root.activeElement : null
  if (active === null || !container.contains(active)) return null
  for (let inner: Element | null = active; inner !== null; inner = inner.shadowRoot?.activeElement ?? null)
    active = inner
  return active instanceof HTMLElement ? active : null
}

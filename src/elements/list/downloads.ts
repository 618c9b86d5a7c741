/** `<model-downloads>`: all downloads of a server. */
import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { type Client, isDownloadError, type WireDownload } from '../../client/index.js'
import {
  type DownloadsActions,
  type DownloadsSnapshot,
  liveDownloads,
  type LiveStore,
} from '../../live/index.js'
import { ActingElement } from '../acting.js'
import type { AddElement } from './add.js'
import { define } from '../base.js'
import { noteSpeeds } from '../details/speeds.js'
import { formatCount, formatSpeed } from '../format.js'
import { listed } from '../listed.js'
import { runBulk } from './bulk.js'
import { type Line, linesOf } from './lines.js'
import {
  type BulkAction,
  bulkOf,
  type Filter,
  filtered,
  modesOf,
  noFilter,
  type SectionName,
  sectionNames,
  type Sections,
  sectionsOf,
  showsAll,
  type Sorting,
  type Totals,
  totalsOf,
} from './order.js'
import { facts, icon } from '../parts.js'
import { Rows } from './rows.js'
import { controls, tokens } from '../theme.js'
import { sectionTexts } from './toolbar.js'
import './add.js'

/** The default modes of a server. */
const usualModes = ['llm', 'embed', 'rerank']

/** The element `<model-downloads>`. */
export class DownloadsElement extends ActingElement<DownloadsSnapshot, DownloadsActions> {
  static override properties = { modes: {}, heading: {} }

  declare modes: string
  declare heading: string

  static override styles = [
    tokens,
    controls,
    listed,
    css`
      .card {
        overflow: clip;
      }
      header {
        display: grid;
        gap: 0.9rem;
        padding: 1.15rem 1.1rem 1rem;
      }
      .top {
        display: flex;
        flex-wrap: wrap;
        gap: 0.25rem 1rem;
        align-items: baseline;
        justify-content: space-between;
      }
      .totals {
        min-height: 1.3125rem;
        font-size: 0.875rem;
        color: var(--_muted);
      }
      .banner {
        padding: 0 1.1rem 1rem;
      }
      .tools {
        padding: 0.9rem 1.1rem;
        border-top: 1px solid var(--_border);
      }
      .bulk {
        margin-top: 0.75rem;
      }
      .scroll {
        max-height: var(--model-list-height, 70vh);
        overflow: auto;
        overscroll-behavior: auto;
        border-top: 1px solid var(--_border);
        scrollbar-width: thin;
        scrollbar-color: var(--_track) transparent;
      }
      .canvas {
        position: relative;
        overflow: clip;
      }
      .canvas h3,
      .canvas li {
        position: absolute;
        inset-inline: 0;
        top: 0;
      }
      h3 {
        display: flex;
        gap: 0.5rem;
        align-items: center;
        height: 2.5rem;
        padding: 0 1.1rem;
        background: var(--_hover);
        border-bottom: 1px solid var(--_border);
      }
      h3 span {
        font-weight: 400;
      }
      li {
        contain: layout style;
        border-bottom: 1px solid var(--_border);
      }
      :focus-visible {
        outline-offset: -2px;
      }
      @media print {
        .scroll {
          max-height: none;
          overflow: visible;
        }
        .card {
          border: 0;
          overflow: visible;
        }
      }
      .empty {
        display: grid;
        justify-items: center;
        gap: 0.35rem;
        padding: 2.75rem 1.5rem 3.25rem;
        border-top: 1px solid var(--_border);
        text-align: center;
      }
      .empty .tile {
        width: 3.25rem;
        height: 3.25rem;
        border-radius: 15px;
        margin-bottom: 0.5rem;
      }
      .empty p {
        max-width: 34rem;
        overflow-wrap: anywhere;
      }
      .empty .strong {
        font-weight: 600;
      }
      .ghost {
        display: grid;
        gap: 0.55rem;
        padding: 1.15rem 1.1rem;
        border-top: 1px solid var(--_border);
      }
      .ghost div {
        height: 0.75rem;
        border-radius: 6px;
        background: var(--_track);
        animation: breathe 1.6s ease-in-out infinite;
      }
      .ghost div:first-child {
        width: 42%;
      }
      .ghost div:last-child {
        width: 64%;
      }
      @keyframes breathe {
        50% {
          opacity: 0.45;
        }
      }
    `,
  ]

  #sections: Sections = sectionsOf([])
  #lines: readonly Line[] = []
  #totals: Totals = totalsOf([])
  #modes: readonly string[] = []
  readonly #rows = new Rows((row, download) => {
    this.updateRow(row, download)
  })
  #isHeld = false
  #filter: Filter = noFilter
  #sorting: Sorting = 'standard'
  /** The speed limit of the server, 0 for none; null when it is unknown or this user can't change it. */
  #limit: number | null = null
  #limitOf: Client | null = null
  #busy: BulkAction | null = null
  /** What went wrong with the last action on many downloads. */
  #bulkProblem = ''

  constructor() {
    super()
    this.modes = ''
    this.heading = ''
  }

  protected override storeOf(client: Client): LiveStore<DownloadsSnapshot, DownloadsActions> {
    return liveDownloads(client)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#rows.end()
  }

  protected override onNews({ downloads, loaded }: DownloadsSnapshot): void {
    if (!loaded) return
    this.tellOf(downloads)
    if (this.usedClient !== null) noteSpeeds(this.usedClient, downloads)
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed)
    const downloads = this.#downloads
    this.#totals = totalsOf(downloads)
    this.#modes = modesOf(downloads)
    const held = this.#isHeld ? this.#sections : null
    this.#sections = sectionsOf(filtered(downloads, this.#filter), this.#sorting, held)
    this.#lines = linesOf(this.#sections)
    void this.#askForLimit()
  }

  get #downloads(): readonly WireDownload[] {
    return this.store?.getSnapshot().downloads ?? []
  }

  override render() {
    const { texts, access, store } = this
    const snapshot = store?.getSnapshot()
    const isLoaded = snapshot?.loaded === true
    return html`<section class="card" aria-labelledby="heading">
        <header>
          <div class="top">
            <h2 id="heading" tabindex="-1">${this.heading === '' ? texts.downloads : this.heading}</h2>
            <p class="totals">${isLoaded ? this.#summary() : nothing}</p>
          </div>
          ${
            access?.manage === true
              ? html`<model-download-add
                  .texts=${texts}
                  .reasons=${this.reasons}
                  .client=${this.usedClient}
                  .modes=${this.#choices()}
                ></model-download-add>`
              : nothing
          }
        </header>
        <div class="banner">${this.banner()}</div>
        ${isLoaded ? this.#lists() : access?.read === false || store === null ? nothing : ghosts}
      </section>
      ${this.dialog()}${this.speaker()}`
  }

  protected override updated(): void {
    this.#rows.place(this.renderRoot.querySelector<HTMLElement>('.scroll'), this.#lines)
  }

  /** The modes that the form offers. */
  #choices(): readonly string[] {
    const own = this.modes.split(/[\s,]+/).filter((mode) => mode !== '')
    return own.length === 0 ? usualModes : own
  }

  #summary(): TemplateResult[] {
    const { counts, bytesPerSecond } = this.#totals
    const count = (n: number) => ({ n: formatCount(n, this.locale) })
    return facts([
      ...(counts.running > 0 ? [this.say('running', count(counts.running))] : []),
      ...(counts.waiting > 0 ? [this.say('waiting', count(counts.waiting))] : []),
      ...(bytesPerSecond > 0 && this.isLive ? [formatSpeed(bytesPerSecond, this.locale)] : []),
    ])
  }

  #lists(): TemplateResult {
    if (this.#downloads.length === 0) return this.#empty()
    return html`<div class="tools">
        <model-download-toolbar
          .texts=${this.texts}
          .locale=${this.locale}
          .totals=${this.#totals}
          .filter=${this.#filter}
          .sorting=${this.#sorting}
          .modes=${this.#modes}
          .canManage=${this.access?.manage === true}
          .limit=${this.#limit}
          .busy=${this.#busy}
          @list-filter=${(event: CustomEvent<{ filter: Filter }>) => {
            this.#show(event.detail.filter)
          }}
          @list-sort=${(event: CustomEvent<{ sorting: Sorting }>) => {
            this.#sorting = event.detail.sorting
            this.#release()
          }}
          @list-bulk=${(event: CustomEvent<{ action: BulkAction }>) => {
            void this.#doMany(event.detail.action)
          }}
          @list-limit=${(event: CustomEvent<{ limit: number }>) => {
            void this.#setLimit(event.detail.limit)
          }}
        ></model-download-toolbar>
        ${
          this.#bulkProblem === ''
            ? nothing
            : html`<div class="note is-danger bulk" role="alert">
                ${icon('alert')}<span>${this.#bulkProblem}</span>
              </div>`
        }
      </div>
      ${this.#lines.length === 0 ? this.#noMatch() : this.#scroll()}`
  }

  #scroll(): TemplateResult {
    const present = sectionNames.filter((section) => this.#sections[section].length > 0)
    return html`<div
      class="scroll"
      @row-action=${this.onAction}
      @row-files=${this.onFiles}
      @row-details=${this.onDetails}
      @pointerenter=${this.#onPointer}
      @pointerleave=${this.#onLeave}
    >
      <div class="canvas">
        ${repeat(
          present,
          (section) => section,
          (section) =>
            html`${this.#heading(section)}
              <ul role="list" aria-labelledby=${section} data-section=${section}></ul>`,
        )}
      </div>
    </div>`
  }

  #heading(section: SectionName): TemplateResult {
    // While rows are held where they are, the number is still that of the head.
    const count = showsAll(this.#filter) ? this.#totals.counts[section] : this.#sections[section].length
    return html`<h3 id=${section} data-section=${section}>
      ${this.texts[sectionTexts[section]]} <span>${formatCount(count, this.locale)}</span>
    </h3>`
  }

  #noMatch(): TemplateResult {
    return html`<div class="empty">
      <div class="tile">${icon('search')}</div>
      <p class="strong">${this.texts.noMatch}</p>
      <button
        type="button"
        class="small"
        @click=${() => {
          this.#show(noFilter)
        }}
      >
        ${this.texts.clearFilter}
      </button>
    </div>`
  }

  #show(filter: Filter): void {
    this.#filter = filter
    this.#release()
    this.renderRoot.querySelector('.scroll')?.scrollTo({ top: 0 })
  }

  #release(): void {
    this.#isHeld = false
    this.requestUpdate()
  }

  // ---- Actions on many downloads

  async #doMany(wanted: BulkAction): Promise<void> {
    const { usedClient: client, texts } = this
    const { action, urls } = bulkOf(wanted, filtered(this.#downloads, this.#filter))
    if (client === null || this.#busy !== null || urls.length === 0) return
    const count = { n: formatCount(urls.length, this.locale) }
    if (wanted === 'clearFinished') {
      const question = {
        ...{ title: this.say('clearTitle', count), text: texts.clearText, option: null },
        ...{ confirm: texts.clearConfirm, close: texts.close },
      }
      if ((await this.ask(question)) === null) return
    }
    this.#busy = wanted
    this.#bulkProblem = ''
    this.requestUpdate()
    const { failed, error } = await runBulk(urls, (url) => client[action](url))
    this.#busy = null
    if (error !== null) {
      const total = formatCount(urls.length, this.locale)
      // The client rejects with a DownloadError only.
      const reason = isDownloadError(error) ? this.reason(error) : ''
      this.#bulkProblem = this.say('bulkFailed', { n: formatCount(failed, this.locale), total, reason })
    }
    this.announce(this.say('bulkDone', { n: formatCount(urls.length - failed, this.locale) }))
    this.requestUpdate()
  }

  // ---- The speed limit of the server

  /** Asks for the limit once, where this user may change it. An older server has none to change. */
  async #askForLimit(): Promise<void> {
    const client = this.usedClient
    if (this.access?.queue !== true || client === null || this.#limitOf === client) return
    this.#limitOf = client
    this.#limit = null
    try {
      const { max_bytes_per_second: limit } = await client.queue.status()
      this.#limit = limit ?? 0
      this.requestUpdate()
    } catch {
      // The list is complete without it.
    }
  }

  async #setLimit(limit: number): Promise<void> {
    try {
      const status = await this.usedClient?.queue.change({ maxBytesPerSecond: limit === 0 ? null : limit })
      this.#limit = status?.max_bytes_per_second ?? 0
      this.#bulkProblem = ''
    } catch (error) {
      if (!isDownloadError(error)) throw error
      this.#bulkProblem = this.say('failedAction', { reason: this.reason(error) })
    }
    this.requestUpdate()
  }

  #empty(): TemplateResult {
    const { texts } = this
    const text = this.access?.manage === true ? texts.emptyText : texts.emptyReadOnly
    return html`<div class="empty">
      <div class="tile">${icon('box')}</div>
      <p class="strong">${texts.emptyTitle}</p>
      <p class="muted small">${text}</p>
    </div>`
  }

  protected override onRemoved(): void {
    const { renderRoot } = this
    const heading = renderRoot.querySelector<HTMLElement>('#heading')
    const add = renderRoot.querySelector<AddElement>('model-download-add')
    if (renderRoot.querySelector('model-download-row') === null) add?.focus()
    else heading?.focus()
  }

  readonly #onPointer = (event: PointerEvent): void => {
    // Touch input does not hover.
    if (event.pointerType === 'mouse') this.#isHeld = true
  }

  readonly #onLeave = (): void => {
    this.#release()
  }
}

/** Placeholders that are shown until the first snapshot arrives. */
const ghosts = html`<div aria-hidden="true">
  <div class="ghost">
    <div></div>
    <div></div>
  </div>
  <div class="ghost">
    <div></div>
    <div></div>
  </div>
</div>`

define('model-downloads', DownloadsElement)

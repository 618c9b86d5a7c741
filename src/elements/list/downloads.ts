/** `<model-downloads>`: all downloads of a server. */
import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit'
import type { Client, WireDownload } from '../client/index.js'
import {
  type DownloadsActions,
  type DownloadsSnapshot,
  liveDownloads,
  type LiveStore,
} from '../live/index.js'
import { ActingElement } from './acting.js'
import type { AddElement } from './add.js'
import { define } from './base.js'
import { formatCount, formatSpeed } from './format.js'
import { listed } from './listed.js'
import { type Sections, sectionsOf, totalsOf } from './order.js'
import { facts, icon } from './parts.js'
import { Rows } from './rows.js'
import { controls, tokens } from './theme.js'
import './add.js'

/** Number of rows of a section that are shown at first, and that "Show more" adds. */
const pageSize = 250

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
      h3 {
        display: flex;
        gap: 0.5rem;
        padding: 0.5rem 1.1rem;
        background: var(--_hover);
        border-block: 1px solid var(--_border);
      }
      h3 span {
        font-weight: 400;
      }
      li {
        content-visibility: auto;
        contain-intrinsic-size: auto 5.6rem;
      }
      li + li {
        border-top: 1px solid var(--_border);
      }
      .settled li {
        contain-intrinsic-size: auto 4.5rem;
      }
      .more {
        display: block;
        width: 100%;
        border: 0;
        border-top: 1px solid var(--_border);
        border-radius: 0;
        color: var(--_accent);
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

  #sections: Sections = { active: [], settled: [] }
  readonly #rows = { active: new Rows(), settled: new Rows() }
  #isHeld = false
  #limits = { active: pageSize, settled: pageSize }

  constructor() {
    super()
    this.modes = ''
    this.heading = ''
  }

  protected override storeOf(client: Client): LiveStore<DownloadsSnapshot, DownloadsActions> {
    return liveDownloads(client)
  }

  protected override onNews({ downloads, loaded }: DownloadsSnapshot): void {
    if (loaded) this.tellOf(downloads)
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed)
    const downloads = this.store?.getSnapshot().downloads ?? []
    this.#sections = sectionsOf(downloads, this.#isHeld ? this.#sections : null)
  }

  override render() {
    const { texts, access, store } = this
    const snapshot = store?.getSnapshot()
    const isLoaded = snapshot?.loaded === true
    return html`<section class="card" aria-labelledby="heading">
        <header>
          <div class="top">
            <h2 id="heading" tabindex="-1">${this.heading === '' ? texts.downloads : this.heading}</h2>
            <p class="totals">${isLoaded ? this.#totals(snapshot.downloads) : nothing}</p>
          </div>
          ${
            access?.manage === true
              ? html`<model-download-add
                  .texts=${texts}
                  .reasons=${this.reasons}
                  .client=${this.usedClient}
                  .modes=${this.#modes()}
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
    for (const section of ['active', 'settled'] as const) {
      const downloads = this.#sections[section].slice(0, this.#limits[section])
      this.#rows[section].place(this.renderRoot.querySelector(`ul.${section}`), downloads, this.updateRow)
    }
  }

  #modes(): readonly string[] {
    const own = this.modes.split(/[\s,]+/).filter((mode) => mode !== '')
    return own.length === 0 ? usualModes : own
  }

  #totals(downloads: readonly WireDownload[]): TemplateResult[] {
    const { running, waiting, bytesPerSecond } = totalsOf(downloads)
    const count = (n: number) => ({ n: formatCount(n, this.locale) })
    const parts = [
      ...(running > 0 ? [this.say('running', count(running))] : []),
      ...(waiting > 0 ? [this.say('waiting', count(waiting))] : []),
      ...(bytesPerSecond > 0 ? [formatSpeed(bytesPerSecond, this.locale)] : []),
    ]
    return facts(parts)
  }

  #lists(): TemplateResult {
    const { active, settled } = this.#sections
    if (active.length + settled.length === 0) return this.#empty()
    return html`<div
      @row-action=${this.onAction}
      @row-files=${this.onFiles}
      @pointerenter=${this.#onPointer}
      @pointerleave=${this.#onLeave}
      @focusin=${this.#onHold}
      @focusout=${this.#onLeave}
    >
      ${this.#list('active', active)}${this.#list('settled', settled)}
    </div>`
  }

  #list(section: keyof Sections, downloads: readonly WireDownload[]) {
    if (downloads.length === 0) return nothing
    const rest = downloads.length - this.#limits[section]
    return html`<h3 id=${section}>
        ${this.texts[section === 'active' ? 'sectionActive' : 'sectionSettled']}
        <span>${formatCount(downloads.length, this.locale)}</span>
      </h3>
      <ul role="list" aria-labelledby=${section} class=${section}></ul>
      ${
        rest > 0
          ? html`<button
              type="button"
              class="more"
              @click=${() => {
                this.#limits[section] += pageSize
                this.requestUpdate()
              }}
            >
              ${this.say('showMore', { n: formatCount(Math.min(rest, pageSize), this.locale) })}
            </button>`
          : nothing
      }`
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

  readonly #onHold = (): void => {
    this.#isHeld = true
  }

  readonly #onLeave = (event: FocusEvent | PointerEvent): void => {
    // The listener is attached to an element.
    const area = event.currentTarget as HTMLElement
    if (area.matches(':hover') || (event.relatedTarget instanceof Node && area.contains(event.relatedTarget)))
      return
    this.#isHeld = false
    this.requestUpdate()
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

/** The controls above the list: search, filters, order, and actions on many downloads. */
import { css, html, LitElement, nothing, type TemplateResult } from 'lit'
import { define } from '../base.js'
import { formatCount, formatSpeed } from '../format.js'
import { icon, type IconName } from '../parts.js'
import { type ElementLocale, fill, type StringKey, type Strings } from '../strings.js'
import { controls, tokens } from '../theme.js'
import { limitsWith } from './naming.js'
import {
  type BulkAction,
  bulkActions,
  type Filter,
  noFilter,
  type SectionName,
  sectionNames,
  type Sorting,
  sortings,
  type Totals,
} from './order.js'

/** Texts of the sections. */
export const sectionTexts = {
  attention: 'sectionAttention',
  running: 'sectionRunning',
  waiting: 'sectionWaiting',
  paused: 'sectionPaused',
  finished: 'sectionFinished',
} as const satisfies Record<SectionName, StringKey>

const sortTexts = {
  standard: 'sortStandard',
  newest: 'sortNewest',
  name: 'sortName',
  largest: 'sortLargest',
  progress: 'sortProgress',
} as const satisfies Record<Sorting, StringKey>

const pictures: Readonly<Record<BulkAction, IconName>> = {
  pauseAll: 'pause',
  resumeAll: 'play',
  retryFailed: 'retry',
  clearFinished: 'broom',
}

/** The sections whose downloads an action applies to. */
const appliesTo: Readonly<Record<BulkAction, readonly SectionName[]>> = {
  pauseAll: ['running', 'waiting'],
  resumeAll: ['paused'],
  retryFailed: ['attention'],
  clearFinished: ['finished'],
}

/** The toolbar. The parent list sets all of its properties, and listens to its events. */
export class ToolbarElement extends LitElement {
  static override properties = {
    texts: { attribute: false },
    locale: { attribute: false },
    totals: { attribute: false },
    filter: { attribute: false },
    sorting: { attribute: false },
    modes: { attribute: false },
    canManage: { attribute: false },
    limit: { attribute: false },
    busy: { attribute: false },
  }

  declare texts: Strings
  declare locale: ElementLocale
  declare totals: Totals
  declare filter: Filter
  declare sorting: Sorting
  /** The modes that occur. */
  declare modes: readonly string[]
  declare canManage: boolean
  /** The speed limit of the server, which is 0 for none; null when it can't be changed. */
  declare limit: number | null
  /** The action that is under way. */
  declare busy: BulkAction | null

  static override styles = [
    tokens,
    controls,
    css`
      :host {
        display: grid;
        gap: 0.75rem;
        container-type: inline-size;
      }
      .line {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
        align-items: center;
      }
      .search {
        position: relative;
        flex: 1 1 14rem;
      }
      .search .icon {
        position: absolute;
        inset-block: 0;
        inset-inline-start: 0.65rem;
        height: 100%;
        width: 1.1rem;
        color: var(--_muted);
        pointer-events: none;
      }
      .search input {
        padding-inline-start: 2.2rem;
        background: transparent;
      }
      .line select {
        width: auto;
        max-width: 100%;
        padding-inline: 0.6rem 0.4rem;
        font-size: 0.875rem;
        border-color: var(--_border);
      }
      .chips {
        gap: 0.375rem;
      }
      .chips button {
        min-height: 2rem;
        padding: 0 0.7rem;
        gap: 0.45rem;
        border-radius: 999px;
        font-size: 0.8125rem;
        color: var(--_muted);
      }
      .chips button[aria-pressed='true'] {
        color: var(--_accent);
        border-color: var(--_accent);
        background: color-mix(in srgb, var(--_accent) 9%, transparent);
      }
      .chips .attention {
        color: var(--_danger);
      }
      .chips b {
        font-weight: 650;
      }
      .actions {
        column-gap: 0;
      }
      .actions button {
        padding: 0 0.55rem;
      }
      .actions button:first-child {
        margin-inline-start: -0.55rem;
      }
      .actions label {
        display: flex;
        gap: 0.5rem;
        align-items: center;
        margin-inline-start: auto;
        font-size: 0.8125rem;
        color: var(--_muted);
      }
      .actions select {
        min-height: 2rem;
        font-size: 0.8125rem;
        color: var(--_text);
      }
      @container (max-width: 30rem) {
        .find select {
          flex: 1 1 7rem;
        }
        .search {
          flex-basis: 100%;
        }
        .actions {
          display: grid;
          grid-template-columns: 1fr 1fr;
        }
        .actions button {
          justify-content: flex-start;
          padding: 0 0.25rem;
          margin: 0 !important;
          min-height: 2.25rem;
        }
        .actions label {
          margin: 0;
          grid-column: 1 / -1;
          padding-inline-start: 0.25rem;
        }
        .actions select {
          flex: 1;
        }
      }
      @media (forced-colors: active) {
        .chips button[aria-pressed='true'] {
          border: 2px solid Highlight;
        }
      }
      @media print {
        :host {
          display: none;
        }
      }
    `,
  ]

  constructor() {
    super()
    this.filter = noFilter
    this.sorting = 'standard'
    this.modes = []
    this.canManage = false
    this.limit = null
    this.busy = null
  }

  override render() {
    return html`${this.#find()}${this.#chips()}${this.canManage || this.limit !== null ? this.#actions() : nothing}`
  }

  #find(): TemplateResult {
    const { texts, filter, modes } = this
    return html`<div class="line find" role="search">
      <div class="search">
        ${icon('search')}
        <input
          type="search"
          autocomplete="off"
          spellcheck="false"
          aria-label=${texts.search}
          placeholder=${texts.search}
          .value=${filter.text}
          @input=${(event: Event) => {
            this.#show({ text: valueOf(event) })
          }}
        />
      </div>
      ${
        modes.length < 2 && filter.mode === ''
          ? nothing
          : html`<select
              aria-label=${texts.kind}
              title=${texts.kind}
              @change=${(event: Event) => {
                this.#show({ mode: valueOf(event) })
              }}
            >
              <option value="" ?selected=${filter.mode === ''}>${texts.allKinds}</option>
              ${modes.map(
                (mode) => html`<option value=${mode} ?selected=${mode === filter.mode}>${mode}</option>`,
              )}
            </select>`
      }
      <select
        aria-label=${texts.sort}
        title=${texts.sort}
        @change=${(event: Event) => {
          this.#tell('list-sort', { sorting: valueOf(event) })
        }}
      >
        ${sortings.map(
          (sorting) =>
            html`<option value=${sorting} ?selected=${sorting === this.sorting}>
              ${texts[sortTexts[sorting]]}
            </option>`,
        )}
      </select>
    </div>`
  }

  #chips(): TemplateResult {
    const { texts, filter, totals } = this
    const all = sectionNames.reduce((sum, section) => sum + totals.counts[section], 0)
    const chip = (section: SectionName | '', text: string, count: number) =>
      html`<button
        type="button"
        class=${section === 'attention' ? 'attention' : ''}
        aria-pressed=${filter.section === section ? 'true' : 'false'}
        @click=${() => {
          this.#show({ section })
        }}
      >
        ${text} <b>${formatCount(count, this.locale)}</b>
      </button>`
    return html`<div class="line chips" role="group" aria-label=${texts.filterState}>
      ${chip('', texts.showAll, all)}
      ${sectionNames.map((section) => {
        const count = totals.counts[section]
        return count === 0 && filter.section !== section
          ? nothing
          : chip(section, texts[sectionTexts[section]], count)
      })}
    </div>`
  }

  #actions(): TemplateResult {
    const { texts, totals, busy } = this
    return html`<div class="line actions">
      ${
        this.canManage
          ? bulkActions.map((action) => {
              const isAny = appliesTo[action].some((section) => totals.counts[section] > 0)
              return html`<button
                type="button"
                class="plain small"
                ?disabled=${!isAny || busy !== null}
                @click=${() => {
                  this.#tell('list-bulk', { action })
                }}
              >
                ${icon(pictures[action])}${texts[action]}
              </button>`
            })
          : nothing
      }
      ${
        this.limit === null
          ? nothing
          : html`<label
              >${texts.speedLimit}
              <select
                @change=${(event: Event) => {
                  this.#tell('list-limit', { limit: Number(valueOf(event)) })
                }}
              >
                ${limitOptions(this.limit, texts, this.locale)}
              </select></label
            >`
      }
    </div>`
  }

  #show(change: Partial<Filter>): void {
    this.#tell('list-filter', { filter: { ...this.filter, ...change } })
  }

  #tell(name: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }
}

/** The options of a select for speed limits. */
export function limitOptions(current: number, texts: Strings, locale: ElementLocale): TemplateResult[] {
  return limitsWith(current).map(
    (limit) =>
      html`<option value=${limit} ?selected=${limit === current}>
        ${limit === 0 ? texts.noLimit : fill(texts.atMost, { speed: formatSpeed(limit, locale) })}
      </option>`,
  )
}

/** The value of the field that dispatched the event. */
export function valueOf({ currentTarget: field }: Event): string {
  return field instanceof HTMLInputElement || field instanceof HTMLSelectElement ? field.value : ''
}

define('model-download-toolbar', ToolbarElement)

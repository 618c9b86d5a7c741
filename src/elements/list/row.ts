/** A row that shows one download. */
import { css, html, LitElement, nothing, type TemplateResult } from 'lit'
import type { WireDownload } from '../../client/index.js'
import { define } from '../base.js'
import {
  formatLocaleBytes,
  formatLocaleDuration,
  formatMoment,
  formatPercent,
  formatSpeed,
} from '../format.js'
import { listed } from '../listed.js'
import { originOf, nameOf } from './naming.js'
import { actionsFor, type WireGroupFile, groupOf, type RowAction } from './order.js'
import { bar, facts, icon, type IconName } from '../parts.js'
import { type ElementLocale, fill, type Language, type StringKey, type Strings } from '../strings.js'
import { controls, tokens } from '../theme.js'

/** Detail of the `row-action` event that a row dispatches. */
export interface RowRequest {
  readonly action: RowAction
  readonly download: WireDownload
}

const looks: Readonly<Record<WireDownload['state'], { picture: IconName; tone: string }>> = {
  queued: { picture: 'clock', tone: 'is-muted' },
  resolving: { picture: 'search', tone: '' },
  downloading: { picture: 'arrow', tone: '' },
  verifying: { picture: 'shield', tone: '' },
  paused: { picture: 'pause', tone: 'is-warning' },
  completed: { picture: 'check', tone: 'is-success' },
  failed: { picture: 'alert', tone: 'is-danger' },
  canceled: { picture: 'cross', tone: 'is-muted' },
}

const pictures: Readonly<Record<RowAction, IconName>> = {
  pause: 'pause',
  resume: 'play',
  cancel: 'cross',
  retry: 'retry',
  remove: 'bin',
}

/** Maximum number of files of a group that are listed. */
const maxFiles = 200

/** A row. The parent list sets all of its properties. */
export class RowElement extends LitElement {
  static override properties = {
    download: { attribute: false },
    texts: { attribute: false },
    reasons: { attribute: false },
    locale: { attribute: false },
    canManage: { attribute: false },
    problem: { attribute: false },
    files: { attribute: false },
    expanded: { attribute: false },
    live: { attribute: false },
  }

  declare download: WireDownload | null
  declare texts: Strings
  declare reasons: Language['reasons']
  declare locale: ElementLocale
  declare canManage: boolean
  /** Why the last action failed, or empty. */
  declare problem: string
  /** The files of a group, once somebody has asked. */
  declare files: readonly WireGroupFile[] | null
  /** Whether they are shown. */
  declare expanded: boolean
  /** Whether the server can be reached, so that a speed is the current one. */
  declare live: boolean

  static override styles = [
    tokens,
    controls,
    listed,
    css`
      :host {
        container-type: inline-size;
      }
      @container (max-width: 30rem) {
        .actions {
          margin-inline-end: -0.5rem;
        }
        .origin {
          grid-area: 2 / 1 / 3 / -1;
        }
        .row > .body > .track {
          grid-row: 3 / 4;
        }
        .facts {
          grid-row: 4 / 5;
        }
        .row > .actions {
          grid-row: 4 / 5;
        }
        .row .rest {
          grid-row: 5 / 6;
        }
        .row:not(.is-danger) .track + .facts {
          min-height: 3.9375rem;
        }
      }
      button.name {
        display: block;
        min-width: 0;
        min-height: 1.5rem;
        padding: 0;
        border: 0;
        border-radius: 4px;
        font-size: 1rem;
        text-align: start;
      }
      button.name:hover {
        background: none;
        text-decoration: underline;
        text-underline-offset: 0.2em;
      }
      .origin {
        font-size: 0.8125rem;
        line-height: 1.25rem;
        color: var(--_muted);
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .away {
        --_tone: var(--_muted);
      }
      .away .fill {
        animation: none;
        transition: none;
      }
      .toggle {
        min-height: 1.5rem;
        margin-inline-start: -0.4rem;
        padding: 0 0.4rem;
        border: 0;
        font-size: 0.8125rem;
        color: var(--_accent);
      }
      .icon {
        transition: transform 150ms;
      }
      [aria-expanded='true'] .icon {
        transform: rotate(180deg);
      }
      .files {
        grid-column: 1 / -1;
        max-height: 17rem;
        font-size: 0.8125rem;
      }
      li {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 0 0.75rem;
        padding: 0.25rem 0;
      }
      .row li .track {
        grid-area: 2 / 1 / 3 / -1;
        height: 3px;
        margin: 0.2rem 0 0.1rem;
      }
      li > span:first-child {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
    `,
  ]

  constructor() {
    super()
    this.download = null
    this.canManage = false
    this.problem = ''
    this.files = null
    this.expanded = false
    this.live = true
  }

  /** Renders without delay, so that the height of a new row can be measured. */
  renderNow(): void {
    if (this.isUpdatePending) this.performUpdate()
  }

  /** Focuses the name, which opens the details. */
  override focus(options?: FocusOptions): void {
    this.renderRoot.querySelector<HTMLElement>('.name')?.focus(options)
  }

  override render() {
    const { download, texts } = this
    if (download === null) return nothing
    const { state, url, mode } = download
    const title = nameOf(download)
    const { picture, tone } = looks[state]
    const isOver = state === 'completed' || state === 'canceled'
    return html`<div class="row ${tone} ${this.live ? '' : 'away'}">
      <div class="tile">${icon(picture)}</div>
      <div class="body">
        <div class="title">
          <button
            type="button"
            class="name"
            title=${url}
            aria-haspopup="dialog"
            @click=${() => {
              this.#tell('row-details', { url })
            }}
          >
            <bdi>${title}</bdi>
          </button>
          ${mode === null ? nothing : html`<span class="tag">${mode}</span>`}
          ${this.#settings(download).map((text) => html`<span class="tag">${text}</span>`)}
        </div>
        <p class="origin" title=${url}><bdi>${originOf(download)}</bdi></p>
        ${isOver ? nothing : this.#bar(download)}
        <div class="facts">
          <span><span class="state">${texts[state]}</span>${facts(this.#amounts(download))}</span>
          <span>${facts(this.#speedFacts(download))}</span>
        </div>
        <div class="rest">${this.#trouble(download)}${this.#filesToggle(download)}</div>
      </div>
      <div class="actions">${this.canManage ? this.#buttons(download) : nothing}</div>
      ${this.expanded ? this.#fileList(title) : nothing}
    </div>`
  }

  #bar(download: WireDownload): TemplateResult {
    const { progress, total, state } = download
    const isKnown = total > 0 || state === 'paused' || state === 'failed' || state === 'queued'
    return bar(
      nameOf(download),
      isKnown || !this.live ? progress : null,
      [this.texts[state], ...(isKnown ? this.#amounts(download) : [])].join(', '),
    )
  }

  #amounts(download: WireDownload): string[] {
    const { state, downloaded, total, progress, verified } = download
    const { texts, locale } = this
    const group = groupOf(download)
    const files = group === null ? '' : fill(texts.filesOf, { done: group.completed, total: group.count })
    if (state === 'canceled') return [files]
    const size = formatLocaleBytes(total, locale)
    if (state === 'completed') return [size, files, verified ? texts.verified : '']
    const done = formatLocaleBytes(downloaded, locale)
    if (total > 0) return [formatPercent(progress, locale), fill(texts.bytesOf, { done, total: size }), files]
    return [downloaded > 0 ? done : '', files]
  }

  #speedFacts({
    state,
    bytes_per_second: speed,
    eta_seconds: eta,
    finished_at: end,
    node = '',
  }: WireDownload): string[] {
    const { texts, locale } = this
    const place = node === '' ? '' : fill(texts.runsOn, { node })
    if (end !== null) return [formatMoment(end, new Date(), locale)]
    if (state !== 'downloading' || !this.live) return [place]
    return [
      place,
      formatSpeed(speed, locale),
      eta === null ? '' : fill(texts.timeLeft, { time: formatLocaleDuration(eta, locale) }),
    ]
  }

  /** Priority and speed limit, where they are not the usual ones. */
  #settings({ state, priority = 0, max_bytes_per_second: limit }: WireDownload): string[] {
    if (state === 'completed' || state === 'canceled') return []
    const { texts, locale } = this
    return [
      ...(priority === 0 ? [] : [priority > 0 ? texts.priorityHigh : texts.priorityLow]),
      ...(limit === undefined ? [] : [fill(texts.atMost, { speed: formatSpeed(limit, locale) })]),
    ]
  }

  #trouble({ state, error, code, waiting }: WireDownload) {
    const { problem } = this
    return html`${waiting === undefined ? nothing : html`<p class="muted">${waiting}</p>`}${
      state !== 'failed' || error === null
        ? nothing
        : html`<p class="error">${this.#reason(code, error)} <code>${code}</code></p>`
    }${
      problem === ''
        ? nothing
        : html`<p class="error" role="alert">${fill(this.texts.failedAction, { reason: problem })}</p>`
    }`
  }

  #buttons(download: WireDownload): TemplateResult[] {
    return actionsFor(download.state).map((action) => {
      const label = fill(this.texts.actionOf, { action: this.texts[action], name: nameOf(download) })
      return html`<button
        type="button"
        class="plain square"
        aria-label=${label}
        title=${this.texts[action]}
        @click=${() => {
          this.#tell('row-action', { action, download })
        }}
      >
        ${icon(pictures[action])}
      </button>`
    })
  }

  #filesToggle(download: WireDownload) {
    if (groupOf(download) === null) return nothing
    const key: StringKey = this.expanded ? 'hideFiles' : 'showFiles'
    return html`<button
      type="button"
      class="toggle"
      aria-expanded=${this.expanded ? 'true' : 'false'}
      @click=${() => {
        this.#tell('row-files', { download: this.download })
      }}
    >
      ${icon('down')}${this.texts[key]}
    </button>`
  }

  #fileList(name: string): TemplateResult {
    const { files, texts, locale } = this
    return html`<ul class="files" tabindex="0" aria-label=${`${texts.showFiles}: ${name}`}>
      ${files === null ? html`<li class="muted">${texts.loadingFiles}</li>` : nothing}
      ${(files ?? []).slice(0, maxFiles).map(
        ({ filename, size, state, downloaded, error, code }) =>
          html`<li class=${looks[state].tone}>
            <span title=${filename}><bdi>${filename}</bdi></span>
            <span>
              ${size === null ? nothing : html`<span class="muted">${formatLocaleBytes(size, locale)}</span>`}
              <span class="state">${texts[state]}</span>
            </span>
            ${
              state === 'downloading' && size !== null && size > 0
                ? bar(filename, (downloaded / size) * 100, formatLocaleBytes(downloaded, locale))
                : nothing
            }
            ${error === null ? nothing : html`<p class="error">${this.#reason(code, error)}</p>`}
          </li>`,
      )}
    </ul>`
  }

  #reason(code: WireDownload['code'], message: string): string {
    return (code === null ? undefined : this.reasons[code]) ?? message
  }

  #tell(name: 'row-action' | 'row-files' | 'row-details', detail: object): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: false }))
  }
}

define('model-download-row', RowElement)

/** The dialog with everything about one download. */
import { html, LitElement, nothing, svg, type TemplateResult } from 'lit'
import { type Client, type DownloadLog, isDownloadError, type WireDownload } from '../../client/index.js'
import { downloadLogs, type DownloadSnapshot, liveDownload } from '../../live/index.js'
import { define } from '../base.js'
import {
  formatLocaleBytes,
  formatLocaleDuration,
  formatMoment,
  formatPercent,
  formatSpeed,
} from '../format.js'
import { prioritiesWith, nameOf } from '../list/naming.js'
import { limitOptions, valueOf } from '../list/toolbar.js'
import { listed } from '../listed.js'
import { bar, facts, icon } from '../parts.js'
import { type ElementLocale, fill, type Language, type Strings } from '../strings.js'
import { controls, tokens } from '../theme.js'
import { checkOf, otherDigest } from './check.js'
import { chartOf } from './history.js'
import { speedsOf } from './speeds.js'
import { styles } from './styles.js'
import { usagesOf } from './usage.js'
import '../copy.js'
import './upstream.js'

/** How often the files are asked for while they change, in milliseconds. */
const askEveryMs = 2_000

/** Number of files that are listed at most. */
const maxFiles = 500

/** The dialog. Its parent sets all of its properties. */
export class DetailsElement extends LitElement {
  static override properties = {
    texts: { attribute: false },
    reasons: { attribute: false },
    locale: { attribute: false },
    client: { attribute: false },
    canManage: { attribute: false },
    live: { attribute: false },
  }

  declare texts: Strings
  declare reasons: Language['reasons']
  declare locale: ElementLocale
  declare client: Client | null
  declare canManage: boolean
  /** Whether the server can be reached. */
  declare live: boolean
  #url: string | null = null
  /** With the files of a group; asked for now and then. */
  #full: WireDownload | null = null
  /** What has happened before this page was opened, too. */
  #past: readonly DownloadLog[] = []
  /** Undefined until the server has told. */
  #path: string | null | undefined
  #problem = ''
  #snapshot: () => DownloadSnapshot | null = () => null
  #end: () => void = () => undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  static override styles = [tokens, controls, listed, styles]

  constructor() {
    super()
    this.client = null
    this.canManage = false
    this.live = true
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#close()
  }

  /** Opens the dialog with a download. */
  show(url: string): void {
    const { client } = this
    if (client === null) return
    this.#close()
    this.#url = url
    this.#problem = ''
    const store = liveDownload(client, url)
    this.#snapshot = store.getSnapshot
    const update = () => {
      this.requestUpdate()
    }
    const ends = [
      store.subscribe(update),
      downloadLogs(client).watch((of) => of === url && this.requestUpdate()),
    ]
    this.#end = () => {
      for (const end of ends) end()
    }
    this.requestUpdate()
    void this.updateComplete.then(() => {
      this.#dialog?.showModal()
    })
    void this.#ask(url, client)
  }

  get #dialog(): HTMLDialogElement | null {
    return this.renderRoot.querySelector('dialog')
  }

  #close(): void {
    clearTimeout(this.#timer)
    this.#end()
    this.#end = () => undefined
    this.#snapshot = () => null
    this.#url = null
    this.#full = null
    this.#past = []
    this.#path = undefined
  }

  /** Asks for what lists and events leave out: the files of a group, and the path. */
  async #ask(url: string, client: Client): Promise<void> {
    const isOpen = () => this.#url === url && this.isConnected
    try {
      const [full, path, log] = await Promise.all([client.status(url), client.pathOf(url), client.logOf(url)])
      if (!isOpen()) return
      this.#past = log
      this.#full = full
      this.#path = path
      this.requestUpdate()
    } catch {
      // Another attempt may succeed.
    }
    const isOver = this.#full !== null && this.#full.status !== 'downloading'
    if (isOpen())
      this.#timer = setTimeout(() => {
        if (!isOver || this.#snapshot()?.download?.state !== this.#full?.state) void this.#ask(url, client)
        else this.#timer = setTimeout(() => void this.#ask(url, client), askEveryMs)
      }, askEveryMs)
  }

  override render() {
    const download = this.#snapshot()?.download ?? this.#full
    if (this.#url === null || download === null) return nothing
    const { texts } = this
    const title = nameOf(download)
    return html`<dialog
      aria-labelledby="title"
      @close=${() => {
        this.#close()
        this.requestUpdate()
      }}
      @click=${(event: MouseEvent) => {
        // A click on the backdrop is one on the dialog itself.
        if (event.target === event.currentTarget) this.#dialog?.close()
      }}
    >
      <header>
        <div>
          <h2 id="title"><bdi>${title}</bdi></h2>
          ${download.mode === null ? nothing : html`<p class="muted small">${download.mode}</p>`}
        </div>
        <button
          type="button"
          class="plain square"
          aria-label=${texts.dismiss}
          title=${texts.dismiss}
          @click=${() => this.#dialog?.close()}
        >
          ${icon('cross')}
        </button>
      </header>
      ${this.#progress(download, title)} ${this.#chart(download)} ${this.#choices(download)}
      ${this.#usage(download)} ${this.#facts(download)} ${this.#upstream(download)} ${this.#files(title)}
      ${this.#log(download)}
    </dialog>`
  }

  #progress(download: WireDownload, title: string): TemplateResult {
    const { texts, locale } = this
    const { state, total, downloaded, progress, error, code, waiting } = download
    const tone = { failed: 'is-danger', paused: 'is-warning', completed: 'is-success', canceled: 'is-muted' }
    const size = formatLocaleBytes(total, locale)
    const done = formatLocaleBytes(downloaded, locale)
    const isOver = state === 'completed' || state === 'canceled'
    const amounts = isOver
      ? [state === 'completed' ? size : '']
      : total > 0
        ? [formatPercent(progress, locale), fill(texts.bytesOf, { done, total: size })]
        : [downloaded > 0 ? done : '']
    const isMoving = state === 'downloading' && this.live
    const speeds = isMoving
      ? [
          formatSpeed(download.bytes_per_second, locale),
          download.eta_seconds === null
            ? ''
            : fill(texts.timeLeft, { time: formatLocaleDuration(download.eta_seconds, locale) }),
        ]
      : []
    const toneOf: Readonly<Partial<Record<WireDownload['state'], string>>> = tone
    return html`<section class=${toneOf[state] ?? ''}>
      ${isOver ? nothing : bar(title, total > 0 || !isMoving ? progress : null, [texts[state], ...amounts].join(', '))}
      <div class="facts">
        <span><span class="state">${texts[state]}</span>${facts(amounts)}</span>
        <span>${facts(speeds)}</span>
      </div>
      ${waiting === undefined ? nothing : html`<p class="muted">${waiting}</p>`}
      ${
        state === 'failed' && error !== null
          ? html`<p class="error">
              ${(code === null ? undefined : this.reasons[code]) ?? error} <code>${code}</code>
            </p>`
          : nothing
      }
    </section>`
  }

  #chart({ url }: WireDownload) {
    const chart = chartOf(this.client === null ? [] : speedsOf(this.client, url))
    if (chart === null) return nothing
    const { texts, locale } = this
    const speed = (value: number) => formatSpeed(value, locale)
    const summary = fill(texts.speedSummary, {
      now: speed(chart.now),
      average: speed(chart.average),
      peak: speed(chart.peak),
    })
    const line = chart.points.map(([x, y]) => `${(x * 400).toFixed(1)},${(4 + y * 92).toFixed(1)}`).join(' ')
    return html`<section>
      <h3>${texts.speedChart}</h3>
      <svg class="chart" viewBox="0 0 400 100" preserveAspectRatio="none" role="img" aria-label=${summary}>
        ${svg`<polygon class="area" points=${`0,100 ${line} 400,100`} /><polyline class="line" points=${line} />`}
      </svg>
      <p class="muted small">${summary}</p>
    </section>`
  }

  #choices(download: WireDownload) {
    const { texts } = this
    const { state, priority = 0, max_bytes_per_second: limit = 0, url } = download
    if (!this.canManage || state === 'completed' || state === 'canceled') return nothing
    const labelOf = (value: number) =>
      `${value > 0 ? texts.priorityHigh : value < 0 ? texts.priorityLow : texts.priorityNormal}${
        [10, 0, -10].includes(value) ? '' : ` (${value})`
      }`
    return html`<section>
      <h3>${texts.settings}</h3>
      <div class="choices">
        <label
          >${texts.priority}
          <select
            @change=${(event: Event) => {
              void this.#change(url, { priority: Number(valueOf(event)) })
            }}
          >
            ${prioritiesWith(priority).map(
              (value) =>
                html`<option value=${value} ?selected=${value === priority}>${labelOf(value)}</option>`,
            )}
          </select></label
        >
        <label
          >${texts.speedLimit}
          <select
            @change=${(event: Event) => {
              const chosen = Number(valueOf(event))
              void this.#change(url, { maxBytesPerSecond: chosen === 0 ? null : chosen })
            }}
          >
            ${limitOptions(limit, texts, this.locale)}
          </select></label
        >
      </div>
      ${this.#problem === '' ? nothing : html`<p class="error" role="alert">${this.#problem}</p>`}
    </section>`
  }

  async #change(url: string, settings: Parameters<Client['change']>[1]): Promise<void> {
    this.#problem = ''
    try {
      await this.client?.change(url, settings)
    } catch (error) {
      if (!isDownloadError(error)) throw error
      this.#problem = fill(this.texts.failedAction, { reason: this.reasons[error.code] ?? error.message })
    }
    this.requestUpdate()
  }

  #usage(download: WireDownload) {
    const path = this.#path
    if (download.state !== 'completed' || path === null || path === undefined) return nothing
    const { texts } = this
    const full = { ...download, files: this.#full?.files ?? null }
    const line = (tool: string, text: string) =>
      html`<p class="muted small tool">${tool}</p>
        <div class="code">
          <code>${text}</code>
          <model-copy .text=${text} .label=${tool} .texts=${texts}></model-copy>
        </div>`
    return html`<section>
      <h3>${texts.usage}</h3>
      ${line(texts.usagePath, path)} ${usagesOf(full, path).map((usage) => line(usage.tool, usage.line))}
    </section>`
  }

  #facts(download: WireDownload): TemplateResult {
    const { texts, locale } = this
    const { url, sha256, state, connections, node = '' } = download
    const other = otherDigest(download)
    const moment = (time: string | null) => (time === null ? '' : formatMoment(time, new Date(), locale))
    const fact = (name: string, value: string, copied = false) =>
      value === ''
        ? nothing
        : html`<dt>${name}</dt>
            <dd>
              <span>${copied ? html`<bdi>${value}</bdi>` : value}</span>
              ${copied ? html`<model-copy .text=${value} .label=${name} .texts=${texts}></model-copy>` : nothing}
            </dd>`
    const path = this.#path
    return html`<section>
      <dl>
        ${fact(texts.source, url, true)}
        ${path === null ? fact(texts.location, texts.locationElsewhere) : fact(texts.location, path ?? '', true)}
        ${fact(texts.digest, sha256 ?? '', true)}
        ${state === 'completed' ? fact(texts.check, checkOf(download, texts)) : nothing}
        ${other === null ? nothing : fact(other.name, other.value, true)}
        ${fact(texts.requestedAt, moment(download.created_at))}
        ${fact(texts.startedAt, moment(download.started_at))}
        ${fact(texts.finishedAt, moment(download.finished_at))} ${fact(texts.node, node)}
        ${state === 'downloading' && this.live ? fact(texts.connections, String(connections)) : nothing}
      </dl>
    </section>`
  }

  #upstream({ state, url }: WireDownload) {
    if (!this.canManage || state !== 'completed') return nothing
    return html`<model-download-upstream
      .client=${this.client}
      .url=${url}
      .reasons=${this.reasons}
      .locale=${this.locale}
    ></model-download-upstream>`
  }

  #files(title: string) {
    const files = this.#full?.files ?? null
    if (files === null) return nothing
    const { texts, locale } = this
    const tones: Readonly<Partial<Record<WireDownload['state'], string>>> = {
      ...{ completed: 'is-success', failed: 'is-danger', paused: 'is-warning', canceled: 'is-muted' },
      queued: 'is-muted',
    }
    return html`<section>
      <h3>${texts.files}</h3>
      <ul class="files" tabindex="0" aria-label=${`${texts.files}: ${title}`}>
        ${files.slice(0, maxFiles).map(
          ({ filename, size, state, downloaded, error, code }) =>
            html`<li class=${tones[state] ?? ''}>
              <bdi>${filename}</bdi>
              <span>
                ${size === null ? nothing : html`<span class="muted">${formatLocaleBytes(size, locale)}</span>`}
                <span class="state">${texts[state]}</span>
              </span>
              ${
                state === 'downloading' && size !== null && size > 0
                  ? bar(filename, (downloaded / size) * 100, formatLocaleBytes(downloaded, locale))
                  : nothing
              }
              ${
                error === null
                  ? nothing
                  : html`<p class="error">${(code === null ? undefined : this.reasons[code]) ?? error}</p>`
              }
            </li>`,
        )}
      </ul>
    </section>`
  }

  #log({ url }: WireDownload): TemplateResult {
    const { texts, locale, client } = this
    const since = this.#past.at(-1)?.at ?? ''
    const news = client === null ? [] : downloadLogs(client).of(url)
    const lines = [...this.#past, ...news.filter(({ at }) => at > since)]
    const tones: Readonly<Record<string, string>> = { warn: 'is-warning', error: 'is-danger' }
    const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' })
    return html`<section>
      <h3 id="log">${texts.log}</h3>
      ${
        lines.length === 0
          ? html`<p class="muted small">${texts.logOfPage}</p>`
          : html`<div class="lines" role="log" aria-live="off" aria-labelledby="log" tabindex="0">
              ${lines.map(
                ({ at, level, message }) =>
                  html`<div class=${tones[level] ?? ''}>
                    <time datetime=${at}>${clock.format(new Date(at))}</time> ${message}
                  </div>`,
              )}
            </div>`
      }
    </section>`
  }
}

define('model-download-details', DetailsElement)

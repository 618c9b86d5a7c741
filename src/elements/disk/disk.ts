/** `<model-disk>`: what the models take of the disk, and a way to delete some. */
import { css, html, nothing, type TemplateResult } from 'lit'
import { type Client, type DiskUsage, isDownloadError } from '../../client/index.js'
import {
  type DownloadsActions,
  type DownloadsSnapshot,
  liveDownloads,
  type LiveStore,
} from '../../live/index.js'
import { define, LiveElement } from '../base.js'
import type { ConfirmElement } from '../confirm.js'
import { formatCount, formatLocaleBytes } from '../format.js'
import { listed } from '../listed.js'
import { icon, type IconName } from '../parts.js'
import { controls, tokens } from '../theme.js'
import { type DiskEntry, type DiskGroup, diskViewOf, downloadOf } from './view.js'
import '../confirm.js'

/** How often the server is asked, besides whenever a download has ended or was removed, in milliseconds. */
const askEveryMs = 30_000

/** Number of files of a mode that are listed at most. */
const maxEntries = 300

/** The element. It shows nothing where the server does not tell; `disk-known` says when that has changed. */
export class DiskElement extends LiveElement<DownloadsSnapshot, DownloadsActions> {
  #usage: DiskUsage | null = null
  #wasKnown = false
  #askedOf: Client | null = null
  /** Whether the server is one that does not tell. */
  #isUntold = false
  /** What the usage depends on. */
  #seen = ''
  #problem = ''
  #timer: ReturnType<typeof setTimeout> | undefined

  static override styles = [
    tokens,
    controls,
    listed,
    css`
      .card {
        overflow: clip;
      }
      header {
        padding: 1.15rem 1.1rem 1rem;
      }
      .bar {
        display: flex;
        gap: 2px;
        height: 0.75rem;
        margin: 0.75rem 0 0.6rem;
        border-radius: 6px;
        background: var(--_track);
        overflow: hidden;
      }
      .bar span {
        min-width: 2px;
        background: var(--_shade);
      }
      .shade0 {
        --_shade: var(--_accent);
      }
      .shade1 {
        --_shade: color-mix(in oklab, var(--_accent) 68%, var(--_surface));
      }
      .shade2 {
        --_shade: color-mix(in oklab, var(--_accent) 44%, var(--_surface));
      }
      .shade3 {
        --_shade: var(--_muted);
      }
      dl {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem 1.75rem;
      }
      dt {
        font-size: 0.8125rem;
        color: var(--_muted);
      }
      dd {
        font-weight: 600;
      }
      .tight {
        margin-top: 0.75rem;
      }
      details {
        border-top: 1px solid var(--_border);
      }
      summary {
        display: flex;
        gap: 0.6rem;
        align-items: center;
        min-height: 2.75rem;
        padding: 0 1.1rem;
        font-size: 0.875rem;
        cursor: pointer;
        list-style: none;
      }
      summary::-webkit-details-marker {
        display: none;
      }
      summary:hover {
        background: var(--_hover);
      }
      :focus-visible {
        outline-offset: -2px;
      }
      summary .icon {
        width: 1rem;
        height: 1rem;
        color: var(--_muted);
        transition: transform 150ms;
      }
      [open] summary .icon {
        transform: rotate(180deg);
      }
      .swatch {
        width: 0.7rem;
        height: 0.7rem;
        border-radius: 3px;
        background: var(--_shade);
        forced-color-adjust: none;
      }
      summary b {
        font-weight: 600;
      }
      summary .size {
        margin-inline-start: auto;
      }
      ul {
        max-height: 18rem;
        padding: 0 1.1rem 0.5rem;
        overflow: auto;
      }
      li {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto 4.5rem;
        gap: 0 0.6rem;
        align-items: center;
        min-height: 2.25rem;
        font-size: 0.8125rem;
      }
      li button.square {
        width: 2.25rem;
        min-height: 2.25rem;
      }
      .acts {
        display: flex;
      }
      li .name {
        font-weight: 400;
      }
      .files-name {
        display: flex;
        gap: 0.4rem;
        align-items: center;
        min-width: 0;
      }
      @media print {
        ul {
          max-height: none;
        }
      }
    `,
  ]

  protected override storeOf(client: Client): LiveStore<DownloadsSnapshot, DownloadsActions> {
    return liveDownloads(client)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearTimeout(this.#timer)
    this.#askedOf = null
  }

  override render() {
    this.#askIfNew()
    const usage = this.#usage
    if (usage === null) return nothing
    const { texts } = this
    const { groups, isTight, unlisted } = diskViewOf(usage)
    return html`<section class="card" aria-labelledby="heading">
        <header>
          <h2 id="heading" tabindex="-1">${texts.disk}</h2>
          <div class="bar" aria-hidden="true">
            ${groups.map(
              ({ share }, index) =>
                html`<span
                  class=${shadeOf(index)}
                  .style=${`flex: 0 0 ${(share * 100).toFixed(2)}%`}
                ></span>`,
            )}
            ${unlisted > 0 ? html`<span class="shade3" .style=${widthOf(unlisted)}></span>` : nothing}
          </div>
          <dl>
            ${this.#number(texts.diskUsed, usage.used)}
            ${usage.free === null ? nothing : this.#number(texts.diskFree, usage.free)}
            ${usage.maxDiskBytes === null ? nothing : this.#number(texts.diskBudget, usage.maxDiskBytes)}
            ${
              usage.minFreeBytes === null || usage.minFreeBytes === 0
                ? nothing
                : this.#number(texts.diskReserve, usage.minFreeBytes)
            }
          </dl>
          ${this.#note(isTight)}
        </header>
        ${groups.map((group, index) => this.#group(group, index))}
      </section>
      <model-download-confirm></model-download-confirm>${this.speaker()}`
  }

  #number(name: string, bytes: number): TemplateResult {
    return html`<div>
      <dt>${name}</dt>
      <dd>${formatLocaleBytes(bytes, this.locale)}</dd>
    </div>`
  }

  #note(isTight: boolean) {
    const text = this.#problem === '' ? (isTight ? this.texts.diskTight : '') : this.#problem
    if (text === '') return nothing
    return html`<div class="note tight ${this.#problem === '' ? 'is-warning' : 'is-danger'}" role="status">
      ${icon('alert')}<span>${text}</span>
    </div>`
  }

  #group({ mode, bytes, entries }: DiskGroup, index: number): TemplateResult {
    const { texts, locale } = this
    const name = mode ?? texts.diskOther
    return html`<details>
      <summary>
        <span class="swatch ${shadeOf(index)}"></span>
        <b>${name}</b>
        <span class="muted"
          >${entries.length === 1 ? texts.diskOne : this.say('diskMany', { n: formatCount(entries.length, locale) })}</span
        >
        <span class="size">${formatLocaleBytes(bytes, locale)}</span>
        ${icon('down')}
      </summary>
      <ul role="list" aria-label=${name} tabindex="0">
        ${entries.slice(0, maxEntries).map((entry) => this.#entry(entry))}
      </ul>
    </details>`
  }

  #entry(entry: DiskEntry): TemplateResult {
    const { texts, locale } = this
    const { name } = entry
    const download = downloadOf(entry, this.store?.getSnapshot().downloads ?? [])
    return html`<li>
      <span class="files-name">
        <span class="name" title=${name}><bdi>${name}</bdi></span>
        ${entry.pinned ? html`<span class="tag">${texts.pinned}</span>` : nothing}
      </span>
      <span class="muted">${formatLocaleBytes(entry.bytes, locale)}</span>
      ${
        download === null || this.access?.manage !== true
          ? html`<span></span>`
          : html`<span class="acts">
              ${this.#button('pin', entry.pinned ? texts.unpin : texts.pin, name, () =>
                this.#pin(download.url, !entry.pinned),
              )}
              ${this.#button('bin', texts.deleteFile, name, () => this.#delete(entry, download.url))}
            </span>`
      }
    </li>`
  }

  #button(picture: IconName, action: string, name: string, act: () => Promise<void>): TemplateResult {
    return html`<button
      type="button"
      class="plain square"
      aria-label=${this.say('actionOf', { action, name })}
      title=${action}
      @click=${act}
    >
      ${icon(picture)}
    </button>`
  }

  async #pin(url: string, wanted: boolean): Promise<void> {
    let isPinned = wanted
    await this.#change(async (client) => {
      isPinned = (await client.pin(url, { pinned: wanted })).pinned
    })
    // What a catalog requires stays pinned.
    if (isPinned === wanted) return
    this.#problem = this.texts.stillPinned
    this.requestUpdate()
  }

  /** Lets the server change something, and asks it again what is on the disk. Returns whether it has. */
  async #change(act: (client: Client) => Promise<unknown>): Promise<boolean> {
    const client = this.usedClient
    if (client === null) return false
    this.#problem = ''
    try {
      await act(client)
    } catch (error) {
      if (!isDownloadError(error)) throw error
      this.#problem = this.say('failedAction', { reason: this.reason(error) })
    }
    await this.#ask()
    return this.#problem === ''
  }

  async #delete(entry: DiskEntry, url: string): Promise<void> {
    const { texts } = this
    const dialog = this.renderRoot.querySelector<ConfirmElement>('model-download-confirm')
    const answer = await dialog?.ask({
      title: this.say('deleteTitle', { name: entry.name }),
      text: this.say('deleteText', { size: formatLocaleBytes(entry.bytes, this.locale) }),
      ...{ confirm: texts.deleteFile, close: texts.close, option: null },
    })
    if (answer === null || answer === undefined) return
    if (await this.#change((client) => client.remove(url, { deleteFile: true })))
      this.renderRoot.querySelector<HTMLElement>('#heading')?.focus()
  }

  protected override updated(): void {
    const isKnown = this.#usage !== null
    if (isKnown === this.#wasKnown) return
    this.#wasKnown = isKnown
    this.dispatchEvent(new CustomEvent('disk-known', { detail: { isKnown } }))
  }

  /** Asks again when a download has ended or was removed, or when the server or its user is another one. */
  #askIfNew(): void {
    const client = this.usedClient
    if (client === null || this.access?.read !== true) return
    const downloads = this.store?.getSnapshot().downloads ?? []
    const done = downloads.reduce((sum, { state }) => sum + (state === 'completed' ? 1 : 0), 0)
    const seen = `${downloads.length} ${done}`
    if (client === this.#askedOf && (seen === this.#seen || this.#isUntold)) return
    if (client !== this.#askedOf) this.#usage = null
    this.#isUntold = false
    this.#askedOf = client
    this.#seen = seen
    void this.#ask()
  }

  async #ask(): Promise<void> {
    const client = this.#askedOf
    if (client === null) return
    clearTimeout(this.#timer)
    try {
      const usage = await client.disk()
      if (client !== this.#askedOf) return
      this.#usage = usage
    } catch (error) {
      // An older server does not tell. After any other failure, another attempt may succeed.
      if (isDownloadError(error, 'NOT_FOUND')) {
        this.#isUntold = true
        this.#usage = null
        this.requestUpdate()
        return
      }
    }
    this.requestUpdate()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#ask(), askEveryMs)
  }
}

function widthOf(share: number): string {
  return `flex: 0 1 ${(share * 100).toFixed(2)}%`
}

function shadeOf(index: number): string {
  return `shade${Math.min(index, 3)}`
}

define('model-disk', DiskElement)

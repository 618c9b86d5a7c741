/** `<model-download>`: a single download. */
import { css, html, nothing } from 'lit'
import type { Client } from '../client/index.js'
import { type DownloadActions, type DownloadSnapshot, liveDownload, type LiveStore } from '../live/index.js'
import { ActingElement } from './acting.js'
import { define } from './base.js'
import { listed } from './listed.js'
import { icon } from './parts.js'
import type { RowElement } from './list/row.js'
import { controls, tokens } from './theme.js'

/** The element `<model-download>`. */
export class DownloadElement extends ActingElement<DownloadSnapshot, DownloadActions> {
  static override properties = { url: {}, mode: {}, sha256: {}, filename: {} }

  declare url: string
  declare mode: string | null
  declare sha256: string | null
  declare filename: string | null

  static override styles = [
    tokens,
    controls,
    listed,
    css`
      .banner:not(:empty) {
        padding: 0.9rem 1.1rem;
      }
      .card {
        container-type: inline-size;
      }
    `,
  ]

  constructor() {
    super()
    this.url = ''
    this.mode = null
    this.sha256 = null
    this.filename = null
  }

  protected override storeOf(client: Client): LiveStore<DownloadSnapshot, DownloadActions> {
    return liveDownload(client, () => this.url)
  }

  protected override onNews({ download }: DownloadSnapshot): void {
    if (download !== null) this.tellOf([download])
  }

  override render() {
    const snapshot = this.store?.getSnapshot()
    const download = snapshot?.download ?? null
    return html`<div
        class="card"
        @row-action=${this.onAction}
        @row-files=${this.onFiles}
        @row-details=${this.onDetails}
      >
        <div class="banner">${this.banner()}</div>
        ${download === null ? this.#unknown(snapshot) : html`<model-download-row></model-download-row>`}
      </div>
      ${this.dialog()}${this.speaker()}`
  }

  protected override updated(): void {
    const row = this.renderRoot.querySelector<RowElement>('model-download-row')
    const download = this.store?.getSnapshot().download ?? null
    if (row !== null && download !== null) this.updateRow(row, download)
  }

  #unknown(snapshot: DownloadSnapshot | undefined) {
    const { texts, access } = this
    if (access?.read === false || this.store === null) return nothing
    const isKnown = snapshot?.loaded === true
    const name = this.filename ?? this.url.replace(/[?#].*/, '').replace(/^.*\//, '')
    return html`<div class="row is-muted">
      <div class="tile">${icon('box')}</div>
      <div class="body">
        <div class="title"><span class="name" title=${this.url}>${name}</span></div>
        <div class="facts">${isKnown ? texts.unknownTitle : texts.connecting}</div>
        ${
          snapshot?.error?.code !== undefined && snapshot.connection !== 'offline'
            ? html`<p class="small" role="alert">${this.reason(snapshot.error)}</p>`
            : nothing
        }
      </div>
      ${
        isKnown && access?.manage === true
          ? html`<button type="button" class="primary" @click=${this.#start}>
              ${icon('arrow')}${texts.add}
            </button>`
          : nothing
      }
    </div>`
  }

  readonly #start = (): void => {
    const { mode, sha256, filename } = this
    void this.store?.actions.start({
      ...(mode === null ? {} : { mode }),
      ...(sha256 === null ? {} : { sha256 }),
      ...(filename === null ? {} : { filename }),
    })
  }
}

define('model-download', DownloadElement)

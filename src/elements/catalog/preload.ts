/** `<model-preload>`: the models of the catalog, and the preload that downloads them. */
import { css, html, nothing, type TemplateResult } from 'lit'
import { type Client, isDownloadError, type ModelsStatus, type PreloadStatus } from '../../client/index.js'
import { livePreload, type LiveStore, type PreloadActions, type PreloadSnapshot } from '../../live/index.js'
import { define, LiveElement } from '../base.js'
import { formatLocaleBytes, formatPercent, formatSpeed } from '../format.js'
import { listed } from '../listed.js'
import { bar, facts, icon } from '../parts.js'
import { controls, tokens } from '../theme.js'
import { missingOf, standingOf } from './standing.js'
import './log.js'

type Model = ModelsStatus['catalog'][number]

const tones = {
  ready: 'is-success',
  going: '',
  failed: 'is-danger',
  waiting: 'is-muted',
  missing: 'is-muted',
}

const pictures = {
  ready: 'check',
  going: 'arrow',
  failed: 'alert',
  waiting: 'clock',
  missing: 'box',
} as const

const kindTexts = { ready: 'ready', waiting: 'queued', missing: 'missing' } as const

/** The element `<model-preload>`. */
export class PreloadElement extends LiveElement<PreloadSnapshot, PreloadActions> {
  static override properties = { heading: {}, problem: { state: true } }

  declare heading: string
  declare problem: string
  #isBusy = false
  #wasRunning: boolean | null = null

  static override styles = [
    tokens,
    controls,
    listed,
    css`
      .card {
        container-type: inline-size;
        overflow: clip;
      }
      header {
        display: flex;
        flex-wrap: wrap;
        gap: 0.75rem 1rem;
        align-items: center;
        justify-content: space-between;
        padding: 1.15rem 1.1rem 1rem;
      }
      header p {
        min-height: 1.3125rem;
      }
      .banner,
      .part {
        padding: 0 1.1rem 1rem;
      }
      li,
      .first {
        border-top: 1px solid var(--_border);
      }
      .first {
        padding-block: 0.75rem;
      }
      .run .track {
        margin-top: 0.5rem;
      }
      .about {
        font-size: 0.875rem;
        color: var(--_muted);
      }
      pre {
        max-height: 14rem;
      }
      summary {
        font-size: 0.8125rem;
        font-weight: 600;
        color: var(--_muted);
        line-height: 2rem;
        cursor: pointer;
        border-radius: 6px;
      }
      @container (max-width: 30rem) {
        header > button {
          width: 100%;
        }
        .about {
          grid-area: 2 / 1 / 3 / -1;
        }
        .row .track {
          grid-row: 3;
        }
        .facts,
        .actions {
          grid-row: 4;
        }
      }
    `,
  ]

  constructor() {
    super()
    this.heading = ''
    this.problem = ''
  }

  protected override storeOf(client: Client): LiveStore<PreloadSnapshot, PreloadActions> {
    return livePreload(client)
  }

  protected override onNews({ preload }: PreloadSnapshot): void {
    if (preload === null) return
    const before = this.#wasRunning
    this.#wasRunning = preload.running
    if (before === true && !preload.running) this.announce(this.#outcome(preload))
  }

  override render() {
    const { texts, store } = this
    const snapshot = store?.getSnapshot()
    const isAbsent = this.access?.preload === false
    const status = snapshot?.preload ?? null
    const models = snapshot?.models ?? null
    return html`<section class="card" aria-labelledby="heading">
        <header>
          <div>
            <h2 id="heading">${this.heading === '' ? texts.models : this.heading}</h2>
            <p class="small muted">
              ${isAbsent ? texts.noPreload : models === null ? nothing : this.#summary(models)}
            </p>
          </div>
          ${isAbsent ? nothing : this.#mainButton(status, models)}
        </header>
        ${
          isAbsent
            ? nothing
            : html`<div class="banner">${this.banner()}</div>
                ${status === null ? nothing : this.#run(status)}
                ${models === null ? nothing : this.#catalog(models, status)}
                ${
                  models === null || models.first_use_tip === '' || !models.any_missing
                    ? nothing
                    : html`<details class="part first" ?open=${!models.any_ready}>
                        <summary>${texts.firstUse}</summary>
                        <pre tabindex="0" aria-label=${texts.firstUse}>${models.first_use_tip}</pre>
                      </details>`
                }
                ${
                  status === null
                    ? nothing
                    : html`<div class="part first">
                        <model-preload-log .lines=${status.logs} .texts=${texts}></model-preload-log>
                      </div>`
                }`
        }
      </section>
      ${this.speaker()}`
  }

  #summary(models: ModelsStatus): string {
    const { catalog } = models
    if (catalog.length === 0) return this.texts.modelsNone
    const missing = missingOf(models)
    if (missing === 0) return this.texts.allReady
    return this.say('someMissing', { n: missing, total: catalog.length })
  }

  #mainButton(status: PreloadStatus | null, models: ModelsStatus | null) {
    if (this.access?.queue !== true || status === null || models === null || models.catalog.length === 0)
      return nothing
    const { texts } = this
    if (status.running)
      return html`<button type="button" @click=${() => this.#do((client) => client.preload.cancel())}>
        ${icon('cross')}${texts.stop}
      </button>`
    const isWanted = models.catalog.some(
      ({ key, auto_download: auto }) => auto && models.models[key]?.ready !== true,
    )
    return html`<button
      type="button"
      class=${isWanted ? 'primary' : ''}
      @click=${() => this.#do((client) => client.preload.start({ force: !isWanted }))}
    >
      ${icon(isWanted ? 'arrow' : 'retry')}${isWanted ? texts.fetchMissing : texts.fetchAgain}
    </button>`
  }

  #outcome(status: PreloadStatus): string {
    const { texts } = this
    if (status.success_flag !== false) return texts.preloadDone
    const isCanceled = status.error === 'canceled'
    return this.say('preloadFailed', { reason: isCanceled ? texts.canceled : (status.error ?? '') })
  }

  #run(status: PreloadStatus) {
    const problem =
      this.problem === ''
        ? nothing
        : html`<div class="part">
            <div class="note is-danger" role="alert">
              ${icon('alert')}<span>${this.say('failedAction', { reason: this.problem })}</span>
            </div>
          </div>`
    if (!status.running) {
      if (status.success_flag === null) return problem
      const isFine = status.success_flag
      return html`${problem}
        <div class="part">
          <div class="note ${isFine ? 'is-success' : 'is-danger'}">
            ${icon(isFine ? 'check' : 'alert')}<span>${this.#outcome(status)}</span>
          </div>
        </div>`
    }
    const { completed, total, progress } = status
    const text = this.say('preloading', { done: completed ?? 0, total: total ?? 0 })
    return html`${problem}
      <div class="part run">
        <p class="small">${text}</p>
        ${bar(text, progress ?? 0, formatPercent(progress ?? 0, this.locale))}
      </div>`
  }

  #catalog(models: ModelsStatus, status: PreloadStatus | null): TemplateResult {
    return html`<ul role="list" aria-labelledby="heading">
      ${models.catalog.map((model) => this.#model(model, models, status))}
    </ul>`
  }

  #model(model: Model, { models }: ModelsStatus, status: PreloadStatus | null): TemplateResult {
    const { texts } = this
    const { key, name, description, required } = model
    const found = models[key]
    const standing = standingOf(model, models, status)
    const { kind } = standing
    const state = 'download' in standing ? texts[standing.download.state] : texts[kindTexts[standing.kind]]
    return html`<li class="row ${tones[kind]}">
      <div class="tile">${icon(pictures[kind])}</div>
      <div class="body">
        <div class="title">
          <span class="name" title=${name}>${name}</span>
          ${required ? html`<span class="tag">${texts.required}</span>` : nothing}
        </div>
        <p class="about">${description}</p>
        ${standing.kind === 'going' ? bar(name, standing.download.progress, state) : nothing}
        <div class="facts">
          <span>
            <span class="state">${state}</span>${
              standing.kind === 'going'
                ? this.#progress(standing.download)
                : kind === 'missing' || kind === 'failed'
                  ? facts([found?.message ?? ''])
                  : nothing
            }
          </span>
        </div>
      </div>
      <div class="actions">
        ${
          kind === 'ready' || this.access?.queue !== true || status?.running !== false
            ? nothing
            : html`<button
                type="button"
                class="small"
                aria-label=${this.say('actionOf', { action: texts.fetchOne, name })}
                @click=${() => this.#do((client) => client.preload.start({ models: [key] }))}
              >
                ${texts.fetchOne}
              </button>`
        }
      </div>
    </li>`
  }

  #progress(download: NonNullable<PreloadStatus['downloads']>[string]): TemplateResult[] {
    const { progress, downloaded, total, bytes_per_second: speed } = download
    const { locale } = this
    const size = { done: formatLocaleBytes(downloaded, locale), total: formatLocaleBytes(total, locale) }
    return facts([
      formatPercent(progress, locale),
      total > 0 ? this.say('bytesOf', size) : '',
      speed > 0 && this.isLive ? formatSpeed(speed, locale) : '',
    ])
  }

  #do(work: (client: Client) => Promise<unknown>): void {
    void this.#attempt(work)
  }

  async #attempt(work: (client: Client) => Promise<unknown>): Promise<void> {
    const client = this.usedClient
    if (client === null || this.#isBusy) return
    this.#isBusy = true
    this.problem = ''
    try {
      await work(client)
    } catch (error) {
      if (!isDownloadError(error)) throw error
      this.problem = this.reason(error)
    } finally {
      this.#isBusy = false
    }
  }
}

define('model-preload', PreloadElement)

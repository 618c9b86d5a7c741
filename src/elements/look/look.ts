/** What a model is before it is downloaded, and a search for models. The form that starts downloads loads it on demand. */
import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit'
import { type Client, isDownloadError, type SearchResult, type WireInspection } from '../../client/index.js'
import { define, langOf } from '../base.js'
import { formatCount, formatLocaleBytes } from '../format.js'
import { listed } from '../listed.js'
import { facts, icon } from '../parts.js'
import { type ElementLocale, fill, type Language, localeFor } from '../strings.js'
import { controls, tokens } from '../theme.js'
import { queryFor, quantisationRef } from './query.js'
import { lookStrings, type LookStrings } from './strings.js'

const hubs = { hf: 'Hugging Face', ms: 'ModelScope' } as const

/** How many models of a ref are shown. */
const maxModels = 8

/** The view. Its form sets all of its properties; `look-choose` tells what is to be downloaded, `look-close` its end. */
export class LookElement extends LitElement {
  static override properties = {
    client: { attribute: false },
    reasons: { attribute: false },
    text: { attribute: false },
  }

  declare client: Client | null
  declare reasons: Language['reasons']
  /** What was entered. */
  declare text: string
  #locale: ElementLocale = 'en-US'
  #texts: LookStrings = lookStrings('en-US')
  #hub: keyof typeof hubs = 'hf'
  #gguf = false
  #words = ''
  #results: SearchResult['models'] | null = null
  #found: WireInspection | null = null
  #problem: { text: string; code: string } | null = null
  #asking: AbortController | null = null

  static override styles = [
    tokens,
    controls,
    listed,
    css`
      section {
        margin-top: 0.9rem;
        padding: 0.9rem 1rem;
        border: 1px solid var(--_border);
        border-radius: 10px;
      }
      .head {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
        align-items: center;
        justify-content: space-between;
      }
      h3 {
        flex: 1;
        min-width: 0;
        margin: 0;
        font-size: 1rem;
        overflow-wrap: anywhere;
      }
      .options {
        display: flex;
        flex-wrap: wrap;
        gap: 0.75rem;
        align-items: center;
        margin: 0.6rem 0;
      }
      .options select {
        width: auto;
      }
      .options label {
        display: flex;
        gap: 0.4rem;
        align-items: center;
        font-size: 0.875rem;
      }
      ul {
        max-height: 22rem;
        margin: 0.6rem 0 0;
        padding: 0;
        overflow: auto;
        list-style: none;
      }
      li {
        display: flex;
        flex-wrap: wrap;
        gap: 0.25rem 0.75rem;
        align-items: center;
        justify-content: space-between;
        padding: 0.4rem 0;
        border-top: 1px solid var(--_border);
      }
      li > :first-child {
        min-width: 0;
        overflow-wrap: anywhere;
        text-align: start;
      }
      button.found {
        justify-content: start;
        padding: 0 0.4rem;
        white-space: normal;
      }
      .model {
        margin: 0.6rem 0 0;
        font-size: 0.875rem;
        overflow-wrap: anywhere;
      }
      h4 {
        margin: 0.9rem 0 0;
        font-size: 0.875rem;
      }
      .ends {
        margin-top: 0.9rem;
      }
      .error {
        color: var(--_danger);
      }
    `,
  ]

  constructor() {
    super()
    this.client = null
    this.reasons = {}
    this.text = ''
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#asking?.abort()
  }

  protected override willUpdate(changed: PropertyValues): void {
    const lang = langOf(this)
    this.#locale = localeFor([...(lang === null ? [] : [lang]), ...navigator.languages])
    this.#texts = lookStrings(this.#locale)
    if (!changed.has('text') || this.text === '') return
    const query = queryFor(this.text)
    this.#results = null
    if (query.kind === 'search') {
      this.#words = query.text
      this.#search()
    } else this.#inspect(query.url)
  }

  #search(): void {
    this.#found = null
    void this.#ask(async (client, signal) => {
      const wanted = { source: this.#hub, gguf: this.#gguf, limit: 20 }
      this.#results = (await client.search(this.#words, wanted, { signal })).models
    })
  }

  #inspect(url: string): void {
    this.#found = null
    void this.#ask(async (client, signal) => {
      this.#found = await client.inspect(url, { signal })
    })
  }

  /** Asks the server; an earlier question no longer matters then. */
  async #ask(question: (client: Client, signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#asking?.abort()
    const asking = new AbortController()
    this.#asking = asking
    this.#problem = null
    this.requestUpdate()
    try {
      if (this.client !== null) await question(this.client, asking.signal)
    } catch (error) {
      if (!isDownloadError(error)) throw error
      if (asking.signal.aborted) return
      this.#problem = { text: this.reasons[error.code] ?? error.message, code: error.code }
    }
    if (this.#asking !== asking) return
    this.#asking = null
    this.requestUpdate()
  }

  override render() {
    const texts = this.#texts
    const found = this.#found
    const problem = this.#problem
    const title =
      found?.name ??
      found?.url ??
      (this.#words === '' ? this.text : fill(texts.results, { text: this.#words }))
    return html`<section aria-labelledby="title">
      <div class="head">
        <h3 id="title">${title}</h3>
        <button
          type="button"
          class="plain square"
          aria-label=${texts.close}
          title=${texts.close}
          @click=${() => this.dispatchEvent(new CustomEvent('look-close'))}
        >
          ${icon('cross')}
        </button>
      </div>
      ${found === null && this.#words !== '' ? this.#options() : nothing}
      <div role="status">
        ${this.#asking === null ? nothing : html`<p class="muted small">${texts.asking}</p>`}
        ${
          problem === null ? nothing : html`<p class="error">${problem.text} <code>${problem.code}</code></p>`
        }
        ${
          found === null && this.#results?.length === 0 && this.#asking === null
            ? html`<p class="muted">${fill(texts.nothing, { text: this.#words })}</p>`
            : nothing
        }
      </div>
      ${found === null ? this.#list() : this.#inspection(found)}
    </section>`
  }

  #options(): TemplateResult {
    const texts = this.#texts
    return html`<div class="options">
      <select
        aria-label=${texts.hub}
        @change=${(event: Event) => {
          // The listener is attached to the select, whose values are those of the table.
          this.#hub = (event.currentTarget as HTMLSelectElement).value as keyof typeof hubs
          this.#search()
        }}
      >
        ${Object.entries(hubs).map(
          ([value, name]) => html`<option value=${value} ?selected=${value === this.#hub}>${name}</option>`,
        )}
      </select>
      <label>
        <input
          type="checkbox"
          .checked=${this.#gguf}
          @change=${(event: Event) => {
            // The listener is attached to the checkbox.
            this.#gguf = (event.currentTarget as HTMLInputElement).checked
            this.#search()
          }}
        />
        ${texts.onlyGguf}
      </label>
    </div>`
  }

  #list(): TemplateResult | typeof nothing {
    if (this.#results === null || this.#results.length === 0) return nothing
    const short = (count: number | null) =>
      count === null ? '?' : new Intl.NumberFormat(this.#locale, { notation: 'compact' }).format(count)
    return html`<ul>
      ${this.#results.map(
        ({ ref, name, downloads, likes }) =>
          html`<li>
            <button type="button" class="plain found" @click=${() => this.#inspect(ref)}>${name}</button>
            <span class="muted small"
              >${fill(this.#texts.counts, { downloads: short(downloads), likes: short(likes) })}</span
            >
          </li>`,
      )}
    </ul>`
  }

  #inspection(found: WireInspection): TemplateResult {
    const texts = this.#texts
    const { url, license, gated, file_count: count, total_bytes: bytes, models, quantisations } = found
    const size = (value: number | null) => (value === null ? '' : formatLocaleBytes(value, this.#locale))
    const files = count === 1 ? texts.fileOne : fill(texts.filesMany, { n: formatCount(count, this.#locale) })
    const looked = models.filter(({ header, error }) => header !== null || error !== null)
    return html`<div class="facts">
        <span>${facts([files, size(bytes), license ?? '', gated === true ? texts.gated : ''])}</span>
      </div>
      ${looked.slice(0, maxModels).map((model) => this.#model(model))}
      ${
        quantisations.length === 0
          ? nothing
          : html`<h4>${texts.quantisations}</h4>
              <ul>
                ${quantisations.map(({ name, size: of }) => {
                  const ref = quantisationRef(found, name)
                  return html`<li>
                    <span>${facts([name, size(of)])}</span>
                    ${ref === null ? nothing : this.#button(texts.get, fill(texts.getOf, { name }), ref)}
                  </li>`
                })}
              </ul>`
      }
      <div class="options ends">
        ${this.#button(count === 1 ? texts.get : texts.getAll, null, url)}
        ${
          this.#results === null
            ? nothing
            : html`<button
                type="button"
                class="plain small"
                @click=${() => {
                  this.#found = null
                  this.requestUpdate()
                }}
              >
                ${texts.back}
              </button>`
        }
      </div>`
  }

  #model({ filename, header, error }: WireInspection['models'][number]): TemplateResult {
    const texts = this.#texts
    const says = (text: string, value: number | null | undefined) =>
      value === null || value === undefined ? '' : fill(text, { n: formatCount(value, this.#locale) })
    const template = header?.chat_template ?? null
    return html`<p class="model">
      <b>${header?.name ?? filename}</b><br />
      <span class="facts"
        ><span
          >${facts([
            header?.architecture ?? '',
            says(texts.parameters, header?.parameters),
            says(texts.context, header?.context_length),
            header?.quantisation ?? '',
            says(texts.tensors, header?.tensors),
            template === null ? '' : template ? texts.template : texts.noTemplate,
          ])}</span
        ></span
      >
      ${error === null ? nothing : html`<span class="error">${error}</span>`}
    </p>`
  }

  #button(text: string, label: string | null, url: string): TemplateResult {
    return html`<button
      type="button"
      class="small"
      aria-label=${label ?? nothing}
      @click=${() => this.dispatchEvent(new CustomEvent('look-choose', { detail: { url } }))}
    >
      ${icon('arrow')}<span>${text}</span>
    </button>`
  }
}

define('model-download-look', LookElement)

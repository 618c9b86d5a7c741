/** Whether the source of a completed download has moved on, and a button to fetch what is new. */
import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit'
import { type Client, isDownloadError, type WireUpstreamCheck } from '../../client/index.js'
import { define } from '../base.js'
import { formatCount, formatLocaleBytes } from '../format.js'
import { icon } from '../parts.js'
import { type ElementLocale, fill, type Language } from '../strings.js'
import { controls, tokens } from '../theme.js'
import { styles } from './styles.js'
import { type UpstreamStrings, upstreamStrings } from './upstream-strings.js'

/** The section. Its dialog sets all of its properties. */
export class UpstreamElement extends LitElement {
  static override properties = {
    client: { attribute: false },
    url: { attribute: false },
    reasons: { attribute: false },
    locale: { attribute: false },
  }

  declare client: Client | null
  declare url: string
  declare reasons: Language['reasons']
  declare locale: ElementLocale
  #check: WireUpstreamCheck | null = null
  #problem = ''
  #asking: AbortController | null = null

  static override styles = [
    tokens,
    controls,
    styles,
    css`
      /* It is the last one here, but not in the dialog. */
      section:last-child {
        border-bottom: 1px solid var(--_border);
      }
    `,
  ]

  constructor() {
    super()
    this.client = null
    this.url = ''
    this.reasons = {}
    this.locale = 'en-US'
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#asking?.abort()
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('url')) return
    this.#asking?.abort()
    this.#asking = null
    this.#check = null
    this.#problem = ''
  }

  override render(): TemplateResult {
    const texts = upstreamStrings(this.locale)
    const check = this.#check
    const isBusy = this.#asking !== null
    const button = (text: string, ask: (client: Client, signal: AbortSignal) => Promise<void>) =>
      html`<button type="button" class="small" ?disabled=${isBusy} @click=${() => void this.#ask(ask)}>
        ${text}
      </button>`
    return html`<section>
      <h3>${texts.title}</h3>
      <div role="status">
        ${isBusy ? html`<p class="muted small">${texts.asking}</p>` : nothing}
        ${check === null || isBusy ? nothing : this.#result(check, texts)}
        ${this.#problem === '' ? nothing : html`<p class="error">${this.#problem}</p>`}
      </div>
      <p>
        ${button(texts.ask, async (client, signal) => {
          this.#check = await client.check(this.url, { signal })
        })}
        ${
          check?.status === 'outdated'
            ? button(texts.update, async (client) => {
                await client.update(this.url)
                this.#check = null
              })
            : nothing
        }
      </p>
    </section>`
  }

  #result(check: WireUpstreamCheck, texts: UpstreamStrings): TemplateResult {
    const { status, revision, latest_revision: latest, change_count: count, bytes, error, code } = check
    const files = count === 1 ? texts.fileOne : fill(texts.filesMany, { n: formatCount(count, this.locale) })
    const size = bytes === null ? '' : ` (${formatLocaleBytes(bytes, this.locale)})`
    const short = (text: string) => text.slice(0, 12)
    const isMoved = revision !== null && latest !== null && revision !== latest
    return html`<p class="small ${status === 'current' ? '' : 'strong'}">
        ${status === 'current' ? icon('check') : nothing}
        ${texts[status]}${status === 'outdated' ? ` ${files}${size}` : ''}
      </p>
      ${isMoved ? html`<p class="muted small"><code>${short(revision)} → ${short(latest)}</code></p>` : nothing}
      ${
        error === null || status === 'gone'
          ? nothing
          : html`<p class="error">${(code === null ? undefined : this.reasons[code]) ?? error}</p>`
      }`
  }

  /** Asks the server; an answer for another download no longer matters. */
  async #ask(question: (client: Client, signal: AbortSignal) => Promise<void>): Promise<void> {
    const { client } = this
    if (client === null || this.#asking !== null) return
    const asking = new AbortController()
    this.#asking = asking
    this.#problem = ''
    this.requestUpdate()
    try {
      await question(client, asking.signal)
    } catch (error) {
      if (!isDownloadError(error)) throw error
      if (!asking.signal.aborted) this.#problem = this.reasons[error.code] ?? error.message
    }
    if (this.#asking !== asking) return
    this.#asking = null
    this.requestUpdate()
  }
}

define('model-download-upstream', UpstreamElement)

/** The form that starts a download. */
import { css, html, LitElement, nothing } from 'lit'
import { type Client, isDownloadError } from '../../client/index.js'
import { define } from '../base.js'
import { listed } from '../listed.js'
import { icon } from '../parts.js'
import type { Language, Strings } from '../strings.js'
import { controls, tokens } from '../theme.js'

/** The form that starts a download. The parent list sets all of its properties. */
export class AddElement extends LitElement {
  static override properties = {
    texts: { attribute: false },
    reasons: { attribute: false },
    client: { attribute: false },
    modes: { attribute: false },
    problem: { state: true },
    looked: { state: true },
  }

  declare texts: Strings
  declare reasons: Language['reasons']
  declare client: Client | null
  declare modes: readonly string[]
  declare problem: { text: string; code: string } | null
  /** What is looked at; null while nothing is. */
  declare looked: string | null
  #isBusy = false

  static override styles = [
    tokens,
    controls,
    listed,
    css`
      .line {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto auto auto;
        gap: 0.6rem;
      }
      .error {
        color: var(--_danger);
      }
      @container (max-width: 30rem) {
        .line {
          grid-template-columns: 1fr auto auto;
        }
        input {
          grid-column: 1 / -1;
        }
      }
      :host {
        container-type: inline-size;
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
    this.client = null
    this.modes = []
    this.problem = null
    this.looked = null
  }

  /** Focuses the URL input. */
  override focus(): void {
    this.renderRoot.querySelector('input')?.focus()
  }

  override render() {
    const { texts, problem } = this
    return html`<form @submit=${this.#onSubmit} novalidate>
      <div class="line">
        <input
          name="url"
          type="text"
          inputmode="url"
          autocomplete="off"
          autocapitalize="off"
          spellcheck="false"
          aria-label=${texts.address}
          placeholder=${texts.addressHint}
          aria-invalid=${problem === null ? nothing : 'true'}
          aria-describedby=${problem === null ? nothing : 'problem'}
        />
        <select name="mode" aria-label=${texts.kind} title=${texts.kind}>
          ${this.modes.map((mode) => html`<option>${mode}</option>`)}
        </select>
        <button
          type="button"
          class="square"
          aria-label=${texts.look}
          title=${texts.look}
          @click=${() => {
            void this.#look()
          }}
        >
          ${icon('search')}
        </button>
        <button type="submit" class="primary">${icon('arrow')}<span>${texts.add}</span></button>
      </div>
      ${
        problem === null
          ? nothing
          : html`<p id="problem" class="error" role="alert">${problem.text} <code>${problem.code}</code></p>`
      }
      ${
        this.looked === null
          ? nothing
          : html`<model-download-look
              .client=${this.client}
              .reasons=${this.reasons}
              .text=${this.looked}
              @look-choose=${this.#onChoose}
              @look-close=${() => {
                this.looked = null
                this.focus()
              }}
            ></model-download-look>`
      }
    </form>`
  }

  /** Shows what was entered before it is downloaded. Few need that, so its code is loaded when somebody does. */
  async #look(): Promise<void> {
    const text = this.renderRoot.querySelector('input')?.value.trim() ?? ''
    if (text === '') {
      this.focus()
      return
    }
    this.problem = null
    try {
      await import('../look/look.js')
      // The same text is asked for again, too.
      this.looked = null
      await this.updateComplete
      this.looked = text
    } catch {
      this.problem = { text: this.texts.detailsMissing, code: 'INTERNAL' }
    }
  }

  readonly #onChoose = (event: CustomEvent<{ url: string }>): void => {
    const form = this.renderRoot.querySelector('form')
    const field = this.renderRoot.querySelector('input')
    if (form === null || field === null) return
    field.value = event.detail.url
    this.looked = null
    void this.#send(form)
  }

  readonly #onSubmit = (event: SubmitEvent): void => {
    event.preventDefault()
    // The listener is attached to a form.
    void this.#send(event.currentTarget as HTMLFormElement)
  }

  async #send(form: HTMLFormElement): Promise<void> {
    const fields = new FormData(form)
    const text = (name: string) => {
      const value = fields.get(name)
      return typeof value === 'string' ? value.trim() : ''
    }
    const request = { url: text('url'), mode: text('mode') }
    if (request.url === '' || this.client === null || this.#isBusy) {
      this.focus()
      return
    }
    this.#isBusy = true
    this.problem = null
    try {
      await this.client.download(request)
      const field = form.querySelector('input')
      if (field !== null) field.value = ''
    } catch (error) {
      if (!isDownloadError(error)) throw error
      this.problem = { text: this.reasons[error.code] ?? error.message, code: error.code }
    } finally {
      this.#isBusy = false
      this.focus()
    }
  }
}

define('model-download-add', AddElement)

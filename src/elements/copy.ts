/** A button that copies a text, and says so. */
import { css, html, LitElement } from 'lit'
import { define } from './base.js'
import { Copying } from './copying.js'
import { icon } from './parts.js'
import { fill, type Strings } from './strings.js'
import { controls, tokens } from './theme.js'

/** The button. Its parent sets all of its properties. */
export class CopyElement extends LitElement {
  static override properties = {
    text: { attribute: false },
    label: { attribute: false },
    texts: { attribute: false },
  }

  /** What is copied. */
  declare text: string
  /** What that is, for screen readers. */
  declare label: string
  declare texts: Strings
  readonly #copying = new Copying(this)

  static override styles = [
    tokens,
    controls,
    css`
      :host {
        flex: none;
      }
      button.square {
        width: 2rem;
        min-height: 2rem;
        border-radius: 8px;
      }
      .icon {
        width: 1.05rem;
        height: 1.05rem;
      }
    `,
  ]

  constructor() {
    super()
    this.text = ''
    this.label = ''
  }

  override render() {
    const { texts } = this
    const { copied } = this.#copying
    return html`<button
        type="button"
        class="plain square"
        aria-label=${fill(texts.copyOf, { name: this.label })}
        title=${copied ? texts.copied : texts.copy}
        @click=${() => {
          void this.#copy()
        }}
      >
        ${icon(copied ? 'check' : 'copy')}
      </button>
      <span class="spoken" role="status">${copied ? texts.copied : ''}</span>`
  }

  async #copy(): Promise<void> {
    if (await this.#copying.copy(this.text)) return
    // The text stands beside the button, to be selected.
    this.dispatchEvent(new CustomEvent('copy-failed', { bubbles: true, composed: true }))
  }
}

define('model-copy', CopyElement)

/** A button that copies a text, and says so. */
import { css, html, LitElement } from 'lit'
import { define } from './base.js'
import { icon } from './parts.js'
import { fill, type Strings } from './strings.js'
import { controls, tokens } from './theme.js'

/** How long the button shows that it has copied, in milliseconds. */
const copiedMs = 2_000

/** The button. Its parent sets all of its properties. */
export class CopyElement extends LitElement {
  static override properties = {
    text: { attribute: false },
    label: { attribute: false },
    texts: { attribute: false },
    copied: { state: true },
  }

  /** What is copied. */
  declare text: string
  /** What that is, for screen readers. */
  declare label: string
  declare texts: Strings
  declare copied: boolean
  #timer: ReturnType<typeof setTimeout> | undefined

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
    this.copied = false
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearTimeout(this.#timer)
  }

  override render() {
    const { texts, copied } = this
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
    try {
      await navigator.clipboard.writeText(this.text)
    } catch {
      // The clipboard is not available, for example over plain http. The text stands beside the button, to be selected.
      this.dispatchEvent(new CustomEvent('copy-failed', { bubbles: true, composed: true }))
      return
    }
    this.copied = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.copied = false
    }, copiedMs)
  }
}

define('model-copy', CopyElement)

/** A log panel that scrolls to new lines unless the user has paused it. */
import { css, html, LitElement, nothing } from 'lit'
import { define } from '../base.js'
import { Copying } from '../copying.js'
import { listed } from '../listed.js'
import { icon } from '../parts.js'
import type { Strings } from '../strings.js'
import { controls, tokens } from '../theme.js'

/** Distance from the end within which the log counts as scrolled to the end, in pixels. */
const nearPx = 24

/** The log panel. Its parent sets the lines. */
export class LogElement extends LitElement {
  static override properties = {
    lines: { attribute: false },
    texts: { attribute: false },
    held: { state: true },
  }

  declare lines: readonly string[]
  declare texts: Strings
  declare held: boolean
  readonly #copying = new Copying(this)
  /** The lines at the time the log was paused. */
  #heldLines: readonly string[] = []

  static override styles = [
    tokens,
    controls,
    listed,
    css`
      .top {
        display: flex;
        gap: 0.35rem;
        align-items: center;
      }
      h3 {
        flex: 1;
      }
      .lines {
        height: 12rem;
        overscroll-behavior: contain;
        contain: strict;
      }
    `,
  ]

  constructor() {
    super()
    this.lines = []
    this.held = false
  }

  override render() {
    const { texts, held } = this
    const { copied } = this.#copying
    const lines = held ? this.#heldLines : this.lines
    return html`<div class="top">
        <h3 id="log">${texts.log}</h3>
        <button
          type="button"
          class="plain small"
          aria-pressed=${held ? 'true' : 'false'}
          @click=${this.#onHold}
        >
          ${icon(held ? 'play' : 'pause')}${held ? texts.follow : texts.hold}
        </button>
        <button type="button" class="plain small" ?disabled=${lines.length === 0} @click=${this.#onCopy}>
          ${icon(copied ? 'check' : 'copy')}<span aria-live="polite"
            >${copied ? texts.copied : texts.copy}</span
          >
        </button>
      </div>
      <div
        class="lines"
        role="log"
        aria-live="off"
        aria-labelledby="log"
        tabindex="0"
        @scroll=${this.#onScroll}
      >
        ${lines.length === 0 ? html`<div class="muted">${texts.logEmpty}</div>` : nothing}
        ${lines.map((line) => html`<div>${line}</div>`)}
      </div>`
  }

  protected override updated(): void {
    if (this.held) return
    const panel = this.#panel
    if (panel !== null) panel.scrollTop = panel.scrollHeight
  }

  get #panel(): HTMLElement | null {
    return this.renderRoot.querySelector('.lines')
  }

  #hold(held: boolean): void {
    if (held === this.held) return
    this.#heldLines = this.lines
    this.held = held
  }

  readonly #onHold = (): void => {
    this.#hold(!this.held)
  }

  /** Pauses the log when the user scrolls up to read earlier lines. */
  readonly #onScroll = (): void => {
    const panel = this.#panel
    if (panel === null) return
    const rest = panel.scrollHeight - panel.clientHeight - panel.scrollTop
    if (rest > nearPx) this.#hold(true)
  }

  readonly #onCopy = (): void => {
    void this.#copy()
  }

  async #copy(): Promise<void> {
    const text = (this.held ? this.#heldLines : this.lines).join('\n')
    if (await this.#copying.copy(text)) return
    // Selected, so that it can be copied by hand.
    const panel = this.#panel
    if (panel !== null) getSelection()?.selectAllChildren(panel)
  }
}

define('model-preload-log', LogElement)

/** The dialog that asks for confirmation before something is deleted. */
import { css, html, LitElement, nothing } from 'lit'
import { define } from './base.js'
import { controls, tokens } from './theme.js'

/** The texts of a confirmation. */
export interface Question {
  readonly title: string
  readonly text: string
  /** Label of the button that confirms. */
  readonly confirm: string
  /** Label of the button that dismisses the dialog. */
  readonly close: string
  /** Label of an additional checkbox, or null for none. */
  readonly option: string | null
}

/** The user's answer; null when the dialog was dismissed. */
export type Answer = { readonly option: boolean } | null

/** A modal dialog that is shown while {@link ConfirmElement.ask} waits. */
export class ConfirmElement extends LitElement {
  static override styles = [
    tokens,
    controls,
    css`
      :host {
        display: contents;
      }
      dialog {
        width: min(26rem, calc(100vw - 2rem));
        padding: 1.5rem;
        border: 1px solid var(--_border);
        border-radius: 16px;
        background: var(--_surface);
        color: var(--_text);
        box-shadow: 0 12px 48px rgb(0 0 0 / 0.24);
      }
      dialog::backdrop {
        background: rgb(10 12 18 / 0.45);
      }
      p {
        margin-top: 0.5rem;
        color: var(--_muted);
        overflow-wrap: anywhere;
      }
      label {
        display: flex;
        gap: 0.6rem;
        align-items: center;
        margin-top: 1rem;
        min-height: 2rem;
      }
      .buttons {
        display: flex;
        flex-wrap: wrap;
        justify-content: flex-end;
        gap: 0.6rem;
        margin-top: 1.5rem;
      }
    `,
  ]
  #question: Question | null = null
  #answer: ((answer: Answer) => void) | null = null

  /** Shows the dialog and resolves with the answer. Closing the dialog resolves with null. */
  async ask(question: Question): Promise<Answer> {
    this.#end(null)
    this.#question = question
    this.requestUpdate()
    await this.updateComplete
    const box = this.renderRoot.querySelector('input')
    if (box !== null) box.checked = false
    const dialog = this.renderRoot.querySelector('dialog')
    return await new Promise((resolve) => {
      this.#answer = resolve
      dialog?.showModal()
    })
  }

  #end(answer: Answer): void {
    const resolve = this.#answer
    this.#answer = null
    this.renderRoot.querySelector('dialog')?.close()
    resolve?.(answer)
  }

  override render() {
    const question = this.#question
    if (question === null) return nothing
    return html`<dialog
      aria-labelledby="title"
      aria-describedby="text"
      @close=${({ currentTarget }: Event) => {
        // The event is dispatched asynchronously, so the dialog may be open again.
        if (currentTarget instanceof HTMLDialogElement && !currentTarget.open) this.#end(null)
      }}
    >
      <h2 id="title">${question.title}</h2>
      <p id="text">${question.text}</p>
      ${
        question.option === null
          ? nothing
          : html`<label><input type="checkbox" /><span>${question.option}</span></label>`
      }
      <div class="buttons">
        <button
          type="button"
          @click=${() => {
            this.#end(null)
          }}
        >
          ${question.close}
        </button>
        <button
          type="button"
          class="danger"
          @click=${() => {
            this.#end({ option: this.renderRoot.querySelector('input')?.checked === true })
          }}
        >
          ${question.confirm}
        </button>
      </div>
    </dialog>`
  }
}

define('model-download-confirm', ConfirmElement)

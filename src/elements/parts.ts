/** Pieces of templates that several elements draw. */
import { html, nothing, type TemplateResult } from 'lit'

/**
 * A bar.
 *
 * @param label - of what.
 * @param percent - null while it can't be told.
 * @param text - how far it is, in words.
 */
export function bar(label: string, percent: number | null, text: string): TemplateResult {
  return html`<div
    class="track"
    role="progressbar"
    aria-label=${label}
    aria-valuemin="0"
    aria-valuemax="100"
    aria-valuenow=${percent ?? nothing}
    aria-valuetext=${text}
  >
    <div
      class=${percent === null ? 'fill unknown' : 'fill'}
      .style=${percent === null ? '' : `transform: translateX(${percent - 100}%)`}
    ></div>
  </div>`
}

/** Facts beside each other; those that are empty are left out. */
export function facts(texts: readonly string[]): TemplateResult[] {
  return texts.filter((text) => text !== '').map((text) => html`<span>${text}</span>`)
}

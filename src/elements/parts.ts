/** Template parts that several elements use. */
import { html, nothing, svg, type TemplateResult } from 'lit'

// ---- Icons: paths on a 20 by 20 grid, drawn for this package.

const paths = {
  arrow: 'M10 3v10M6 9l4 4 4-4M4 17h12',
  check: 'm4 11 4 4 8-9',
  clock: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm0 3v4l3 2',
  search: 'M9 4a5 5 0 1 0 0 10 5 5 0 0 0 0-10Zm4 9 4 4',
  shield: 'M10 3 4 5v5c0 3 2 6 6 7 4-1 6-4 6-7V5l-6-2Zm-3 7 2 2 4-4',
  alert: 'M10 3 2 17h16L10 3Zm0 5v4m0 2v0',
  pause: 'M7 5v10M13 5v10',
  play: 'M7 5v10l8-5-8-5Z',
  cross: 'm5 5 10 10m0-10L5 15',
  retry: 'M16 8a6 6 0 1 0 0 4M16 4v4h-4',
  bin: 'M4 6h12M8 6V4h4v2M6 6l1 10h6l1-10M9 9v4m2-4v4',
  down: 'm5 8 5 5 5-5',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  key: 'M13 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm-3 7-6 6m2-2 2 2',
  cloud: 'm3 3 14 14M6 15h9M5 15a3 3 0 0 1 1-6m2-4a5 5 0 0 1 6 4 3 3 0 0 1 3 4',
  broom: 'M12 3 9 9m-4 2 8 3m-8-3-1 6h8l1-3M5 11l4-2 4 2v3',
  info: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm0 6v5m0-8v0',
  bell: 'M5 14V9a5 5 0 0 1 10 0v5l1 1H4l1-1Zm4 3h2',
  disk: 'M3 12h14v4H3zM3 12l2-8h10l2 8M14 14v0',
  pin: 'm8 3 5 0-1 5 3 3H5l3-3-0-5Zm2 8v6',
  box: 'M10 3 4 6v8l6 3 6-3V6l-6-3ZM4 6l6 3m0 0 6-3m-6 3v8',
} as const

/** Name of an icon. */
export type IconName = keyof typeof paths

/** An icon. It is hidden from screen readers because a text next to it says the same. */
export function icon(name: IconName): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
    ${svg`<path d=${paths[name]} />`}
  </svg>`
}

// ---- Progress bars and details

/**
 * A progress bar.
 *
 * @param label - the name of what is in progress.
 * @param percent - null while it is unknown.
 * @param text - the progress in words.
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

/** Details in one line. Empty ones are left out. */
export function facts(texts: readonly string[]): TemplateResult[] {
  return texts.filter((text) => text !== '').map((text) => html`<span>${text}</span>`)
}

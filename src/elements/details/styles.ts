/** Styles of the details of a download. */
import { css } from 'lit'

/** A sheet at the side of the page, which fills a narrow one. */
export const styles = css`
  :host {
    display: contents;
  }
  dialog {
    width: min(36rem, 100vw);
    max-width: none;
    height: 100dvh;
    max-height: none;
    margin: 0 0 0 auto;
    padding: 0;
    border: 0;
    border-inline-start: 1px solid var(--_border);
    background: var(--_surface);
    color: var(--_text);
    box-shadow: 0 0 48px rgb(0 0 0 / 0.18);
  }
  dialog::backdrop {
    background: rgb(10 12 18 / 0.4);
  }
  header {
    position: sticky;
    top: 0;
    z-index: 1;
    display: flex;
    gap: 0.75rem;
    align-items: flex-start;
    padding: 1.25rem 1.5rem 1rem;
    background: var(--_surface);
    border-bottom: 1px solid var(--_border);
  }
  header > div {
    flex: 1;
    min-width: 0;
  }
  h2 {
    overflow-wrap: anywhere;
  }
  section {
    padding: 1.1rem 1.5rem;
    border-bottom: 1px solid var(--_border);
  }
  section:last-child {
    border: 0;
  }
  h3 {
    margin-bottom: 0.6rem;
  }
  .track {
    margin-bottom: 0.5rem;
  }
  .chart {
    display: block;
    width: 100%;
    height: 5.5rem;
    margin-bottom: 0.4rem;
    overflow: visible;
  }
  .chart .line {
    fill: none;
    stroke: var(--_accent);
    stroke-width: 2;
    stroke-linejoin: round;
    vector-effect: non-scaling-stroke;
  }
  .chart .area {
    fill: color-mix(in srgb, var(--_accent) 14%, transparent);
  }
  dl {
    display: grid;
    grid-template-columns: minmax(6rem, auto) minmax(0, 1fr);
    gap: 0.15rem 1rem;
    align-items: baseline;
    font-size: 0.875rem;
  }
  dt {
    color: var(--_muted);
  }
  dd {
    display: flex;
    gap: 0.25rem;
    align-items: center;
    justify-content: space-between;
    min-height: 2rem;
    min-width: 0;
  }
  dd > span {
    min-width: 0;
    overflow-wrap: anywhere;
  }
  .code {
    display: flex;
    gap: 0.5rem;
    align-items: center;
    margin-top: 0.25rem;
    padding: 0.35rem 0.4rem 0.35rem 0.85rem;
    border: 1px solid var(--_border);
    border-radius: 10px;
    background: var(--_hover);
  }
  .code code {
    flex: 1;
    min-width: 0;
  }
  .tool {
    margin-top: 0.75rem;
  }
  .choices {
    display: grid;
    grid-template-columns: 1fr 1fr;
    gap: 0.75rem;
  }
  .choices label {
    display: grid;
    gap: 0.3rem;
    font-size: 0.8125rem;
    color: var(--_muted);
  }
  .choices select {
    color: var(--_text);
  }
  .files {
    max-height: 22rem;
    margin: 0;
    font-size: 0.8125rem;
  }
  .files li {
    display: grid;
    grid-template-columns: minmax(0, 1fr) auto;
    gap: 0 0.75rem;
    padding: 0.3rem 0;
  }
  .files li .track {
    grid-column: 1 / -1;
    height: 3px;
    margin: 0.2rem 0 0.1rem;
  }
  .files bdi {
    overflow-wrap: anywhere;
  }
  .lines {
    max-height: 14rem;
    margin: 0;
  }
  .lines time {
    color: var(--_muted);
  }
  .lines .is-warning,
  .lines .is-danger {
    color: var(--_tone);
  }
  .error {
    color: var(--_danger);
  }
  @media (max-width: 30rem) {
    header,
    section {
      padding-inline: 1.1rem;
    }
    dl {
      grid-template-columns: minmax(0, 1fr);
      gap: 0;
    }
    dd {
      margin-bottom: 0.5rem;
      min-height: 1.5rem;
    }
    .choices {
      grid-template-columns: 1fr;
    }
  }
`

/** Styles of list entries. */
import { css } from 'lit'

/** An entry has an icon, a title, a progress bar, details and actions. In narrow lists the bar has the full width. */
export const listed = css`
  .row {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr) auto;
    column-gap: 0.9rem;
    align-items: center;
    padding: 0.9rem 1.1rem;
  }
  .title {
    display: flex;
    gap: 0.5rem;
    align-items: baseline;
    min-width: 0;
  }
  .name {
    font-weight: 600;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .tag {
    flex: none;
    padding: 0 0.4rem;
    border: 1px solid var(--_border);
    border-radius: 6px;
    font-size: 0.75rem;
    line-height: 1.35rem;
    color: var(--_muted);
  }
  .row .track {
    margin: 0.4rem 0 0.35rem;
  }
  .facts {
    display: flex;
    flex-wrap: wrap;
    gap: 0 1rem;
    justify-content: space-between;
    min-height: 1.3125rem;
    font-size: 0.875rem;
    color: var(--_muted);
  }
  .facts > span {
    display: flex;
    flex-wrap: wrap;
  }
  .facts > span > * + *::before,
  .totals > * + *::before {
    content: '·';
    margin: 0 0.45rem;
  }
  .state {
    color: var(--_tone, var(--_accent));
    font-weight: 550;
  }
  .error {
    margin-top: 0.3rem;
    font-size: 0.875rem;
    overflow-wrap: anywhere;
  }
  code,
  pre,
  .lines {
    font-family: var(--_mono);
    font-size: 0.75rem;
    line-height: 1.65;
    overflow-wrap: anywhere;
  }
  pre,
  .lines > div {
    white-space: pre-wrap;
  }
  pre,
  .lines,
  .files {
    margin: 0.5rem 0 0;
    padding: 0.6rem 0.85rem;
    overflow: auto;
    border: 1px solid var(--_border);
    border-radius: 10px;
    background: var(--_hover);
  }
  .actions {
    display: flex;
    gap: 0.15rem;
  }
  .banner:empty {
    display: none;
  }
  @media print {
    .actions,
    .banner {
      display: none;
    }
    .track {
      border: 1px solid var(--_border);
      print-color-adjust: exact;
    }
  }
  @container (max-width: 30rem) {
    .row {
      column-gap: 0.6rem;
    }
    .row > .body {
      display: contents;
    }
    .row .tile {
      width: 1.75rem;
    }
    .row .tile .icon {
      width: 1.05rem;
    }
    .title {
      grid-column: 2 / -1;
    }
    .row .track {
      grid-area: 2 / 1 / 3 / -1;
      margin: 0.55rem 0 0.4rem;
    }
    .facts {
      grid-area: 3 / 1 / 4 / 3;
      flex-direction: column;
      justify-content: flex-start;
    }
    .facts > span {
      column-gap: 0.6rem;
    }
    .facts > span > * + *::before {
      content: none;
    }
    .actions {
      grid-area: 3 / 3;
    }
    .rest {
      grid-area: 4 / 1 / 5 / -1;
    }
  }
`

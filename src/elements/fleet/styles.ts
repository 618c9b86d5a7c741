/** Styles of the view of a fleet. */
import { css } from 'lit'

/** A table that is scrolled sideways in its card, with the names of the models kept in view. */
export const fleetStyles = css`
  .card {
    overflow: clip;
  }
  header,
  form,
  .part {
    padding: 0 1.1rem 1rem;
  }
  header {
    padding-top: 1.15rem;
  }
  form {
    display: grid;
    grid-template-columns: minmax(0, 1fr) minmax(0, 1fr) auto;
    gap: 0.6rem;
    align-items: end;
  }
  label {
    display: grid;
    gap: 0.25rem;
    font-size: 0.8125rem;
    color: var(--_muted);
  }
  label > * {
    font-size: 0.9375rem;
    color: var(--_text);
  }
  .scroll {
    /* What is there for screen readers only is placed in it, and not in the page. */
    position: relative;
    overflow-x: auto;
    border-top: 1px solid var(--_border);
  }
  table {
    width: 100%;
    border-collapse: collapse;
    font-size: 0.875rem;
  }
  th,
  td {
    min-width: 8.5rem;
    padding: 0.6rem 0.75rem;
    text-align: start;
    vertical-align: top;
    border-top: 1px solid var(--_border);
  }
  thead th {
    border-top: 0;
    font-weight: 600;
  }
  th:first-child {
    position: sticky;
    left: 0;
    z-index: 1;
    min-width: 7rem;
    max-width: 14rem;
    padding-inline-start: 1.1rem;
    font-weight: 600;
    overflow-wrap: anywhere;
    background: var(--_surface);
  }
  thead button {
    min-height: 1.75rem;
    margin: -0.15rem -0.4rem 0;
    padding: 0 0.4rem;
    border-radius: 6px;
    font-size: 0.875rem;
    font-weight: 600;
    color: var(--_text);
  }
  thead button[aria-pressed='true'],
  thead button[aria-pressed='true']:hover {
    color: var(--_on-accent);
    background: var(--_accent);
  }
  .tags {
    display: flex;
    flex-wrap: wrap;
    gap: 0.25rem;
    margin-top: 0.2rem;
    font-weight: 400;
  }
  .seen {
    font-size: 0.8125rem;
    font-weight: 400;
    color: var(--_muted);
  }
  .what {
    display: flex;
    gap: 0.35rem;
    align-items: center;
  }
  .what .icon {
    width: 1rem;
    height: 1rem;
    color: var(--_tone, var(--_accent));
  }
  td .track {
    margin: 0.35rem 0 0.25rem;
  }
  .detail {
    font-size: 0.8125rem;
    color: var(--_muted);
    overflow-wrap: anywhere;
  }
  .gone {
    background: var(--_hover);
  }
  .gone .state {
    font-weight: 400;
  }
  :focus-visible {
    outline-offset: -2px;
  }
  @media (max-width: 40rem) {
    form {
      grid-template-columns: minmax(0, 1fr);
    }
  }
  @media print {
    form {
      display: none;
    }
    .scroll {
      overflow: visible;
    }
  }
`

/** How the dashboard's own parts look. */
import { css } from 'lit'

/** See the head of this file. */
export const pageStyles = css`
  :host {
    max-width: 84rem;
    margin: 0 auto;
    padding: 0 clamp(0.75rem, 3vw, 2rem) 3rem;
  }
  header {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem 1rem;
    align-items: center;
    justify-content: space-between;
    padding: 1.1rem 0.25rem;
  }
  h1 {
    display: flex;
    gap: 0.6rem;
    align-items: center;
    margin: 0;
    font-size: 1.375rem;
    font-weight: 680;
    letter-spacing: -0.02em;
    line-height: 1.2;
  }
  h1 .icon {
    width: 2rem;
    height: 2rem;
    padding: 0.35rem;
    border-radius: 9px;
    color: var(--_on-accent);
    background: var(--_accent);
  }
  .settings {
    display: flex;
    flex-wrap: wrap;
    gap: 0.25rem;
    align-items: center;
  }
  select.quiet {
    width: auto;
    min-height: 2.25rem;
    padding: 0 0.4rem;
    border-color: transparent;
    background: transparent;
    font-size: 0.875rem;
    color: var(--_muted);
    cursor: pointer;
  }
  select.quiet:hover {
    color: var(--_text);
    border-color: var(--_border);
  }
  option {
    color: var(--_text);
    background: var(--_surface);
  }
  main {
    display: grid;
    gap: 1.25rem;
    align-items: start;
    max-width: 60rem;
    margin: 0 auto;
  }
  main.two {
    max-width: none;
  }
  @media (min-width: 64rem) {
    main.two {
      grid-template-columns: minmax(0, 1fr) minmax(22rem, 27rem);
    }
  }
  .sign-in {
    display: grid;
    gap: 0.4rem;
    justify-self: center;
    width: min(24rem, 100%);
    margin-top: 8vh;
    padding: 2rem 1.75rem;
  }
  .sign-in .tile {
    margin-bottom: 0.5rem;
  }
  .sign-in label {
    margin-top: 0.75rem;
    font-size: 0.875rem;
    font-weight: 550;
  }
  .sign-in button {
    margin-top: 0.9rem;
  }
  .wrong {
    color: var(--_danger);
  }
`

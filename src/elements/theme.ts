/** Styles that all elements share, and the tokens that a page may set. */
import { css } from 'lit'

/**
 * The design tokens. Each public one (`--model-…`, see docs/dashboard.md) has a light and a dark default. Which of them
 * applies is decided by `color-scheme`, as set by the page or by the `theme` attribute.
 */
export const tokens = css`
  :host {
    --_accent: var(--model-accent, light-dark(#3451d6, #93a7ff));
    --_on-accent: var(--model-on-accent, light-dark(#fff, #10142b));
    --_surface: var(--model-surface, light-dark(#fff, #181b21));
    --_text: var(--model-text, light-dark(#1b1f27, #e9ebf0));
    --_muted: var(--model-muted, light-dark(#5a6270, #a0a8b5));
    --_border: var(--model-border, light-dark(#e3e6eb, #2b3039));
    --_track: var(--model-track, light-dark(#e6e9f0, #2c313b));
    --_hover: var(--model-hover, light-dark(#f3f5f9, #20242c));
    --_success: var(--model-success, light-dark(#187a43, #6ad59a));
    --_warning: var(--model-warning, light-dark(#8a5300, #efbd66));
    --_danger: var(--model-danger, light-dark(#bd2a39, #ff949c));
    --_radius: var(--model-radius, 14px);
    --_mono: var(--model-font-mono, ui-monospace, 'SF Mono', Menlo, Consolas, monospace);
    display: block;
    color: var(--_text);
    font-family: var(
      --model-font,
      system-ui,
      'Segoe UI',
      Roboto,
      'PingFang SC',
      'Microsoft YaHei',
      'Noto Sans CJK SC',
      sans-serif
    );
    font-size: 1rem;
    line-height: 1.5;
    font-variant-numeric: tabular-nums;
  }
  :host([hidden]) {
    display: none;
  }
  :host([theme='light']) {
    color-scheme: light;
  }
  :host([theme='dark']) {
    color-scheme: dark;
  }
  :host([theme='auto']) {
    color-scheme: light dark;
  }
  *,
  ::before,
  ::after {
    box-sizing: border-box;
  }
  h2,
  h3,
  p,
  ul,
  dl,
  dd {
    margin: 0;
    padding: 0;
  }
  ul {
    list-style: none;
  }
  [hidden] {
    display: none !important;
  }
`

/** Styles of buttons, inputs and other controls. */
export const controls = css`
  .icon {
    width: 1.25rem;
    height: 1.25rem;
    flex: none;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.6;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  .card {
    background: var(--_surface);
    border: 1px solid var(--_border);
    border-radius: var(--_radius);
  }
  h2 {
    font-size: 1.1875rem;
    font-weight: 650;
    line-height: 1.3;
    letter-spacing: -0.01em;
  }
  h3 {
    font-size: 0.8125rem;
    font-weight: 600;
    color: var(--_muted);
  }
  .muted {
    color: var(--_muted);
  }
  .small {
    font-size: 0.875rem;
  }
  button,
  input,
  select {
    font: inherit;
    color: inherit;
  }
  button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.4rem;
    min-height: 2.5rem;
    padding: 0 0.95rem;
    border: 1px solid var(--_border);
    border-radius: 10px;
    background: transparent;
    font-size: 0.9375rem;
    font-weight: 550;
    white-space: nowrap;
    cursor: pointer;
    transition:
      background-color 120ms,
      border-color 120ms;
  }
  button:hover {
    background: var(--_hover);
  }
  button.primary {
    background: var(--_accent);
    border-color: var(--_accent);
    color: var(--_on-accent);
  }
  button.primary:hover {
    background: color-mix(in srgb, var(--_accent) 90%, var(--_text));
  }
  button.danger {
    background: var(--_danger);
    border-color: var(--_danger);
    color: light-dark(#fff, #2a0508);
  }
  button.plain {
    border-color: transparent;
    color: var(--_muted);
  }
  button.plain:hover {
    color: var(--_text);
  }
  button.small {
    min-height: 2rem;
    padding: 0 0.6rem;
    font-size: 0.8125rem;
  }
  button.square {
    width: 2.5rem;
    padding: 0;
  }
  button:disabled {
    opacity: 0.55;
    cursor: default;
  }
  input:not([type='checkbox']),
  select {
    width: 100%;
    min-width: 0;
    min-height: 2.5rem;
    padding: 0 0.75rem;
    border: 1px solid color-mix(in srgb, var(--_muted) 60%, var(--_border));
    border-radius: 10px;
    background: var(--_surface);
  }
  input::placeholder {
    color: var(--_muted);
    opacity: 1;
  }
  input[type='checkbox'] {
    accent-color: var(--_accent);
    width: 1.05rem;
    height: 1.05rem;
    margin: 0;
  }
  :focus-visible {
    outline: 2px solid var(--_accent);
    outline-offset: 2px;
  }
  .track {
    position: relative;
    height: 6px;
    border-radius: 3px;
    background: var(--_track);
    overflow: hidden;
    /* Animating the bar must not cause layout or paint outside of it. */
    contain: strict;
  }
  .fill {
    position: absolute;
    inset: 0;
    border-radius: 3px;
    background: var(--_tone, var(--_accent));
    transform: translateX(-100%);
    transition: transform 280ms linear;
  }
  .fill.unknown {
    width: 30%;
    transition: none;
    animation: pass 1.6s ease-in-out infinite;
  }
  @keyframes pass {
    from {
      transform: translateX(-100%);
    }
    to {
      transform: translateX(340%);
    }
  }
  .note {
    display: flex;
    gap: 0.6rem;
    align-items: center;
    padding: 0.65rem 0.9rem;
    border-radius: 10px;
    font-size: 0.875rem;
    color: var(--_text);
    background: color-mix(in srgb, var(--_tone, var(--_muted)) 12%, transparent);
  }
  .note .icon {
    color: var(--_tone, var(--_muted));
  }
  .note > span {
    flex: 1;
    min-width: 0;
    overflow-wrap: anywhere;
  }
  .is-danger {
    --_tone: var(--_danger);
  }
  .is-warning {
    --_tone: var(--_warning);
  }
  .is-success {
    --_tone: var(--_success);
  }
  .is-muted {
    --_tone: var(--_muted);
  }
  .spoken {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .tile {
    display: grid;
    place-items: center;
    width: 2.5rem;
    aspect-ratio: 1;
    flex: none;
    border-radius: 28%;
    color: var(--_tone, var(--_accent));
    background: color-mix(in srgb, var(--_tone, var(--_accent)) 13%, transparent);
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    ::before,
    ::after {
      transition: none !important;
      animation: none !important;
    }
    .fill.unknown {
      width: 100%;
      opacity: 0.35;
      transform: none;
    }
  }
  @media (forced-colors: active) {
    .track {
      border: 1px solid CanvasText;
    }
    .fill {
      background: Highlight;
      forced-color-adjust: none;
    }
    .tile,
    .tag {
      border: 1px solid CanvasText;
    }
    button:disabled {
      color: GrayText;
    }
  }
  @media print {
    .card {
      break-inside: auto;
    }
    .row {
      break-inside: avoid;
    }
  }
`

/**
 * Stands for `@lit-labs/ssr-dom-shim` in the build of the elements: just enough to be imported where there is no page. What
 * is made of it there is never used.
 */
export class HTMLElement {}
export const customElements = undefined

/**
 * Replaces `@lit-labs/ssr-dom-shim` in the build of the elements. It has just enough for the elements to be imported
 * where there is no DOM; they are never used there.
 */
export class HTMLElement {}
export const customElements = undefined

/** Parts that show the same; notes whether they ever did not. */
import { createElement } from 'react'
import { createRoot } from 'react-dom/client'
import { CopiesApp, read } from '../bindings/react-app.ts'
import { props, root } from './settings.mjs'

globalThis.read = read
globalThis.torn = []
new globalThis.MutationObserver(() => {
  const texts = new Set([...globalThis.document.querySelectorAll('.copy')].map((copy) => copy.textContent))
  if (texts.size > 1) globalThis.torn.push([...texts])
}).observe(root, { childList: true, subtree: true, characterData: true })
createRoot(root).render(createElement(CopiesApp, props))

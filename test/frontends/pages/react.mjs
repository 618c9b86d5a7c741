/** The app of React on a page. What a server has drawn is taken over. */
import { createElement } from 'react'
import { createRoot, hydrateRoot } from 'react-dom/client'
import { App } from '../bindings/react-app.ts'
import { props, root } from './settings.mjs'

globalThis.mismatches = []
const app = () => createElement(App, props)
let mounted
globalThis.mount = () => {
  mounted = createRoot(root)
  mounted.render(app())
}
globalThis.unmount = () => mounted.unmount()
if (root.firstChild === null) globalThis.mount()
else {
  const onRecoverableError = (error) => globalThis.mismatches.push(error.message)
  mounted = hydrateRoot(root, app(), { onRecoverableError })
}

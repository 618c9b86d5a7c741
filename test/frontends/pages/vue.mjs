/** The app of Vue on a page. What a server has drawn is taken over. */
import { createApp } from '../bindings/vue-app.ts'
import { props, root } from './settings.mjs'

// Vue tells of mismatches on the console only.
globalThis.mismatches = []
globalThis.console.error = (text) => globalThis.mismatches.push(String(text))
let mounted
globalThis.mount = () => {
  mounted = createApp(props)
  mounted.mount(root)
}
globalThis.unmount = () => mounted.unmount()
globalThis.mount()

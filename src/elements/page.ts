/** The dashboard: the elements on one page. */
import { html, render } from 'lit'

render(html`<main></main>`, document.body)

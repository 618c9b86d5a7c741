/** The elements as a page sees them. */
import type { Client } from '../client/index.js'
import type { Strings } from './strings.js'

export type { ElementLocale, StringKey, Strings } from './strings.js'

/** What all elements have. */
export interface ModelElement extends HTMLElement {
  /** Where the routes are mounted: everything before `/api`. Attribute `base-url`. Default: the page's own origin. */
  baseUrl: string
  /**
   * A client to use instead, for example one that sends a token; then `base-url` counts for nothing, and the language of
   * what the server says is the client's. Default null.
   */
  client: Client | null
  /** Colours: `light`, `dark`, `auto` as the system is. Default null: as `color-scheme` of the page says. */
  theme: 'light' | 'dark' | 'auto' | null
  /** Texts to be replaced, by name; see docs/dashboard.md. Default none. */
  strings: Partial<Strings>
}

/** `<model-downloads>`: all downloads of a server, and a line to ask for more. */
export interface ModelDownloadsElement extends ModelElement {
  /** What stands above. Default: "Downloads" in the reader's language. */
  heading: string
  /** Modes to choose from, with spaces between. Default: `llm embed rerank`. */
  modes: string
}

/** `<model-download>`: one download, which its reader can start. */
export interface ModelDownloadElement extends ModelElement {
  /** Its URL or ref. */
  url: string
  /** Mode that it is started with. Default null: the server's. */
  mode: string | null
  /** Digest that it is started with. Default null: none. */
  sha256: string | null
  /** File name that it is started with. Default null: what the URL or the server says. */
  filename: string | null
}

/** `<model-preload>`: the models of the server's catalog, and what fetches them. */
export interface ModelPreloadElement extends ModelElement {
  /** What stands above. Default: "Models" in the reader's language. */
  heading: string
}

declare global {
  /** So that `document.querySelector('model-downloads')` knows its type. */
  interface HTMLElementTagNameMap {
    'model-download': ModelDownloadElement
    'model-downloads': ModelDownloadsElement
    'model-preload': ModelPreloadElement
  }
}

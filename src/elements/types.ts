/** Public types of the elements. */
import type { Client } from '../client/index.js'
import type { Strings } from './strings.js'

export type { ElementLocale, StringKey, Strings } from './strings.js'

/** Properties that all elements have. */
export interface ModelElement extends HTMLElement {
  /** Where the routes are mounted: everything before `/api`. Attribute: `base-url`. Default: the page's own origin. */
  baseUrl: string
  /**
   * A client to use instead of `base-url`, for example one that sends a token. The language of the server's messages is
   * then that of the client. Default: null.
   */
  client: Client | null
  /** Color scheme: `light`, `dark`, or `auto` for that of the system. Default: null, the page's `color-scheme`. */
  theme: 'light' | 'dark' | 'auto' | null
  /** Texts that replace the built-in ones, by name; see docs/dashboard.md. Default: none. */
  strings: Partial<Strings>
}

/** `<model-downloads>`: all downloads of a server, and a form to start more. */
export interface ModelDownloadsElement extends ModelElement {
  /** The heading. Default: "Downloads" in the user's language. */
  heading: string
  /** Modes to choose from, separated by spaces or commas. Default: `llm embed rerank`. */
  modes: string
}

/** `<model-download>`: a single download, which the user can start. */
export interface ModelDownloadElement extends ModelElement {
  /** URL or ref of the download. */
  url: string
  /** Mode to start the download with. Default: null, the server's default. */
  mode: string | null
  /** SHA-256 digest to start the download with. Default: null, none. */
  sha256: string | null
  /** File name to start the download with. Default: null, the name from the URL or the server. */
  filename: string | null
}

/** `<model-preload>`: the models of the server's catalog, and the preload that downloads them. */
export interface ModelPreloadElement extends ModelElement {
  /** The heading. Default: "Model catalog" in the user's language. */
  heading: string
}

declare global {
  /** Gives `document.querySelector('model-downloads')` its type. */
  interface HTMLElementTagNameMap {
    'model-download': ModelDownloadElement
    'model-downloads': ModelDownloadsElement
    'model-preload': ModelPreloadElement
  }
}

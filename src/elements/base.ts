/** Base class of all elements: it resolves their server and language, and subscribes to changes. */
import {
  html,
  LitElement,
  nothing,
  type PropertyDeclarations,
  type PropertyValues,
  type TemplateResult,
} from 'lit'
import { type Client, type DownloadError, isDownloadError } from '../client/index.js'
import type { Followed, LiveStore } from '../live/index.js'
import { type Access, accessFor, type AccessStore, sharedClient } from './clients.js'
import { icon } from './parts.js'
import {
  bringLanguage,
  type ElementLocale,
  fill,
  type Language,
  languageFor,
  localeFor,
  type StringKey,
  type Strings,
} from './strings.js'

/** Minimum time between two announcements, in milliseconds, so that a screen reader can finish one. */
const announceMs = 2_000

/** The `lang` that applies to an element, also looked up across shadow roots; null when there is none. */
export function langOf(element: Element): string | null {
  const found = element.closest('[lang]')
  if (found !== null) return found.getAttribute('lang')
  const root = element.getRootNode()
  return root instanceof ShadowRoot ? langOf(root.host) : null
}

/** An element that follows a server. */
export abstract class LiveElement<S extends Followed, A> extends LitElement {
  static override properties: PropertyDeclarations = {
    baseUrl: { attribute: 'base-url' },
    theme: { reflect: true },
    client: { attribute: false },
    strings: { attribute: false },
  }

  declare baseUrl: string
  declare theme: 'light' | 'dark' | 'auto' | null
  declare client: Client | null
  declare strings: Partial<Strings>

  protected locale: ElementLocale = 'en-US'
  /** All texts, including the overrides of the page. Set before the first render. */
  declare protected texts: Strings
  protected reasons: Language['reasons'] = {}
  /** Null while the server's address is invalid. */
  protected store: LiveStore<S, A> | null = null
  protected access: Access | null = null
  /** The text that a screen reader announces. */
  protected spoken = ''
  /** The value of `strings` that is merged into `texts`. */
  #own: Partial<Strings> | null = null
  #badAddress: DownloadError | null = null
  #key: unknown = null
  #accessStore: AccessStore | null = null
  #ends: (() => void)[] = []
  #wasHeard = false
  #denied: DownloadError | null = null
  #news: string[] = []
  #announcing: ReturnType<typeof setTimeout> | undefined

  constructor() {
    super()
    this.baseUrl = ''
    this.theme = null
    this.client = null
    this.strings = {}
  }

  /** Creates the store that the element subscribes to. */
  protected abstract storeOf(client: Client): LiveStore<S, A>

  /** The client of the store; null while there is no store. */
  protected usedClient: Client | null = null

  override connectedCallback(): void {
    super.connectedCallback()
    this.requestUpdate()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearTimeout(this.#announcing)
    this.#announcing = undefined
    this.#detach()
    this.#key = null
  }

  /** Delays rendering until the texts of the language are loaded. */
  protected override shouldUpdate(_changed: PropertyValues): boolean {
    const lang = langOf(this)
    this.locale = localeFor([...(lang === null ? [] : [lang]), ...navigator.languages])
    const language = languageFor(this.locale)
    if (language === null) {
      void bringLanguage(this.locale).then(() => {
        this.requestUpdate()
      })
      return false
    }
    if (language.reasons !== this.reasons || this.strings !== this.#own) {
      this.#own = this.strings
      this.texts = { ...language.strings, ...this.strings }
      this.reasons = language.reasons
    }
    return true
  }

  protected override willUpdate(_changed: PropertyValues): void {
    if (this.isConnected) this.#attach()
    const { connection, error } = this.store?.getSnapshot() ?? {}
    const isHeard = connection === 'live' || connection === 'polling'
    // After a reconnect, the server or the signed-in user may be a different one.
    if (isHeard && !this.#wasHeard) this.#accessStore?.ask()
    if (connection !== undefined) this.#wasHeard = isHeard
    // The permissions may have changed.
    if (error?.code === 'ACCESS_DENIED' && error !== this.#denied) {
      this.#denied = error
      this.#accessStore?.ask()
    }
  }

  #attach(): void {
    const key = this.client ?? `${this.locale} ${this.baseUrl}`
    if (key === this.#key) return
    this.#detach()
    this.#key = key
    try {
      const client = this.client ?? sharedClient(this.baseUrl, this.locale)
      const store = this.storeOf(client)
      const access = accessFor(client)
      this.usedClient = client
      this.store = store
      this.#accessStore = access
      this.access = access.value
      this.#ends = [
        store.subscribe(() => {
          this.onNews(store.getSnapshot())
          this.requestUpdate()
        }),
        access.watch(() => {
          const could = this.access?.read !== false
          this.access = access.value
          // The user has signed in meanwhile, so the stream that was refused can be requested again.
          if (!could && access.value?.read === true) store.refresh()
          this.requestUpdate()
        }),
      ]
      this.#badAddress = null
    } catch (error) {
      if (!isDownloadError(error)) throw error
      this.#badAddress = error
    }
  }

  #detach(): void {
    for (const end of this.#ends) end()
    this.#ends = []
    this.store = null
    this.usedClient = null
    this.#accessStore = null
    this.#wasHeard = false
  }

  /** Whether the server can be reached, so that what is shown of it is current. */
  protected get isLive(): boolean {
    return this.store?.getSnapshot().connection !== 'offline'
  }

  /** Called when the snapshot has changed. */
  protected onNews(_snapshot: S): void {
    // Subclasses announce what is worth announcing.
  }

  /** A text with its placeholders filled in. */
  protected say(key: StringKey, values: Readonly<Record<string, string | number>> = {}): string {
    return fill(this.texts[key], values)
  }

  /** Why something failed, in the user's language where a translation exists. */
  protected reason(error: { code: DownloadError['code']; message: string }): string {
    return this.reasons[error.code] ?? error.message
  }

  /** Announces a text to screen readers. When many arrive at once, only the last three are announced. */
  protected announce(text: string): void {
    this.#news.push(text)
    this.#announcing ??= setTimeout(() => {
      this.#announcing = undefined
      this.spoken = this.#news.splice(0).slice(-3).join(' ')
      this.requestUpdate()
    }, announceMs)
  }

  /** Reconnects immediately. */
  protected readonly retryNow = (): void => {
    this.#accessStore?.ask()
    this.store?.refresh()
  }

  /** The banner that is shown when the server is unreachable or denies access; otherwise nothing. */
  protected banner(): TemplateResult | typeof nothing {
    if (this.#badAddress !== null) return note('alert', 'is-danger', this.reason(this.#badAddress))
    const { access, texts } = this
    if (access !== null && !access.read)
      return note('key', 'is-warning', access.unauthenticated ? texts.signInFirst : texts.denied)
    const snapshot = this.store?.getSnapshot()
    if (snapshot?.connection !== 'offline') return nothing
    const { error } = snapshot
    const isGone = error === null || error.retryable
    return html`<div class="note is-warning" role="status">
      ${icon('cloud')}<span>${isGone ? texts.offline : this.reason(error)}</span>
      <button type="button" class="small" @click=${this.retryNow}>${texts.reconnect}</button>
    </div>`
  }

  /** The live region for screen readers. */
  protected speaker(): TemplateResult {
    return html`<div class="spoken" role="status" aria-live="polite">${this.spoken}</div>`
  }
}

/** A line that reports a problem. */
export function note(picture: 'alert' | 'key', tone: string, text: string): TemplateResult {
  return html`<div class="note ${tone}" role="status">${icon(picture)}<span>${text}</span></div>`
}

/** Registers an element once, and only where there is a DOM. */
export function define(name: string, element: CustomElementConstructor): void {
  // On a server, Lit brings a registry of its own that nothing uses.
  if (typeof document === 'undefined' || customElements.get(name) !== undefined) return
  customElements.define(name, element)
}

/** The dashboard: the elements on one page, with a header, settings and a sign-in form. */
import { css, html, LitElement, nothing, type PropertyValues } from 'lit'
import { type Client, createClient } from '../../client/index.js'
import { liveDownloads } from '../../live/index.js'
import { type Access, accessFor } from '../clients.js'
import { formatCount, formatPercent } from '../format.js'
import { fill, type ElementLocale, localeFor } from '../strings.js'
import { Batch, type BatchOutcome, overallProgress } from './progress.js'
import { pageStrings } from './strings.js'
import { icon } from '../parts.js'
import { controls, tokens } from '../theme.js'
import '../list/downloads.js'
import '../catalog/preload.js'
import '../disk/disk.js'
import '../fleet/fleet.js'

// ---- Styles

/** Styles of the dashboard page itself. */
export const pageStyles = css`
  :host {
    --model-list-height: max(26rem, calc(100dvh - 22rem));
    padding: 0 clamp(0.75rem, 3vw, 2rem) 3rem;
  }
  .page {
    max-width: 60rem;
    margin: 0 auto;
  }
  .page.two {
    max-width: 84rem;
  }
  header {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem 1rem;
    align-items: center;
    justify-content: space-between;
    padding: 1.1rem 0;
  }
  h1 {
    display: flex;
    gap: 0.6rem;
    align-items: center;
    margin: 0;
    font-size: 1.375rem;
    font-weight: 680;
    letter-spacing: -0.02em;
    line-height: 1.2;
  }
  h1 .icon {
    width: 2rem;
    height: 2rem;
    padding: 0.35rem;
    border-radius: 9px;
    color: var(--_on-accent);
    background: var(--_accent);
  }
  .settings {
    display: flex;
    flex-wrap: wrap;
    gap: 0.25rem;
    align-items: center;
    /* The text of the controls, and not their invisible frames, is aligned with the cards. */
    margin-inline: -0.55rem;
  }
  select.quiet {
    width: auto;
    min-height: 2.25rem;
    padding: 0 0.4rem;
    border-color: transparent;
    background: transparent;
    font-size: 0.875rem;
    color: var(--_muted);
    cursor: pointer;
  }
  select.quiet:hover {
    color: var(--_text);
    border-color: var(--_border);
  }
  option {
    color: var(--_text);
    background: var(--_surface);
  }
  main {
    display: grid;
    gap: 1.25rem;
    grid-template-columns: minmax(0, 1fr);
    align-items: start;
  }
  .side,
  .front {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: 1.25rem;
  }
  @media (min-width: 68rem) {
    .two main {
      grid-template-columns: minmax(0, 1fr) minmax(20rem, 25rem);
    }
  }
  .sign-in {
    display: grid;
    gap: 0.4rem;
    justify-self: center;
    width: min(24rem, 100%);
    margin-top: 8vh;
    padding: 2rem 1.75rem;
  }
  .sign-in .tile {
    margin-bottom: 0.5rem;
  }
  .sign-in label {
    margin-top: 0.75rem;
    font-size: 0.875rem;
    font-weight: 550;
  }
  .sign-in button {
    margin-top: 0.9rem;
  }
  button.toggle {
    min-height: 2.25rem;
    padding: 0 0.6rem;
    font-size: 0.875rem;
    font-weight: 400;
  }
  button.toggle[aria-pressed='true'] {
    color: var(--_accent);
  }
  .settings .icon {
    width: 1.1rem;
    height: 1.1rem;
  }
  @media (max-width: 30rem) {
    .toggle span {
      position: absolute;
      width: 1px;
      height: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
  }
  @media print {
    .settings {
      display: none;
    }
  }
  .wrong {
    color: var(--_danger);
  }
`

// ---- The page

/** Path of this page below the mount point of the routes. */
const ownPath = '/api/models/ui'

const languages = { '': null, 'en-US': 'English', 'zh-CN': '简体中文' } as const

const themes = ['auto', 'light', 'dark'] as const

/** Saves a value, or removes it when it is empty. The browser may have storage disabled. */
function remember(storage: () => Storage, name: string, value: string): void {
  try {
    if (value === '') storage().removeItem(name)
    else storage().setItem(name, value)
  } catch {
    // The value then applies until the page is left.
  }
}

function remembered(storage: () => Storage, name: string): string {
  try {
    return storage().getItem(name) ?? ''
  } catch {
    return ''
  }
}

const settings = () => localStorage

/** Secrets are kept for the lifetime of the tab only. */
const secrets = () => sessionStorage

const names = {
  language: 'model-downloader-language',
  theme: 'model-downloader-theme',
  token: 'model-downloader-token',
  notify: 'model-downloader-notify',
}

/** The dashboard page. */
class DashboardElement extends LitElement {
  static override styles = [tokens, controls, pageStyles]

  #language = remembered(settings, names.language)
  #theme = remembered(settings, names.theme)
  #token = remembered(secrets, names.token)
  #locale: ElementLocale = 'en-US'
  #texts = pageStrings('en-US')
  #client: Client | null = null
  #access: Access | null = null
  #ends: (() => void)[] = []
  #hasDisk = false
  #batch = new Batch()
  #notifies = remembered(settings, names.notify) !== ''
  /** Whether the sign-in form is shown. */
  #isAsking = false

  override connectedCallback(): void {
    super.connectedCallback()
    this.#connect()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#disconnect()
  }

  #disconnect(): void {
    for (const end of this.#ends) end()
    this.#ends = []
  }

  /** Creates a new client for the current token and language, so that no state of the previous one is reused. */
  #connect(): void {
    this.#disconnect()
    this.#locale = localeFor([this.#language, ...navigator.languages])
    this.#texts = pageStrings(this.#locale)
    document.documentElement.lang = this.#locale
    document.title = this.#texts.page
    this.#applyTheme()
    const token = this.#token
    const client = createClient({
      baseUrl: location.pathname.replace(/\/$/, '').slice(0, -ownPath.length),
      headers: {
        'accept-language': this.#locale,
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
      },
    })
    const access = accessFor(client)
    this.#client = client
    this.#batch = new Batch()
    this.#ends = [
      access.watch(() => {
        this.#access = access.value
        this.#follow(client)
        this.requestUpdate()
      }),
    ]
    this.requestUpdate()
  }

  /** Follows the downloads once that is allowed, for the title of the tab and for notifications. */
  #follow(client: Client): void {
    if (this.#access?.read !== true || this.#ends.length > 1) return
    const store = liveDownloads(client)
    this.#ends.push(
      store.subscribe(() => {
        const { downloads, loaded, connection } = store.getSnapshot()
        const { page } = this.#texts
        const percent = connection === 'offline' ? null : overallProgress(downloads)
        const title = percent === null ? page : `${formatPercent(percent, this.#locale, 0)} · ${page}`
        if (document.title !== title) document.title = title
        const outcome = loaded ? this.#batch.next(downloads) : null
        if (outcome !== null) this.#tellOf(outcome)
      }),
    )
  }

  #tellOf({ finished, failed }: BatchOutcome): void {
    if (!this.#notifies || !('Notification' in globalThis) || Notification.permission !== 'granted') return
    const texts = this.#texts
    const count = (text: string, n: number) => fill(text, { n: formatCount(n, this.#locale) })
    const parts = [
      ...(finished > 0 ? [count(texts.notifyFinished, finished)] : []),
      ...(failed > 0 ? [count(texts.notifyFailed, failed)] : []),
    ]
    try {
      new Notification(texts.page, { body: parts.join(' '), tag: 'model-downloader' })
    } catch {
      // Chromium on Android allows notifications in service workers only.
    }
  }

  /** Turns notifications on or off. The browser asks the user when they are turned on. */
  async #toggleNotifications(): Promise<void> {
    const isWanted = !this.#notifies
    this.#notifies = isWanted && (await Notification.requestPermission()) === 'granted'
    remember(settings, names.notify, this.#notifies ? 'on' : '')
    this.requestUpdate()
  }

  #applyTheme(): void {
    if (this.#theme === '' || this.#theme === 'auto') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = this.#theme
  }

  override render() {
    const access = this.#access
    const mustSignIn = access !== null && !access.read && access.unauthenticated
    const isTwo = !mustSignIn && (access?.preload === true || this.#hasDisk)
    return html`<div class="page ${isTwo ? 'two' : ''}">
      ${this.#header(access)}
      <main>${mustSignIn ? this.#signIn() : this.#content(access)}</main>
    </div>`
  }

  #content(access: Access | null) {
    const { lang } = document.documentElement
    const client = this.#client
    return html`<div class="front">
        <model-downloads lang=${lang} .client=${client}></model-downloads>
        ${access?.fleet === true ? html`<model-fleet lang=${lang} .client=${client}></model-fleet>` : nothing}
      </div>
      <div class="side" ?hidden=${access?.preload !== true && !this.#hasDisk}>
        ${
          access?.preload === true
            ? html`<model-preload lang=${lang} .client=${client}></model-preload>`
            : nothing
        }
        <model-disk
          lang=${lang}
          .client=${client}
          @disk-known=${(event: CustomEvent<{ isKnown: boolean }>) => {
            this.#hasDisk = event.detail.isKnown
            this.requestUpdate()
          }}
        ></model-disk>
      </div>`
  }

  #header(access: Access | null) {
    const texts = this.#texts
    return html`<header>
      <h1>${icon('box')}<span>${texts.page}</span></h1>
      <div class="settings">
        ${
          access?.read === true && 'Notification' in globalThis && isSecureContext
            ? html`<button
                type="button"
                class="plain toggle"
                aria-pressed=${this.#notifies ? 'true' : 'false'}
                title=${texts.notifyHint}
                @click=${() => {
                  void this.#toggleNotifications()
                }}
              >
                ${icon('bell')}<span>${texts.notify}</span>
              </button>`
            : nothing
        }
        <select
          class="quiet"
          aria-label=${texts.language}
          title=${texts.language}
          @change=${(event: Event) => {
            this.#language = chosen(event)
            remember(settings, names.language, this.#language)
            this.#connect()
          }}
        >
          ${Object.entries(languages).map(([value, name]) =>
            name === null
              ? nothing
              : html`<option value=${value} ?selected=${value === this.#locale}>${name}</option>`,
          )}
        </select>
        <select
          class="quiet"
          aria-label=${texts.theme}
          title=${texts.theme}
          @change=${(event: Event) => {
            this.#theme = chosen(event)
            remember(settings, names.theme, this.#theme)
            this.#applyTheme()
          }}
        >
          ${themes.map(
            (theme) =>
              html`<option value=${theme} ?selected=${theme === this.#theme}>
                ${{ auto: texts.themeAuto, light: texts.themeLight, dark: texts.themeDark }[theme]}
              </option>`,
          )}
        </select>
        ${
          this.#token === '' || access?.read !== true
            ? nothing
            : html`<button
                type="button"
                class="plain"
                @click=${() => {
                  this.#enter('')
                }}
              >
                ${icon('key')}<span>${texts.signOut}</span>
              </button>`
        }
      </div>
    </header>`
  }

  #signIn() {
    const texts = this.#texts
    const isWrong = this.#token !== ''
    return html`<form
      class="card sign-in"
      @submit=${(event: SubmitEvent) => {
        event.preventDefault()
        const field = this.renderRoot.querySelector<HTMLInputElement>('#token')
        this.#enter(field?.value.trim() ?? '')
      }}
    >
      <div class="tile">${icon('key')}</div>
      <h2>${texts.signIn}</h2>
      <p class="muted small" id="why">${texts.tokenText}</p>
      <label for="token">${texts.token}</label>
      <input
        id="token"
        type="password"
        autocomplete="current-password"
        aria-describedby=${isWrong ? 'wrong' : 'why'}
        aria-invalid=${isWrong ? 'true' : nothing}
      />
      ${isWrong ? html`<p class="wrong small" id="wrong" role="alert">${texts.tokenWrong}</p>` : nothing}
      <button type="submit" class="primary">${texts.signIn}</button>
    </form>`
  }

  #enter(token: string): void {
    // Other characters are not allowed in a header.
    this.#token = /^[\x21-\x7e]+$/.test(token) ? token : ''
    remember(secrets, names.token, this.#token)
    this.#access = null
    this.#connect()
  }

  protected override updated(_changed: PropertyValues): void {
    const field = this.renderRoot.querySelector<HTMLInputElement>('#token')
    if (field !== null && !this.#isAsking) field.focus()
    this.#isAsking = field !== null
  }
}

/** The value of the select that dispatched the event. */
function chosen(event: Event): string {
  return event.currentTarget instanceof HTMLSelectElement ? event.currentTarget.value : ''
}

customElements.define('model-dashboard', DashboardElement)

document.body.append(document.createElement('model-dashboard'))

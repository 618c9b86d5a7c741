/** Base class of the elements that show downloads and act on them. */
import { html, type TemplateResult } from 'lit'
import { isDownloadError, type WireDownload } from '../client/index.js'
import type { Followed } from '../live/index.js'
import { LiveElement } from './base.js'
import type { Answer, ConfirmElement, Question } from './confirm.js'
import type { DetailsElement } from './details/details.js'
import { formatLocaleBytes } from './format.js'
import type { RowAction, WireGroupFile } from './list/order.js'
import type { RowElement, RowRequest } from './list/row.js'
import { nameOf } from './list/naming.js'
import './confirm.js'
import './list/row.js'

/** How often the files of an expanded group are polled, in milliseconds. */
const filesEveryMs = 1_000

/** States that are announced to screen readers. */
const notable = new Set<WireDownload['state']>(['completed', 'failed', 'paused', 'canceled'])

/** An element that shows download rows and handles their actions. */
export abstract class ActingElement<S extends Followed, A> extends LiveElement<S, A> {
  readonly #problems = new Map<string, string>()
  readonly #busy = new Set<string>()
  readonly #states = new Map<string, WireDownload['state']>()
  #expanded: string | null = null
  #files: readonly WireGroupFile[] | null = null
  #filesTimer: ReturnType<typeof setTimeout> | undefined

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearTimeout(this.#filesTimer)
    this.#expanded = null
  }

  /** Sets the properties of a row from a download. */
  protected readonly updateRow = (row: RowElement, download: WireDownload): void => {
    const { url } = download
    row.download = download
    row.texts = this.texts
    row.reasons = this.reasons
    row.locale = this.locale
    row.canManage = this.access?.manage === true
    row.problem = this.#problems.get(url) ?? ''
    row.expanded = this.#expanded === url
    row.files = row.expanded ? this.#files : null
    row.live = this.isLive
  }

  /** The dialogs: the details of a download, and the question before data or an entry is deleted. */
  protected dialog(): TemplateResult {
    return html`<model-download-confirm></model-download-confirm
      ><model-download-details
        .texts=${this.texts}
        .reasons=${this.reasons}
        .locale=${this.locale}
        .client=${this.usedClient}
        .canManage=${this.access?.manage === true}
        .live=${this.isLive}
      ></model-download-details>`
  }

  /** Announces state changes of downloads to screen readers. */
  protected tellOf(downloads: readonly WireDownload[]): void {
    for (const download of downloads) {
      const { url, state } = download
      const before = this.#states.get(url)
      this.#states.set(url, state)
      if (before !== undefined && before !== state && notable.has(state))
        this.announce(this.say('said', { name: nameOf(download), state: this.texts[state] }))
    }
    if (this.#states.size > downloads.length) {
      const known = new Set(downloads.map(({ url }) => url))
      for (const url of this.#states.keys()) if (!known.has(url)) this.#states.delete(url)
    }
  }

  /** Called after a download was removed. */
  protected onRemoved(): void {
    // Subclasses move the focus to a sensible place.
  }

  protected readonly onAction = (event: CustomEvent<RowRequest>): void => {
    void this.#act(event.detail)
  }

  /** Asks for confirmation. */
  protected async ask(question: Question): Promise<Answer> {
    const dialog = this.renderRoot.querySelector<ConfirmElement>('model-download-confirm')
    return (await dialog?.ask(question)) ?? null
  }

  protected readonly onDetails = (event: CustomEvent<{ url: string }>): void => {
    void this.#showDetails(event.detail.url)
  }

  /** Most visitors never open the details, so their code is loaded when somebody does. */
  async #showDetails(url: string): Promise<void> {
    const dialog = this.renderRoot.querySelector<DetailsElement>('model-download-details')
    try {
      await import('./details/details.js')
    } catch {
      this.#problems.set(url, this.texts.detailsMissing)
      this.requestUpdate()
      return
    }
    // What this element has set before is taken over with the first update.
    await dialog?.updateComplete
    dialog?.show(url)
  }

  async #act({ action, download }: RowRequest): Promise<void> {
    const { url } = download
    const question = this.#questionFor(action, download)
    let option = false
    if (question !== null) {
      const answer = await this.ask(question)
      if (answer === null) return
      option = answer.option
    }
    // Ignore a second click while the same action is still running.
    const doing = `${action} ${url}`
    if (this.#busy.has(doing)) return
    this.#busy.add(doing)
    this.#problems.delete(url)
    this.requestUpdate()
    try {
      const client = this.usedClient
      if (client === null) return
      if (action === 'remove') await client.remove(url, { deleteFile: option })
      else await client[action](url)
    } catch (error) {
      if (!isDownloadError(error)) throw error
      this.#problems.set(url, this.reason(error))
    } finally {
      this.#busy.delete(doing)
      this.requestUpdate()
    }
    if (action === 'remove' && !this.#problems.has(url)) this.onRemoved()
  }

  #questionFor(action: RowAction, download: WireDownload): Question | null {
    const { texts } = this
    const { state, downloaded } = download
    const name = { name: nameOf(download) }
    if (action === 'cancel' && downloaded > 0) {
      return {
        title: this.say('cancelTitle', name),
        text: this.say('cancelText', { size: formatLocaleBytes(downloaded, this.locale) }),
        ...{ confirm: texts.cancelConfirm, close: texts.close, option: null },
      }
    }
    if (action !== 'remove') return null
    return {
      title: this.say('removeTitle', name),
      text: texts.removeText,
      ...{ confirm: texts.remove, close: texts.close },
      option: state === 'completed' ? texts.removeFile : null,
    }
  }

  protected readonly onFiles = (event: CustomEvent<{ download: WireDownload }>): void => {
    const { url } = event.detail.download
    clearTimeout(this.#filesTimer)
    this.#expanded = this.#expanded === url ? null : url
    this.#files = null
    this.requestUpdate()
    if (this.#expanded !== null) void this.#loadFiles(url)
  }

  async #loadFiles(url: string): Promise<void> {
    try {
      const download = await this.usedClient?.status(url)
      if (this.#expanded !== url || download === undefined) return
      this.#files = download.files ?? []
      this.requestUpdate()
      if (download.status !== 'downloading') return
    } catch {
      // The banner shows when the server is unreachable; the next poll may succeed.
    }
    if (this.#expanded !== url || !this.isConnected) return
    this.#filesTimer = setTimeout(() => void this.#loadFiles(url), filesEveryMs)
  }
}

import type { Download } from '../download/download.js'
import type { DownloadEvents } from '../download/events.js'
import { isStricter } from '../download/request.js'
import { isActive, isSettled } from '../download/states.js'
import { isDownloadError, toDownloadError } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { displayName } from '../sources/identify.js'
import type { CatalogEntry, IdentifiedCatalog } from './catalog.js'
import { formatBytes } from '../util/format.js'
import type { Messages } from './messages.js'
import { isSameFile, locationIn, requestFor } from './model-files.js'
import type { RunState } from './run-store.js'
import { completedModels, failedModels, isThrough, type RunModel } from './run.js'

/** Services and callbacks of a {@link RunDriver}. */
export interface RunDriverInit {
  manager: DownloadManager
  catalog: IdentifiedCatalog
  state: RunState
  messages: Messages
  /** Called when a run has ended. */
  ended: () => void
  /** Called when bytes arrive. */
  moved: () => void
}

type Listener = (event: { download?: Download }) => void

/** Percentage steps at which progress is logged. */
const logStep = 10

/** Requests the models of a run from the manager, and records their outcome. */
export class RunDriver {
  readonly #init: RunDriverInit
  readonly #listeners: readonly [keyof DownloadEvents, Listener][]
  /**
   * Models whose URL is being downloaded with weaker expectations; they are requested when that download has
   * ended.
   */
  readonly #waiting = new Set<Promise<void>>()
  readonly #loggedPercent = new Map<string, number>()
  #driving: Promise<void> = Promise.resolve()
  #letGo: () => void = () => undefined
  #released: Promise<void> = Promise.resolve()
  #detached = false
  /** The old URL of a model whose URL has changed, while its download is being removed. */
  #leaving: string | null = null

  constructor(init: RunDriverInit) {
    this.#init = init
    // Object.entries loses the type that associates each listener with its event.
    this.#listeners = Object.entries(this.#makeListeners()) as [keyof DownloadEvents, Listener][]
    for (const [event, listener] of this.#listeners) init.manager.on(event, listener)
  }

  /** Detaches from the manager, whose downloads continue. Resolves when no call is pending. */
  async detach(): Promise<void> {
    this.#detached = true
    for (const [event, listener] of this.#listeners) this.#init.manager.off(event, listener)
    await this.#release()
  }

  /** Requests all models that have not ended yet, also for a run of an earlier process. */
  drive(): void {
    this.#released = new Promise((resolve) => (this.#letGo = resolve))
    this.#loggedPercent.clear()
    this.#driving = this.#drive()
  }

  /** Pauses the downloads of the run, keeping their data, and ends the run. */
  async stop(): Promise<void> {
    const { state, manager, messages } = this.#init
    if (state.act({ type: 'cancel' })) state.log('preload', messages.logCanceling)
    await state.flush()
    await this.#release()
    const running = state.running?.models.filter((model) => !isThrough(model)) ?? []
    await Promise.all(
      running.map(async (model) => {
        try {
          await manager.pause(model.url)
        } catch (error) {
          // The download has just ended or was removed; a closed manager has already stopped it.
          if (!isDownloadError(error)) throw error
        }
        state.act({ type: 'settled', key: model.key, phase: 'canceled' })
      }),
    )
    this.#endIfThrough()
  }

  /** Resolves when no call of the last run is pending. */
  async settled(): Promise<void> {
    await this.#driving
    await Promise.all(this.#waiting)
  }

  async #release(): Promise<void> {
    this.#letGo()
    await this.settled()
  }

  async #drive(): Promise<void> {
    const { state } = this.#init
    for (const { key } of state.running?.models ?? []) {
      const model = this.#model(key)
      if (model === undefined || this.#detached) break
      if (!isThrough(model)) await this.#startModel(model)
    }
    this.#endIfThrough()
  }

  /** Requests a model, or finds out what became of it before the process ended. */
  async #startModel(model: RunModel): Promise<void> {
    const { manager, catalog } = this.#init
    const entry = catalog.get(model.key)
    if (entry === undefined) {
      this.#fail(model, this.#init.messages.noLongerInCatalog)
      return
    }
    if (entry.url !== model.url) {
      await this.#try(model, () => this.#move(model, entry))
      const moved = this.#model(model.key)
      if (moved?.phase === 'waiting') await this.#ask(moved, entry)
      return
    }
    const known = manager.get(model.url)
    const isLive = known?.record.remote === null && !isSettled(known.state)
    if (model.phase !== 'waiting' && isLive) {
      // The download is queued again, or it is paused, because somebody paused it or because downloads are
      // not resumed automatically.
      if (model.phase === 'active' && known.state === 'paused')
        await this.#try(model, () => manager.resume(model.url))
      return
    }
    await this.#ask(model, entry)
  }

  async #ask(model: RunModel, entry: CatalogEntry): Promise<void> {
    const { manager, state } = this.#init
    const { url } = model
    await this.#try(model, async () => {
      const known = manager.get(url)
      const wasPaused = known?.state === 'paused'
      if (known !== undefined) {
        // What a remote caller requested is no substitute for the model; the manager replaces it.
        const isOurs = known.record.remote === null
        const same = isOurs && isSameFile(manager, known, entry, this.#outputDir)
        const idle = isOurs && (isSettled(known.state) || wasPaused)
        if (same && isSettled(known.state) && known.record.finishedAt !== model.before) {
          this.#settle(known, model)
          return
        }
        if (same && isActive(known.state) && isStricter(known.record, entry)) {
          this.#askLater(model, entry, known)
          return
        }
        // The manager allows one download per URL. It forgets the old one, whose finished file stays.
        if (!same && idle) await manager.remove(url)
      }
      await this.#freeTarget(entry)
      const now = this.#model(model.key)
      if (this.#detached || now === undefined || isThrough(now)) return
      state.act({ type: 'asked', key: model.key })
      const download = await manager.download({
        ...requestFor(manager, entry, this.#outputDir),
        force: state.running?.force ?? false,
      })
      // Do not resume a download that somebody has paused in the meantime.
      if (wasPaused && download.state === 'paused') await manager.resume(url)
      if (isSettled(download.state)) this.#settle(download, model)
    })
  }

  /**
   * The URL in the catalog has changed since the run started: the download of the old URL must not continue
   * to write the same file.
   */
  async #move({ key, url, joined }: RunModel, entry: CatalogEntry): Promise<void> {
    const { manager, state } = this.#init
    const old = manager.get(url)
    if (old !== undefined && !isSettled(old.state) && !joined) {
      // The end of the old download is not the end of the model.
      this.#leaving = url
      await manager.remove(url).finally(() => (this.#leaving = null))
    }
    const before = manager.get(entry.url)?.record.finishedAt ?? null
    state.act({ type: 'moved', key, url: entry.url, before })
  }

  /**
   * The file may have been downloaded from a URL that the catalog had before. The manager forgets that
   * download; the file stays and is checked. It replaces downloads of remote callers itself.
   */
  async #freeTarget(entry: CatalogEntry): Promise<void> {
    const { manager } = this.#init
    // A cache has no names that another download could have taken.
    if (entry.layout === 'hf-cache') return
    const path = (await locationIn(manager, entry, this.#outputDir))?.path.toLowerCase()
    const other = manager
      .list()
      .find(
        (download) =>
          download.state === 'completed' &&
          download.record.remote === null &&
          download.url !== entry.url &&
          download.path.toLowerCase() === path,
      )
    if (other !== undefined) await manager.remove(other.url)
  }

  /**
   * Another request downloads the file without the expected digest or size. The file is verified against them
   * afterwards.
   */
  #askLater(model: RunModel, entry: CatalogEntry, known: Download): void {
    const { state, messages } = this.#init
    state.log(model.key, messages.logWaitingForOther)
    const wait = async () => {
      await Promise.race([known.finished.catch(() => undefined), this.#released])
      if (this.#model(model.key)?.phase !== 'waiting' || this.#detached) return
      // That download did not verify the file, so its end must not count for this model.
      await this.#ask({ ...model, before: known.record.finishedAt }, entry)
      this.#endIfThrough()
    }
    const waiting = wait().finally(() => this.#waiting.delete(waiting))
    this.#waiting.add(waiting)
  }

  /** Runs a call to the manager. An error ends the model, unless the manager was closed. */
  async #try(model: RunModel, call: () => Promise<unknown>): Promise<void> {
    try {
      await call()
    } catch (error) {
      if (isDownloadError(error, 'CLOSED')) return
      this.#fail(model, this.#init.messages.reason(toDownloadError(error)))
    }
  }

  #fail(model: RunModel, reason: string): void {
    const { state, messages } = this.#init
    if (state.act({ type: 'settled', key: model.key, phase: 'failed', error: reason }))
      state.log(model.key, messages.logModelFailed(reason))
  }

  /** Records how a download ended. */
  #settle(download: Download, { key }: RunModel): void {
    const { state, messages } = this.#init
    const { file, error } = download
    if (file !== null) {
      const message = file.existed
        ? messages.logAlreadyThere
        : messages.logCompleted(file.path, formatBytes(file.size))
      if (state.act({ type: 'settled', key, phase: 'completed' })) state.log(key, message)
    } else if (download.state === 'failed') {
      const reason = error === null ? '' : messages.reason(error)
      if (state.act({ type: 'settled', key, phase: 'failed', error: reason }))
        state.log(key, messages.logModelFailed(reason))
    } else if (state.act({ type: 'settled', key, phase: 'canceled' })) {
      state.log(key, messages.logModelCanceled)
    }
    this.#endIfThrough()
  }

  #endIfThrough(): void {
    const { state, messages } = this.#init
    if (this.#detached || !state.act({ type: 'end', at: new Date().toISOString() })) return
    const { run } = state
    if (run === null) return
    if (run.outcome === 'canceled') state.log('preload', messages.logCanceled)
    else if (run.outcome === 'failed')
      state.log('preload', messages.logFailed(failedModels(run).map((model) => model.key)))
    else state.log('preload', messages.logSucceeded(completedModels(run), run.models.length))
    this.#init.ended()
  }

  get #outputDir(): string {
    return this.#init.state.run?.outputDir ?? this.#init.manager.directory
  }

  #model(key: string): RunModel | undefined {
    return this.#init.state.running?.models.find((model) => model.key === key)
  }

  /** The model of a download, if the run has requested it. */
  #modelOf(download: Download | undefined): RunModel | undefined {
    const model = this.#init.state.running?.models.find(({ url }) => url === download?.url)
    // A remote caller may request a model again that has failed, but that says nothing about the model.
    const isForeign = download !== undefined && download.record.remote !== null
    return model?.phase === 'waiting' || download?.url === this.#leaving || isForeign ? undefined : model
  }

  #makeListeners(): Partial<DownloadEvents> {
    const { state, messages } = this.#init
    const on =
      <E extends { download?: Download }>(handle: (model: RunModel, event: E) => void) =>
      (event: E) => {
        const model = this.#modelOf(event.download)
        if (model !== undefined) handle(model, event)
      }
    const settle = on<{ download: Download }>((model, { download }) => {
      this.#settle(download, model)
    })
    return {
      // Somebody retries a failed model.
      queued: on(({ key, phase }) => {
        if (phase === 'failed' || phase === 'canceled') state.act({ type: 'asked', key })
      }),
      started: on(({ key, url }) => {
        state.log(key, messages.logDownloading(displayName(url, this.#init.manager[internals].sources)))
      }),
      progress: on((model, { download }: { download: Download }) => {
        this.#onProgress(model, download)
      }),
      paused: on(({ key }) => {
        if (state.act({ type: 'paused', key })) state.log(key, messages.logPaused)
        this.#endIfThrough()
      }),
      resumed: on(({ key }) => {
        if (state.act({ type: 'asked', key })) state.log(key, messages.logResumed)
      }),
      retrying: on(({ key }, { error, attempt, delayMs }: Parameters<DownloadEvents['retrying']>[0]) => {
        const seconds = String(Math.round(delayMs / 100) / 10)
        state.log(key, messages.logRetrying(seconds, attempt, messages.reason(error)))
      }),
      verifying: on(({ key }) => {
        state.log(key, messages.logVerifying)
      }),
      completed: settle,
      failed: settle,
      // A removed download is canceled first.
      canceled: settle,
      log: on(({ key }, { level, message }: Parameters<DownloadEvents['log']>[0]) => {
        if (level !== 'debug') state.log(key, messages.log(message))
      }),
    }
  }

  #onProgress({ key }: RunModel, download: Download): void {
    const { state, messages } = this.#init
    const { percent, downloaded, total, phase } = download.current
    if (phase === 'downloading' && total !== null) {
      const last = this.#loggedPercent.get(key)
      const step = Math.floor(percent / logStep) * logStep
      // The first line shows where a download resumes.
      if (last === undefined ? step > 0 : step > last)
        state.log(key, messages.logProgress(percent.toFixed(1), formatBytes(downloaded), formatBytes(total)))
      if (last === undefined || step > last) this.#loggedPercent.set(key, step)
    }
    this.#init.moved()
  }
}

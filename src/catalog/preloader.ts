import { sentenceError, sentenceIssue } from '../download/error-text.js'
import { isActive, isSettled } from '../download/states.js'
import { DownloadError } from '../errors.js'
import { internals } from '../manager/internals.js'
import { GuardedEmitter } from '../util/emitter.js'
import type { Timer } from '../util/clock.js'
import type { Locale } from '../util/locale.js'
import { redactUrls } from '../util/redact.js'
import { Serial } from '../util/schedule.js'
import { SharedRun } from './shared-run.js'
import type { CatalogEntry } from './catalog.js'
import { type Messages, messagesOf } from './messages.js'
import { locationIn } from './model-files.js'
import { checkLocation, surveyModels } from './models-status.js'
import {
  type ModelsStatus,
  parseRequest,
  requirementsOf,
  type PreloaderOptions,
  type PreloadEvents,
  type PreloadRequestOptions,
  type PreloadRunSnapshot,
  type PreloadStart,
  type ResolvedPreloaderOptions,
  resolvePreloaderOptions,
} from './options.js'
import { outputDirectory } from './output-dir.js'
import { RunDriver } from './run-driver.js'
import { RunState } from './run-store.js'
import { completedModels, failedModels, isThrough, type Run, type RunModel, runProgress } from './run.js'

/** Interval of `status` events while bytes arrive, in milliseconds. */
const statusIntervalMs = 250

/**
 * Downloads the models of a {@link Catalog}, and reports which of them are ready. There is one run at a time. Its
 * state is kept in the store of the manager, so that a run survives a restart of the process.
 *
 * @example
 * const catalog = await Catalog.fromFile('models.json')
 * const preloader = new Preloader({ manager, catalog })
 * await preloader.start()
 * const { success_flag, error } = await preloader.finished()
 */
export class Preloader extends GuardedEmitter<PreloadEvents> {
  /**
   * Resolves when the state of the last run has been loaded and an interrupted run has been resumed. Async
   * methods wait for it.
   */
  readonly ready: Promise<void>

  readonly #options: ResolvedPreloaderOptions
  readonly #messages: Messages
  readonly #state: RunState
  readonly #driver: RunDriver
  /** Null without a cluster. */
  readonly #shared: SharedRun | null
  /** Serializes calls of `start` and `cancel`. */
  readonly #turns = new Serial<Preloader>()
  readonly #waiters = new Set<() => void>()
  #timer: Timer | null = null
  #announcing = false
  readonly #endProtection: () => void
  #closed: Promise<void> | null = null

  /**
   * @param options - see {@link PreloaderOptions}.
   * @throws DownloadError `INVALID_OPTIONS`, also for a model whose mode the manager does not know, or whose
   * ref the sources of the manager refuse.
   */
  constructor(options: PreloaderOptions) {
    super()
    this.#options = resolvePreloaderOptions(options)
    const { manager, catalog, locale } = this.#options
    this.#messages = messagesOf(locale)
    const { store, clock, documents } = manager[internals]
    this.#endProtection = manager[internals].protect(requirementsOf(catalog))
    this.#state = new RunState(
      store,
      {
        changed: () => {
          this.#announceSoon()
        },
        line: (line) => {
          if (this.#closed === null) this.emit('log', { line })
        },
        problem: (message) => {
          manager.emit('log', { level: 'warn', message })
        },
      },
      clock,
      () => this.#shared?.leads ?? true,
    )
    this.#driver = new RunDriver({
      manager,
      catalog,
      state: this.#state,
      messages: this.#messages,
      ended: () => {
        this.#wake()
        // What has been written last must be there before others may start a run.
        void this.#state.flush().then(() => this.#shared?.resign())
      },
      moved: () => {
        this.#announceLater()
      },
    })
    this.#shared =
      documents === null
        ? null
        : new SharedRun(documents, clock, {
            running: () => this.#state.running?.startedAt ?? null,
            reload: () => this.#follow(),
            resume: () => {
              this.#resume()
            },
            stop: () =>
              this.#turns.run(this, async () => {
                if (this.#state.running !== null) await this.#driver.stop()
              }),
          })
    this.ready = this.#load()
    this.ready.catch(() => undefined)
  }

  /**
   * Starts a run. Resolves when the run has been stored, without waiting for its downloads; see {@link
   * finished}. Models that exist and are correct count as completed at once.
   *
   * @throws DownloadError `CONFLICT` while a run is active; `INVALID_OPTIONS` for an unknown key;
   * `UNSAFE_FILENAME` for an `outputDir` outside the roots; `STORE_ERROR`; `CLOSED`.
   */
  async start(request: PreloadRequestOptions = {}): Promise<PreloadStart> {
    const { models, outputDir, force } = parseRequest(request)
    this.#requireOpen()
    await this.ready
    return this.#turns.run(this, async () => {
      this.#requireOpen()
      const leads = this.#shared === null || (await this.#shared.lead())
      if (!leads || this.#state.running !== null)
        throw sentenceError('CONFLICT', 'preloadRunning', [], {}, this.#options.locale)
      let hasBegun = false
      try {
        const started = await this.#begin(models, outputDir, force)
        hasBegun = true
        return started
      } finally {
        // Whoever is asked next may start another one.
        if (!hasBegun) await this.#shared?.resign()
      }
    })
  }

  /**
   * Stops the run and keeps the downloaded data: its downloads are paused, and the next run resumes them.
   * Downloads that others had requested before the run continue. Does nothing when no run is active.
   *
   * @throws DownloadError `STORE_ERROR`, `CLOSED`.
   */
  async cancel(): Promise<void> {
    this.#requireOpen()
    await this.ready
    await this.#turns.run(this, async () => {
      this.#requireOpen()
      if (this.#state.running !== null && this.#shared?.leads !== false) await this.#driver.stop()
    })
    const { running } = this.#state
    if (running !== null && this.#shared?.leads === false) {
      await this.#shared.askToCancel(running.startedAt)
      await this.finished()
    }
    await this.#state.flush()
  }

  /**
   * The status of the current run, or else of the last one. Before {@link ready}, as if there had been none.
   */
  status(): PreloadRunSnapshot {
    const { run, lines } = this.#state
    return run === null ? { ...neverRun, logs: [] } : this.#snapshotOf(run, lines)
  }

  /**
   * @internal The keys of the models that a request means.
   *
   * @throws DownloadError `INVALID_OPTIONS` for an unknown key.
   */
  keysOf(models: readonly string[] | 'all'): string[] {
    return this.#choose(models).map(({ key }) => key)
  }

  /** @internal The current run, or else the last one, with all of its models; for the command line. */
  get run(): Run | null {
    return this.#state.run
  }

  /**
   * Reports which models are ready. It may be called every second, because it compares sizes and times and
   * never hashes. If the catalog has a digest, a file that was put there by hand is not ready until a run has
   * verified it.
   *
   * @param locale - language of the messages. Default: that of the preloader.
   */
  async modelsStatus(locale: Locale = this.#options.locale): Promise<ModelsStatus> {
    await this.ready
    return surveyModels({ options: this.#options, run: this.#state.run, messages: messagesOf(locale) })
  }

  /**
   * Resolves when no run is active (any more) and its end has been stored.
   *
   * @throws DownloadError `CLOSED` when the preloader is closed before that.
   */
  async finished(): Promise<PreloadRunSnapshot> {
    await this.ready
    while (this.#state.running !== null) {
      this.#requireOpen()
      await new Promise<void>((resolve) => this.#waiters.add(resolve))
    }
    await this.#state.flush()
    return this.status()
  }

  /**
   * Detaches from the manager, which continues its downloads. The next preloader resumes an active run. Close
   * the preloader before the manager. May be called repeatedly.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  protected override listenerFailed(event: keyof PreloadEvents, reason: string): void {
    const message = `A listener of the preloader's "${event}" event failed: ${reason}`
    this.#options.manager.emit('log', { level: 'error', message })
  }

  // ---- Internals

  async #load(): Promise<void> {
    await this.#options.manager.ready
    await this.#state.load((run) => this.#isAllowed(run))
    const { running } = this.#state
    if (running === null || this.#closed !== null) return
    if (this.#shared === null) this.#resume()
    else await this.#shared.look()
  }

  async #begin(
    models: readonly string[] | 'all' | undefined,
    outputDir: string | undefined,
    force: boolean,
  ): Promise<PreloadStart> {
    const { manager, roots } = this.#options
    const entries = this.#choose(models)
    const modes = [...new Set(entries.map((entry) => entry.mode))]
    const directory = await outputDirectory(outputDir, modes, { base: manager.directory, roots })
    await this.#driver.settled()
    const startedAt = new Date().toISOString()
    const run: Run = {
      version: 1,
      startedAt,
      finishedAt: null,
      outcome: 'running',
      outputDir: directory,
      force,
      models: entries.map((entry) => this.#newModel(entry)),
    }
    const existing = force ? [] : await this.#alreadyThere(entries, directory)
    this.#requireOpen()
    await this.#state.begin(run)
    this.#state.log('preload', this.#messages.logStarted(entries.length, directory))
    for (const key of existing) {
      this.#state.act({ type: 'settled', key, phase: 'completed' })
      this.#state.log(key, this.#messages.logAlreadyThere)
    }
    this.#driver.drive()
    return {
      success: true,
      message: this.#messages.started(entries.length),
      output_dir: directory,
      models: entries.map((entry) => entry.key),
      force,
      started_at: startedAt,
    }
  }

  /** Takes over what another instance has written of the run. */
  async #follow(): Promise<void> {
    await this.#state.follow()
    if (this.#state.running === null) this.#wake()
  }

  /** Drives a run on that was interrupted. */
  #resume(): void {
    const { running } = this.#state
    if (running === null) return
    const messages = this.#messages
    if (!this.#options.autoResume && this.#shared === null) {
      this.#state.act({ type: 'interrupt', at: new Date().toISOString() })
      this.#state.log('preload', messages.logInterrupted)
      return
    }
    const canceling = running.outcome === 'canceling'
    if (!canceling)
      this.#state.log(
        'preload',
        messages.logResumedAfterRestart(completedModels(running), running.models.length),
      )
    if (canceling) void this.#turns.run(this, () => this.#driver.stop())
    else this.#driver.drive()
  }

  /** Whether a stored run could be started now. Somebody else may have written it. */
  async #isAllowed({ outputDir, models }: Run): Promise<boolean> {
    const { manager, roots, catalog } = this.#options
    const modes = new Set(models.map(({ key }) => catalog.get(key)?.mode ?? null))
    const given = outputDir === manager.directory ? undefined : outputDir
    try {
      const rules = { base: manager.directory, roots }
      return (await outputDirectory(given, [...modes], rules)) === outputDir
    } catch {
      return false
    }
  }

  async #close(): Promise<void> {
    this.#endProtection()
    await this.ready.catch(() => undefined)
    const detached = this.#driver.detach()
    await this.#turns.settled()
    await detached
    this.#timer?.cancel()
    await this.#state.flush()
    await this.#shared?.close()
    this.#wake()
  }

  #choose(models: readonly string[] | 'all' | undefined): CatalogEntry[] {
    const { catalog } = this.#options
    const keys = models === 'all' ? [] : (models ?? []).map((key) => key.trim()).filter((key) => key !== '')
    if (keys.length === 0 || keys.includes('all'))
      return catalog.entries.filter((entry) => entry.auto_download)
    const unknown = [...new Set(keys)]
      .filter((key) => catalog.get(key) === undefined)
      .map((key) => key.slice(0, 64))
    if (unknown.length > 0) {
      const { locale } = this.#options
      const issues = unknown.map((key) => sentenceIssue('models', 'unknownModel', [key], locale))
      throw sentenceError('INVALID_OPTIONS', 'unknownModels', unknown, { issues }, locale)
    }
    return catalog.entries.filter((entry) => keys.includes(entry.key))
  }

  #newModel({ key, url, required }: CatalogEntry): RunModel {
    const known = this.#options.manager.get(url)
    const joined = known !== undefined && !isSettled(known.state) && known.state !== 'paused'
    const before = known?.record.finishedAt ?? null
    return { key, url, required, phase: 'waiting', joined, before, error: null }
  }

  async #alreadyThere(entries: readonly CatalogEntry[], directory: string): Promise<string[]> {
    const keys = await Promise.all(
      entries.map(async (entry) => {
        const location = await locationIn(this.#options.manager, entry, directory)
        if (location === null) return null
        const { kind } = await checkLocation(location, entry)
        return kind === 'right' ? entry.key : null
      }),
    )
    return keys.filter((key) => key !== null)
  }

  #snapshotOf(run: Run, lines: readonly string[]): PreloadRunSnapshot {
    const { manager } = this.#options
    const known = run.models
      .filter((model) => model.phase !== 'waiting')
      .map((model) => ({ model, download: manager.get(model.url) }))
    const ended = run.finishedAt !== null
    const succeeded = run.outcome === 'succeeded'
    const working = known.find(
      ({ model, download }) => !isThrough(model) && download !== undefined && isActive(download.state),
    )
    return {
      running: !ended,
      started_at: run.startedAt,
      finished_at: run.finishedAt,
      success_flag: ended ? succeeded : null,
      return_code: ended ? (succeeded ? 0 : 1) : null,
      error: this.#errorOf(run),
      output_dir: run.outputDir,
      logs: [...lines],
      current: working?.model.key ?? null,
      completed: completedModels(run),
      total: run.models.length,
      progress: runProgress(run, (model) =>
        model.phase === 'waiting' ? 0 : (manager.get(model.url)?.current.percent ?? 0),
      ),
      downloads: Object.fromEntries(
        known.flatMap(({ model, download }) => (download === undefined ? [] : [[model.key, download]])),
      ),
    }
  }

  #errorOf(run: Run): string | null {
    switch (run.outcome) {
      case 'running':
      case 'canceling':
      case 'succeeded':
        return null
      case 'canceled':
        return 'canceled'
      case 'interrupted':
        return this.#messages.interrupted
      case 'failed': {
        const failed = failedModels(run)
        const summary = this.#messages.failed(
          failed.map((model) => model.key),
          run.models.length,
        )
        const reason = failed.find((model) => model.error !== null)?.error
        return redactUrls(reason === undefined || reason === null ? summary : `${summary}: ${reason}`)
      }
    }
  }

  /** Emits the status after the current tick, so that simultaneous changes are reported together. */
  #announceSoon(): void {
    if (this.#announcing) return
    this.#announcing = true
    queueMicrotask(() => {
      this.#announcing = false
      this.#announce()
    })
  }

  #announceLater(): void {
    if (this.#timer !== null || this.listenerCount('status') === 0) return
    const { clock } = this.#options.manager[internals]
    const timer = clock.timer(() => {
      this.#announce()
    }, statusIntervalMs)
    this.#timer = timer.unref()
  }

  #announce(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#closed === null && this.listenerCount('status') > 0) this.emit('status', this.status())
  }

  #wake(): void {
    for (const resolve of this.#waiters) resolve()
    this.#waiters.clear()
  }

  #requireOpen(): void {
    if (this.#closed !== null) throw new DownloadError('CLOSED', 'The preloader is closed.')
  }
}

const neverRun: PreloadRunSnapshot = {
  running: false,
  started_at: null,
  finished_at: null,
  success_flag: null,
  return_code: null,
  error: null,
  output_dir: null,
  logs: [],
  current: null,
  completed: null,
  total: null,
  progress: null,
  downloads: null,
}

import { DownloadError } from '../errors.js'
import { GuardedEmitter } from '../guarded-emitter.js'
import type {
  Locale,
  ModelsStatus,
  PreloaderOptions,
  PreloadEvents,
  PreloadRequestOptions,
  PreloadSnapshot,
  PreloadStart,
} from './types.js'

/**
 * Brings the models of a {@link Catalog} to disk, and tells which are there. One run at a time; its state is kept in
 * the manager's store, so that a run outlives the process.
 *
 * @example
 * const catalog = await Catalog.fromFile('models.json')
 * const preloader = new Preloader({ manager, catalog })
 * await preloader.start()
 * const { success_flag, error } = await preloader.finished()
 */
export class Preloader extends GuardedEmitter<PreloadEvents> {
  /** Resolves when the state of the last run is read, and a run that was going goes on. Async methods wait for it. */
  readonly ready: Promise<void>

  /**
   * @param _options - see {@link PreloaderOptions}.
   * @throws DownloadError `INVALID_OPTIONS`, also for a model whose mode the manager doesn't know.
   */
  constructor(_options: PreloaderOptions) {
    super()
    this.ready = Promise.resolve()
  }

  /**
   * Begins a run. Resolves when it is written down, not when the files are there: that is {@link finished}.
   *
   * @throws DownloadError `CONFLICT` while one runs; `INVALID_OPTIONS` for an unknown key; `UNSAFE_FILENAME` for an
   * `outputDir` outside the roots; `STORE_ERROR`; `CLOSED`.
   */
  start(_request: PreloadRequestOptions = {}): Promise<PreloadStart> {
    return Promise.reject(new DownloadError('INTERNAL', 'Not there yet.'))
  }

  /** Stops the run and keeps the bytes, so that the next one goes on from there. Harmless when none runs. */
  async cancel(): Promise<void> {
    await this.ready
  }

  /** The last run, or the one that is going; before {@link ready} as if there was none. */
  status(): PreloadSnapshot {
    return {
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
  }

  /**
   * Which models are there. Cheap enough to be asked each second: it looks at sizes and times, and never hashes.
   *
   * @param _locale - language of the messages. Default: the preloader's.
   */
  modelsStatus(_locale?: Locale): Promise<ModelsStatus> {
    return Promise.reject(new DownloadError('INTERNAL', 'Not there yet.'))
  }

  /** Resolves when no run is going (any more), and its end is written down. */
  async finished(): Promise<PreloadSnapshot> {
    await this.ready
    return this.status()
  }

  /** Lets go of the manager. A run that is going is taken up by the next preloader. Harmless when closed. */
  async close(): Promise<void> {
    await this.ready
  }

  /** @internal */
  protected override listenerFailed(_event: keyof PreloadEvents, _reason: string): void {
    // Nobody is told yet.
  }
}

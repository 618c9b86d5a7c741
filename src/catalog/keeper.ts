import type { DownloadStore } from '../store/store.js'

/** How long a change that is only a line of the log may wait. */
const lazyMs = 250

/** Keeps one document in a store up to date: one write at a time, and always the newest state. */
export class Keeper {
  readonly #store: DownloadStore
  readonly #name: string
  readonly #value: () => unknown
  readonly #failed: (error: unknown) => void
  #changed = false
  #writing: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  /** The last write failed, and that was told. */
  #failing = false

  constructor(
    store: DownloadStore,
    name: string,
    { value, failed }: { value: () => unknown; failed: (error: unknown) => void },
  ) {
    this.#store = store
    this.#name = name
    this.#value = value
    this.#failed = failed
  }

  /** Writes what was given, after what is being written. Rejects with what the store throws. */
  async write(value: unknown): Promise<void> {
    await this.flush()
    await this.#store.writeDocument?.(this.#name, value)
  }

  /** The state changed: writes it as soon as the write under way has ended. */
  changed(): void {
    this.#changed = true
    this.#stopTimer()
    this.#writing ??= this.#work()
  }

  /** Something changed that may be lost with the process: waits for more. */
  changedALittle(): void {
    if (this.#timer !== null) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.changed()
    }, lazyMs)
    this.#timer.unref()
  }

  /** Resolves when all is written that changed so far. A store that fails was told of, and is not waited for. */
  async flush(): Promise<void> {
    if (this.#timer !== null) this.changed()
    while (this.#writing !== null) await this.#writing
  }

  async #work(): Promise<void> {
    while (this.#changed) {
      this.#changed = false
      try {
        await this.#store.writeDocument?.(this.#name, this.#value())
        this.#failing = false
      } catch (error) {
        if (!this.#failing) this.#failed(error)
        this.#failing = true
      }
    }
    this.#writing = null
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}

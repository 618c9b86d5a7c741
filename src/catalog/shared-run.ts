import type { SharedDocuments } from '../manager/cluster/coordinator.js'
import type { Clock, Timer } from '../util/clock.js'

/** Name of the document that asks the leader to cancel the run that began at a time. */
const cancelName = 'preload-cancel'

/** Name of the document of the run. */
const runName = 'preload'

/** How often an instance that follows looks whether the leader is still there, in milliseconds. */
const lookMs = 1_000

/** How often, and after how long in milliseconds, an instance tries to lead while no run is active. */
const maxAttempts = 10
const retryMs = 50

/** What a {@link SharedRun} has its preloader do. */
export interface SharedRunHooks {
  /** When the current run began; null if none is active. */
  running: () => string | null
  /** Reads the run again, which another instance has changed. */
  reload: () => Promise<void>
  /** Drives the run on, whose leader has died. */
  resume: () => void
  /** Stops the run. */
  stop: () => Promise<void>
}

/**
 * The run of a preloader in a cluster. One instance leads: it drives the run and writes its state, and the others follow
 * what it writes. When it has died, another one leads.
 */
export class SharedRun {
  readonly #documents: SharedDocuments
  readonly #clock: Clock
  readonly #hooks: SharedRunHooks
  readonly #stopListening: () => void
  readonly #timer: Timer
  #leads = false
  #isLooking = false
  #isClosed = false

  constructor(documents: SharedDocuments, clock: Clock, hooks: SharedRunHooks) {
    this.#documents = documents
    this.#clock = clock
    this.#hooks = hooks
    this.#stopListening = documents.onChange(async (name) => {
      if (name === runName && !this.#leads) await this.#hooks.reload().catch(() => undefined)
      if (name === cancelName && this.#leads) void this.#obeyCancel().catch(() => undefined)
    })
    this.#timer = clock.interval(() => void this.look(), lookMs).unref()
  }

  /** Whether this instance drives the run and writes its state. */
  get leads(): boolean {
    return this.#leads
  }

  /** Leads from now on, unless another instance does. The state is read again first, and a run that is active goes on. */
  async lead(): Promise<boolean> {
    if (this.#leads) return true
    for (let attempt = 1; this.#isClosed || !(await this.#documents.lead(runName)); attempt += 1) {
      await this.#hooks.reload()
      if (this.#isClosed || this.#hooks.running() !== null || attempt === maxAttempts) return false
      // The last run has ended, and its leader is about to resign.
      await this.#clock.sleep(retryMs)
    }
    await this.#hooks.reload()
    this.#leads = true
    if (this.#hooks.running() !== null) {
      this.#hooks.resume()
      void this.#obeyCancel().catch(() => undefined)
    }
    return true
  }

  /** Lets others lead. */
  async resign(): Promise<void> {
    if (!this.#leads) return
    this.#leads = false
    await this.#documents.resign(runName).catch(() => undefined)
  }

  /** Asks the leader to cancel the run that began at a time. */
  async askToCancel(startedAt: string): Promise<void> {
    await this.#documents.write(cancelName, startedAt)
  }

  /** Takes over an active run that nobody leads. */
  async look(): Promise<void> {
    if (this.#isLooking || this.#isClosed) return
    this.#isLooking = true
    try {
      if (this.#leads) {
        // It may have been lost while the store was away.
        if (!(await this.#documents.lead(runName))) this.#leads = false
        else await this.#obeyCancel()
      } else if (this.#hooks.running() !== null && (await this.lead())) {
        if (this.#hooks.running() === null) await this.resign()
      }
    } catch {
      // The next look may find the store again.
    } finally {
      this.#isLooking = false
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer.cancel()
    this.#stopListening()
    await this.resign()
  }

  async #obeyCancel(): Promise<void> {
    const startedAt = this.#hooks.running()
    if (startedAt === null) return
    if ((await this.#documents.read(cancelName)) === startedAt) await this.#hooks.stop()
  }
}

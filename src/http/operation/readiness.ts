/** Whether a server can do its work, as `GET /readyz` tells. */
import type { Fleet } from '../../catalog/fleet/fleet.js'
import type { Preloader } from '../../catalog/preloader.js'
import { internals } from '../../manager/internals.js'
import type { DownloadManager } from '../../manager/manager.js'
import type { Clock } from '../../util/clock.js'

/** Body of `GET /readyz`. It tells nothing that is worth protecting: neither names nor places. */
export interface Readiness {
  success: boolean
  ready: boolean
  checks: {
    /** Whether the list of downloads is loaded, and the manager open. */
    store: boolean
    /** Whether the engine answers. */
    engine: boolean
    /**
     * How many of the required models are there; null if readiness does not depend on them. `required` is null while that
     * is unknown.
     */
    models: { ready: number; required: number | null } | null
  }
}

/** Sums up the checks. */
export function readinessOf(checks: Readiness['checks']): Readiness {
  const { store, engine, models } = checks
  const hasModels = models === null || (models.required !== null && models.ready >= models.required)
  const ready = store && engine && hasModels
  return { success: ready, ready, checks }
}

/** How long one answer may wait for the engine, in milliseconds: less than the second that probes usually have. */
const patienceMs = 700

/** How long an answer of the engine counts, in milliseconds. It may be busy for a moment. */
const engineMs = 10_000

/** How long a look at the models counts, in milliseconds, however many ask. */
const modelsMs = 1_000

/** Settings and services of a {@link ReadinessCheck}. */
export interface ReadinessInit {
  manager: DownloadManager
  /** Its required models must be there; null if readiness does not depend on them. */
  preloader: Pick<Preloader, 'modelsStatus'> | null
  /** The node of a fleet, which must have the models that it is to have instead. */
  fleet?: Pick<Fleet, 'readiness'> | null
}

async function requiredOf(preloader: Pick<Preloader, 'modelsStatus'>) {
  const { catalog, models } = await preloader.modelsStatus()
  const required = catalog.filter((model) => model.required)
  return {
    ready: required.filter(({ key }) => models[key]?.ready === true).length,
    required: required.length,
  }
}

/** Checks the parts of a server. Costs nothing unless it is asked. */
export class ReadinessCheck {
  readonly #init: ReadinessInit
  readonly #clock: Clock
  #loaded = false
  /** When the engine answered last. */
  #answered: number | null = null
  #asking: Promise<void> | null = null
  #models: { at: number; counts: Promise<Readiness['checks']['models']> } | null = null

  constructor(init: ReadinessInit) {
    this.#init = init
    this.#clock = init.manager[internals].clock
    init.manager.ready.then(
      () => (this.#loaded = true),
      () => undefined,
    )
  }

  /** Checks all parts. Never rejects, and takes less than a second. */
  async check(): Promise<Readiness> {
    // A list that was loaded long ago says so one turn after it is asked.
    await Promise.resolve()
    const isOpen = !this.#init.manager[internals].closed.aborted
    const store = isOpen && this.#loaded
    const [engine, models] = await Promise.all([
      // The engine starts when it is needed, and a probe asks for that. A closed one must not start again.
      isOpen && this.#isEngineUp(),
      this.#countModels(store),
    ])
    return readinessOf({ store, engine, models })
  }

  async #isEngineUp(): Promise<boolean> {
    const { report } = this.#init.manager[internals]
    this.#init.manager.warmUp()
    this.#asking ??= report(false)
      .then(
        (answer) => {
          if (answer !== null) this.#answered = this.#clock.now()
        },
        () => undefined,
      )
      .then(() => {
        this.#asking = null
      })
    const done = new AbortController()
    await Promise.race([this.#asking, this.#clock.sleep(patienceMs, done.signal)])
    done.abort()
    return this.#answered !== null && this.#clock.now() - this.#answered <= engineMs
  }

  async #countModels(store: boolean): Promise<Readiness['checks']['models']> {
    const { preloader } = this.#init
    if (preloader === null) return null
    const unknown = { ready: 0, required: null }
    // Its status waits for the store.
    if (!store) return unknown
    const now = this.#clock.now()
    if (this.#models === null || now - this.#models.at >= modelsMs) {
      const { fleet = null } = this.#init
      const counts = fleet === null ? requiredOf(preloader) : fleet.readiness()
      this.#models = { at: now, counts: counts.catch(() => unknown) }
    }
    const done = new AbortController()
    const late = this.#clock.sleep(patienceMs, done.signal).then(() => unknown)
    const counts = await Promise.race([this.#models.counts, late])
    done.abort()
    return counts
  }
}

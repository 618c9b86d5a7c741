/** A node of a fleet: says what it has, and gets what it is to have. */
import * as z from 'zod'
import { parseOptions } from '../../download/options.js'
import { DownloadError, toDownloadError } from '../../errors.js'
import { internals } from '../../manager/internals.js'
import type { DownloadManager } from '../../manager/manager.js'
import { GuardedEmitter } from '../../util/emitter.js'
import type { Clock, Timer } from '../../util/clock.js'
import { lazily } from '../../util/lazy.js'
import { redactUrls } from '../../util/redact.js'
import { Latest, Throttle } from '../../util/schedule.js'
import type { Preloader } from '../preloader.js'
import { isNodeWord, parseSelector, selectorTerms } from './selector.js'
import type { FleetContent, FleetStore, FleetWish, NodeModel, NodeReport } from './store.js'
import { decisionsOf, endedWishes, type FleetStatus, fleetStatus, holdersOf, wantedBy } from './view.js'

/** Options of a {@link Fleet}. */
export interface FleetOptions {
  /** The manager of this node, which must not belong to a cluster: the nodes of a fleet have each their own files. */
  manager: DownloadManager
  /** Its preloader, by which models are brought to this node. */
  preloader: Preloader
  /** Where the nodes keep what they know of each other. */
  store: FleetStore
  /** Name of this node, unique in the fleet. */
  node: string
  /** Labels of this node, by which it can be selected. Default: none. */
  labels?: readonly string[]
  /** Address at which other nodes reach the routes of this one, such as `http://node-1:8050`. Default: they can't. */
  url?: string | null
  /** How many nodes fetch a model from its origin at the same time; the others get it from those. 1 to 1,000, default 2. */
  seeds?: number
  /** How often this node gives a sign of life, in milliseconds, 100 to 600,000. Default 5,000. */
  heartbeatMs?: number
  /** After which silence a node counts as gone, in milliseconds, at least twice `heartbeatMs`. Default 20,000. */
  absentMs?: number
  /** How long this node waits before it tries a model again that has failed, in milliseconds. Default 60,000. */
  retryMs?: number
}

/** Events of a {@link Fleet}. */
export interface FleetEvents {
  /** Something has changed. */
  status: [status: FleetStatus]
}

/** Created on first use: most hosts have no fleet. */
const optionsSchema = lazily(() => {
  const word = z
    .string()
    .refine(isNodeWord, 'must be letters, digits, dots, dashes and underscores, at most 64')

  return z
    .object({
      node: word,
      labels: z.array(word).max(100).default([]),
      url: z
        .string()
        .refine(
          (text) => /^https?:/.test(text) && URL.canParse(text),
          'must be an address such as http://node-1:8050',
        )
        .nullable()
        .default(null),
      seeds: z.number().int().min(1).max(1_000).default(2),
      heartbeatMs: z.number().int().min(100).max(600_000).default(5_000),
      absentMs: z.number().int().min(200).max(3_600_000).default(20_000),
      retryMs: z.number().int().min(0).max(86_400_000).default(60_000),
    })
    .refine(({ heartbeatMs, absentMs }) => absentMs >= 2 * heartbeatMs, {
      path: ['absentMs'],
      message: 'must be at least twice heartbeatMs',
    })
})

function invalid(path: string, message: string): DownloadError {
  return new DownloadError('INVALID_OPTIONS', `Fleet options: ${path}: ${message}.`, {
    issues: [{ path, message }],
  })
}

/** Least time between two looks at what others have said, in milliseconds. */
const lookMs = 200

/** How many digests a node tells; those of the newest downloads. */
const maxDigests = 5_000

/**
 * A node of a fleet. The fleet has no leader: each node reads which models it is to have, and gets them with its own
 * preloader, so one that joins late or comes back catches up by itself.
 */
export class Fleet extends GuardedEmitter<FleetEvents> {
  /** Name of this node. */
  readonly node: string
  readonly #options: FleetOptions
  readonly #settings: z.output<ReturnType<typeof optionsSchema>>
  readonly #clock: Clock
  readonly #steps = new Latest(() => this.#step())
  readonly #failedAt = new Map<string, number>()
  readonly #claimed = new Set<string>()
  /** Models of the current run of the preloader that this node has begun. */
  readonly #begun = new Set<string>()
  readonly #looks: Throttle
  readonly #endWatch: () => void
  readonly #timer: Timer
  #content: FleetContent = { now: 0, wishes: [], reports: [], claims: {} }
  #told = ''
  #wasRunning = false
  #hasReported = false
  #isAway = false
  #isClosed = false

  /** @throws DownloadError `INVALID_OPTIONS`. */
  constructor(options: FleetOptions) {
    super()
    const { manager, preloader, store, ...rest } = options
    this.#settings = parseOptions(optionsSchema(), rest, 'Fleet options')
    // Each node would see the downloads of all as its own, and take files on other disks for its own.
    if (manager[internals].cluster !== null)
      throw invalid('manager', 'must not belong to a cluster, since each node of a fleet has its own files')
    this.#options = { manager, preloader, store, node: this.#settings.node }
    this.node = this.#settings.node
    this.#clock = manager[internals].clock
    this.#looks = new Throttle(
      () => lookMs,
      () => this.#look(),
      this.#clock,
    )
    this.#endWatch = store.watch(() => {
      this.#looks.ask()
    })
    preloader.on('status', this.#onRun)
    this.#timer = this.#clock.interval(() => void this.#steps.ask(), this.#settings.heartbeatMs).unref()
    void this.#steps.ask()
  }

  /** @internal */
  protected override listenerFailed(event: keyof FleetEvents, reason: string): void {
    this.#warn(`A listener of the fleet's "${event}" event failed: ${reason}`)
  }

  /**
   * Has nodes get models, those that are there and those that will come.
   *
   * @param models - keys of the catalog; `all` for every model with `auto_download`.
   * @param nodes - `all`, or names of nodes and `label:…`, separated by commas.
   * @returns the keys.
   * @throws DownloadError `INVALID_OPTIONS`; what the store throws.
   */
  async start(models: readonly string[] | 'all', nodes: string): Promise<string[]> {
    const selector = parseSelector(nodes)
    const keys = this.#options.preloader.keysOf(models)
    // One by one, so that each of them can be taken back.
    await this.#options.store.wish(
      keys.flatMap((key) => selectorTerms(selector).map((nodes) => ({ key, nodes }))),
    )
    await this.#steps.ask()
    return keys
  }

  /**
   * Takes back what {@link start} was asked for. A node that is not to have a model any more stops fetching it; a file that is
   * complete stays. A node stays selected by what is not taken back: without `node-1`, it may still be one of `all`.
   *
   * @param models - keys of models; `all` for every model that any node is to have.
   * @param nodes - names of nodes and `label:…`, separated by commas, as they were given; `all` for everything.
   * @returns `models`: the keys of which something was taken back; `wishes`: what is still wanted of the given ones.
   * @throws DownloadError `INVALID_OPTIONS`; what the store throws.
   */
  async stop(
    models: readonly string[] | 'all',
    nodes: string,
  ): Promise<{ models: string[]; wishes: FleetWish[] }> {
    const selector = parseSelector(nodes)
    const { store, preloader } = this.#options
    const { wishes } = await store.read()
    const wanted = new Set(wishes.map(({ key }) => key))
    // The catalog may have lost what is still wanted.
    const keys =
      models === 'all'
        ? wanted
        : new Set(models.flatMap((key) => (wanted.has(key) ? [key] : preloader.keysOf([key]))))
    const ended = endedWishes(wishes, keys, selector)
    await store.unwish(ended)
    await this.#steps.ask()
    const gone = new Set(ended)
    return {
      models: [...new Set(ended.map(({ key }) => key))].sort(),
      wishes: wishes.filter((wish) => keys.has(wish.key) && !gone.has(wish)),
    }
  }

  /** Which models the nodes have. */
  async status(): Promise<FleetStatus> {
    await this.#refresh()
    return this.current
  }

  /** The last {@link status}, as it was seen. */
  get current(): FleetStatus {
    return fleetStatus(this.#content, this.#settings.absentMs)
  }

  /** Whether this node has every model that it is to have. */
  async isReady(): Promise<boolean> {
    const { ready, required } = await this.readiness()
    return required !== null && ready === required
  }

  /**
   * How many of the models that this node is to have are there.
   *
   * @returns `required` is null while nothing is known about that.
   */
  async readiness(): Promise<{ ready: number; required: number | null }> {
    await this.#refresh()
    const mine = this.#content.reports.find(({ name }) => name === this.node)
    if (mine === undefined) return { ready: 0, required: null }
    const wanted = wantedBy(this.#content.wishes, this.#self)
    return {
      ready: wanted.filter((key) => mine.models[key]?.state === 'ready').length,
      required: wanted.length,
    }
  }

  /** Addresses of other nodes that have a file, for the option `peers.urls` of the manager. */
  readonly peersWith = (sha256: string): string[] =>
    holdersOf(this.#content, { self: this.node, sha256, absentMs: this.#settings.absentMs })

  /** Stops getting models and giving signs of life. The store is left open. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#endWatch()
    this.#options.preloader.off('status', this.#onRun)
    this.#timer.cancel()
    this.#looks.end()
    await this.#steps.ask()
    for (const key of this.#claimed) await this.#options.store.release(key, this.node).catch(() => undefined)
  }

  /** Somebody has changed something: this node may have something to do, or only something to tell. */
  async #look(): Promise<void> {
    const before = wantedBy(this.#content.wishes, this.#self)
    await this.#refresh()
    const isNews = wantedBy(this.#content.wishes, this.#self).join() !== before.join()
    if (isNews || this.#mayGoOn()) await this.#steps.ask()
  }

  /** Whether a model that has waited for other nodes need not wait any longer. */
  #mayGoOn(): boolean {
    if (this.#options.preloader.status().running) return false
    const mine = this.#content.reports.find(({ name }) => name === this.node)
    const keys = Object.keys(mine?.models ?? {}).filter((key) => mine?.models[key]?.state === 'waiting')
    const decisions = decisionsOf(
      this.#content,
      { ...this.#self, ready: new Set() },
      { ...this.#settings, keys },
    )
    return [...decisions.values()].some(({ from }) => from !== 'wait')
  }

  /** Another run may begin. */
  readonly #onRun = ({ running }: { running: boolean }): void => {
    const hasEnded = this.#wasRunning && !running
    this.#wasRunning = running
    if (hasEnded) void this.#steps.ask()
  }

  get #self(): { name: string; labels: readonly string[] } {
    return { name: this.node, labels: this.#settings.labels }
  }

  async #refresh(): Promise<void> {
    if (this.#isClosed) return
    try {
      this.#content = await this.#options.store.read()
      this.#isAway = false
    } catch (error) {
      // What was read last is shown until the store can be reached again.
      if (!this.#isAway)
        this.#warn(`The store of the fleet can't be reached: ${redactUrls(toDownloadError(error).message)}`)
      this.#isAway = true
      return
    }
    const status = fleetStatus(this.#content, this.#settings.absentMs)
    const told = JSON.stringify([status.nodes, status.models])
    if (told === this.#told) return
    this.#told = told
    this.emit('status', status)
  }

  /** One round: look, decide, begin, tell. Never rejects. */
  async #step(): Promise<void> {
    if (this.#isClosed) return
    try {
      await this.#options.preloader.ready
      await this.#refresh()
      const { models: found } = await this.#options.preloader.modelsStatus()
      const ready = new Set(Object.keys(found).filter((key) => found[key]?.ready === true))
      const wanted = wantedBy(this.#content.wishes, this.#self)
      const keys = wanted.filter((key) => key in found)
      const known = new Set(keys)
      // What a node claims counts only while it gives signs of life, so the first of them comes first.
      if (!this.#hasReported) await this.#tell(wanted, { ready, waiting: null, known })
      await this.#giveUp(known)
      const waiting = this.#options.preloader.status().running ? null : await this.#begin(keys, ready)
      await this.#tell(wanted, { ready, waiting, known })
    } catch (error) {
      if (!this.#isAway) this.#warn(`The fleet: ${redactUrls(toDownloadError(error).message)}`)
    }
  }

  /** Stops what this node has begun to fetch and is not to have any more. */
  async #giveUp(wanted: ReadonlySet<string>): Promise<void> {
    const { running, downloads } = this.#options.preloader.status()
    if (!running) this.#begun.clear()
    const kept = new Set([...wanted].map((key) => downloads?.[key]))
    for (const key of this.#begun) {
      const download = downloads?.[key]
      if (wanted.has(key) || download === undefined || kept.has(download)) continue
      this.#begun.delete(key)
      // It may have ended at this moment.
      await download.cancel().catch(() => undefined)
    }
  }

  /** Begins what may begin, and returns what has to wait for other nodes. */
  async #begin(keys: readonly string[], ready: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const { store, preloader } = this.#options
    const { seeds, absentMs, retryMs } = this.#settings
    for (const key of [...this.#claimed].filter((one) => ready.has(one) || !keys.includes(one)))
      await this.#release(key)
    this.#noteFailures()
    const due = keys.filter((key) => {
      const failedAt = this.#failedAt.get(key)
      return !ready.has(key) && (failedAt === undefined || this.#clock.now() - failedAt >= retryMs)
    })
    for (const key of due) {
      if (this.#claimed.has(key)) continue
      await store.claim(key, this.node)
      this.#claimed.add(key)
    }
    if (due.length > 0) this.#content = await store.read()
    const decisions = decisionsOf(this.#content, { ...this.#self, ready }, { keys: due, seeds, absentMs })
    const begun = due.filter((key) => decisions.get(key)?.from !== 'wait')
    for (const key of begun) this.#failedAt.delete(key)
    if (begun.length > 0) {
      await preloader.start({ models: begun })
      for (const key of begun) this.#begun.add(key)
    }
    return new Set(due.filter((key) => !begun.includes(key)))
  }

  /** A model that has failed is left to others for a while. */
  #noteFailures(): void {
    const { downloads } = this.#options.preloader.status()
    for (const key of [...this.#claimed]) {
      if (downloads?.[key]?.state !== 'failed' || this.#failedAt.has(key)) continue
      this.#failedAt.set(key, this.#clock.now())
      void this.#release(key)
    }
  }

  async #release(key: string): Promise<void> {
    this.#claimed.delete(key)
    await this.#options.store.release(key, this.node).catch(() => undefined)
  }

  async #tell(
    wanted: readonly string[],
    facts: { ready: ReadonlySet<string>; waiting: ReadonlySet<string> | null; known: ReadonlySet<string> },
  ): Promise<void> {
    const { labels, url } = this.#settings
    const keys = new Set([...wanted, ...facts.ready])
    const models = Object.fromEntries([...keys].sort().map((key) => [key, this.#modelOf(key, facts)]))
    const report: NodeReport = { name: this.node, labels, url, models, digests: this.#digests() }
    await this.#options.store.report(report)
    this.#hasReported = true
    await this.#refresh()
  }

  #modelOf(
    key: string,
    facts: { ready: ReadonlySet<string>; waiting: ReadonlySet<string> | null; known: ReadonlySet<string> },
  ): NodeModel {
    if (facts.ready.has(key)) return { state: 'ready', percent: 100, speed: 0, error: null }
    if (!facts.known.has(key)) {
      const error = 'The catalog of this node has no such model.'
      return { state: 'failed', percent: 0, speed: 0, error }
    }
    const before = this.#content.reports.find(({ name }) => name === this.node)?.models[key]?.state
    const waits = facts.waiting === null ? before === 'waiting' : facts.waiting.has(key)
    const download = this.#options.preloader.status().downloads?.[key]
    const { percent = 0, bytesPerSecond = 0 } = download?.current ?? {}
    if (waits) return { state: 'waiting', percent, speed: 0, error: null }
    if (download === undefined) return { state: 'missing', percent: 0, speed: 0, error: null }
    const { state } = download
    if (state === 'failed' || state === 'canceled')
      return { state: 'failed', percent, speed: 0, error: redactUrls(download.error?.message ?? 'canceled') }
    const isActive = state === 'downloading' || state === 'verifying' || state === 'resolving'
    return { state: isActive ? 'downloading' : 'queued', percent, speed: bytesPerSecond, error: null }
  }

  #digests(): string[] {
    if (this.#settings.url === null) return []
    const digests = this.#options.manager.list().flatMap(({ state, record, groupFiles }) => {
      if (groupFiles !== null)
        return groupFiles.files.flatMap(({ isDone, stamp }) => (isDone ? (stamp?.sha256 ?? []) : []))
      return state === 'completed' ? (record.stamp?.sha256 ?? []) : []
    })
    return [...new Set(digests)].slice(-maxDigests)
  }

  #warn(message: string): void {
    this.#options.manager.emit('log', { level: 'warn', message })
  }
}

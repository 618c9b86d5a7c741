import type { Download } from '../download/download.js'
import { isActive } from '../download/states.js'
import type { CoordinatorHost } from '../manager/cluster/coordinator.js'
import type { Clock, Timer } from '../util/clock.js'
import type { ClusterBackend, ClusterMessage } from './backend.js'
import type { Echo } from './echo.js'
import type { Presence } from './presence.js'
import { type Demand, shareOf } from './shares.js'

/** Interval of what is said about running downloads, in milliseconds. A status is at most twice as old. */
const tellMs = 500

/** How often an instance says that it is there while it runs nothing, in milliseconds. */
const idleMs = 2_000

/** Settings and services of {@link Telling}. */
export interface TellingInit {
  backend: ClusterBackend
  clock: Clock
  host: CoordinatorHost
  maxBytesPerSecond: number | null
  /** The downloads that this instance runs. */
  running: () => readonly Download[]
  /** A download that another instance runs. */
  find: (id: string) => Download | undefined
  /** The other instances. */
  presence: Presence
  /** Marks the events of others. */
  echo: Echo
}

/** Tells the other instances how far running downloads are, which servers ask to wait, and how fast this one is. */
export class Telling {
  readonly #init: TellingInit
  readonly #timer: Timer
  readonly #endWaits: () => void
  readonly #told = new Map<string, number>()
  /** When this instance has last said how fast it is. */
  #toldAt = -Infinity
  #share: number | null = null

  constructor(init: TellingInit) {
    this.#init = init
    this.#timer = init.clock
      .interval(() => {
        this.#tell()
      }, tellMs)
      .unref()
    this.#endWaits = init.host.gates.onWait((wait) => {
      init.backend.tell({ type: 'wait', wait })
    })
  }

  /** Takes what another instance has said. */
  take(from: string, message: ClusterMessage): void {
    const { clock, host } = this.#init
    switch (message.type) {
      case 'progress':
        for (const [id, downloaded, total, connections] of message.items) {
          const download = this.#init.find(id)
          if (download === undefined || !isActive(download.state)) continue
          download.note(clock.now(), { downloaded, total, connections })
          this.#init.echo.run(() => {
            host.emitter.emit('progress', { download, progress: download.current })
          })
          download.wake()
        }
        return
      case 'wait':
        host.gates.take(message.wait, clock.now())
        return
      case 'rate':
        this.#init.presence.hear(from, message)
        return
      case 'left':
        this.#init.presence.forget(from)
    }
  }

  /** What of the limit is left to this instance, in bytes per second; null while nothing was divided. */
  get share(): number | null {
    return this.#share
  }

  close(): void {
    this.#timer.cancel()
    this.#endWaits()
    this.#init.backend.tell({ type: 'left' })
  }

  #tell(): void {
    const { backend, maxBytesPerSecond } = this.#init
    const running = this.#init.running().filter(({ state }) => isActive(state))
    const items = running.map((download) => {
      const { downloaded, total, connections } = download.current
      return [download.record.id, downloaded, total, connections] as const
    })
    const moved = items.filter(([id, downloaded]) => this.#told.get(id) !== downloaded)
    this.#told.clear()
    for (const [id, downloaded] of items) this.#told.set(id, downloaded)
    if (moved.length > 0) backend.tell({ type: 'progress', items: moved })
    const bytesPerSecond = running.reduce((sum, { current }) => sum + current.bytesPerSecond, 0)
    const own = { bytesPerSecond, running: running.length }
    const now = this.#init.clock.now()
    if (running.length > 0 || now - this.#toldAt >= idleMs) {
      this.#toldAt = now
      backend.tell({ type: 'rate', ...own })
    }
    if (maxBytesPerSecond !== null) this.#divide(maxBytesPerSecond, own)
  }

  #divide(limit: number, own: Demand): void {
    const { backend, host, presence } = this.#init
    const demands = presence.demands().set(backend.instance, own)
    this.#share = shareOf(limit, demands, backend.instance)
    host.limit(this.#share)
  }
}

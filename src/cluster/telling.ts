import type { Download } from '../download/download.js'
import { isActive } from '../download/states.js'
import type { CoordinatorHost } from '../manager/cluster/coordinator.js'
import type { Clock, Timer } from '../util/clock.js'
import type { ClusterBackend, ClusterMessage } from './backend.js'
import { type Demand, shareOf } from './shares.js'

/** Interval of what is said about running downloads, in milliseconds. A status is at most twice as old. */
const tellMs = 500

/** An instance that has said nothing for longer has no share, in milliseconds. */
const silentMs = 5_000

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
}

/** Tells the other instances how far running downloads are, which servers ask to wait, and how fast this one is. */
export class Telling {
  readonly #init: TellingInit
  readonly #demands = new Map<string, Demand & { at: number }>()
  readonly #timer: Timer
  readonly #endWaits: () => void
  readonly #told = new Map<string, number>()

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
          host.emitter.emit('progress', { download, progress: download.current })
          download.wake()
        }
        return
      case 'wait':
        host.gates.take(message.wait, clock.now())
        return
      case 'rate':
        this.#demands.set(from, { ...message, at: clock.now() })
    }
  }

  close(): void {
    this.#timer.cancel()
    this.#endWaits()
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
    if (maxBytesPerSecond === null) return
    const bytesPerSecond = running.reduce((sum, { current }) => sum + current.bytesPerSecond, 0)
    backend.tell({ type: 'rate', bytesPerSecond, running: running.length })
    this.#share(maxBytesPerSecond, { bytesPerSecond, running: running.length })
  }

  #share(limit: number, own: Demand): void {
    const { backend, clock, host } = this.#init
    const now = clock.now()
    for (const [name, { at }] of [...this.#demands]) if (now - at > silentMs) this.#demands.delete(name)
    const demands = new Map<string, Demand>([...this.#demands, [backend.instance, own]])
    host.limit(shareOf(limit, demands, backend.instance))
  }
}

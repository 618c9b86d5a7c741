import type { Download } from '../download/download.js'
import { isActive } from '../download/states.js'
import type {
  ClusterInsight,
  ClusterInstance,
  ClusterLease,
  ClusterView,
} from '../manager/cluster/insight.js'
import type { Clock } from '../util/clock.js'
import type { ClusterBackend } from './backend.js'
import type { Echo } from './echo.js'
import type { Leases } from './leases.js'
import type { Presence } from './presence.js'
import type { Replica } from './replica.js'

/** What an {@link Insight} needs. */
export interface InsightInit {
  backend: ClusterBackend
  clock: Clock
  replica: Replica
  leases: Leases
  presence: Presence
  echo: Echo
  downloads: () => readonly Download[]
  isAway: () => boolean
  clusterConcurrency: number | null
  clusterMaxBytesPerSecond: number | null
  /** What of the limit is left to this instance, in bytes per second; null while nothing was divided. */
  share: () => number | null
}

/** Name of the machine or pod of an instance, whose id is this name, a colon, and a random part. Pure. */
export function nodeNameOf(instance: string): string {
  const colon = instance.lastIndexOf(':')
  return colon === -1 ? instance : instance.slice(0, colon)
}

/** What one instance knows about its cluster. Nothing is asked of the store. */
export class Insight implements ClusterInsight {
  readonly #init: InsightInit

  constructor(init: InsightInit) {
    this.#init = init
  }

  get waiting(): number {
    return this.#init.downloads().reduce((count, { state }) => count + (state === 'queued' ? 1 : 0), 0)
  }

  get isEcho(): boolean {
    return this.#init.echo.isOn
  }

  runsHere({ record: { id } }: Download): boolean {
    return this.#init.leases.has(id)
  }

  nodeOf({ record: { id, state } }: Download): string | null {
    if (!isActive(state)) return null
    const { leases, backend, replica } = this.#init
    const owner = leases.has(id) ? backend.instance : (replica.get(id)?.owner ?? null)
    return owner === null ? null : nodeNameOf(owner)
  }

  view(): ClusterView {
    const { isAway, clusterConcurrency, clusterMaxBytesPerSecond, share, backend } = this.#init
    const leases = this.#leases()
    return {
      isAway: isAway(),
      instances: this.#instances(leases),
      leases,
      waiting: this.waiting,
      clusterConcurrency,
      clusterMaxBytesPerSecond,
      share: share(),
      leaseMs: backend.leaseMs,
    }
  }

  #leases(): ClusterLease[] {
    const { replica } = this.#init
    return replica.all().flatMap(({ record, owner, epoch }) => {
      if (owner === null) return []
      // The download is ahead of what is stored.
      const { url, filename, state } = replica.find(record.id)?.record ?? record
      return [{ url, filename, state, instance: owner, epoch }]
    })
  }

  #instances(leases: readonly ClusterLease[]): ClusterInstance[] {
    const { backend, clock, presence } = this.#init
    const own = this.#init
      .downloads()
      .filter((download) => isActive(download.state) && this.runsHere(download))
    /** What it runs say its leases, which are known sooner than its silence. */
    const runningAt = (id: string) =>
      leases.filter(({ instance, state }) => instance === id && isActive(state)).length
    const self: ClusterInstance = {
      id: backend.instance,
      node: nodeNameOf(backend.instance),
      isSelf: true,
      isAbsent: false,
      seenAt: clock.wallNow(),
      running: own.length,
      bytesPerSecond: own.reduce((sum, { current }) => sum + current.bytesPerSecond, 0),
    }
    const heard = presence.list().map(({ bytesPerSecond, ...each }) => {
      const running = each.isAbsent ? 0 : runningAt(each.id)
      const speed = running === 0 ? 0 : bytesPerSecond
      return { ...each, running, bytesPerSecond: speed, node: nodeNameOf(each.id), isSelf: false }
    })
    const known = new Set([self.id, ...heard.map(({ id }) => id)])
    // Whoever has died before this instance has started is known by its leases only.
    const unheard = [...new Set(leases.map(({ instance }) => instance))]
      .filter((id) => !known.has(id))
      .map((id) => {
        const nothing = { seenAt: null, running: 0, bytesPerSecond: 0 }
        return { id, node: nodeNameOf(id), isSelf: false, isAbsent: true, ...nothing }
      })
    const others = [...heard, ...unheard].sort((a, b) => (a.id < b.id ? -1 : 1))
    return [self, ...others]
  }
}

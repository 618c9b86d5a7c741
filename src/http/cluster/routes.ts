/** What the instances of a cluster do. */
import { sentenceError } from '../../download/error-text.js'
import type { ClusterView } from '../../manager/cluster/insight.js'
import { internals } from '../../manager/internals.js'
import { type Route, route } from '../route.js'
import type { ClusterStatus } from './schemas.js'

/** How many leases are told. */
const maxLeases = 1_000

const iso = (ms: number) => new Date(ms).toISOString()

/** A cluster as JSON. Pure. */
export function wireCluster(view: ClusterView, now: number): ClusterStatus {
  const nodes = new Map(view.instances.map(({ id, node }) => [id, node]))
  const sum = (of: (instance: ClusterView['instances'][number]) => number) =>
    view.instances.reduce((total, instance) => total + of(instance), 0)
  return {
    success: true,
    away: view.isAway,
    instances: view.instances.map(({ id, node, isSelf, isAbsent, seenAt, running, bytesPerSecond }) => ({
      id,
      node,
      self: isSelf,
      absent: isAbsent,
      last_seen: seenAt === null ? null : iso(seenAt),
      running,
      bytes_per_second: Math.round(bytesPerSecond),
    })),
    leases: view.leases.slice(0, maxLeases).map(({ url, filename, state, instance, epoch }) => ({
      url,
      filename,
      state,
      instance,
      node: nodes.get(instance) ?? instance,
      epoch,
    })),
    lease_count: view.leases.length,
    waiting: view.waiting,
    running: sum(({ running }) => running),
    bytes_per_second: Math.round(sum(({ bytesPerSecond }) => bytesPerSecond)),
    limits: {
      concurrency: view.clusterConcurrency,
      max_bytes_per_second: view.clusterMaxBytesPerSecond,
      share_bytes_per_second: view.share === null ? null : Math.round(view.share),
      lease_ms: view.leaseMs,
    },
    timestamp: iso(now),
  }
}

/** The route of the cluster. */
export const clusterRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/models/cluster',
    action: 'downloads:read',
    summary: 'Which instances the cluster has, what they run, and what limits they share.',
    answer: 'ClusterStatus',
    errors: [404],
    handle: async ({ services: { manager } }) => {
      await manager.ready
      const { cluster, clock } = manager[internals]
      if (cluster === null) throw sentenceError('NOT_FOUND', 'noCluster', [])
      return wireCluster(cluster.view(), clock.wallNow())
    },
  }),
]

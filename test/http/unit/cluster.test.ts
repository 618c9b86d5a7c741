import { expect, it } from 'vitest'
import { wireCluster } from '../../../src/http/cluster/routes.js'
import { clusterStatusSchema } from '../../../src/http/cluster/schemas.js'
import type { ClusterInstance, ClusterView } from '../../../src/manager/cluster/insight.js'

const now = Date.UTC(2026, 0, 2)

const instance = (id: string, more: Partial<ClusterInstance> = {}): ClusterInstance => ({
  ...{ id, node: id.split(':')[0] ?? '', isSelf: false, isAbsent: false, seenAt: now, running: 1 },
  bytesPerSecond: 10.4,
  ...more,
})

const view = (more: Partial<ClusterView> = {}): ClusterView => ({
  isAway: false,
  instances: [
    instance('a:1', { isSelf: true }),
    instance('b:2'),
    instance('c:3', { isAbsent: true, seenAt: null }),
  ],
  leases: [{ url: 'https://x.test/a', filename: 'a', state: 'downloading', instance: 'b:2', epoch: 7 }],
  waiting: 3,
  clusterConcurrency: 4,
  clusterMaxBytesPerSecond: 100,
  share: 33.3,
  leaseMs: 20_000,
  ...more,
})

it('a cluster is told with its sums, and names the node of each lease', () => {
  const wire = wireCluster(view(), now)
  expect(clusterStatusSchema.parse(wire)).toEqual(wire)
  expect(wire).toMatchObject({
    away: false,
    instances: [
      { id: 'a:1', self: true },
      { id: 'b:2', self: false },
      { absent: true, last_seen: null },
    ],
    leases: [{ url: 'https://x.test/a', instance: 'b:2', node: 'b', epoch: 7 }],
    ...{ lease_count: 1, waiting: 3, running: 3, bytes_per_second: 31 },
    limits: { concurrency: 4, max_bytes_per_second: 100, share_bytes_per_second: 33, lease_ms: 20_000 },
    timestamp: '2026-01-02T00:00:00.000Z',
  })
})

it('tells a thousand leases at most, and how many there are', () => {
  const lease = view().leases[0]!
  const wire = wireCluster(view({ leases: Array.from({ length: 1_001 }, () => lease), share: null }), now)
  expect([wire.leases.length, wire.lease_count, wire.limits.share_bytes_per_second]).toEqual([
    1_000,
    1_001,
    null,
  ])
})

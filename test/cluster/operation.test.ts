/** What those who run a cluster see: the admin route, the node of a download, and metrics that are really counted. */
import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { createHandler, type DownloadManager } from '../../src/index.js'
import { bullmqCluster, type BullmqClusterOptions } from '../../src/cluster/bullmq/bullmq.js'
import { type ClusterStatus, clusterStatusSchema } from '../../src/http/cluster/schemas.js'
import { registerMetrics } from '../../src/observe/metrics.js'
import { KiB, makeManager } from '../faults/harness.js'
import { ask, byUrl } from '../http/bench.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

const content = randomContent(256 * KiB)

describeWith(redisServer, 'the operation of a cluster', () => {
  const redis = shared(() => RedisServer.start())
  const origin = shared(() => startOrigin())
  let round = 0

  async function openInstances(count: number, options: Partial<BullmqClusterOptions> = {}) {
    const directory = tempDir('cluster-operation')
    const prefix = `o${(round += 1)}`
    const members = Array.from({ length: count }, (_, index) => {
      const manager = makeManager(directory, {
        concurrency: 1,
        store: undefined,
        cluster: bullmqCluster({
          ...{ connection: redis().path, prefix, node: `n${index}`, leaseMs: 2_000 },
          ...options,
        }),
      } as never)
      const registry = new Registry()
      registerMetrics(manager, { registry })
      return { manager, registry, handler: createHandler({ manager }) }
    })
    await Promise.all(members.map(({ manager }) => manager.ready))
    return {
      ...{ members, prefix },
      /** A metric of all instances together. */
      sum: async (name: string) => {
        const texts = await Promise.all(members.map(({ registry }) => registry.metrics()))
        const values = texts.map((text) =>
          Number(new RegExp(`^model_downloader_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN),
        )
        return values.reduce((total, value) => total + value, 0)
      },
      status: async (index: number) => {
        const { status, body } = await ask(members[index]!.handler, 'GET', '/api/models/cluster')
        expect(status).toBe(200)
        expect(clusterStatusSchema.parse(body)).toEqual(body)
        return body as unknown as ClusterStatus
      },
      async [Symbol.asyncDispose]() {
        await withTimeout(Promise.all(members.map(({ manager }) => manager.close())), 10_000, 'closing')
      },
    }
  }

  it('tells who is there, who runs what and how much waits, whoever is asked', async () => {
    await using cluster = await openInstances(2, {
      clusterConcurrency: 1,
      clusterMaxBytesPerSecond: 64 * KiB,
    })
    const [one, two] = cluster.members.map(({ manager }) => manager) as [DownloadManager, DownloadManager]
    const urls = ['a', 'b', 'c'].map((name) => {
      origin().serve(`/${name}.bin`, { content, bytesPerSecond: 64 * KiB })
      return origin().url(`/${name}.bin`)
    })
    for (const url of urls) await one.download({ url })
    const isRunning = async (index: number) => {
      const { running, waiting, instances } = await cluster.status(index)
      return running === 1 && waiting === 2 && instances.length === 2
    }
    for (const index of [0, 1]) {
      await waitFor(() => isRunning(index), { what: `instance ${index} to know` })
      // As many wait as wait in the whole cluster, so that limits of the queue hold.
      expect(cluster.members[index]!.manager.waiting).toBe(2)
    }
    const seen = await cluster.status(1)
    expect(seen).toMatchObject({
      away: false,
      instances: [
        { node: 'n1', self: true, absent: false },
        { node: 'n0', self: false, absent: false },
      ],
      limits: { concurrency: 1, max_bytes_per_second: 64 * KiB, lease_ms: 2_000 },
    })
    const [lease] = seen.leases
    expect(urls).toContain(lease?.url)
    expect(['n0', 'n1']).toContain(lease?.node)
    for (const { handler } of cluster.members) {
      const { body } = await ask(handler, 'GET', `/api/models/download/status${byUrl(lease?.url ?? '')}`)
      expect(body).toMatchObject({ download: { node: lease?.node } })
    }
    expect(await cluster.sum('queue_depth')).toBe(4)
    // One that has ended is not there any more.
    await two.close()
    await waitFor(async () => (await cluster.status(0)).instances.length === 1, { what: 'its end' })
  })

  it('counts a take-over and a lost lease once, and each end of a download at one instance', async () => {
    await using cluster = await openInstances(2)
    origin().serve('/taken.bin', { content, bytesPerSecond: 16 * KiB })
    const url = origin().url('/taken.bin')
    const managers = cluster.members.map(({ manager }) => manager)
    await managers[0]!.download({ url })
    await waitFor(() => managers.every((manager) => (manager.get(url)?.current.downloaded ?? 0) > 0), {
      what: 'bytes',
    })
    // As if another instance had taken it and died.
    const { id } = managers[0]!.get(url)!.record
    const key = `{${cluster.prefix}}`
    const client = redis().client()
    await client
      .multi()
      .hset(`${key}:r:${id}`, 'owner', 'gone:00000000')
      .hincrby(`${key}:r:${id}`, 'epoch', 1)
      .zadd(`${key}:leases`, 1, id)
      .zadd(`${key}:running`, 1, id)
      .exec()
    client.disconnect()
    await waitFor(async () => (await cluster.sum('takeovers_total')) === 1, { what: 'the take-over' })
    await waitFor(async () => (await cluster.sum('lost_leases_total')) === 1, { what: 'the loss' })
    origin().serve('/taken.bin', { content })
    await withTimeout(Promise.all(managers.map((manager) => manager.get(url)!.finished)), 30_000, 'the file')
    await waitFor(async () => (await cluster.sum('completed_total{source="fetched"}')) === 1, {
      what: 'the count of the end',
    })
    expect(await cluster.sum('queue_wait_seconds_count')).toBeGreaterThanOrEqual(1)
    expect(await cluster.sum('failures_total{code="TAKEN_OVER"}')).toBe(0)
    // Both know all downloads.
    expect(await cluster.sum('downloads{state="completed"}')).toBe(2)
  })

  it('counts a write that was refused', async () => {
    await using cluster = await openInstances(1, { leaseMs: 600_000 })
    origin().serve('/fenced.bin', { content, bytesPerSecond: 16 * KiB })
    const url = origin().url('/fenced.bin')
    const [{ manager }] = cluster.members as [(typeof cluster.members)[0]]
    const download = await manager.download({ url })
    await waitFor(() => download.current.downloaded > 0, { what: 'bytes' })
    const client = redis().client()
    // Another instance has the lease, which this one finds out when it is about to publish: it renews much later.
    await client.hincrby(`{${cluster.prefix}}:r:${download.record.id}`, 'epoch', 1)
    client.disconnect()
    origin().serve('/fenced.bin', { content })
    await manager.pause(url).catch(() => undefined)
    await waitFor(async () => (await cluster.sum('fenced_writes_total')) > 0, { what: 'the refused write' })
  })

  it('is no cluster without one', async () => {
    const manager = makeManager(tempDir('no-cluster'))
    const handler = createHandler({ manager })
    expect(await ask(handler, 'GET', '/api/models/cluster')).toMatchObject({
      status: 404,
      body: { code: 'NOT_FOUND' },
    })
    expect(await ask(handler, 'GET', '/api/models/permissions')).toMatchObject({
      body: { cluster: false, fleet: false },
    })
    await manager.close()
  })
})

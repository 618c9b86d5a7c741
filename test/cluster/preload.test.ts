/** A preload in a cluster, whose instances die while they run it. */
import { expect, it } from 'vitest'
import { Catalog } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import { createClient } from '../../src/client/index.js'
import { ClusterCoordinator } from '../../src/cluster/coordinator.js'
import { createHandler } from '../../src/index.js'
import { systemClock } from '../../src/util/clock.js'
import { KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { MemoryCluster, MemoryJobs, MemoryQueue } from '../support/memory-cluster.js'
import { startOrigin } from '../support/origin.js'
import { shared } from '../support/shared.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

const origin = shared(() => startOrigin())
const keys = ['a', 'b', 'c']

/** Three instances that share a catalog of three slow models. */
function openInstances(bytesPerSecond: number) {
  const directory = tempDir('cluster-preload')
  const cluster = new MemoryCluster(systemClock, 1_000)
  const jobs = new MemoryJobs(20)
  for (const key of keys)
    origin().serve(`/${key}.bin`, { content: randomContent(96 * KiB, key), bytesPerSecond })
  const catalog = new Catalog(
    keys.map((key) => ({ key, name: key, url: origin().url(`/${key}.bin`), mode: 'llm', required: true })),
  )
  const all = ['n0', 'n1', 'n2'].map((node) => {
    const backend = cluster.join(node)
    const queue = new MemoryQueue(jobs)
    const coordinator = new ClusterCoordinator(
      {
        ...{ backend, queue, clusterConcurrency: null, clusterMaxBytesPerSecond: null },
        ...{ secret: null, onStoreLost: 'stop' },
      },
      systemClock,
    )
    const options = { store: undefined, concurrency: 1, connections: 1, cluster: { join: () => coordinator } }
    const manager = makeManager(directory, options as never)
    const preloader = new Preloader({ manager, catalog })
    const handler = createHandler({ manager, preloader, authorize: () => true })
    const client = createClient({
      baseUrl: 'http://cluster.test',
      fetch: (input, init) => handler(new Request(input, init)),
    })
    /** What the others see of `kill -9`: it says nothing any more. What it had is left to its lease. */
    const kill = async () => {
      await backend.close()
      await queue.stopOffering()
    }
    return { manager, preloader, client, kill }
  })
  return {
    all,
    [Symbol.asyncDispose]: async () => {
      const closing = all.map(async ({ manager, preloader }) => {
        await preloader.close()
        await manager.close()
      })
      await withTimeout(Promise.all(closing), 15_000, 'the instances to close')
    },
  }
}

it('goes on when the instance that leads it has died, and any other tells its status and log', async () => {
  await using cluster = openInstances(96 * KiB)
  const [leader, next, last] = cluster.all as [Instance, Instance, Instance]
  await Promise.all(cluster.all.map(({ preloader }) => preloader.ready))
  const { started_at: startedAt } = await leader.client.preload.start()
  await waitFor(async () => ((await last.client.preload.status()).progress ?? 0) > 0, { what: 'some bytes' })
  const before = await last.client.preload.status()
  expect(before).toMatchObject({ running: true, total: 3, started_at: startedAt })
  await leader.kill()
  // Nobody has to ask for it.
  for (const { client } of [next, last])
    await waitFor(async () => !(await client.preload.status()).running, {
      what: 'the run to end',
      timeoutMs: 30_000,
    })
  const [one, other] = [await next.client.preload.status(), await last.client.preload.status()]
  expect(one).toEqual(other)
  expect(one).toMatchObject({ success_flag: true, completed: 3, total: 3, started_at: startedAt })
  // It is one run, whose log goes on.
  expect(one.logs.slice(0, before.logs.length)).toEqual(before.logs)
  expect(new Set(one.logs).size).toBe(one.logs.length)
  // It can be asked for again, through any of them.
  await expect(last.client.preload.start()).resolves.toMatchObject({ success: true })
  await waitFor(async () => !(await next.client.preload.status()).running, { what: 'the next run' })
})

it('can be canceled through another instance after the one that leads it has died', async () => {
  await using cluster = openInstances(8 * KiB)
  const [leader, next, last] = cluster.all as [Instance, Instance, Instance]
  await Promise.all(cluster.all.map(({ preloader }) => preloader.ready))
  await leader.client.preload.start()
  await waitFor(async () => ((await last.client.preload.status()).progress ?? 0) > 0, { what: 'some bytes' })
  await leader.kill()
  expect(await last.client.preload.cancel()).toMatchObject({ running: false, success_flag: false })
  expect(await next.client.preload.status()).toMatchObject({ running: false, error: 'canceled' })
})

type Instance = ReturnType<typeof openInstances>['all'][number]

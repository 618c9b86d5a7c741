import { expect, it } from 'vitest'
import type { DownloadManager } from '../../src/index.js'
import { bullmqCluster, type BullmqClusterOptions } from '../../src/cluster/bullmq/bullmq.js'
import { Catalog } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import { KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

const content = randomContent(256 * KiB)

describeWith(redisServer, 'a cluster on BullMQ', () => {
  const redis = shared(() => RedisServer.start())
  const origin = shared(() => startOrigin())
  let round = 0

  async function openCluster(count: number, options: Partial<BullmqClusterOptions> = {}) {
    const directory = tempDir('cluster')
    const prefix = `t${(round += 1)}`
    const managers = Array.from({ length: count }, (_, index) =>
      makeManager(directory, {
        store: undefined,
        cluster: bullmqCluster({
          connection: redis().path,
          prefix,
          node: `n${index}`,
          leaseMs: 2_000,
          ...options,
        }),
      } as never),
    )
    await Promise.all(managers.map((manager) => manager.ready))
    return {
      managers,
      directory,
      at: (index: number): DownloadManager => managers[index % managers.length]!,
      async [Symbol.asyncDispose]() {
        await withTimeout(
          Promise.all(managers.map((manager) => manager.close())),
          10_000,
          'the managers to close',
        )
      },
    }
  }

  it('runs a download once, whoever is asked for it, and all of them know', async () => {
    await using cluster = await openCluster(3)
    origin().serve('/one.bin', { content, bytesPerSecond: 512 * KiB })
    const url = origin().url('/one.bin')
    const asked = await Promise.all(
      Array.from({ length: 30 }, (_, index) => cluster.at(index).download({ url })),
    )
    const files = await withTimeout(
      Promise.all(asked.map((download) => download.finished)),
      20_000,
      'the file',
    )
    expect(new Set(files.map(({ path }) => path)).size).toBe(1)
    expect(origin().bytesSent('/one.bin')).toBeLessThan(content.size * 1.2)
    for (const manager of cluster.managers) expect(manager.get(url)?.state).toBe('completed')
  })

  it('does what is asked of another instance', async () => {
    await using cluster = await openCluster(2)
    origin().serve('/slow.bin', { content, bytesPerSecond: 32 * KiB })
    const url = origin().url('/slow.bin')
    await cluster.at(0).download({ url })
    for (const index of [0, 1])
      await waitFor(() => (cluster.at(index).get(url)?.current.downloaded ?? 0) > 0, {
        what: `bytes at ${index}`,
      })
    for (const index of [0, 1]) {
      await cluster.at(index).pause(url)
      expect(cluster.at(index).get(url)?.state).toBe('paused')
      await waitFor(() => cluster.at(index + 1).get(url)?.state === 'paused', { what: 'the other to know' })
      await cluster.at(index + 1).resume(url)
      await waitFor(() => cluster.at(index).get(url)?.state === 'downloading', { what: 'it to go on' })
    }
    await cluster.at(0).cancel(url)
    await cluster.at(1).remove(url)
    await waitFor(() => cluster.at(0).get(url) === undefined, { what: 'it to be removed' })
  })

  it('goes on elsewhere, from its bytes, when an instance is closed', async () => {
    await using cluster = await openCluster(2)
    origin().serve('/dying.bin', { content, bytesPerSecond: 16 * KiB })
    const url = origin().url('/dying.bin')
    const download = await cluster.at(1).download({ url })
    await waitFor(() => download.current.downloaded > 32 * KiB, { what: 'some bytes' })
    const owner = cluster.managers.findIndex((manager) => isRunning(manager, url))
    const other = cluster.at(owner + 1)
    const taken = logged(other, 'Took over')
    origin().serve('/dying.bin', { content })
    // Closing hands it over at once.
    await cluster.at(owner).close()
    const file = await withTimeout(other.get(url)!.finished, 20_000, 'the file')
    expect(file.size).toBe(content.size)
    expect(taken).toHaveLength(0)
  })

  it('keeps downloads while Redis is away, refuses commands and answers questions', async () => {
    await using own = await RedisServer.start(['--save', '', '--appendonly', 'yes'])
    await using cluster = await openCluster(2, { connection: own.path })
    origin().serve('/away.bin', { content, bytesPerSecond: 16 * KiB })
    const url = origin().url('/away.bin')
    await cluster.at(0).download({ url })
    await waitFor(() => cluster.managers.every((m) => (m.get(url)?.current.downloaded ?? 0) > 0), {
      what: 'all to see bytes',
    })
    const noticed = cluster.managers.map((manager) => logged(manager, 'The store of the cluster can'))
    await own.stop()
    await waitFor(() => noticed.every((said) => said.length > 0), { what: 'all to notice' })
    for (const manager of cluster.managers)
      await expect(manager.pause(url)).rejects.toMatchObject({ code: 'STORE_ERROR', retryable: true })
    expect(cluster.at(1).get(url)).toBeDefined()
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    origin().serve('/away.bin', { content })
    await own.resume()
    const files = cluster.managers.map((manager) => manager.get(url)!.finished)
    const ends = await withTimeout(Promise.all(files), 30_000, 'the file')
    for (const { fetchedBytes, size } of ends) expect(fetchedBytes).toBeLessThanOrEqual(size)
  })

  it('stores again what Redis has lost', async () => {
    await using own = await RedisServer.start()
    await using cluster = await openCluster(2, { connection: own.path })
    origin().serve('/lost.bin', { content, bytesPerSecond: 16 * KiB })
    origin().serve('/done.bin', { content })
    const url = origin().url('/lost.bin')
    await withTimeout(
      (await cluster.at(0).download({ url: origin().url('/done.bin') })).finished,
      20_000,
      'a file',
    )
    await cluster.at(0).download({ url })
    await waitFor(() => cluster.managers.every((m) => (m.get(url)?.current.downloaded ?? 0) > 0), {
      what: 'all to see bytes',
    })
    await own.stop()
    origin().serve('/lost.bin', { content })
    await own.resume()
    await withTimeout(Promise.all(cluster.managers.map((m) => m.get(url)!.finished)), 30_000, 'the file')
    for (const manager of cluster.managers)
      expect(manager.list().map(({ state }) => state)).toEqual(['completed', 'completed'])
  })

  it('preloads once, whoever is asked, and any instance can tell and cancel', async () => {
    await using cluster = await openCluster(2)
    for (const key of ['a', 'b']) origin().serve(`/pre-${key}.bin`, { content, bytesPerSecond: 64 * KiB })
    const catalog = new Catalog(
      ['a', 'b'].map((key) => ({ key, name: key, url: origin().url(`/pre-${key}.bin`), mode: 'llm' })),
    )
    const preloaders = cluster.managers.map((manager) => new Preloader({ manager, catalog }))
    const [first, second] = preloaders as [Preloader, Preloader]
    await Promise.all(preloaders.map(({ ready }) => ready))
    const lines: string[] = []
    second.on('log', ({ line }) => lines.push(line))
    await first.start()
    await waitFor(() => second.status().running, { what: 'the other to know' })
    await expect(second.start()).rejects.toMatchObject({ code: 'CONFLICT' })
    await second.cancel()
    expect(second.status()).toMatchObject({ running: false, success_flag: false })
    await waitFor(() => !first.status().running, { what: 'the run to end' })
    // Its leader closes in the middle.
    await waitFor(
      () =>
        second.start().then(
          () => true,
          () => false,
        ),
      { what: 'another run' },
    )
    await second.close()
    const end = await withTimeout(first.finished(), 30_000, 'the run')
    expect(end).toMatchObject({ success_flag: true, completed: 2 })
    expect(lines.length).toBeGreaterThan(1)
    await first.close()
  })
})

function isRunning(manager: DownloadManager, url: string): boolean {
  return manager.get(url)?.state === 'downloading' && (manager.get(url)?.current.connections ?? 0) > 0
}

function logged(manager: DownloadManager, start: string): string[] {
  const said: string[] = []
  manager.on('log', ({ message }) => {
    if (message.startsWith(start)) said.push(message)
  })
  return said
}

/**
 * Proof 4 of clusters: whatever happens to Redis, no download fails, none is fetched twice, commands are refused with a time
 * to ask again, and questions are answered. The time that `leaseMs` means is in `test/soak/cluster.test.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { type BullmqClusterOptions, bullmqCluster } from '../../src/cluster/bullmq/bullmq.js'
import { createHandler, type DownloadManager } from '../../src/index.js'
import { KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { ownPort } from '../support/ports.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { sha256File, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

const content = randomContent(256 * KiB, 'trouble')

/** So much arrives before the trouble, and the rest once the origin is told. */
const first = 64 * KiB

const withoutFile = ['--save', '', '--appendonly', 'no']
const withFile = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always']

describeWith(redisServer, 'a cluster whose Redis has trouble', () => {
  const origin = shared(() => startOrigin())
  let round = 0

  /** Two instances, and a download that one of them has begun. */
  async function openCluster(connection: string, options: Partial<BullmqClusterOptions> = {}) {
    const directory = tempDir('trouble')
    const path = `/trouble-${(round += 1)}.bin`
    let isOpen = false
    const managers = ['one', 'two'].map((node) =>
      makeManager(directory, {
        store: undefined,
        connections: 1,
        tuning: { bodyTimeoutMs: 600_000 },
        cluster: bullmqCluster({ connection, prefix: `trouble-${round}`, node, leaseMs: 20_000, ...options }),
      } as never),
    )
    await Promise.all(managers.map((manager) => manager.ready))
    const said = managers.map((manager) => {
      const messages: string[] = []
      manager.on('log', ({ message }) => {
        messages.push(message)
      })
      return messages
    })
    const faults = [
      { type: 'stallBody', afterBytes: first, until: () => isOpen, when: () => !isOpen } as const,
    ]
    origin().serve(path, { content, faults })
    const url = origin().url(path)
    await managers[0]!.download({ url })
    await waitFor(() => managers.every((manager) => manager.get(url)?.current.downloaded === first), {
      ...{ what: 'all to see the first bytes', timeoutMs: 20_000 },
    })
    const noticed = (text: string) =>
      waitFor(() => said.every((messages) => messages.some((message) => message.includes(text))), {
        ...{ what: `all to say “${text}”`, timeoutMs: 30_000 },
      })
    return {
      ...{ managers, url, path, directory, said },
      away: () => noticed("can't be reached"),
      back: () => noticed('can be reached again'),
      /** The rest may arrive. */
      goOn: () => {
        isOpen = true
      },
      /** All instances have the file in the end, and not a byte of it was fetched twice. */
      async completes(): Promise<void> {
        isOpen = true
        const files = await withTimeout(
          Promise.all(managers.map((manager) => manager.get(url)!.finished)),
          60_000,
          'the file',
        )
        expect(await sha256File(files[0]!.path)).toBe(content.sha256())
        expect(origin().bytesSent(path)).toBe(content.size)
        for (const manager of managers)
          expect(manager.list().map(({ state }) => state)).toEqual(['completed'])
      },
      async [Symbol.asyncDispose]() {
        await withTimeout(
          Promise.all(managers.map((manager) => manager.close())),
          20_000,
          'the managers to close',
        )
      },
    }
  }

  /** Over HTTP, since callers see it there: commands are refused for now, and questions are answered. */
  async function expectReadOnly(managers: readonly DownloadManager[], url: string): Promise<void> {
    for (const manager of managers) {
      const handler = createHandler({ manager, allowedHosts: [new URL(url).host] })
      const ask = (path: string, body?: object) =>
        handler(
          new Request(`http://localhost${path}`, {
            ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
            headers: { 'content-type': 'application/json' },
          }),
          { remoteAddress: '127.0.0.1' },
        )
      for (const verb of ['pause', 'cancel']) {
        const refused = await ask(`/api/models/download/${verb}`, { url })
        expect([refused.status, Number(refused.headers.get('retry-after')) > 0]).toEqual([503, true])
      }
      const fresh = await ask('/api/models/download', { url: new URL('/another.bin', url).href })
      expect([fresh.status, Number(fresh.headers.get('retry-after')) > 0]).toEqual([503, true])
      const status = await ask(`/api/models/download/status?url=${encodeURIComponent(url)}`)
      expect([status.status, await status.json()]).toMatchObject([200, { download: { url } }])
      handler.close()
    }
  }

  it.each([
    { how: 'is killed and started again, with its file', settings: withFile },
    { how: 'is killed and started again, without a file', settings: withoutFile },
  ])('goes on when Redis $how', async ({ settings }) => {
    await using redis = await RedisServer.start(settings)
    await using cluster = await openCluster(redis.path)
    await redis.stop()
    await cluster.away()
    await expectReadOnly(cluster.managers, cluster.url)
    await redis.resume()
    await cluster.back()
    await cluster.completes()
  })

  it('goes on when Redis has lost everything', async () => {
    await using redis = await RedisServer.start()
    await using cluster = await openCluster(redis.path)
    const client = redis.client()
    await client.flushall()
    client.disconnect()
    await waitFor(() => cluster.said.flat().some((message) => message.includes('has lost data')), {
      ...{ what: 'one to notice', timeoutMs: 30_000 },
    })
    await cluster.completes()
  })

  it('goes on when Redis is silent, and when its connections are cut', async () => {
    const port = await ownPort()
    await using redis = await RedisServer.start([...withoutFile, '--port', String(port)])
    expect(await redis.isUp()).toBe(true)
    await using proxy = await startTcpProxy(port)
    await using cluster = await openCluster(`redis://127.0.0.1:${proxy.port}`)
    const troubles: ((proxy: TcpProxy) => void)[] = [
      (to) => to.cut(),
      (to) => {
        to.refuse()
        to.resetAll()
      },
    ]
    for (const trouble of troubles) {
      for (const messages of cluster.said) messages.length = 0
      trouble(proxy)
      await cluster.away()
      await expectReadOnly(cluster.managers, cluster.url)
      proxy.restore()
      await cluster.back()
    }
    await cluster.completes()
  })

  it('keeps the bytes when Redis is away for longer than the lease, and goes on from them', async () => {
    await using redis = await RedisServer.start(withFile)
    await using cluster = await openCluster(redis.path, { leaseMs: 5_000 })
    await redis.stop()
    await cluster.away()
    const { path } = cluster
    await waitFor(
      () =>
        origin()
          .requests(path)
          .every(({ outcome }) => outcome !== 'open'),
      {
        ...{ what: 'the transfer to stop', timeoutMs: 20_000 },
      },
    )
    const sent = origin().bytesSent(path)
    expect(sent).toBe(first)
    await expectReadOnly(cluster.managers, cluster.url)
    expect(origin().bytesSent(path), 'nobody fetches without a lease').toBe(sent)
    await redis.resume()
    await cluster.completes()
  })

  it('goes to the end without Redis, if each instance has its own disk', async () => {
    await using redis = await RedisServer.start(withFile)
    await using cluster = await openCluster(redis.path, { leaseMs: 1_500, onStoreLost: 'continue' })
    const { managers, url, path } = cluster
    await redis.stop()
    await cluster.away()
    await sleep(2 * 1_500)
    cluster.goOn()
    await waitFor(() => managers.some((manager) => manager.get(url)?.state === 'completed'), {
      ...{ what: 'the file', timeoutMs: 60_000 },
    })
    expect(origin().requests(path)).toHaveLength(1)
    await redis.resume()
    await cluster.completes()
  })

  it('goes on when Redis has no memory left, and takes commands again once it has', async () => {
    await using redis = await RedisServer.start()
    await using cluster = await openCluster(redis.path, { leaseMs: 5_000 })
    const { managers, url } = cluster
    const client = redis.client()
    await client.config('SET', 'maxmemory', '1')
    await expect(client.set('more', 'x')).rejects.toThrow('OOM')
    // A caller who asks before anybody has noticed is refused as well.
    const fresh = { url: new URL('/another.bin', url).href }
    for (const manager of managers)
      await expect(manager.download(fresh)).rejects.toMatchObject({ code: 'STORE_ERROR', retryable: true })
    await cluster.away()
    await expectReadOnly(managers, url)
    await waitFor(
      () =>
        origin()
          .requests(cluster.path)
          .every(({ outcome }) => outcome !== 'open'),
      {
        ...{ what: 'the transfer to stop', timeoutMs: 20_000 },
      },
    )
    for (const manager of managers) expect(manager.get(url)?.state).not.toBe('failed')
    await client.config('SET', 'maxmemory', '0')
    client.disconnect()
    await cluster.completes()
  })

  it('refuses a Redis that would delete records, and warns of one that would forget them', async () => {
    await using redis = await RedisServer.start()
    const client = new Redis(redis.path)
    const open = () =>
      makeManager(tempDir('policy'), {
        store: undefined,
        cluster: bullmqCluster({ connection: redis.path, prefix: 'policy' }),
      } as never)
    try {
      for (const policy of ['allkeys-lru', 'volatile-ttl']) {
        await client.config('SET', 'maxmemory-policy', policy)
        const manager = open()
        await expect(manager.ready).rejects.toMatchObject({
          ...{ code: 'STORE_ERROR', retryable: false },
          message: expect.stringContaining(policy) as unknown,
        })
        await manager.close()
      }
      await client.config('SET', 'maxmemory-policy', 'noeviction')
      for (const appendonly of ['no', 'yes']) {
        await client.config('SET', 'appendonly', appendonly)
        const manager = open()
        const warnings: string[] = []
        manager.on('log', ({ level, message }) => {
          if (level === 'warn') warnings.push(message)
        })
        await manager.ready
        expect(warnings.some((message) => message.includes('appendonly'))).toBe(appendonly === 'no')
        await manager.close()
      }
    } finally {
      client.disconnect()
    }
  })
})

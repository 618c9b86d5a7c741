/** The proofs of clusters that take their full times: instances that are killed, frozen, and left without Redis. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Instance } from '../cluster/instances.js'
import { clusterStorm, describeStorm, medianOf } from '../cluster/storm.js'
import { KiB } from '../faults/harness.js'
import { seededRandom } from '../faults/killing.js'
import { randomContent } from '../support/content.js'
import { container, describeWith, type Need, namespaces } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { ownPort } from '../support/ports.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { startTcpProxy } from '../support/tcp-proxy.js'
import { sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { soakSeed } from './rounds.js'

const both: Need = {
  missing: `${redisServer.missing}; ${namespaces.missing}`,
  available: () => redisServer.available() && namespaces.available(),
}

/** How long an instance is frozen, with the leases of the defaults. */
const frozenMs = 60_000

/** How long Redis is away or silent. */
const awayMs = 30_000

const content = randomContent(8 * 1_048_576, 'cluster soak')

describeWith(both, 'a cluster, in full length', () => {
  it('ten minutes of kill -9', { timeout: 3_600_000 }, async () => {
    const seed = soakSeed()
    const outcome = await clusterStorm({
      ...{ instances: 3, downloads: 200, bytes: 6_144 * KiB, bytesPerSecond: 200 * KiB },
      // Any two instances have slots for all that run, so that nothing is measured but how long a death goes unnoticed.
      ...{ concurrency: 8, clusterConcurrency: 8 },
      ...{ leaseMs: 6_000, killEveryMs: 10_000, containers: true, deadlineMs: 3_000_000 },
      random: seededRandom(seed),
    })
    console.log(`${describeStorm(outcome)} (seed ${seed})`)
    const { wrong, odd, lost, refused, againBytes, allowedAgainBytes, takeOversMs } = outcome
    expect({ wrong, odd, lost, refused }).toEqual({ wrong: [], odd: [], lost: [], refused: [] })
    expect(againBytes).toBeLessThanOrEqual(allowedAgainBytes)
    expect(medianOf(takeOversMs)).toBeLessThanOrEqual(10_000)
  })

  it('an instance that is frozen for a minute', { timeout: 900_000 }, async () => {
    await using redis = await RedisServer.start()
    await using origin = await startOrigin()
    origin.serve('/frozen.bin', { content, bytesPerSecond: 64 * KiB })
    const directory = join(tempDir('frozen'), 'models')
    const open = (node: string) =>
      new Instance(
        {
          directory,
          cluster: { connection: redis.path, prefix: 'frozen', node },
          manager: { connections: 1 },
          allowedHosts: [`127.0.0.1:${origin.port}`],
        },
        container(node),
      )
    await using one = await open('one').ready()
    const url = origin.url('/frozen.bin')
    await one.client.download({ url })
    await waitFor(async () => (await one.client.status(url)).downloaded > 0, {
      what: 'some bytes',
      timeoutMs: 30_000,
    })
    await using two = await open('two').ready()
    await signalInside(one, 'SIGSTOP')
    await sleep(frozenMs)
    await waitFor(async () => (await two.client.status(url)).state === 'downloading', {
      ...{ what: 'the take-over', timeoutMs: 30_000 },
    })
    await signalInside(one, 'SIGCONT')
    for (const { client, node } of [one, two])
      await waitFor(async () => (await client.status(url)).state === 'completed', {
        ...{ what: `${node} to have it`, timeoutMs: 300_000 },
      })
    expect(await sha256File(join(directory, 'frozen.bin'))).toBe(content.sha256())
  })

  it('half a minute without Redis, and with one that is silent', { timeout: 900_000 }, async () => {
    const port = await ownPort()
    await using redis = await RedisServer.start(['--appendonly', 'yes', '--port', String(port)])
    await using proxy = await startTcpProxy(port)
    await using origin = await startOrigin()
    origin.serve('/away.bin', { content, bytesPerSecond: 64 * KiB })
    const directory = join(tempDir('away'), 'models')
    const open = (node: string) =>
      new Instance({
        directory,
        cluster: { connection: `redis://127.0.0.1:${proxy.port}`, prefix: 'away', node },
        manager: { connections: 1 },
        allowedHosts: [`127.0.0.1:${origin.port}`],
      })
    await using one = await open('one').ready()
    await using two = await open('two').ready()
    const url = origin.url('/away.bin')
    await one.client.download({ url })
    const isDownloading = () =>
      waitFor(async () => (await two.client.status(url)).state === 'downloading', {
        ...{ what: 'it to run', timeoutMs: 60_000 },
      })
    await isDownloading()
    await redis.stop()
    await sleep(awayMs)
    await redis.resume()
    await isDownloading()
    await sleep(5_000)
    proxy.cut()
    await sleep(awayMs)
    expect((await two.client.status(url)).state).not.toBe('failed')
    await expect(two.client.pause(url)).rejects.toMatchObject({ code: 'STORE_ERROR', retryable: true })
    proxy.restore()
    for (const { client, node } of [one, two])
      await waitFor(async () => (await client.status(url)).state === 'completed', {
        ...{ what: `${node} to have it`, timeoutMs: 300_000 },
      })
    expect(await sha256File(join(directory, 'away.bin'))).toBe(content.sha256())
    const again = origin.bytesSent('/away.bin') - content.size
    console.log(`twice half a minute without Redis: ${Math.round(again / 1_024)} KiB fetched again`)
    // What the two transfers that were ended had under way.
    expect(again).toBeLessThanOrEqual(2 * 64 * KiB)
  })
})

/** Stops an instance in its container, or lets it go on: the program that was started is only around it. */
async function signalInside({ process: { pid } }: Instance, signal: NodeJS.Signals): Promise<void> {
  const [child = ''] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
  process.kill(Number(child), signal)
}

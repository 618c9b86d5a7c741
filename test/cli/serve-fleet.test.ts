/** `serve` as a node of a fleet, and with a cluster: whole processes over a real Redis. */
import path from 'node:path'
import { expect, it } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { ownPort } from '../support/ports.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { sha256File } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { serveModel, startServe, writeCatalog } from './serving.js'

const env = { MODEL_DOWNLOADER_PEER_TOKEN: 'the-token-of-the-peers' }

describeWith(redisServer, 'serve, joined to others', () => {
  it('is a node of a fleet that gets a model from another one', async () => {
    await using redis = await RedisServer.start()
    await using origin = await startOrigin()
    const model = serveModel(origin, 'chat', 300_000)
    const catalog = writeCatalog([{ ...model.entry, mode: null }])
    const start = async (name: string, label: string) => {
      const port = await ownPort()
      const args = [
        ...['--fleet', '--redis', redis.url, '--catalog', catalog, '--node', name, '--labels', label],
        ...['--advertise', `http://127.0.0.1:${port}`, '--port', String(port), '--seeds', '1'],
        ...['--ready-when-preloaded', '--log-level', 'warn'],
      ]
      return await startServe(args, { env })
    }
    await using one = await start('one', 'gpu')
    await using two = await start('two', 'cpu')
    const readyOf = async (url: string) => (await fetch(`${url}/readyz`)).status
    await waitFor(async () => (await one.client.fleet.status()).nodes.length === 2, { what: 'both nodes' })
    await one.client.fleet.start({ nodes: 'label:gpu' })
    const stateAt = async (name: string) => (await two.client.fleet.status()).models['chat']?.[name]?.state
    await waitFor(async () => (await stateAt('one')) === 'ready', {
      timeoutMs: 30_000,
      what: 'the first node',
    })
    expect(await stateAt('two')).toBeUndefined()
    await two.client.fleet.start()
    await waitFor(async () => (await stateAt('two')) === 'ready', {
      timeoutMs: 30_000,
      what: 'the second node',
    })
    await waitFor(async () => (await readyOf(one.url)) === 200 && (await readyOf(two.url)) === 200, {
      timeoutMs: 30_000,
      what: 'both to be ready',
    })
    const sent = origin.requests(model.path).reduce((sum, { bytesSent }) => sum + bytesSent, 0)
    expect(sent).toBe(300_000)
    for (const { directory } of [one, two])
      expect(await sha256File(path.join(directory, 'chat.gguf'))).toBe(model.entry.sha256)
    // The fleet is not a cluster: each has its own downloads.
    await expect(one.client.cluster()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await one.process.kill('SIGTERM')).toMatchObject({ code: 0 })
  })

  it('is an instance of a cluster, which says so', async () => {
    await using redis = await RedisServer.start()
    const args = ['--redis', redis.url, '--node', 'here', '--cluster-limit-rate', '1M', '--lease-time', '2']
    await using server = await startServe([...args, '--redis-prefix', 'own'])
    const client = createClient({ baseUrl: server.url })
    expect(await client.cluster()).toMatchObject({
      instances: [{ node: 'here', self: true, absent: false }],
      limits: { max_bytes_per_second: 1024 * 1024, lease_ms: 2_000 },
    })
    expect(await client.permissions()).toMatchObject({ cluster: true, fleet: false })
    const keys = redis.client()
    expect((await keys.keys('*')).every((key) => key.startsWith('{own}'))).toBe(true)
    keys.disconnect()
  })
})

/** Several nodes that bring the models of a catalog to each other. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { existsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import {
  Catalog,
  createHandler,
  DownloadManager,
  Fleet,
  type FleetStore,
  MemoryFleetStore,
  Preloader,
} from '../../src/index.js'
import { createClient } from '../../src/client/index.js'
import { ClusterCoordinator } from '../../src/cluster/coordinator.js'
import { listen } from '../../src/http/node.js'
import { systemClock } from '../../src/util/clock.js'
import { randomContent } from '../support/content.js'
import { MemoryCluster } from '../support/memory-cluster.js'
import { type Origin, startOrigin } from '../support/origin.js'
import { sha256File, tempDir } from '../support/temp.js'
import { deadline, waitFor, withTimeout } from '../support/wait.js'

const token = 'the-token-of-the-cluster'
const base = tempDir('fleet')
const contents = ['a', 'b', 'c'].map((key) => ({ key, content: randomContent(200_000, `fleet ${key}`) }))
const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await withTimeout(close(), 10_000, 'closing')
})

async function origin(): Promise<Origin> {
  const made = await startOrigin()
  closing.push(() => made.close())
  for (const { key, content } of contents) made.serve(`/${key}.bin`, { content })
  return made
}

async function node(
  store: FleetStore,
  from: Origin,
  name: string,
  labels: string[] = [],
  { seeds = 1, absentMs = 1_000 }: { seeds?: number; absentMs?: number } = {},
) {
  const directory = await mkdtemp(join(base, `${name}-`))
  let fleet: Fleet | null = null
  const manager = new DownloadManager({
    ...{ directory, defaultMode: null, store: 'memory', worker: false, adopt: false },
    peers: { urls: (sha256) => fleet?.peersWith(sha256) ?? [], token },
  })
  const models = contents.map(({ key, content }) => {
    const entry = { key, name: key, url: from.url(`/${key}.bin`), mode: null, sha256: content.sha256() }
    return { ...entry, required: true, auto_download: key !== 'c', description: '' }
  })
  const preloader = new Preloader({ manager, catalog: new Catalog({ models }) })
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  // An address of TCP, as it listens on one.
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const member = new Fleet({
    ...{ manager, preloader, store, node: name, labels, url, seeds, heartbeatMs: 100, absentMs },
  })
  fleet = member
  const handler = createHandler({ manager, preloader, fleet: member, peers: { token } })
  server.on('request', (req, res) => {
    listen(handler, req, res)
  })
  const close = async () => {
    handler.close()
    await member.close()
    await preloader.close()
    await manager.close()
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  }
  let closed: Promise<void> | null = null
  const end = () => (closed ??= close())
  closing.push(end)
  return { directory, manager, fleet: member, url, end }
}

type Node = Awaited<ReturnType<typeof node>>

const stateOf = async ({ fleet }: Node, key: string, name: string) =>
  (await fleet.status()).models[key]?.[name]?.state

async function expectFiles({ directory }: Node, keys: string[]): Promise<void> {
  for (const { key, content } of contents) {
    if (keys.includes(key)) expect(await sha256File(join(directory, `${key}.bin`))).toBe(content.sha256())
  }
}

/** How often the origin has sent the bytes of a model. */
const served = (from: Origin, key: string) =>
  from.requests(`/${key}.bin`).reduce((sum, { bytesSent }) => sum + bytesSent, 0) / 200_000

describe('a fleet', () => {
  it('brings models to the nodes that are meant, from its origin once, and to one that comes late', async () => {
    const from = await origin()
    const store = new MemoryFleetStore()
    const one = await node(store, from, 'one', ['gpu'])
    const two = await node(store, from, 'two')
    const start = (query: string) =>
      fetch(`${two.url}/api/v1/models/preload/start?${query}`, { method: 'POST', body: null })
    const answer = await start('models=all&nodes=all')
    expect(await answer.json()).toMatchObject({ success: true, models: ['a', 'b'], force: false })
    expect((await start('models=c&nodes=label:gpu')).status).toBe(200)
    await waitFor(async () => (await one.fleet.isReady()) && (await two.fleet.isReady()), {
      what: 'both nodes',
    })
    await expectFiles(one, ['a', 'b', 'c'])
    await expectFiles(two, ['a', 'b'])
    expect(await stateOf(one, 'c', 'two')).toBeUndefined()
    const late = await node(store, from, 'late', ['gpu'])
    await waitFor(() => late.fleet.isReady(), { what: 'the late node' })
    await expectFiles(late, ['a', 'b', 'c'])
    expect(['a', 'b', 'c'].map((key) => served(from, key))).toEqual([1, 1, 1])
    // A node that is gone is shown as such.
    await late.end()
    await waitFor(async () => (await stateOf(one, 'a', 'late')) === 'absent', { what: 'its absence' })
    const status = await fetch(`${one.url}/api/v1/models/fleet/status`)
    expect(await status.json()).toMatchObject({
      success: true,
      nodes: [
        { name: 'late', absent: true, ready: false },
        { name: 'one', labels: ['gpu'], absent: false, ready: true },
        { name: 'two', absent: false, ready: true },
      ],
      models: { a: { one: { state: 'ready', percent: 100, error: null } } },
    })
  })

  it('tells each change as an event, and refuses what it can not do', async () => {
    const from = await origin()
    const one = await node(new MemoryFleetStore(), from, 'one')
    const stop = new AbortController()
    const stream = await fetch(`${one.url}/api/v1/models/fleet/events`, { signal: stop.signal })
    let text = ''
    const reading = (async () => {
      for await (const chunk of stream.body ?? []) text += Buffer.from(chunk).toString()
    })().catch(() => undefined)
    await one.fleet.start(['a'], 'one')
    await waitFor(() => text.includes('"state":"ready"'), { what: 'the event' })
    stop.abort()
    await reading
    const start = async (query: string) => {
      const response = await fetch(`${one.url}/api/v1/models/preload/start?${query}`, { method: 'POST' })
      return [response.status, await response.json()]
    }
    for (const query of [
      'models=x&nodes=all',
      'nodes=a%20b',
      'nodes=all&force=true',
      'nodes=all&output_dir=x',
    ])
      expect(await start(query)).toMatchObject([400, { code: 'INVALID_OPTIONS' }])
  })

  it('takes back what nodes were to have: they stop fetching it, and keep what they have', async () => {
    const from = await origin()
    const store = new MemoryFleetStore()
    const one = await node(store, from, 'one', ['gpu'])
    const client = createClient({ baseUrl: one.url })
    await client.fleet.start({ models: ['a'], nodes: 'one' })
    await waitFor(() => one.fleet.isReady(), { what: 'the node' })
    from.serve('/b.bin', { ...contents[1], bytesPerSecond: 50_000 })
    await client.fleet.start({ models: ['b', 'c'], nodes: 'one,label:gpu,label:cpu' })
    await waitFor(async () => (await stateOf(one, 'b', 'one')) === 'downloading', { what: 'its begin' })
    // Nobody has asked for it in this way, and it is still selected in another one.
    expect(await client.fleet.stop({ models: ['b'], nodes: 'two' })).toMatchObject({ models: [] })
    expect(await client.fleet.stop({ models: ['b'], nodes: 'one' })).toEqual({
      success: true,
      models: ['b'],
      wishes: [
        { key: 'b', nodes: 'label:cpu' },
        { key: 'b', nodes: 'label:gpu' },
      ],
    })
    expect(await stateOf(one, 'b', 'one')).toBe('downloading')
    expect(await client.fleet.stop({ models: ['b'], nodes: 'label:gpu' })).toMatchObject({
      models: ['b'],
      wishes: [{ key: 'b', nodes: 'label:cpu' }],
    })
    await waitFor(async () => (await stateOf(one, 'b', 'one')) === undefined, { what: 'it to be given up' })
    await waitFor(() => one.fleet.isReady(), { what: 'the others to go on' })
    await expectFiles(one, ['a', 'c'])
    expect(existsSync(join(one.directory, 'b.bin'))).toBe(false)
    await waitFor(() => one.manager.get(from.url('/b.bin'))?.state === 'canceled', { what: 'its end' })
    expect((await store.read()).claims['b'] ?? []).toEqual([])
    expect(await client.fleet.stop()).toEqual({ success: true, models: ['a', 'b', 'c'], wishes: [] })
    expect(await client.fleet.stop()).toEqual({ success: true, models: [], wishes: [] })
    await expectFiles(one, ['a', 'c'])
    expect(await stateOf(one, 'a', 'one')).toBe('ready')
    for (const request of [{ models: ['x'] }, { nodes: 'a b' }])
      await expect(client.fleet.stop(request)).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
    // What the catalog does not have any more can be taken back.
    await store.wish([{ key: 'old', nodes: 'one' }])
    expect(await client.fleet.stop({ models: ['old'] })).toMatchObject({ models: ['old'], wishes: [] })
  })

  it('refuses a manager of a cluster, whose files are not its own', async () => {
    const backend = new MemoryCluster(systemClock, 20_000).join('one')
    const limits = { clusterConcurrency: null, clusterMaxBytesPerSecond: null }
    const settings = { backend, queue: null, ...limits, secret: null, onStoreLost: 'stop' } as const
    const manager = new DownloadManager({
      ...{ directory: base, worker: false },
      // What bullmqCluster() returns, over another store.
      cluster: { join: () => new ClusterCoordinator(settings, systemClock) },
    })
    closing.push(() => manager.close())
    const preloader = new Preloader({ manager, catalog: new Catalog({ models: [] }) })
    closing.push(() => preloader.close())
    const options = { manager, preloader, store: new MemoryFleetStore(), node: 'one' }
    expect(() => new Fleet(options)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/^Fleet options: manager: must not belong to a cluster/),
      }),
    )
  })

  it('goes on with another node when the one that fetches is gone, and says what has failed', async () => {
    const from = await origin()
    const store = new MemoryFleetStore()
    from.serve('/a.bin', { ...contents[0], bytesPerSecond: 50_000 })
    from.serve('/b.bin', { status: 404 })
    const one = await node(store, from, 'one')
    await one.fleet.start(['a'], 'all')
    await waitFor(async () => (await stateOf(one, 'a', 'one')) === 'downloading', { what: 'its begin' })
    const two = await node(store, from, 'two')
    await waitFor(async () => (await stateOf(two, 'a', 'two')) === 'waiting', { what: 'the wait' })
    from.serve('/a.bin', { ...contents[0] })
    await one.end()
    await waitFor(() => two.fleet.isReady(), { what: 'the other node' })
    await two.fleet.start(['b'], 'two')
    await waitFor(async () => (await stateOf(two, 'b', 'two')) === 'failed', { what: 'the failure' })
    expect((await two.fleet.status()).models['b']?.['two']?.error).toContain('404')
  })

  it('keeps to its seeds when all nodes begin at once', async () => {
    const from = await origin()
    const store = new MemoryFleetStore()
    await store.wish([{ key: 'a', nodes: 'all' }])
    from.serve('/a.bin', { ...contents[0], bytesPerSecond: 100_000 })
    const patient = { seeds: 2, absentMs: 60_000 }
    const nodes = await Promise.all(
      ['one', 'two', 'three', 'four'].map((name) => node(store, from, name, [], patient)),
    )
    for (const { fleet } of nodes)
      await waitFor(() => fleet.isReady(), { what: `${fleet.node} to be ready`, timeoutMs: 30_000 })
    expect(served(from, 'a')).toBe(2)
  })

  it('has each model fetched twice at most by five nodes, one of which dies and one is late', async () => {
    const from = await origin()
    for (const { key, content } of contents) from.serve(`/${key}.bin`, { content, bytesPerSecond: 100_000 })
    const store = new MemoryFleetStore()
    // A node that is only slow must not be taken for a dead one.
    const patient = { seeds: 2, absentMs: deadline(2_000) }
    const join = async (name: string) => {
      const mortal = mortalStore(store)
      return { ...(await node(mortal, from, name, [], patient)), name, mortal }
    }
    const nodes = await Promise.all(['one', 'two', 'three', 'four'].map(join))
    await nodes[0]!.fleet.start(['a', 'b', 'c'], 'all')
    const dying = await waitFor(
      async () => {
        for (const each of nodes)
          if ((await each.fleet.status()).models['a']?.[each.name]?.state === 'downloading') return each
        return null
      },
      { what: 'one that fetches' },
    )
    await waitFor(() => contents.some(({ key }) => served(from, key) > 0), { what: 'some bytes' })
    // Nobody hears of it any more, and it gives nothing up.
    dying!.mortal.isDead = true
    await dying!.end()
    const before = new Map(contents.map(({ key }) => [key, served(from, key)]))
    const late = await join('late')
    const living = [...nodes.filter((each) => each !== dying), late]
    for (const each of living) {
      await waitFor(() => each.fleet.isReady(), { what: `${each.name} to be ready`, timeoutMs: 60_000 })
      await expectFiles(each, ['a', 'b', 'c'])
    }
    // Twice, and what the dead one had of its copy.
    for (const { key } of contents)
      expect(served(from, key)).toBeLessThanOrEqual(2 + Math.min(1, before.get(key)!))
    await waitFor(async () => (await stateOf(late, 'a', dying!.name)) === 'absent', { what: 'its absence' })
  })
})

/** The store as one node sees it, which can die. */
function mortalStore(store: FleetStore): FleetStore & { isDead: boolean } {
  const living = <T>(task: () => Promise<T>): Promise<T> =>
    mortal.isDead ? Promise.reject(new Error('dead')) : task()
  const mortal = {
    isDead: false,
    read: () => living(() => store.read()),
    wish: (...args: Parameters<FleetStore['wish']>) => living(() => store.wish(...args)),
    unwish: (...args: Parameters<FleetStore['unwish']>) => living(() => store.unwish(...args)),
    report: (...args: Parameters<FleetStore['report']>) => living(() => store.report(...args)),
    claim: (...args: Parameters<FleetStore['claim']>) => living(() => store.claim(...args)),
    release: (...args: Parameters<FleetStore['release']>) => living(() => store.release(...args)),
    watch: (changed: () => void) => store.watch(changed),
    close: () => Promise.resolve(),
  }
  return mortal
}

/**
 * FAULTS.md row 42 through the routes, over real sockets: whoever asks over HTTP reaches no forbidden host,
 * however it is spelled and by whatever detour. `test/faults/ssrf.test.ts` holds the same of the engine.
 */
import { describe, expect, it } from 'vitest'
import { createHandler, type HandlerOptions } from '../../src/http/handler.js'
import { listen } from '../../src/http/node.js'
import type { DownloadList, WireDownload } from '../../src/http/schemas.js'
import type { DownloadManagerOptions } from '../../src/index.js'
import { loopbackSpellings, otherForbidden, startCanary } from '../support/canary.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { fails, KiB, makeManager, MiB } from '../faults/harness.js'
import { byUrl, type Json } from './bench.js'
import { closeServer, serve } from './serving.js'

const forbidden = [...loopbackSpellings, ...otherForbidden]
/** The spelling is judged before the scheme, so https needs fewer of them. */
const hostsOf = { http: forbidden, https: forbidden.filter((_, index) => index % 5 === 0) }
const download = '/api/models/download'

interface Answer {
  status: number
  body: Json
}

/** The routes over a manager, on a server of its own. */
async function startRest(
  directory: string,
  {
    manager: of = {},
    hosts = forbidden,
    ...options
  }: Partial<Omit<HandlerOptions, 'manager'>> & {
    manager?: DownloadManagerOptions
    hosts?: readonly string[]
  } = {},
) {
  const manager = makeManager(directory, {
    concurrency: 16,
    defaultMode: 'llm',
    ...of,
    tuning: { maxAttempts: 2, ...of.tuning },
  })
  const retries: string[] = []
  manager.on('retrying', (event) => retries.push(event.download.url))
  const handler = createHandler({ manager, ...options })
  const { server, url } = await serve((req, res) => {
    listen(handler, req, res)
  })
  const ask = async (method: string, path: string, json?: unknown): Promise<Answer> => {
    const init = { method, ...(json === undefined ? {} : { body: JSON.stringify(json) }) }
    const headers = { 'Content-Type': 'application/json' }
    const response = await withTimeout(fetch(url + path, { ...init, headers }), 10_000, `${method} ${path}`)
    return { status: response.status, body: (await response.json()) as Json } // tests look at it with matchers
  }
  const list = async (): Promise<Record<string, WireDownload>> => {
    const { body } = await ask('GET', `${download}/status`)
    return (body as DownloadList).downloads // other tests hold it against its schema
  }
  /** Asks for one file of each host. */
  const askAll = async (urlOf: (host: string) => string, more: Json = {}) => {
    for (const [index, host] of hosts.entries()) {
      const wanted = { url: urlOf(host), filename: `${index}.bin`, ...more }
      expect((await ask('POST', download, wanted)).status, host).toBe(200)
    }
  }
  /** Moves all that is known in the same way. */
  const moveAll = async (move: 'retry' | 'resume' | 'pause', status: number) => {
    for (const known of Object.keys(await list())) {
      expect((await ask('POST', `${download}/${move}`, { url: known })).status, known).toBe(status)
    }
  }
  /** Waits until all are settled, and tells of those that did not end as they should. */
  const escaped = async (): Promise<Record<string, unknown>> => {
    const all = await waitFor(
      async () => {
        const found = Object.values(await list())
        return found.every(({ status }) => status !== 'downloading') ? found : null
      },
      { what: 'all to be settled', timeoutMs: 15_000 },
    )
    if (all?.length !== hosts.length) throw new Error(`There are ${all?.length} of ${hosts.length}.`)
    return Object.fromEntries(
      all
        .filter(({ status, code }) => status !== 'failed' || code !== 'SSRF_BLOCKED')
        .map(({ url: at, state, code }) => [at, [state, code]]),
    )
  }
  return {
    ...{ manager, url, retries, ask, list, askAll, moveAll, escaped },
    async [Symbol.asyncDispose]() {
      handler.close()
      await closeServer(server)
      await withTimeout(manager.close(), 5_000, 'the manager to close')
    },
  }
}

describe('a forbidden host', () => {
  it('would be reached if it were not for the policy', async () => {
    await using canary = await startCanary()
    await using rest = await startRest(tempDir('ssrf'), {
      allowPrivateNetwork: true,
      manager: { tuning: { maxAttempts: 1 } },
    })
    const spellings = loopbackSpellings.filter((host) => canary.ipv6 || !host.startsWith('['))
    expect(spellings.length).toBeGreaterThan(30)
    for (const [index, host] of spellings.entries()) {
      const before = canary.connections
      const url = `http://${host}:${canary.port}/model.bin`
      await rest.ask('POST', download, { url, filename: `${index}.bin` })
      await waitFor(() => canary.connections > before, { what: `${host} to be reached` })
    }
  })

  it.each(['http', 'https'] as const)(
    'is not reached over %s: neither at first, nor on retry, nor when asked again, whatever the body says',
    async (scheme) => {
      expect(forbidden.length).toBeGreaterThan(100)
      await using canary = await startCanary()
      const directory = tempDir('ssrf')
      await using rest = await startRest(directory, { hosts: hostsOf[scheme] })
      const url = (host: string) => `${scheme}://${host}:${canary.port}/model.bin`
      await rest.askAll(url)
      expect(await rest.escaped()).toEqual({})
      await rest.moveAll('retry', 200)
      expect(await rest.escaped()).toEqual({})
      // Callers can't set the options that open the network.
      await rest.askAll(url, {
        remote: false,
        allowPrivateNetwork: true,
        allow_private_network: true,
        allowedHosts: ['127.0.0.1', 'localhost', '[::1]'],
        headers: { Host: 'example.com' },
        connections: 64,
      })
      expect(await rest.escaped()).toEqual({})
      expect(rest.retries).toEqual([])
      expect(canary.connections).toBe(0)
      expect(await listTree(directory)).toEqual([])
    },
  )

  it.each(['http', 'https'] as const)(
    'is not reached by a redirect to %s, not even from an allowed host',
    async (scheme) => {
      await using canary = await startCanary()
      await using origin = await startOrigin()
      const allowedHosts = [`127.0.0.1:${origin.port}`]
      const hosts = hostsOf[scheme]
      await using rest = await startRest(tempDir('ssrf'), { allowedHosts, hosts })
      for (const [index, host] of hosts.entries()) {
        // Headers must be ASCII.
        const name = host.replace(/\P{ASCII}/gu, encodeURIComponent)
        const there = `${scheme}://${name}:${canary.port}/model.bin`
        const redirectStatus = [301, 302, 303, 307, 308][index % 5] ?? 302
        origin.serve(`/second/${index}`, { redirect: there, redirectStatus })
        origin.serve(`/${index}`, {
          redirect: index % 2 === 0 ? `/second/${index}` : there,
          redirectStatus,
        })
      }
      await rest.askAll((host) => origin.url(`/${hosts.indexOf(host)}`))
      expect(await rest.escaped()).toEqual({})
      await rest.moveAll('retry', 200)
      expect(await rest.escaped()).toEqual({})
      // Each was asked for twice, and every other one has a second hop.
      expect(origin.requests()).toHaveLength(2 * hosts.length + 2 * Math.ceil(hosts.length / 2))
      expect(canary.connections).toBe(0)
    },
  )

  it('is not reached after a restart: waiting, paused and resumed, or failed and retried', async () => {
    await using canary = await startCanary()
    await using origin = await startOrigin()
    origin.serve('/slow.bin', { content: randomContent(256 * MiB), bytesPerSecond: 256 * KiB })
    const directory = tempDir('ssrf')
    const url = (host: string) => `http://${host}:${canary.port}/model.bin`
    const open = (manager: DownloadManagerOptions = {}) =>
      startRest(directory, { manager: { store: 'file', ...manager } })
    /** The one that holds the only slot, so that the others wait. */
    const block = async (rest: Awaited<ReturnType<typeof open>>) => {
      const slow = await rest.manager.download({ url: origin.url('/slow.bin') })
      await waitFor(() => slow.state === 'downloading', { what: 'the slot to be taken' })
    }
    const unblock = async (rest: Awaited<ReturnType<typeof open>>) => {
      const path = `${download}${byUrl(origin.url('/slow.bin'))}`
      expect((await rest.ask('DELETE', path)).status).toBe(200)
    }
    {
      await using rest = await open({ concurrency: 1 })
      await block(rest)
      await rest.askAll(url)
      const states = Object.values(await rest.list()).map(({ state }) => state)
      expect(states.filter((state) => state === 'queued')).toHaveLength(forbidden.length)
      for (const host of forbidden.filter((_, index) => index % 2 === 0)) {
        expect((await rest.ask('POST', `${download}/pause`, { url: url(host) })).status).toBe(200)
      }
    }
    {
      await using rest = await open()
      await unblock(rest)
      for (const host of forbidden.filter((_, index) => index % 2 === 0)) {
        expect((await rest.ask('POST', `${download}/resume`, { url: url(host) })).status).toBe(200)
      }
      expect(await rest.escaped(), 'waiting, and paused').toEqual({})
    }
    {
      await using rest = await open()
      await rest.moveAll('retry', 200)
      expect(await rest.escaped(), 'failed').toEqual({})
    }
    expect(canary.connections).toBe(0)
  })

  it('is not reached by way of a download that the host program may make', async () => {
    await using canary = await startCanary()
    await using rest = await startRest(tempDir('ssrf'))
    const url = `http://127.0.0.1:${canary.port}/model.bin`
    await fails(await rest.manager.download({ url }))
    const own = canary.connections
    expect(own).toBeGreaterThan(0)
    // Requests over HTTP count as remote.
    expect((await rest.ask('POST', download, { url })).status).toBe(200)
    const { body } = await waitFor(
      async () => {
        const answer = await rest.ask('GET', `${download}/status${byUrl(url)}`)
        return (answer.body['download'] as WireDownload).state === 'failed' ? answer : null
      },
      { what: 'it to fail' },
    ).then((answer) => answer!)
    expect(body).toMatchObject({ download: { code: 'SSRF_BLOCKED', status: 'failed', progress: 0 } })
    expect((await rest.ask('POST', `${download}/retry`, { url })).status).toBe(200)
    await waitFor(() => rest.manager.get(url)?.state === 'failed', { what: 'it to fail again' })
    expect(canary.connections).toBe(own)
  })

  it('is not named in what a caller gets to read', async () => {
    await using canary = await startCanary()
    await using origin = await startOrigin()
    origin.serve('/model.bin', { redirect: `http://localhost:${canary.port}/secret-path?token=secret` })
    const allowedHosts = [`127.0.0.1:${origin.port}`]
    await using rest = await startRest(tempDir('ssrf'), { allowedHosts })
    const url = origin.url('/model.bin')
    await rest.ask('POST', download, { url })
    await waitFor(() => rest.manager.get(url)?.state === 'failed', { what: 'it to fail' })
    const { body } = await rest.ask('GET', `${download}/status${byUrl(url)}`)
    expect(body).toMatchObject({ download: { code: 'SSRF_BLOCKED', error: expect.stringMatching(/\S/) } })
    expect(JSON.stringify(body)).not.toMatch(new RegExp(`localhost|secret|${canary.port}`))
    expect(canary.connections).toBe(0)
  })
})

describe('an address that is none for strangers', () => {
  it.each([
    'http://user@HOST/model.bin',
    'http://user:password@HOST/model.bin',
    'http://:password@HOST/model.bin',
    'http://example.com@HOST/model.bin',
    'http://example.com\\@HOST/model.bin',
    'http:\\\\HOST\\model.bin',
    'http://HOST/\tmodel.bin',
    'http://127.0.0\n.1/model.bin',
    ' http://HOST/model.bin',
    'http://HOST/model.bin\0',
    'file:///etc/passwd',
    'ftp://HOST/model.bin',
    'gopher://HOST/_GET',
    'data:,model',
    'blob:http://HOST/model.bin',
    'ws://HOST/model.bin',
    '//HOST/model.bin',
    'http://',
    'http://[::1/model.bin',
    'http://127.0.0.1.1.1/model.bin',
    'http://0x100000000/model.bin',
    'http://[fe80::1%25lo]/model.bin',
  ])('is refused at once: %j', async (spelling) => {
    await using canary = await startCanary()
    const directory = tempDir('ssrf')
    await using rest = await startRest(directory)
    const url = spelling.replace('HOST', `127.0.0.1:${canary.port}`)
    const { status, body } = await rest.ask('POST', download, { url })
    expect(status).toBe(400)
    expect(body).toMatchObject({ success: false, code: 'INVALID_URL', issues: [{ path: 'url' }] })
    expect(await rest.list()).toEqual({})
    expect(canary.connections).toBe(0)
    expect(await listTree(directory)).toEqual([])
  })
})

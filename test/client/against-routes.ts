/** The client against our own routes, over real sockets: those of one server, or of any instance of a cluster. */
import { createServer, type Server } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Catalog } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import { createClient, type Client } from '../../src/client/index.js'
import { createHandler, type HandlerOptions } from '../../src/http/handler.js'
import { listen } from '../../src/http/node.js'
import { DownloadManager } from '../../src/manager/manager.js'
import type { DownloadManagerOptions } from '../../src/manager/options.js'
import { seededRandom } from '../faults/killing.js'
import { ggufContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { collect, progressOf } from './following.js'
import { listenOn, listenOnOwnPort } from '../support/ports.js'

const random = seededRandom(16)

/**
 * Looks like a server process to a client: it can be killed, and restarted on the same port and folder. Of several instances,
 * each request goes to any.
 */
class Service {
  #instances: {
    manager: DownloadManager
    preloader: Preloader
    handler: ReturnType<typeof createHandler>
  }[] = []
  #server!: Server
  #port = 0
  streams = 0

  constructor(
    readonly directory: string,
    readonly options: Partial<HandlerOptions>,
    readonly models: readonly string[],
    readonly managers: readonly DownloadManagerOptions[],
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    this.#instances = this.managers.map((own) => {
      const manager = new DownloadManager({
        ...{ directory: this.directory, concurrency: 2, connections: 2 },
        ...own,
      })
      const preloader = new Preloader({
        manager,
        catalog: new Catalog(
          this.models.map((url, index) => ({
            ...{ key: `m${index}`, name: `Model ${index}`, url, filename: `m${index}.gguf`, mode: 'llm' },
            ...{ required: true, auto_download: true, description: '' },
          })),
        ),
      })
      return { manager, preloader, handler: createHandler({ manager, preloader, ...this.options }) }
    })
    await Promise.all(this.#instances.map(({ preloader }) => preloader.ready))
    this.#server = createServer((req, res) => {
      if (req.url?.includes('/events') === true) this.streams += 1
      listen(this.#instances[Math.floor(random() * this.#instances.length)]!.handler, req, res)
    })
    if (this.#port === 0) this.#port = await listenOnOwnPort(this.#server)
    else await listenOn(this.#server, this.#port)
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const { handler } of this.#instances) handler.close()
    this.#server.closeAllConnections()
    await closed
    for (const { manager, preloader } of this.#instances) {
      await preloader.close()
      await manager.close()
    }
  }
}

/**
 * Runs the cases.
 *
 * @param managersOf - options of the manager of each instance; one that shares nothing is no cluster.
 */
export function describeClient(name: string, managersOf: () => readonly DownloadManagerOptions[]): void {
  describe(name, () => {
    let origin: Origin
    let service: Service
    let client: Client
    const isCluster = () => service.managers.length > 1

    beforeEach(async () => {
      origin = await startOrigin()
      const models = ['/m0.gguf', '/m1.gguf'].map((path) => {
        origin.serve(path, { content: ggufContent(300_000), bytesPerSecond: 500_000 })
        return origin.url(path)
      })
      const options = { allowedHosts: [new URL(origin.origin).host] }
      service = new Service(tempDir('client'), options, models, managersOf())
      await service.start()
      client = createClient({ baseUrl: service.url, timeoutMs: 10_000 })
    })

    afterEach(async () => {
      await service.stop()
      await origin.close()
    })

    function serve(path: string, bytes: number, bytesPerSecond?: number): string {
      const content = ggufContent(bytes)
      origin.serve(path, { content, ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }) })
      return origin.url(path)
    }

    describe('a download', () => {
      it('is asked for and followed to its end', async () => {
        const url = serve('/a.gguf', 400_000, 400_000)
        expect(await client.download({ url, sha256: ggufContent(400_000).sha256() })).toEqual({
          ...{ success: true, url, filename: 'a.gguf', mode: 'llm', message: 'Download started' },
        })
        const { values, error } = await collect(client.follow(url))
        expect(error).toBeNull()
        const progress = progressOf(values)
        expect(progress).toEqual([...progress].sort((a, b) => a - b))
        expect(progress.length).toBeGreaterThan(2)
        expect(values.at(-1)).toMatchObject({
          state: 'completed',
          progress: 100,
          verified: true,
          total: 400_000,
        })
        expect(service.streams).toBe(1)
        expect(await client.status(url)).toEqual(values.at(-1))
        expect(await collect(client.follow(url))).toEqual({ values: [values.at(-1)], error: null })
      })

      it('is followed over a restart of the server', async () => {
        const url = serve('/b.gguf', 1_000_000, 500_000)
        await client.download({ url })
        const states: string[] = []
        let stopped = false
        const following = async () => {
          for await (const { state, downloaded } of client.follow(url)) {
            states.push(state)
            if (stopped || downloaded === 0) continue
            stopped = true
            await service.stop()
            setTimeout(() => void service.start(), 300)
          }
        }
        await withTimeout(following(), 15_000)
        expect(states.at(-1)).toBe('completed')
        expect(service.streams).toBe(2)
      })

      it('is paused, resumed, canceled, retried and removed, while others watch', async () => {
        const url = serve('/c.gguf', 10_000_000, 300_000)
        await client.download({ url })
        const watching = collect(client.follow(url))
        await waitFor(async () => (await client.status(url)).downloaded > 0)
        expect(await client.pause(url)).toMatchObject({ state: 'paused', status: 'downloading' })
        expect((await client.list({ state: 'paused' })).downloads).toHaveProperty([url])
        expect((await client.list({ state: 'failed' })).downloads).toEqual({})
        expect(await client.resume(url)).toMatchObject({ status: 'downloading' })
        expect(await client.cancel(url)).toMatchObject({
          state: 'canceled',
          status: 'failed',
          error: 'canceled',
        })
        const { values, error } = await watching
        expect(error).toBeNull()
        expect(values.map(({ state }) => state)).toContain('paused')
        expect(values.at(-1)?.state).toBe('canceled')
        expect(await client.retry(url)).toMatchObject({ status: 'downloading', error: null })
        const until = collect(client.follow(url))
        await waitFor(() => service.streams === 2)
        await client.remove(url)
        // It is canceled before it is forgotten, and which of the two is reported depends on when the stream opened.
        const { values: last, error: why } = await until
        if (why === null) expect(last.at(-1)?.state).toBe('canceled')
        else expect(why).toMatchObject({ code: 'UNKNOWN_DOWNLOAD' })
        expect((await client.list()).downloads).toEqual({})
        await client.remove(url)
      })

      it('that fails ends with the reason', async () => {
        const url = origin.url('/missing.gguf')
        await client.download({ url })
        const { values, error } = await collect(client.follow(url))
        expect(error).toBeNull()
        expect(values.at(-1)).toMatchObject({ status: 'failed', code: 'NOT_FOUND' })
        expect(values.at(-1)?.error).toEqual(expect.any(String))
      })
    })

    it('all downloads are followed and paged', async () => {
      const urls = ['a', 'b', 'c', 'd', 'e'].map((name) => serve(`/${name}.gguf`, 1_000))
      const changes = client.followAll()
      expect((await changes.next()).value).toEqual({ type: 'snapshot', downloads: {} })
      for (const url of urls) await client.download({ url })
      const done = new Set<string>()
      const following = async () => {
        for await (const change of changes) {
          if (change.type === 'changed' && change.download.state === 'completed')
            done.add(change.download.url)
          if (done.size === urls.length) return
        }
      }
      await withTimeout(following(), 10_000)
      const pages: string[][] = []
      for await (const { downloads } of client.pages({ limit: 2 })) pages.push(Object.keys(downloads))
      expect(pages.map((page) => page.length)).toEqual([2, 2, 1])
      expect(pages.flat()).toEqual(urls)
    })

    it('priority and limits are changed', async () => {
      const url = origin.url('/limited.bin')
      await client.download({ url })
      expect(await client.change(url, { priority: 3, maxBytesPerSecond: 1e9 })).toMatchObject({
        ...{ url, priority: 3, max_bytes_per_second: 1e9 },
      })
      const unlimited = await client.change(url, { priority: 0, maxBytesPerSecond: null })
      expect([unlimited.priority, unlimited.max_bytes_per_second]).toEqual([undefined, undefined])
      expect(await client.pathOf(url)).toMatch(/limited\.bin$/)
      expect(await client.queue.change({ maxBytesPerSecond: 1e9 })).toMatchObject({
        max_bytes_per_second: 1e9,
      })
      // It is that of the instance which has been asked.
      if (!isCluster())
        expect(await client.queue.change({ maxBytesPerSecond: null })).toEqual(await client.queue.status())
      await expect(client.change('https://x.test/unknown', { priority: 1 })).rejects.toMatchObject({
        code: 'UNKNOWN_DOWNLOAD',
      })
      await client.remove(url)
    })

    it('a preload is started, followed over a restart, and looked at', async () => {
      expect(await client.modelsStatus()).toMatchObject({ any_ready: false, any_missing: true })
      expect(await client.permissions()).toMatchObject({
        permissions: { 'downloads:read': true, 'downloads:manage': true, 'queue:manage': true },
        preload: true,
        fleet: false,
        cluster: isCluster(),
      })
      if (isCluster()) expect(await client.cluster()).toMatchObject({ away: false, waiting: 0 })
      else await expect(client.cluster()).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await expect(client.fleet.status()).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect((await collect(client.preload.follow())).values).toMatchObject([{ running: false, logs: [] }])
      const started = await client.preload.start({ models: ['m0', 'm1'] })
      expect(started).toMatchObject({ success: true, models: ['m0', 'm1'], force: false })
      await expect(client.preload.start()).rejects.toMatchObject({ code: 'CONFLICT', status: 409 })
      let stopped = false
      let last: Awaited<ReturnType<Client['preload']['status']>> | null = null
      const following = async () => {
        for await (const status of client.preload.follow()) {
          last = status
          if (stopped || (status.progress ?? 0) === 0) continue
          stopped = true
          await service.stop()
          setTimeout(() => void service.start(), 200)
        }
      }
      await withTimeout(following(), 15_000)
      expect(last).toMatchObject({
        running: false,
        success_flag: true,
        return_code: 0,
        completed: 2,
        progress: 100,
      })
      const status = await client.preload.status()
      // Also its log: a line that arrived as an event and again in a status is there once. The server itself may say the same twice
      // within a second, before and after the restart.
      expect(last).toEqual(status)
      expect(await client.modelsStatus({ locale: 'zh-CN' })).toMatchObject({ any_missing: false })
      await expect(client.preload.start({ models: ['nonsense'] })).rejects.toMatchObject({
        code: 'INVALID_OPTIONS',
      })
    })

    describe('errors are the server’s own', () => {
      it.each([
        ['a missing url', { url: '' }, 'INVALID_OPTIONS', 400],
        ['a URL that is none', { url: 'ftp://example.com/x.gguf' }, 'INVALID_URL', 400],
        [
          'a name that leads elsewhere',
          { url: 'https://example.com/x', filename: '../x' },
          'UNSAFE_FILENAME',
          400,
        ],
      ])('for %s', async (_, request, code, status) => {
        const work = client.download(request)
        await expect(work).rejects.toMatchObject({ code, status, retryable: false })
        await expect(work).rejects.toHaveProperty('issues.0.path')
      })

      it('for a download that nobody knows', async () => {
        for (const verb of ['status', 'pause', 'resume', 'cancel', 'retry'] as const) {
          await expect(client[verb](origin.url('/x'))).rejects.toMatchObject({
            code: 'UNKNOWN_DOWNLOAD',
            status: 404,
          })
        }
        const { error } = await collect(client.follow(origin.url('/x')))
        expect(error).toMatchObject({ code: 'UNKNOWN_DOWNLOAD' })
      })

      it('for a host that must not be reached', async () => {
        const url = 'http://10.0.0.1/x.gguf'
        await client.download({ url })
        const { values } = await collect(client.follow(url))
        expect(values.at(-1)).toMatchObject({ status: 'failed', code: 'SSRF_BLOCKED' })
      })

      it('for who may not', async () => {
        await service.stop()
        const authorize = (action: string, request: Request) => {
          if (request.headers.get('authorization') === null) return 'unauthenticated' as const
          return action === 'downloads:read'
        }
        service = new Service(service.directory, { authorize }, [], managersOf())
        await service.start()
        const nobody = createClient({ baseUrl: service.url })
        await expect(nobody.list()).rejects.toMatchObject({ code: 'ACCESS_DENIED', status: 401 })
        expect((await collect(nobody.follow('x'))).error).toMatchObject({
          code: 'ACCESS_DENIED',
          status: 401,
        })
        const reader = createClient({ baseUrl: service.url, headers: { authorization: 'Bearer x' } })
        expect((await reader.list()).downloads).toEqual({})
        await expect(reader.pause('x')).rejects.toMatchObject({ code: 'ACCESS_DENIED', status: 403 })
      })
    })
  })
}

/** What the contract suite stands on: a host with the routes mounted, a manager, and an origin to fetch from. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'vitest'
import { Catalog, type CatalogModel } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import type { HandlerOptions } from '../../src/http/handler.js'
import { DownloadManager } from '../../src/manager/manager.js'
import type { DownloadManagerOptions } from '../../src/manager/options.js'
import { ggufContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

/** How a host is to be set up. */
export interface Setup {
  options: HandlerOptions
  /** Those of each instance of a cluster, the first of which is `options`; one where there is no cluster. */
  instances: readonly HandlerOptions[]
  /** Where the routes are mounted: empty for the root, or a path such as `/ml`. */
  path: string
  /** Whether the host parses JSON bodies before the routes see the request. */
  parsesBodies: boolean
}

/** A host that runs. */
export interface Mounted {
  /** Listens on 127.0.0.1. */
  server: Server
  /** Ends the event streams and closes the server, as a host of this kind does it. */
  close: () => Promise<unknown>
}

/**
 * Starts a host. It sets `X-Host: yes` before the routes have their say, and after them serves `<path>/host`
 * with the text `host`, and anything else with 404 and the text `nothing`.
 */
export type Mount = (setup: Setup) => Promise<Mounted>

/** How kinds of hosts differ. */
export interface Traits {
  /** Whether it knows the caller's address. Other hosts require an `authorize`. */
  seesCallers: boolean
  /** Whether it passes other requests on to the host, and keeps the host's headers. */
  isMiddleware: boolean
  /** Whether a host of this kind can parse bodies before us. */
  parsesBodies: boolean
  /** Makes the options of each manager of a cluster, for one scene; null for a single manager. */
  cluster: (() => readonly DownloadManagerOptions[]) | null
}

/** A JSON answer. */
export interface Answer {
  status: number
  headers: Headers
  /** Parsed JSON. */
  body: unknown
}

/** Options of a scene. */
export interface SceneOptions extends Partial<Omit<Setup, 'options' | 'instances'>> {
  handler?: Partial<HandlerOptions>
  manager?: DownloadManagerOptions
  /** Makes a preloader of this catalog. */
  models?: (origin: Origin) => CatalogModel[]
}

/** A host on a server of `node:http`, once it listens on a free port of 127.0.0.1. */
export async function hosted(server: Server, routes: { close: () => void }): Promise<Mounted> {
  if (server.address() === null) server.listen(0, '127.0.0.1')
  if (!server.listening) await once(server, 'listening')
  const close = async () => {
    if (!server.listening) return
    routes.close()
    server.close()
    await once(server, 'close')
  }
  return { server, close }
}

/** The same for hosts whose streams leave their connections open: they cut them once they are idle. */
export async function hostedKeepingAlive(server: Server, routes: { close: () => void }): Promise<Mounted> {
  const mounted = await hosted(server, routes)
  const close = async () => {
    const idle = setInterval(() => {
      server.closeIdleConnections()
    }, 10)
    await mounted.close()
    clearInterval(idle)
  }
  return { server, close }
}

/** See the head of this file. Close it: `await using`. */
export class Scene implements AsyncDisposable {
  /** Listeners of the routes while no stream is open: they remember the last messages. */
  readonly #usual: number

  private constructor(
    readonly origin: Origin,
    readonly managers: readonly DownloadManager[],
    readonly preloaders: readonly Preloader[],
    readonly mounted: Mounted,
    readonly path: string,
    /** Listeners that the managers have themselves. */
    private readonly own: number,
  ) {
    this.#usual = this.allListeners
  }

  static async open(mount: Mount, traits: Traits, options: SceneOptions = {}): Promise<Scene> {
    const { path = '', parsesBodies = false, handler = {}, models } = options
    const origin = await startOrigin()
    const directory = tempDir('contract')
    const clustered = traits.cluster?.() ?? [{ store: 'memory' as const }]
    const managers = clustered.map((own) => new DownloadManager({ directory, ...own, ...options.manager }))
    const catalog = models === undefined ? undefined : new Catalog(models(origin))
    const preloaders =
      catalog === undefined ? [] : managers.map((manager) => new Preloader({ manager, catalog }))
    const instances = managers.map((manager, index) => ({
      manager,
      preloader: preloaders[index],
      allowedHosts: [new URL(origin.origin).host],
      ...(traits.seesCallers ? {} : { authorize: () => true }),
      ...handler,
    }))
    const [first] = instances
    if (first === undefined) throw new Error('A scene needs a manager.')
    const own = listenersOf(managers)
    const mounted = await mount({ path, parsesBodies, options: first, instances })
    return new Scene(origin, managers, preloaders, mounted, path, own)
  }

  /** The manager, or the first one of the cluster. */
  get manager(): DownloadManager {
    return this.managers[0]!
  }

  /** Listeners of the `status` of the preload. */
  get preloadListeners(): number {
    return this.preloaders.reduce((sum, preloader) => sum + preloader.listenerCount('status'), 0)
  }

  get server(): Server {
    return this.mounted.server
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port // only a pipe has another kind
  }

  /** The address of one of our routes, with its query. */
  url(route: string, query: Record<string, string> = {}): string {
    const search = new URLSearchParams(query).toString()
    return `http://127.0.0.1:${this.port}${this.path}${route}${search === '' ? '' : `?${search}`}`
  }

  /** Serves a model at a path of the origin; what a download of it needs. */
  serve(
    path: string,
    { size = 100_000, bytesPerSecond }: { size?: number; bytesPerSecond?: number } = {},
  ): string {
    this.origin.serve(path, {
      content: ggufContent(size),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    })
    return this.origin.url(path)
  }

  async call(
    method: string,
    route: string,
    given: {
      query?: Record<string, string>
      json?: unknown
      headers?: Record<string, string>
      body?: string
    } = {},
  ): Promise<Answer> {
    const { query, json, headers = {}, body = json === undefined ? undefined : JSON.stringify(json) } = given
    const type = json === undefined ? {} : { 'Content-Type': 'application/json' }
    const response = await withTimeout(
      fetch(this.url(route, query), {
        method,
        headers: { ...type, ...headers },
        ...(body === undefined ? {} : { body }),
      }),
      10_000,
      `${method} ${route}`,
    )
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
  }

  /** Asks for a download. */
  start(url: string, more: Record<string, unknown> = {}): Promise<Answer> {
    return this.call('POST', '/api/models/download', { json: { url, ...more } })
  }

  /** One poll, as a frontend does it. */
  async poll(url: string): Promise<Record<string, unknown>> {
    return (await this.pollSomewhere(url)).download
  }

  /** The same, with the instance of the cluster that has answered, if the host says so. */
  async pollSomewhere(url: string): Promise<{ download: Record<string, unknown>; instance: string }> {
    const { status, headers, body } = await this.call('GET', '/api/models/download/status', {
      query: { url },
    })
    expect(status, JSON.stringify(body)).toBe(200)
    const { success, download } = body as { success: true; download: Record<string, unknown> } // checked right below
    expect(success).toBe(true)
    expect(download['url']).toBe(url)
    return { download, instance: headers.get('x-instance') ?? '' }
  }

  /** Polls until a download is in one of some states. */
  async until(url: string, ...states: string[]): Promise<Record<string, unknown>> {
    const found = await waitFor(
      async () => {
        const download = await this.poll(url)
        return states.includes(String(download['state'])) ? download : null
      },
      { timeoutMs: 10_000, what: `${url} to be ${states.join(' or ')}` },
    )
    return found!
  }

  /** Listeners on the managers, besides their own. */
  get allListeners(): number {
    return listenersOf(this.managers) - this.own
  }

  /** Listeners that streams have on the manager, besides those that the routes have while they are mounted. */
  get listeners(): number {
    return this.allListeners - this.#usual
  }

  /** Connections that the host holds. */
  async connections(): Promise<number> {
    return await new Promise((resolve, reject) => {
      this.server.getConnections((error, count) => {
        if (error === null) resolve(count)
        else reject(error)
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.mounted.close()
    // Clients that keep their connections, or have opened one beforehand, would keep the server.
    const cut = setInterval(() => {
      this.server.closeAllConnections()
    }, 10)
    await withTimeout(closed, 5_000, 'the host to close')
    clearInterval(cut)
    for (const preloader of this.preloaders) await preloader.close()
    await Promise.all(this.managers.map((manager) => manager.close()))
    await this.origin.close()
  }
}

function listenersOf(managers: readonly DownloadManager[]): number {
  const counts = managers.flatMap((manager) =>
    manager.eventNames().map((event) => manager.listenerCount(event)),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

/** What every error looks like (RFC 9457, and the older dialects). */
export function expectProblem(answer: Answer, status: number, code?: string): Record<string, unknown> {
  expect(answer.status, JSON.stringify(answer.body)).toBe(status)
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  const problem = answer.body as Record<string, unknown> // every field is looked at
  expect(problem).toMatchObject({
    success: false,
    type: expect.any(String),
    title: expect.any(String),
    status,
    detail: expect.stringMatching(/\S/),
    code: code ?? expect.stringMatching(/^[A-Z_]+$/),
  })
  expect(problem['error']).toBe(problem['detail'])
  expect(JSON.stringify(problem)).not.toMatch(/\bat .*:\d+:\d+|node_modules/)
  return problem
}

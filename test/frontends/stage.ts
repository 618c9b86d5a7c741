/**
 * What tests of frontends share: a backend with the routes on it, an origin, and a server for pages on
 * another origin.
 */
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { modelDownloader } from '../../adapters/node.js'
import { Catalog, type CatalogModel } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import type { HandlerOptions } from '../../src/http/handler.js'
import type { DownloadManager, DownloadManagerOptions } from '../../src/index.js'
import { makeManager } from '../faults/harness.js'
import { closeServer, portOf, serve } from '../http/serving.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

/** How often frontends of these tests poll, in milliseconds; in real life once a second or less. */
export const everyMs = 50

/** A backend; gone with `await using`. */
export interface Backend extends AsyncDisposable {
  /** Its origin, such as `http://127.0.0.1:34567`. */
  readonly url: string
  readonly manager: DownloadManager
  readonly preloader: Preloader | undefined
  /** Where models come from. */
  readonly origin: Origin
  readonly directory: string
  /** Method and path of what was asked, oldest first. */
  readonly asked: readonly string[]
  /** Streams of events that are open now. */
  readonly streams: ReadonlySet<ServerResponse>
}

/** Starts a {@link Backend}. */
export async function startBackend({
  models,
  of = {},
  ...options
}: Partial<HandlerOptions> & {
  models?: (origin: Origin) => CatalogModel[]
  /** How its manager is. */
  of?: DownloadManagerOptions
} = {}): Promise<Backend> {
  const origin = await startOrigin()
  const directory = join(tempDir('frontend'), 'models')
  const manager = makeManager(directory, { defaultMode: 'llm', ...of })
  const preloader =
    models === undefined ? undefined : new Preloader({ manager, catalog: new Catalog(models(origin)) })
  const allowedHosts = [`127.0.0.1:${origin.port}`]
  const routes = modelDownloader({ manager, preloader, allowedHosts, ...options })
  const asked: string[] = []
  const streams = new Set<ServerResponse>()
  const { server, url } = await serve((req, res) => {
    const path = req.url?.replace(/\?.*/, '') ?? ''
    asked.push(`${req.method ?? ''} ${path}`)
    if (req.method === 'GET' && path.endsWith('/events')) {
      streams.add(res)
      res.once('close', () => streams.delete(res))
    }
    routes(req, res)
  })
  return {
    ...{ url, manager, preloader, origin, directory, asked, streams },
    async [Symbol.asyncDispose]() {
      routes.close()
      await closeServer(server)
      await preloader?.close()
      await withTimeout(manager.close(), 5_000, 'the manager to close')
      await origin.close()
    },
  }
}

/**
 * Serves pages, each on a path of its own. Closed after the test.
 *
 * @param pages - HTML by path.
 * @returns the origin, by another host name than the backend's: `http://localhost:34567`.
 */
export async function servePages(pages: Record<string, string>): Promise<string> {
  const { server } = await serve((req, res) => {
    const html = pages[req.url?.replace(/\?.*/, '') ?? '']
    res.writeHead(html === undefined ? 404 : 200, { 'Content-Type': 'text/html; charset=utf-8' })
    res.end(html ?? '')
  })
  return `http://localhost:${portOf(server)}`
}

/** A page that consists of one script, over what a server has drawn. */
export function pageOf(script: string, drawn = ''): string {
  // Whatever the script holds, it must not end its own element.
  const code = script.replaceAll('</script', '<\\/script')
  return `<!doctype html><meta charset="utf-8"><div id="root">${drawn}</div><script type="module">${code}</script>`
}

/** Waits until there have been no requests for several poll intervals. */
export async function untilQuiet(backend: Backend): Promise<void> {
  let count = -1
  let since = 0
  await waitFor(
    () => {
      if (backend.asked.length !== count) {
        count = backend.asked.length
        since = performance.now()
      }
      return performance.now() - since > 5 * everyMs
    },
    { what: 'the frontend to stop polling' },
  )
}

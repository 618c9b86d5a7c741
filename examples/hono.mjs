/**
 * Uses the routes as a function from `Request` to `Response`, here on Hono; Next, Bun and Deno use the same function. It
 * can't see where a request comes from, so `authorize` must decide who may call.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { DownloadManager } from 'model-downloader'
import { modelDownloader } from 'model-downloader/fetch'
import { downloadOverRest } from './demo/frontend.mjs'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/model.gguf': fakeModel(2_000_000) }, { bytesPerSecond: 2_000_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-hono-'))
const manager = new DownloadManager({ directory })

const routes = modelDownloader({
  manager,
  basePath: '/ml',
  authorize: (action, request) =>
    request.headers.get('authorization') === 'Bearer secret' || 'unauthenticated',
  // URLs of callers may not reach private networks through this server, with the exception of this host.
  allowedHosts: [new URL(origin.url('/')).host],
})
const app = new Hono()
app.all('/ml/*', (c) => routes(c.req.raw))
app.get('/', (c) => c.text('Hello from the host'))

const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
await once(server, 'listening')

await downloadOverRest(`http://127.0.0.1:${server.address().port}/ml`, origin.url('/model.gguf'), {
  authorization: 'Bearer secret',
})

// Open event streams would keep the server running.
routes.close()
server.close()
await manager.close()
await origin.close()
await rm(directory, { recursive: true })

/**
 * Mounts the routes on Koa. `authorize` decides who may do what; here it looks at the user that a middleware of the host
 * has identified.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import Koa from 'koa'
import { DownloadManager } from 'model-downloader'
import { modelDownloader } from 'model-downloader/koa'
import { downloadOverRest } from './demo/frontend.mjs'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/model.gguf': fakeModel(2_000_000) }, { bytesPerSecond: 2_000_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-koa-'))
const manager = new DownloadManager({ directory })

const routes = modelDownloader({
  manager,
  authorize: (action, request, { native: ctx }) => {
    if (ctx.state.user === undefined) return 'unauthenticated'
    return action === 'downloads:read' || ctx.state.user.isAdmin
  },
  // URLs of callers may not reach private networks through this server, with the exception of this host.
  allowedHosts: [new URL(origin.url('/')).host],
})
const app = new Koa()
app.use(async (ctx, next) => {
  if (ctx.get('authorization') === 'Bearer secret') ctx.state.user = { name: 'Ada', isAdmin: true }
  await next()
})
app.use(routes)
app.use((ctx) => {
  ctx.body = 'Hello from the host'
})

const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')

await downloadOverRest(`http://127.0.0.1:${server.address().port}`, origin.url('/model.gguf'), {
  authorization: 'Bearer secret',
})

// Open event streams would keep the server running.
routes.close()
server.close()
await manager.close()
await origin.close()
await rm(directory, { recursive: true })

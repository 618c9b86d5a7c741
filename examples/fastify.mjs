/**
 * Mounts the routes as a Fastify plugin, below a prefix. `app.close()` also ends the event streams.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import Fastify from 'fastify'
import { DownloadManager } from 'model-downloader'
import { modelDownloader } from 'model-downloader/fastify'
import { downloadOverRest } from './demo/frontend.mjs'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/model.gguf': fakeModel(2_000_000) }, { bytesPerSecond: 2_000_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-fastify-'))
const manager = new DownloadManager({ directory })

const app = Fastify()
await app.register(modelDownloader, {
  prefix: '/ml',
  manager,
  // URLs of callers may not reach private networks through this server, with the exception of this host.
  allowedHosts: [new URL(origin.url('/')).host],
})
app.get('/', () => 'Hello from the host')
const address = await app.listen({ port: 0, host: '127.0.0.1' })

await downloadOverRest(`${address}/ml`, origin.url('/model.gguf'))

await app.close()
await manager.close()
await origin.close()
await rm(directory, { recursive: true })

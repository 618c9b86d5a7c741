/**
 * Mounts the routes on a plain `node:http` server. Requests for other paths go to the function in the third argument;
 * without it, they are answered with 404.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager } from 'model-downloader'
import { modelDownloader } from 'model-downloader/node'
import { downloadOverRest } from './demo/frontend.mjs'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/model.gguf': fakeModel(2_000_000) }, { bytesPerSecond: 2_000_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-node-http-'))
const manager = new DownloadManager({ directory })

const routes = modelDownloader({
  manager,
  // URLs of callers may not reach private networks through this server, with the exception of this host.
  allowedHosts: [new URL(origin.url('/')).host],
})
const server = createServer((req, res) => {
  routes(req, res, () => res.end('Hello from the host'))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')

await downloadOverRest(`http://127.0.0.1:${server.address().port}`, origin.url('/model.gguf'))

// Open event streams would keep the server running.
routes.close()
server.close()
await manager.close()
await origin.close()
await rm(directory, { recursive: true })

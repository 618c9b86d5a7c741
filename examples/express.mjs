/**
 * Mounts the routes on Express below a path, next to routes of the host. Without `authorize`, only callers on this
 * machine are served.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import express from 'express'
import { DownloadManager } from 'model-downloader'
import { modelDownloader } from 'model-downloader/express'
import { downloadOverRest } from './demo/frontend.mjs'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/model.gguf': fakeModel(2_000_000) }, { bytesPerSecond: 2_000_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-express-'))
const manager = new DownloadManager({ directory })

const routes = modelDownloader({
  manager,
  // URLs of callers may not reach private networks through this server, with the exception of this host.
  allowedHosts: [new URL(origin.url('/')).host],
})
const app = express()
app.use(express.json())
app.use('/ml', routes)
app.get('/', (req, res) => res.send('Hello from the host'))

const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')

await downloadOverRest(`http://127.0.0.1:${server.address().port}/ml`, origin.url('/model.gguf'))

// Open event streams would keep the server running.
routes.close()
server.close()
await manager.close()
await origin.close()
await rm(directory, { recursive: true })

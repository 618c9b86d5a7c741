/**
 * Starts a server with the routes, and a client that requests a model, follows the download and handles an error. The
 * client works the same way in a web page.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager } from 'model-downloader'
import { createClient, isDownloadError } from 'model-downloader/client'
import { modelDownloader } from 'model-downloader/node'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/model.gguf': fakeModel(3_000_000) }, { bytesPerSecond: 1_000_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-client-'))
const manager = new DownloadManager({ directory, connections: 1 })

// The model is on this machine, which URLs of callers may not reach unless it is allowed.
const routes = modelDownloader({ manager, allowedHosts: [new URL(origin.url('/')).host] })
const server = createServer(routes).listen(0, '127.0.0.1')
await once(server, 'listening')

const client = createClient({ baseUrl: `http://127.0.0.1:${server.address().port}` })
const url = origin.url('/model.gguf')
console.log((await client.download({ url })).message)
for await (const { state, progress, bytes_per_second } of client.follow(url)) {
  console.log(
    `${state.padEnd(11)} ${progress.toFixed(1).padStart(5)} %  ${(bytes_per_second / 1e6).toFixed(1)} MB/s`,
  )
}
console.log((await client.download({ url })).message)

try {
  await client.download({ url, filename: '../../etc/passwd' })
} catch (error) {
  if (!isDownloadError(error, 'UNSAFE_FILENAME')) throw error
  console.log(`${error.status} ${error.code}: ${error.message}`)
}

routes.close()
server.close()
await manager.close()
await origin.close()
await rm(directory, { recursive: true })

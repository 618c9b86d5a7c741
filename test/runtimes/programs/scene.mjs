/**
 * What a host does with the package, in any runtime: `scene.mjs PLAN`, with a plan in JSON. Prints what came of each part
 * as JSON.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { DownloadManager } from 'model-downloader'
import { createClient } from 'model-downloader/client'
import { modelDownloader } from 'model-downloader/node'

const { origin, secure, ca, directory, sha256, worker } = JSON.parse(process.argv[2])
const told = { log: [] }

const mine = {
  name: 'mine',
  match: (ref) => ref.startsWith('mine:'),
  resolve: async () => ({
    name: 'both',
    files: ['a.gguf', 'b.gguf'].map((filename) => ({
      filename,
      urls: [`${origin}/${filename}`],
      sha256,
      headers: {},
    })),
  }),
}
const manager = new DownloadManager({ directory, worker, ca, proxy: false, sources: [mine] })
manager.on('log', ({ message }) => told.log.push(message))

const codeOf = (error) => error.code ?? String(error)
const get = async (options) => await (await manager.download(options)).finished

told.whole = await get({ url: `${origin}/whole.gguf`, sha256, connections: 4 })
told.wrong = await get({ url: `${origin}/wrong.gguf`, sha256: '0'.repeat(64) }).then(() => null, codeOf)
told.mirrors = await get({ urls: [`${origin}/missing.gguf`, `${origin}/mirror.gguf`], filename: 'm.gguf' })
told.secure = await get({ url: `${secure}/secure.gguf` })
const { files } = await get({ url: 'mine:both' })
told.group = files.map(({ path }) => createHash('sha256').update(readFileSync(path)).digest('hex'))

const paused = await manager.download({ url: `${origin}/slow.gguf` })
for await (const { downloaded } of paused.progress()) if (downloaded > 500_000) break
await paused.pause()
told.paused = paused.state
await paused.resume()
told.resumed = await paused.finished

const routes = modelDownloader({ manager, ui: true, allowPrivateNetwork: true })
const server = createServer(routes).listen(0, '127.0.0.1')
await once(server, 'listening')
const baseUrl = `http://127.0.0.1:${server.address().port}`
const client = createClient({ baseUrl })
const url = `${origin}/served.gguf`
await client.download({ url })
told.states = []
told.connections = []
const onConnection = (connection) => told.connections.push(connection)
for await (const { state } of client.follow(url, { onConnection })) told.states.push(state)
const page = await fetch(`${baseUrl}/api/models/ui`)
told.page = [page.status, (await page.text()).slice(0, 15)]
routes.close()
server.close()
server.closeAllConnections?.()

await manager.close()
console.log(JSON.stringify(told))

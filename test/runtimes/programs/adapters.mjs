/**
 * Every adapter in one process, in runtimes that imitate Node: `adapters.mjs PLAN`, with a plan in JSON. Prints as JSON what
 * a client sees of each.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { DownloadManager } from 'model-downloader'
import { createClient } from 'model-downloader/client'
import { modelDownloader as onExpress } from 'model-downloader/express'
import { modelDownloader as onFastify } from 'model-downloader/fastify'
import { modelDownloader as onFetch } from 'model-downloader/fetch'
import { modelDownloader as onKoa } from 'model-downloader/koa'

const { origin, directory } = JSON.parse(process.argv[2])
const manager = new DownloadManager({ directory, proxy: false, store: 'memory' })

async function listening(handler) {
  const server = createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: server.address().port, close: () => server.close() }
}

const hosts = {
  async express() {
    const app = express()
    app.use(onExpress({ manager, allowPrivateNetwork: true }))
    return listening(app)
  },
  async fastify() {
    const app = Fastify()
    await app.register(onFastify, { manager, allowPrivateNetwork: true })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: app.server.address().port, close: () => app.close() }
  },
  async koa() {
    const app = new Koa()
    app.on('error', () => undefined)
    app.use(onKoa({ manager, allowPrivateNetwork: true }))
    return listening(app.callback())
  },
  /** The runtime's own server, which takes a function from Request to Response. */
  async fetch() {
    const routes = onFetch({ manager, allowPrivateNetwork: true, authorize: () => true })
    const { Bun, Deno } = globalThis
    if (Bun !== undefined) {
      const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => routes(request) })
      return { port: server.port, close: () => server.stop(true) }
    }
    const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen() {} }, (request) => routes(request))
    return { port: server.addr.port, close: () => void server.shutdown() }
  },
}

const told = {}
for (const [name, start] of Object.entries(hosts)) {
  const { port, close } = await start()
  const client = createClient({ baseUrl: `http://127.0.0.1:${port}` })
  const url = `${origin}/${name}.gguf`
  await client.download({ url })
  const connections = []
  let last
  for await (const download of client.follow(url, { onConnection: (state) => connections.push(state) }))
    last = download
  const refused = await client.status(`${origin}/unknown`).then(
    () => null,
    (error) => error.code,
  )
  told[name] = { state: last.state, sha256: last.sha256, connections, refused }
  close()
}
await manager.close()
console.log(JSON.stringify(told))
process.exit()

/** What is particular to one framework; the rest is in `test/contract`. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Transform } from 'node:stream'
import { createGunzip, gzipSync } from 'node:zlib'
import express from 'express'
import Fastify, { type FastifyRequest } from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterEach, describe, expect, it } from 'vitest'
import { modelDownloader as onExpress } from '../../adapters/express.js'
import { modelDownloader as onFastify } from '../../adapters/fastify.js'
import { modelDownloader as onFetch } from '../../adapters/fetch.js'
import { modelDownloader as onKoa } from '../../adapters/koa.js'
import { DownloadManager } from '../../src/manager/manager.js'
import { tempDir } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'
import { serve } from './serving.js'

const status = '/api/models/download/status'
const json = { 'content-type': 'application/json' }

const managers: DownloadManager[] = []
afterEach(async () => {
  await Promise.all(managers.splice(0).map((manager) => manager.close()))
})

function newManager(): DownloadManager {
  const manager = new DownloadManager({ directory: tempDir('adapters'), store: 'memory' })
  managers.push(manager)
  return manager
}

describe('fetch', () => {
  it('takes nothing that its host passes along for a context', async () => {
    const routes = onFetch({ manager: newManager() })
    const asBindings: (request: Request, ...more: unknown[]) => Promise<Response> = routes
    const request = new Request(`http://localhost${status}`)
    const forged = { remoteAddress: '127.0.0.1', host: 'localhost', body: {} }
    expect((await asBindings(request, forged)).status).toBe(403)
  })

  it('can be mounted below a path of Hono', async () => {
    const app = new Hono()
    const routes = onFetch({ manager: newManager(), basePath: '/ml', authorize: () => true })
    app.all('/ml/*', (c) => routes(c.req.raw))
    app.get('/host', (c) => c.text('host'))
    expect((await app.request(`/ml${status}`)).status).toBe(200)
    expect((await app.request('/ml/other')).status).toBe(404)
    expect(await (await app.request('/host')).text()).toBe('host')
  })

  it('says which paths are its own', () => {
    const routes = onFetch({ manager: newManager(), basePath: '/ml' })
    expect([`/ml${status}`, status, '/ml', '/mlx'].map((path) => routes.owns(path))).toEqual([
      true,
      false,
      false,
      false,
    ])
  })
})

describe('Express', () => {
  it('shows authorize its own request, with what middleware put there', async () => {
    const app = express()
    app.use((req, _res, next) => {
      Object.assign(req, { user: 'ada' })
      next()
    })
    const users: unknown[] = []
    app.use(
      onExpress({
        manager: newManager(),
        authorize: (_action, _request, { native }) => {
          users.push((native as { user?: string }).user) // put there right above
          return true
        },
      }),
    )
    const { url } = await serve(createServer(app))
    expect((await fetch(url + status)).status).toBe(200)
    expect(users).toEqual(['ada'])
  })

  it('lives in a router in a router, and leaves req.url as it was', async () => {
    const app = express()
    const inner = express.Router()
    inner.use('/inner', onExpress({ manager: newManager() }))
    app.use('/outer', inner)
    app.use((req, res) => void res.send(req.url))
    const { url } = await serve(createServer(app))
    expect((await fetch(`${url}/outer/inner${status}`)).status).toBe(200)
    expect(await (await fetch(`${url}/outer/inner/else?x=1`)).text()).toBe('/outer/inner/else?x=1')
  })
})

describe('Koa', () => {
  it('lets middleware around it see status and body', async () => {
    const app = new Koa()
    const seen: unknown[] = []
    app.use(async (ctx, next) => {
      await next()
      seen.push([ctx.status, ctx.type, ctx.length])
      ctx.set('X-After', 'yes')
    })
    app.use(onKoa({ manager: newManager() }))
    const handle = app.callback()
    const { url } = await serve((req, res) => void handle(req, res))
    const response = await fetch(url + status)
    const text = await response.text()
    expect(JSON.parse(text)).toEqual({ success: true, downloads: {} })
    expect(response.headers.get('x-after')).toBe('yes')
    expect(seen).toEqual([[200, 'application/json', Buffer.byteLength(text)]])
  })
})

describe('Fastify', () => {
  it('can be asked by inject()', async () => {
    const app = Fastify()
    await app.register(onFastify, { manager: newManager() })
    const list = await app.inject(status)
    expect([list.statusCode, list.json()]).toEqual([200, { success: true, downloads: {} }])
    const wrong = await app.inject({ method: 'POST', url: '/api/models/download', payload: { url: 7 } })
    expect([wrong.statusCode, wrong.json<{ code: string }>().code]).toEqual([400, 'INVALID_OPTIONS'])
    await app.close()
  })

  it('keeps its parsers to itself, and leaves those of the host alone', async () => {
    const app = Fastify()
    await app.register(onFastify, { manager: newManager() })
    app.post('/host', (request) => request.body)
    const answer = await app.inject({ method: 'POST', url: '/host', payload: { mine: true } })
    expect(answer.json()).toEqual({ mine: true })
    const foreign = await app.inject({
      method: 'POST',
      url: '/host',
      headers: { 'content-type': 'x/y' },
      payload: 'x',
    })
    expect(foreign.statusCode).toBe(415)
    await app.close()
  })

  it('heeds the hooks of its host: what they let through, unpack and set', async () => {
    const app = Fastify()
    app.addHook('onRequest', async (request, reply) => {
      reply.header('Vary', 'Cookie')
      if (request.headers['x-locked'] !== undefined) await reply.code(423).send('locked')
    })
    app.addHook('preParsing', (request: FastifyRequest, _reply, payload, done) => {
      if (request.headers['content-encoding'] !== 'gzip') {
        done(null, payload)
        return
      }
      delete request.headers['content-encoding']
      done(null, payload.pipe(createGunzip()))
    })
    app.addHook('onSend', (_request, reply, payload, done) => {
      reply.header('X-Sent', 'yes')
      done(null, payload)
    })
    const manager = newManager()
    await app.register(onFastify, { manager, cors: { origins: ['https://app.example'] } })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })

    expect((await fetch(url + status, { headers: { 'x-locked': '1' } })).status).toBe(423)
    const packed = await fetch(`${url}/api/models/download`, {
      method: 'POST',
      headers: { ...json, 'content-encoding': 'gzip' },
      body: gzipSync(JSON.stringify({ url: 'ftp://example.com/' })),
    })
    expect(await packed.json()).toMatchObject({ status: 400, code: 'INVALID_URL' })
    expect(packed.headers.get('x-sent')).toBe('yes')
    expect(packed.headers.get('vary')?.split(/, */).sort()).toEqual(['Cookie', 'Origin'])
    await app.close()
  })

  it('survives a hook whose stream fails', async () => {
    const app = Fastify()
    app.addHook('preParsing', (_request, _reply, payload, done) => {
      const broken = new Transform({
        transform(_chunk, _encoding, callback) {
          callback(new Error('not what it seemed'))
        },
      })
      done(null, payload.pipe(broken))
    })
    await app.register(onFastify, { manager: newManager() })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const response = await fetch(`${url}/api/models/download`, { method: 'POST', headers: json, body: '{}' })
    expect(response.status).toBe(400)
    await app.close()
  })

  it('is mounted twice, each for itself, and adds basePath to the prefix', async () => {
    const app = Fastify()
    const [one, two] = [newManager(), newManager()]
    await app.register(onFastify, { prefix: '/one', manager: one })
    await app.register(
      async (inner) => {
        await inner.register(onFastify, { prefix: '/two', manager: two, basePath: '/deep/' })
      },
      { prefix: '/in' },
    )
    const ask = async (url: string) => (await app.inject(url)).statusCode
    expect(await ask(`/one${status}`)).toBe(200)
    expect(await ask(`/in/two/deep${status}`)).toBe(200)
    expect(await ask(`/in/two${status}`)).toBe(404)
    expect(await ask(`/two/deep${status}`)).toBe(404)
    await app.close()
  })

  it('hands a path of another spelling to the 404 of its host', async () => {
    const app = Fastify()
    await app.register(onFastify, { manager: newManager() })
    app.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing'))
    const answer = await app.inject('/api/models/%64ownload/status')
    expect([answer.statusCode, answer.body]).toEqual([404, 'nothing'])
    await app.close()
  })

  it('closes at once though event streams are open', async () => {
    const app = Fastify()
    await app.register(onFastify, { manager: newManager() })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const response = await fetch(`${url}/api/models/download/events`)
    const reader = response.body?.getReader()
    await reader?.read()
    const connection = once(app.server, 'close')
    await withTimeout(Promise.all([app.close(), connection]), 2_000, 'the app to close')
    await reader?.cancel()
  })
})

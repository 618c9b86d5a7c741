import type { Server } from 'node:http'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { modelDownloader } from '../../adapters/fetch.js'
import { hostedKeepingAlive, type Mount } from './scene.js'
import { describeContract } from './suite.js'

const mount: Mount = async ({ options, path }) => {
  const app = new Hono()
  const routes = modelDownloader({ ...options, basePath: path })
  app.use(async (c, next) => {
    await next()
    c.header('X-Host', 'yes')
  })
  app.use(async (c, next) => {
    if (!routes.owns(c.req.path)) return next()
    return routes(c.req.raw)
  })
  app.get(`${path}/host`, (c) => c.text('host'))
  app.notFound((c) => c.text('nothing', 404))
  // With its default options it is a server of node:http.
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server
  return hostedKeepingAlive(server, routes)
}

describeContract('Hono', mount, { seesCallers: false, parsesBodies: false })

import type { Server } from 'node:http'
import { serve } from '@hono/node-server'
import { modelDownloader } from '../../adapters/fetch.js'
import { hostedKeepingAlive, type Mount } from './scene.js'
import { describeContract } from './suite.js'

const mount: Mount = async ({ options, path }) => {
  const routes = modelDownloader({ ...options, basePath: path })
  // With its default options it is a server of node:http.
  const server = serve({ fetch: routes, port: 0, hostname: '127.0.0.1' }) as Server
  return hostedKeepingAlive(server, routes)
}

const traits = { seesCallers: false, isMiddleware: false, parsesBodies: false }
describeContract('fetch alone', mount, traits, { complete: true })

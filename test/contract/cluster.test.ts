import type { Server } from 'node:http'
import { serve } from '@hono/node-server'
import {} from 'vitest'
import { modelDownloader } from '../../adapters/fetch.js'
import { bullmqCluster } from '../../src/cluster/bullmq/bullmq.js'
import { describeWith } from '../support/machine.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { seededRandom } from '../faults/killing.js'
import { hostedKeepingAlive, type Mount } from './scene.js'
import { describeContract } from './suite.js'

const random = seededRandom(16)

/** A load balancer before two instances: each request goes to any of them. */
const mount: Mount = async ({ instances, path }) => {
  const all = instances.map((options) => modelDownloader({ ...options, basePath: path }))
  const answer = async (request: Request) => {
    const index = Math.floor(random() * all.length)
    const response = await all[index]!(request)
    response.headers.set('X-Instance', String(index))
    return response
  }
  // With its default options it is a server of node:http.
  const server = serve({ fetch: answer, port: 0, hostname: '127.0.0.1' }) as Server
  return hostedKeepingAlive(server, {
    close: () => {
      for (const routes of all) routes.close()
    },
  })
}

describeWith(redisServer, 'a cluster of two', () => {
  const redis = shared(() => RedisServer.start())
  let scenes = 0

  const cluster = () => {
    const prefix = `scene${(scenes += 1)}`
    return ['one', 'two'].map((node) => ({
      worker: false,
      cluster: bullmqCluster({ connection: redis().path, prefix, node, leaseMs: 5_000 }),
    }))
  }
  const traits = { seesCallers: false, isMiddleware: false, parsesBodies: false, cluster }
  describeContract('any instance of a cluster', mount, traits, { complete: true })
})

/** The client does not notice that a cluster is no single server, whichever instance a load balancer sends it to. */
import {} from 'vitest'
import { bullmqCluster } from '../../src/cluster/bullmq/bullmq.js'
import { describeWith } from '../support/machine.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { describeClient } from './against-routes.js'

describeWith(redisServer, 'with a server of Redis', () => {
  const redis = shared(() => RedisServer.start())
  let services = 0

  describeClient('the client of a cluster of two', () => {
    const prefix = `client${(services += 1)}`
    return ['one', 'two'].map((node) => ({
      worker: false,
      cluster: bullmqCluster({ connection: redis().path, prefix, node, leaseMs: 5_000 }),
    }))
  })
})

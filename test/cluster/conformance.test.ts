import { redisQueues } from '../../src/cluster/bullmq/connections.js'
import { BullmqQueue, type Ticket } from '../../src/cluster/bullmq/queue.js'
import { RedisBackend } from '../../src/cluster/redis/backend.js'
import { systemClock } from '../../src/util/clock.js'
import { ManualClock } from '../support/clock.js'
import { describeWith } from '../support/machine.js'
import { MemoryCluster, MemoryJobs, MemoryQueue } from '../support/memory-cluster.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { slowness } from '../support/wait.js'
import { describeBackend } from './conformance/backend.js'
import type { BackendPlace } from './conformance/instances.js'
import { describeMessages } from './conformance/messages.js'
import { describePlacement } from './conformance/placement.js'
import { describeQueue } from './conformance/queue.js'

const inMemory = (): Promise<BackendPlace> => {
  const clock = new ManualClock()
  const cluster = new MemoryCluster(clock, 1_000)
  return Promise.resolve({
    join: (node, affinityMs) => cluster.join(node, affinityMs),
    pass: (ms) => clock.advance(ms),
    lose: () => {
      cluster.lose()
    },
    skip: () => {
      cluster.skip()
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  })
}

describeBackend('memory', inMemory)
describeMessages('memory', inMemory)
describePlacement('memory', inMemory)

describeQueue('memory', () => {
  const jobs = new MemoryJobs(20)
  return Promise.resolve({
    join: () => new MemoryQueue(jobs),
    lose: () => {
      jobs.jobs.clear()
    },
  })
})

describeWith(redisServer, 'on a server', () => {
  const redis = shared(() => RedisServer.start())
  let round = 0

  const onRedis = (): Promise<BackendPlace> => {
    const prefix = `conformance${(round += 1)}`
    const client = redis().client()
    const leaseMs = Math.round(300 * slowness)
    return Promise.resolve({
      join: (node, affinityMs) =>
        new RedisBackend({
          ...{ connection: redis().path, prefix, node, leaseMs, clock: systemClock },
          ...(affinityMs === undefined ? {} : { affinityMs }),
        }),
      pass: null,
      lose: async () => {
        await client.flushall()
      },
      skip: async () => {
        await client.incr(`{${prefix}}:seq`)
      },
      [Symbol.asyncDispose]: () => {
        client.disconnect()
        return Promise.resolve()
      },
    })
  }

  describeBackend('Redis', onRedis)
  describeMessages('Redis', onRedis)
  describePlacement('Redis', onRedis)

  describeQueue('BullMQ on Redis', () => {
    const prefix = `conformance${(round += 1)}`
    return Promise.resolve({
      join: () =>
        new BullmqQueue(redisQueues<Ticket>(redis().path, 'downloads', prefix), {
          leaseMs: 20_000,
          clock: systemClock,
        }),
      lose: async () => {
        const client = redis().client()
        await client.flushall()
        client.disconnect()
      },
    })
  })
})

import { createPostgresBackend, Queue } from 'bullmq'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bullmqCluster } from '../../src/cluster/bullmq/bullmq.js'
import { postgresQueues } from '../../src/cluster/bullmq/connections.js'
import { BullmqQueue, type Ticket } from '../../src/cluster/bullmq/queue.js'
import { systemClock } from '../../src/util/clock.js'
import { KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { postgres, PostgresServer } from '../support/postgres-server.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { tempDir } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'
import { describeQueue } from './conformance/queue.js'

describeWith(postgres, 'on PostgreSQL', () => {
  let server: PostgresServer
  let round = 0
  beforeAll(async () => {
    server = await PostgresServer.start()
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
  })

  describeQueue('BullMQ on PostgreSQL', () => {
    const prefix = `conformance${(round += 1)}`
    return Promise.resolve({
      join: () =>
        new BullmqQueue(postgresQueues<Ticket>(server.connection, 'downloads', prefix), {
          leaseMs: 20_000,
          clock: systemClock,
        }),
      lose: async () => {
        const queue = new Queue(
          `${prefix}/downloads`,
          { connection: server.connection },
          createPostgresBackend,
        )
        await queue.drain(true)
        await queue.close()
      },
    })
  })

  describeWith(redisServer, 'a cluster with records in Redis', () => {
    it('runs downloads, and clusters with different prefixes are apart', async () => {
      await using redis = await RedisServer.start()
      const origin = await startOrigin()
      const content = randomContent(64 * KiB)
      const open = (prefix: string, node: string, directory: string) =>
        makeManager(directory, {
          store: undefined,
          cluster: bullmqCluster({
            ...{ connection: redis.path, queueConnection: server.connection },
            ...{ prefix, node, leaseMs: 5_000 },
          }),
        } as never)
      const [here, there] = [tempDir('here'), tempDir('there')]
      const managers = [open('p1', 'a', here), open('p1', 'b', here), open('p2', 'a', there)]
      await Promise.all(managers.map((manager) => manager.ready))
      const asked = Array.from({ length: 6 }, (_, index) => {
        origin.serve(`/${index}`, { content })
        return managers[index % 2]!.download({ url: origin.url(`/${index}`) })
      })
      const ends = (await Promise.all(asked)).map((download) => download.finished)
      await withTimeout(Promise.all(ends), 20_000, 'the files')
      expect(managers.map((manager) => manager.list().length)).toEqual([6, 6, 0])
      await Promise.all(managers.map((manager) => manager.close()))
      await origin.close()
    })
  })
})

describe('an address of PostgreSQL', () => {
  it('must be one', () => {
    const cluster = (queueConnection: unknown) =>
      bullmqCluster({ connection: 'redis://x', queueConnection: queueConnection as string })
    expect(() => cluster('')).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }))
    expect(() => cluster(7)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }))
    expect(() => cluster('postgres://localhost/x')).not.toThrow()
  })
})

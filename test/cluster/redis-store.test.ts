import type { Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import { redisStore } from '../../src/cluster/redis/redis.js'
import { describeWith } from '../support/machine.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { describeStore } from '../store/conformance.js'

describeWith(redisServer, 'a store in Redis', () => {
  let server: RedisServer
  let client: Redis
  let round = 0
  beforeAll(async () => {
    server = await RedisServer.start()
    client = server.client()
  })
  afterAll(async () => {
    client.disconnect()
    await server[Symbol.asyncDispose]()
  })

  const open = () => redisStore({ connection: server.path, prefix: `store-${round}` })
  describeStore('the Redis store', {
    open: () => {
      round += 1
      return open()
    },
    reopen: open,
    reopenAfterKill: open,
    openUnreachable: () => redisStore({ connection: `${server.path}-missing` }),
    corrupt: async (id) => {
      await client.hset(`{store-${round}}:records`, id, '{"version":1,')
    },
  })
})

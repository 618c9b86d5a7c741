/** A fleet in Redis does what one in memory does. */
import { afterEach, expect, it } from 'vitest'
import { RedisFleetStore } from '../../src/index.js'
import { describeWith } from '../support/machine.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { waitFor } from '../support/wait.js'

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

describeWith(redisServer, 'a fleet in Redis', () => {
  it('is the same for all nodes, and tells them of changes, also after the server was away', async () => {
    await using server = await RedisServer.start([
      '--save',
      '',
      '--appendonly',
      'yes',
      '--appendfsync',
      'always',
    ])
    const store = () => {
      const redis = server.client()
      redis.on('error', () => undefined)
      const made = new RedisFleetStore({ redis, prefix: 'test' })
      closing.push(async () => {
        await made.close()
        redis.disconnect()
      })
      return made
    }
    const [one, two] = [store(), store()]
    expect(await one.read()).toMatchObject({ wishes: [], reports: [], claims: {} })
    let changes = 0
    const end = two.watch(() => (changes += 1))
    const told = async (act: () => Promise<void>) => {
      const before = changes
      // The reader begins with what is new, and may not have begun yet.
      await waitFor(async () => (await act(), changes > before), { what: 'a change' })
    }
    await told(() => one.wish([{ key: 'llm', nodes: 'label:gpu,node-1' }]))
    for (const node of ['b', 'a', 'b']) await one.claim('llm', node)
    const model = { state: 'ready', percent: 100, speed: 0, error: null } as const
    const report = { name: 'b', labels: ['gpu'], url: null, models: { llm: model }, digests: ['d'] }
    await told(() => one.report(report))
    const content = await two.read()
    expect(content).toMatchObject({
      wishes: [{ key: 'llm', nodes: 'label:gpu,node-1' }],
      claims: { llm: ['b', 'a'] },
      reports: [report],
    })
    expect(Math.abs(content.now - (content.reports[0]?.seenAt ?? 0))).toBeLessThan(60_000)
    await two.release('llm', 'b')
    expect((await one.read()).claims).toEqual({ llm: ['a'] })
    await one.wish([{ key: 'llm', nodes: 'all' }])
    await told(() => one.unwish([{ key: 'llm', nodes: 'label:gpu,node-1' }]))
    expect((await two.read()).wishes).toEqual([{ key: 'llm', nodes: 'all' }])
    await server.stop()
    await expect(one.read()).rejects.toThrow()
    await server.resume()
    await waitFor(async () => (await one.read().catch(() => null))?.reports.length === 1, {
      what: 'the server',
    })
    await told(() => one.report(report).catch(() => undefined))
    end()
  })

  it('leaves out what it does not understand', async () => {
    await using server = await RedisServer.start()
    const redis = server.client()
    closing.push(() => redis.disconnect())
    await redis.hset('{test}:fleet:nodes', 'x', 'not JSON', 'y', '{"name":"y"}')
    expect((await new RedisFleetStore({ redis, prefix: 'test' }).read()).reports).toEqual([])
  })
})

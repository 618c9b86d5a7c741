/** The options by which `serve` joins others: what is refused, and what becomes of the rest. */
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../../src/cli/checks/usage-error.js'
import {
  addClusterOptions,
  type ClusterOptions,
  clusterSettings,
  redisAccess,
} from '../../../src/cli/serve/cluster.js'
import { addFleetOptions, type FleetOptionsGiven, fleetSupport } from '../../../src/cli/serve/fleet.js'

const redis = 'redis://localhost:6379'
const token = 'sixteen-characters'
const access = { connection: redis, prefix: null }

function parsed(...args: string[]): ClusterOptions & FleetOptionsGiven {
  const command = addFleetOptions(addClusterOptions(new Command('serve')))
    .exitOverride()
    .configureOutput({
      writeErr: () => undefined,
    })
  return command.parse(args, { from: 'user' }).opts()
}

const support = (
  options: FleetOptionsGiven,
  has: Partial<Parameters<typeof fleetSupport>[1]> = {},
  environment: Record<string, string> = {},
) => fleetSupport(options, { redis: null, hasCatalog: false, ...has }, environment)

describe('the options of a cluster', () => {
  it('are what the command says', () => {
    expect(
      parsed(
        ...['--redis', redis, '--redis-prefix', 'p', '--node', 'n', '--cluster-concurrency', '4'],
        ...['--cluster-limit-rate', '1k', '--lease-time', '3', '--when-redis-lost', 'continue'],
        ...['--placement', 'own', '--affinity', '60'],
      ),
    ).toEqual({
      ...{ redis, redisPrefix: 'p', node: 'n', clusterConcurrency: 4, clusterLimitRate: 1024 },
      ...{ leaseTime: 3, whenRedisLost: 'continue', placement: 'own', affinity: 60 },
    })
    for (const wrong of [
      ['--lease-time', '0'],
      ['--when-redis-lost', 'hope'],
      ['--placement', 'else'],
      ['--affinity', '86401'],
      ['--cluster-concurrency', 'x'],
    ])
      expect(() => parsed(...wrong)).toThrow()
  })

  it.each([
    ['--node', { node: 'n' }],
    ['--redis-prefix', { redisPrefix: 'p' }],
    ['--cluster-concurrency', { clusterConcurrency: 1 }],
    ['--cluster-limit-rate', { clusterLimitRate: 1 }],
    ['--lease-time', { leaseTime: 5 }],
    ['--when-redis-lost', { whenRedisLost: 'stop' as const }],
    ['--placement', { placement: 'own' as const }],
    ['--affinity', { affinity: 1 }],
  ])('%s needs Redis', (name, options) => {
    expect(() => redisAccess(options, {})).toThrow(UsageError)
    expect(() => redisAccess(options, {})).toThrow(name)
    expect(redisAccess(options, { MODEL_DOWNLOADER_REDIS: redis })?.connection).toBe(redis)
  })

  it('take the address of a socket, and refuse what is none', () => {
    expect(redisAccess({ redis: 'unix:///run/redis.sock' }, {})?.connection).toBe('/run/redis.sock')
    expect(redisAccess({ redisPrefix: 'p', redis }, {})?.prefix).toBe('p')
    expect(redisAccess({}, { MODEL_DOWNLOADER_REDIS: '' })).toBeNull()
    expect(() => redisAccess({ redis: 'localhost' }, {})).toThrow('--redis must be an address')
  })

  it('make a cluster, unless Redis is for a fleet', async () => {
    const options = { redis, node: 'n' }
    expect(Object.keys(await clusterSettings(options, {}, false))).toEqual(['cluster'])
    expect(await clusterSettings(options, {}, true)).toEqual({})
    expect(await clusterSettings({}, {}, false)).toEqual({})
    for (const shared of [{ clusterConcurrency: 1 }, { leaseTime: 5 }, { whenRedisLost: 'stop' as const }])
      await expect(clusterSettings({ redis, ...shared }, {}, true)).rejects.toThrow('--fleet')
    await expect(clusterSettings({ redis, node: 'two words' }, {}, false)).rejects.toThrow(UsageError)
  })
})

describe('the options of a fleet', () => {
  it('are what the command says', () => {
    expect(
      parsed(
        ...['--fleet', '--labels', 'gpu, eu,', '--advertise', 'http://n:8050/', '--seeds', '3'],
        ...['--peers', 'http://a:1, https://b/ml/'],
      ),
    ).toEqual({
      ...{ fleet: true, labels: ['gpu', 'eu'], advertise: 'http://n:8050', seeds: 3 },
      peers: ['http://a:1', 'https://b/ml'],
    })
    for (const wrong of ['a:1', 'ftp://a', 'http://user@a', 'http://a?b', 'http://'])
      expect(() => parsed('--peers', wrong)).toThrow('such as http://node-2:8050')
  })

  it.each([
    ['--labels', { labels: ['gpu'] }],
    ['--advertise', { advertise: 'http://a' }],
    ['--seeds', { seeds: 2 }],
  ])('%s is for nodes', async (name, options) => {
    await expect(support(options)).rejects.toThrow(name)
  })

  it('need Redis, and a catalog', async () => {
    await expect(support({ fleet: true }, { hasCatalog: true })).rejects.toThrow('--redis')
    await expect(support({ fleet: true }, { redis: access })).rejects.toThrow('--catalog')
  })

  it('serve and ask peers with one token', async () => {
    const peers = ['http://a:1']
    await expect(support({ peers })).rejects.toThrow('MODEL_DOWNLOADER_PEER_TOKEN')
    await expect(support({}, {}, { MODEL_DOWNLOADER_PEER_TOKEN: 'short' })).rejects.toThrow('16')
    const asking = await support({ peers }, {}, { MODEL_DOWNLOADER_PEER_TOKEN: token })
    expect(asking.serving).toEqual({ token })
    const urls = asking.manager.peers?.urls
    expect(typeof urls === 'function' ? urls('0'.repeat(64)) : urls).toEqual(peers)
    const serving = await support({}, {}, { MODEL_DOWNLOADER_PEER_TOKEN: token })
    expect([serving.manager, serving.serving]).toEqual([{}, { token }])
    const alone = await support({})
    expect([alone.manager, alone.serving]).toEqual([{}, undefined])
  })
})

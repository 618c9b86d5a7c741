import { describe, expect, it, vi } from 'vitest'
import {
  addressesOf,
  headersFor,
  type TransferEngine,
  type TransferSpec,
} from '../../../src/engine/protocol.js'
import { addressesAt, mayAskPeers, peerEngine, peerOptionsSchema } from '../../../src/manager/peers/peers.js'
import { decideSeed } from '../../../src/manager/peers/seeds.js'
import fc from '../../support/properties.js'

const sha256 = 'a'.repeat(64)
const token = 'sixteen-characters'
const blob = (host: string) => `http://${host}/api/models/blobs/${sha256}`

/** What a transfer is started with. */
function started(urls: Parameters<typeof peerEngine>[1]['urls'], spec: Partial<TransferSpec> = {}) {
  const start = vi.fn((_: TransferSpec) => ({ send: vi.fn() }))
  const engine = { start, setMaxBytesPerSecond: vi.fn(), close: () => Promise.resolve() } as TransferEngine
  const onLog = vi.fn()
  const given = {
    id: 'a',
    url: 'https://hub/x',
    sha256,
    remote: null,
    headers: { a: 'b' },
    ...spec,
  } as TransferSpec
  peerEngine(engine, { urls, token }, onLog).start(given, vi.fn())
  return { spec: start.mock.calls[0]?.[0], given, onLog }
}

describe('other instances', () => {
  it('are asked for a file before its URL, with the token, which nobody else gets', () => {
    const { spec } = started(['http://node-1:8050', 'http://node-2/ml/'])
    if (spec === undefined) throw new Error('Nothing was started.')
    expect(addressesOf({ ...spec, urls: ['https://mirror/x'] })).toEqual([
      blob('node-1:8050'),
      blob('node-2/ml'),
      'https://hub/x',
      'https://mirror/x',
    ])
    expect(headersFor(blob('node-1:8050'), spec)).toEqual({ authorization: `Bearer ${token}` })
    expect(headersFor('https://hub/x', spec)).toEqual({ a: 'b' })
    expect(headersFor('https://mirror/x', spec)).toEqual({})
    expect(headersFor('http://node-1:8050/elsewhere', spec)).toEqual({})
  })

  it('leave all else to the engine, so that it still answers for itself', async () => {
    const report = { thread: 'worker' as const, loopDelay: null, receivedBytes: 7 }
    const engine = {
      ...{
        start: vi.fn(),
        prepare: vi.fn(),
        setMaxBytesPerSecond: vi.fn(),
        close: vi.fn(() => Promise.resolve()),
      },
      report: vi.fn(() => Promise.resolve(report)),
    }
    const wrapped = peerEngine(engine, { urls: [], token }, vi.fn())
    expect(await wrapped.report?.(true)).toBe(report)
    expect(engine.report).toHaveBeenCalledWith(true)
    wrapped.prepare?.()
    wrapped.setMaxBytesPerSecond(5)
    await wrapped.close()
    expect(engine.prepare).toHaveBeenCalledOnce()
    expect(engine.setMaxBytesPerSecond).toHaveBeenCalledWith(5)
    expect(engine.close).toHaveBeenCalledOnce()
  })

  it('are named by a function, for the digest', () => {
    const urls = vi.fn(() => ['http://node-3'])
    expect(started(urls).spec?.peers?.urls).toEqual([blob('node-3')])
    expect(urls).toHaveBeenCalledWith(sha256)
    const { spec, given, onLog } = started(() => {
      throw new Error('no view')
    })
    expect(spec).toBe(given)
    expect(onLog).toHaveBeenCalledWith('warn', expect.stringContaining('no view'))
  })

  it.each([
    ['the digest is unknown', { sha256: null }],
    ['the caller is remote', { remote: { allowPrivateNetwork: false, allowedHosts: [] } }],
    ['the network must not be used', { offline: true }],
  ] as const)('are not asked when %s', (_, spec) => {
    const { spec: used, given } = started(['http://node-1'], spec)
    expect(used).toBe(given)
    expect(mayAskPeers(given)).toBe(false)
  })

  it('are few, each once, and none that is no address', () => {
    expect(
      addressesAt(['http://a', 'http://a', 'ftp://b', 'x', 'http://u:p@c', 'http://d?x'], sha256),
    ).toEqual([blob('a')])
    expect(
      addressesAt(
        Array.from({ length: 20 }, (_, n) => `http://n${n}`),
        sha256,
      ),
    ).toHaveLength(8)
    expect(started([]).spec?.peers).toBeUndefined()
  })

  it('are configured by addresses or a function, and a token that is no guess', () => {
    const valid = (value: unknown) => peerOptionsSchema.safeParse(value).success
    expect(valid({ urls: ['http://node-1:8050'], token })).toBe(true)
    expect(valid({ urls: () => [], token })).toBe(true)
    for (const urls of [['node-1'], ['http://u:p@node'], 'http://node', undefined])
      expect(valid({ urls, token })).toBe(false)
    expect(valid({ urls: [], token: 'short' })).toBe(false)
    expect(valid({ urls: [], token, more: 1 })).toBe(false)
  })
})

describe('who fetches from the origin', () => {
  it('are the first that want the file; the others wait until somebody has it', () => {
    const claims = ['a', 'b', 'c']
    const from = (self: string, holders: string[] = []) => decideSeed(self, { holders, claims }, 2).from
    expect(['a', 'b', 'c', 'unknown'].map((self) => from(self))).toEqual(['origin', 'origin', 'wait', 'wait'])
    expect(['a', 'b', 'c'].map((self) => from(self, ['a']))).toEqual(['disk', 'peers', 'peers'])
    // The first one is gone.
    expect(decideSeed('c', { holders: [], claims: ['b', 'c'] }, 2)).toEqual({ from: 'origin' })
    expect(decideSeed('a', { holders: [], claims }, 0)).toEqual({ from: 'origin' })
  })

  it('asks different nodes first', () => {
    const view = { holders: ['x', 'y'], claims: ['x', 'b', 'c'] }
    expect(decideSeed('b', view, 2)).toEqual({ from: 'peers', nodes: ['y', 'x'] })
    expect(decideSeed('c', view, 2)).toEqual({ from: 'peers', nodes: ['x', 'y'] })
  })

  it('are never more than `seeds`, and somebody always makes progress', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { maxLength: 6 })
    fc.assert(
      fc.property(names, names, fc.integer({ min: 1, max: 4 }), (holders, claims, seeds) => {
        const all = [...new Set([...holders, ...claims])]
        const decisions = all.map((self) => decideSeed(self, { holders, claims }, seeds).from)
        const count = (from: string) => decisions.filter((one) => one === from).length
        expect(count('origin')).toBeLessThanOrEqual(seeds)
        if (claims.length > 0) expect(count('wait')).toBeLessThan(all.length)
        if (holders.length > 0) expect(count('wait') + count('origin')).toBe(0)
      }),
    )
  })
})

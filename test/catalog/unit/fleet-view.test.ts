import { describe, expect, it } from 'vitest'
import { isNodeWord, parseSelector, selectsNode } from '../../../src/catalog/fleet/selector.js'
import { type FleetContent, MemoryFleetStore, type NodeModel } from '../../../src/catalog/fleet/store.js'
import {
  decisionsOf,
  endedWishes,
  fleetStatus,
  holdersOf,
  wantedBy,
} from '../../../src/catalog/fleet/view.js'
import { ManualClock } from '../../support/clock.js'

const gpu = { name: 'node-1', labels: ['gpu', 'a100'] }
const cpu = { name: 'node-2', labels: [] }
const ready: NodeModel = { state: 'ready', percent: 100, speed: 0, error: null }
const loading: NodeModel = { state: 'downloading', percent: 40, speed: 1_000, error: null }
const absentMs = 20_000

function content(change: Partial<FleetContent> = {}): FleetContent {
  const seenAt = 1_000_000
  return {
    now: seenAt + 1_000,
    wishes: [
      { key: 'llm', nodes: 'label:gpu' },
      { key: 'embed', nodes: 'all' },
      { key: 'embed', nodes: 'node-1' },
    ],
    reports: [
      { ...cpu, url: 'http://2', models: { embed: loading }, digests: ['d'], seenAt },
      { ...gpu, url: 'http://1', models: { llm: ready, embed: ready }, digests: ['d', 'e'], seenAt },
    ],
    claims: {},
    ...change,
  }
}

describe('a selector of nodes', () => {
  it.each([
    ['all', true, true],
    ['label:gpu', true, false],
    ['node-2', false, true],
    [' node-2 , label:a100,node-2', true, true],
    ['node-3,all', true, true],
    ['gpu', false, false],
    ['label:node-1', false, false],
  ])('%s', (text, first, second) => {
    const selector = parseSelector(text)
    expect([selectsNode(selector, gpu), selectsNode(selector, cpu)]).toEqual([first, second])
    expect(parseSelector(selector)).toBe(selector)
  })

  it('has one form', () => {
    expect(parseSelector('b, a,b')).toBe('a,b')
    expect(parseSelector('b,all')).toBe('all')
  })

  it.each(['', ' , ', 'label:', 'a b', 'label:label:x', '../x', '-a', 'no\nde', 'x'.repeat(65)])(
    'is refused: %j',
    (text) => {
      expect(() => parseSelector(text)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }))
    },
  )

  it('is made of words', () => {
    expect(['a', 'node-1.rack_2', 'A'].every(isNodeWord)).toBe(true)
    expect(['', 'a,b', 'ü', 'a-'].some(isNodeWord)).toBe(false)
  })
})

describe('the status of a fleet', () => {
  it('is models by nodes, also of a node that is gone, and of models that nobody has', () => {
    expect(wantedBy(content().wishes, gpu)).toEqual(['embed', 'llm'])
    const status = fleetStatus(
      content({ wishes: [...content().wishes, { key: 'none', nodes: 'node-9' }] }),
      absentMs,
    )
    expect(status.nodes).toEqual([
      { ...gpu, absent: false, ready: true, last_seen: '1970-01-01T00:16:40.000Z' },
      { ...cpu, absent: false, ready: false, last_seen: '1970-01-01T00:16:40.000Z' },
    ])
    expect(status.models).toMatchObject({
      embed: { 'node-1': { state: 'ready' }, 'node-2': { state: 'downloading', percent: 40, speed: 1_000 } },
      llm: { 'node-1': { state: 'ready' } },
      none: {},
    })
    const later = fleetStatus(content({ now: 1_000_000 + absentMs + 1 }), absentMs)
    expect(later.nodes.every(({ absent, ready: isReady }) => absent && !isReady)).toBe(true)
    expect(later.models['embed']?.['node-2']).toMatchObject({ state: 'absent', percent: 40, speed: 0 })
  })

  it('shows what a node has not begun, and is in one order', () => {
    const [one, two] = content().reports
    if (one === undefined || two === undefined) throw new Error('There are two.')
    const late = { ...one, name: 'node-0', models: {} }
    const { nodes, models } = fleetStatus(content({ reports: [two, late] }), absentMs)
    expect(nodes.map(({ name }) => name)).toEqual(['node-0', 'node-1'])
    expect(models['embed']?.['node-0']).toMatchObject({ state: 'missing', percent: 0 })
    expect(Object.keys(models)).toEqual(['embed', 'llm'])
  })
})

describe('where a node gets a model', () => {
  const keys = ['llm', 'embed']
  const decide = (name: string, change: Partial<FleetContent> = {}, have: string[] = []) =>
    Object.fromEntries(
      decisionsOf(content(change), { name, labels: [], ready: new Set(have) }, { keys, seeds: 1, absentMs }),
    )

  it('is another node that has it, as long as that is there and has an address', () => {
    expect(decide('node-2')).toMatchObject({ llm: { from: 'peers', nodes: ['node-1'] } })
    expect(decide('node-1', {}, keys)).toEqual({})
    const claims = { llm: ['node-1', 'node-2'] }
    const far = content().reports.map((report) => ({ ...report, url: null }))
    expect(decide('node-2', { claims, reports: far })).toMatchObject({ llm: { from: 'wait' } })
    // Nothing is heard of the others, so their claims do not count.
    expect(decide('node-2', { claims, now: 2_000_000 })).toMatchObject({ llm: { from: 'origin' } })
  })

  it('is asked for by digest', () => {
    expect(holdersOf(content(), { self: 'node-2', sha256: 'd', absentMs })).toEqual(['http://1'])
    expect(holdersOf(content(), { self: 'node-3', sha256: 'd', absentMs })).toEqual(['http://2', 'http://1'])
    expect(holdersOf(content(), { self: 'node-3', sha256: 'x', absentMs })).toEqual([])
    expect(holdersOf(content({ now: 2_000_000 }), { self: 'node-3', sha256: 'd', absentMs })).toEqual([])
  })
})

describe('a fleet in memory', () => {
  it('keeps wishes once, claims in their order, and the last word of each node', async () => {
    const clock = new ManualClock()
    const store = new MemoryFleetStore(clock)
    let changes = 0
    const end = store.watch(() => (changes += 1))
    await store.wish([{ key: 'llm', nodes: 'all' }])
    await store.wish([{ key: 'llm', nodes: 'all' }])
    for (const node of ['b', 'a', 'b']) await store.claim('llm', node)
    await store.report({ ...cpu, url: null, models: {}, digests: [] })
    clock.advance(5)
    await store.report({ ...cpu, url: null, models: { llm: ready }, digests: [] })
    expect(await store.read()).toMatchObject({
      wishes: [{ key: 'llm', nodes: 'all' }],
      claims: { llm: ['b', 'a'] },
      reports: [{ name: 'node-2', models: { llm: ready }, seenAt: clock.wallNow() }],
    })
    await store.release('llm', 'b')
    expect((await store.read()).claims).toEqual({ llm: ['a'] })
    expect(changes).toBe(5)
    end()
    await store.close()
  })
})

describe('wishes that are taken back', () => {
  const wishes = ['all', 'node-1', 'label:gpu', 'label:gpu,node-1'].map((nodes) => ({ key: 'llm', nodes }))

  it.each([
    ['all', ['all', 'node-1', 'label:gpu', 'label:gpu,node-1']],
    ['node-1', ['node-1']],
    ['label:gpu', ['label:gpu']],
    ['label:gpu,node-1', ['node-1', 'label:gpu', 'label:gpu,node-1']],
    ['label:gpu,node-1,node-2', ['node-1', 'label:gpu', 'label:gpu,node-1']],
    // Its node is one of all, and has the label; but that is not how it was asked for.
    ['node-2', []],
    ['gpu', []],
  ])('%s', (selector, ended) => {
    const found = endedWishes(wishes, new Set(['llm', 'other']), selector)
    expect(found.map(({ nodes }) => nodes)).toEqual(ended)
    expect(endedWishes(wishes, new Set(['other']), selector)).toEqual([])
  })
})

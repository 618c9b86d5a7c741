import { describe, expect, it } from 'vitest'
import type { FleetStatus } from '../../../src/client/index.js'
import { fleetViewOf, termsOf, toggledIn } from '../../../src/elements/fleet/view.js'

const last_seen = '2026-01-01T00:00:00.000Z'
const node = (name: string, more: Partial<FleetStatus['nodes'][number]> = {}) => ({
  ...{ name, labels: [], absent: false, ready: true, last_seen },
  ...more,
})
const cell = (state: FleetStatus['models'][string][string]['state']) => ({
  ...{ state, percent: 0, speed: 0, error: null, last_seen },
})

describe('the view of a fleet', () => {
  it('has absent nodes last, others by number, and a hole where a node is not to have a model', () => {
    const view = fleetViewOf({
      success: true,
      nodes: [
        node('n10', { labels: ['gpu'] }),
        node('n1', { absent: true, ready: false }),
        node('n2', { ready: false, labels: ['eu', 'gpu'] }),
      ],
      models: {
        b: { n2: cell('failed'), n10: cell('ready'), n1: cell('absent') },
        a: { n10: cell('ready') },
      },
      timestamp: last_seen,
    })
    expect(view.nodes.map(({ name }) => name)).toEqual(['n2', 'n10', 'n1'])
    expect(view.rows.map(({ key, cells }) => [key, cells.map((each) => each?.state ?? null)])).toEqual([
      ['b', ['failed', 'ready', 'absent']],
      ['a', [null, 'ready', null]],
    ])
    expect(view).toMatchObject({ ready: 1, present: 2, absent: 1, labels: ['eu', 'gpu'] })
  })

  it('is empty without nodes', () => {
    const view = fleetViewOf({ success: true, nodes: [], models: {}, timestamp: last_seen })
    expect(view).toEqual({ nodes: [], rows: [], ready: 0, present: 0, absent: 0, labels: [] })
  })
})

describe('the selector', () => {
  it.each([
    ['all', 'n1', 'n1'],
    ['', 'n1', 'n1'],
    ['n1', 'n1', ''],
    [' label:gpu , n1', 'n2', 'label:gpu, n1, n2'],
    ['n1,n2', 'n1', 'n2'],
  ])('%j with %s toggled is %j', (before, name, after) => {
    expect(toggledIn(before, name)).toBe(after)
  })

  it('has terms between commas', () => {
    expect(termsOf(' a,, b ,')).toEqual(['a', 'b'])
  })
})

import { describe, expect, it } from 'vitest'
import { type DiskState, type Need, SpaceLedger } from '../../../src/manager/space/ledger.js'
import fc from '../../support/properties.js'

const GB = 1_000_000_000

interface OnDisk {
  path: string
  bytes: number
  pending?: number
}

/** A disk with one file system, named `v`. */
function disk(
  files: readonly OnDisk[],
  { free = 1_000 * GB, capacity = 2_000 * GB, beganAt = 0 } = {},
): DiskState {
  return {
    files: files.map((file) => ({ pending: 0, volume: 'v', ...file })),
    volumes: new Map([['v', { free, capacity }]]),
    beganAt,
  }
}

const need = (path: string, bytes: number): Need => ({ path, bytes, volume: 'v' })

function ledger(maxDiskBytes: number | null, minFreeBytes = 0): SpaceLedger {
  return new SpaceLedger({ maxDiskBytes, minFreeBytes })
}

describe('the disk budget', () => {
  it('counts what is on the disk and what others have reserved', () => {
    const budget = ledger(100)
    budget.measured(disk([{ path: '/old', bytes: 30 }]))
    expect(budget.shortages('a', [need('/a', 70)])).toEqual([])
    expect(budget.shortages('a', [need('/a', 71)])).toMatchObject([
      { kind: 'budget', needed: 71, available: 70, limit: 100, never: false },
    ])
    budget.hold('a', [need('/a', 50)])
    expect(budget.shortages('b', [need('/b', 20)])).toEqual([])
    expect(budget.shortages('b', [need('/b', 21)])).toMatchObject([{ needed: 21, available: 20 }])
  })

  it('counts an unfinished file as a part of what its download needs, and otherwise as it is', () => {
    const budget = ledger(100)
    budget.measured(disk([{ path: '/a.part', bytes: 40 }]))
    expect(budget.shortages('b', [need('/b', 61)])).toMatchObject([{ needed: 61, available: 60 }])
    expect(budget.shortages('a', [need('/a', 100)])).toEqual([])
    expect(budget.shortages('a', [need('/a', 101)])).toMatchObject([
      { needed: 101, available: 100, never: true },
    ])
  })

  it('counts the old and the new file while one replaces the other', () => {
    const budget = ledger(100)
    budget.measured(disk([{ path: '/a', bytes: 60 }]))
    expect(budget.shortages('a', [need('/a', 60)])).toMatchObject([{ available: 40, never: false }])
    expect(budget.shortages('a', [need('/a', 40)])).toEqual([])
  })

  it('never fits what is larger than all of it, the complete files of the same group included', () => {
    const budget = ledger(100)
    budget.measured(disk([{ path: '/g/1', bytes: 60 }]))
    expect(budget.shortages('g', [need('/g/2', 41)], 60)).toMatchObject([{ never: true }])
    expect(budget.shortages('g', [need('/g/2', 40)], 60)).toEqual([])
  })

  it('counts a whole group at once', () => {
    const budget = ledger(100)
    budget.measured(disk([]))
    expect(budget.shortages('g', [need('/g/1', 50), need('/g/2', 51)])).toMatchObject([{ needed: 101 }])
    budget.hold('g', [need('/g/1', 50), need('/g/2', 50)])
    expect([budget.covers('g', '/g/2', 50), budget.covers('g', '/g/2', 51), budget.has('g')]).toEqual([
      true,
      false,
      true,
    ])
  })

  it('counts a finished file once, whether it was measured before, while or after it got its name', () => {
    const budget = ledger(100)
    budget.measured(disk([]))
    budget.hold('a', [need('/a', 60)])
    budget.release('a', 1)
    const left = () => budget.shortages('b', [need('/b', 1_000)])[0]?.available
    expect(left()).toBe(40)
    for (const files of [[], [{ path: '/a', bytes: 60 }], [{ path: '/a.part', bytes: 60 }]]) {
      budget.measured(disk(files, { beganAt: 0 }))
      expect(left()).toBe(40)
    }
    budget.measured(disk([{ path: '/a', bytes: 60 }], { beganAt: 1 }))
    expect([left(), budget.has('a')]).toEqual([40, false])
    budget.measured(disk([], { beganAt: 2 }))
    expect(left()).toBe(100)
  })

  it('counts a file that has just been finished while it is replaced', () => {
    const budget = ledger(100)
    budget.measured(disk([]))
    budget.hold('a', [need('/a', 60)])
    budget.release('a', 1)
    expect(budget.shortages('a', [need('/a', 60)])).toMatchObject([{ available: 40 }])
  })
})

describe('reservations', () => {
  it('are known by download and file, until they end or are given up', () => {
    const space = ledger(100)
    space.measured(disk([]))
    expect([space.isBusy, space.isWriting('/a'), space.has('a'), space.covers('a', '/a', 0)]).toEqual(Array(4).fill(false)) // prettier-ignore
    space.hold('none', [])
    expect([space.isBusy, space.has('none')]).toEqual([false, false])
    space.hold('a', [need('/a', 0), need('/b', 20)])
    space.hold('c', [need('/c', 30)])
    expect(['/a', '/b', '/c', '/d'].map((path) => space.isWriting(path))).toEqual([true, true, true, false])
    expect([space.isBusy, space.covers('a', '/a', 0), space.covers('a', '/d', 0)]).toEqual([
      true,
      true,
      false,
    ])
    space.release('a', 1, '/b')
    expect([space.has('a'), space.isWriting('/b'), space.isWriting('/a')]).toEqual([true, false, true])
    // What it had counts until it is measured.
    expect(space.shortages('x', [need('/x', 51)])).toMatchObject([{ available: 50 }])
    space.release('a', 1, '/a')
    expect(space.has('a')).toBe(false)
    space.drop('c')
    expect([space.has('c'), space.isBusy]).toEqual([false, false])
    expect(space.shortages('x', [need('/x', 81)])).toMatchObject([{ available: 80 }])
    space.release('unknown', 1)
    expect(space.isBusy).toBe(false)
  })

  it('of a download count, except for the files that it asks for again', () => {
    const space = ledger(100)
    space.measured(disk([]))
    space.hold('a', [need('/a', 40), need('/b', 20)])
    expect(space.shortages('a', [need('/a', 81)])).toMatchObject([{ available: 80 }])
    expect(space.shortages('a', [need('/c', 41)])).toMatchObject([{ available: 40 }])
    // Another download of the same file does not take them over.
    expect(space.shortages('b', [need('/a', 41)])).toMatchObject([{ available: 40 }])
    space.hold('a', [need('/a', 50)])
    expect(space.shortages('b', [need('/c', 31)])).toMatchObject([{ available: 30 }])
  })

  it('have ended for a measurement that began when the file was finished, and count before the first one', () => {
    const space = ledger(100)
    expect(space.shortages('a', [need('/a', 101)])).toMatchObject([{ available: 100 }])
    space.hold('a', [need('/a', 60)])
    space.release('a', 5)
    space.measured(disk([], { beganAt: 5 }))
    expect(space.shortages('b', [need('/b', 101)])).toMatchObject([{ available: 100 }])
  })

  it('count a copy that is being adopted as a part of them', () => {
    const space = ledger(100)
    space.measured(disk([{ path: '/a.part.adopt', bytes: 30 }]))
    expect(space.shortages('a', [need('/a', 100)])).toEqual([])
    expect(space.shortages('b', [need('/b', 71)])).toMatchObject([{ available: 70 }])
  })

  it('never fit only if they are larger than the limit', () => {
    const space = ledger(100)
    space.measured(disk([{ path: '/old', bytes: 1 }]))
    expect(space.shortages('a', [need('/a', 60)], 40)).toEqual([])
    expect(space.shortages('a', [need('/a', 100)])).toMatchObject([{ never: false }])
  })
})

describe('the space that must stay free', () => {
  it('is that of the same file system only', () => {
    const space = ledger(null, 10)
    const other = (path: string, bytes: number): Need => ({ path, bytes, volume: 'w' })
    const volumes = new Map([
      ['v', { free: 100, capacity: 1_000 }],
      ['w', { free: 1_000, capacity: 1_000 }],
    ])
    space.measured({ files: [{ path: '/w/x.part', bytes: 9, pending: 9, volume: 'w' }], volumes, beganAt: 0 })
    space.hold('a', [other('/w/a', 500)])
    space.hold('b', [other('/w/b', 100)])
    space.release('b', 1)
    expect(space.shortages('c', [need('/c', 90), other('/w/c', 300)])).toEqual([])
    expect(space.shortages('c', [need('/c', 91), other('/w/c', 1)])).toMatchObject([
      { volume: 'v', needed: 91, available: 90 },
    ])
    expect(space.shortages('c', [other('/w/c', 382)])).toMatchObject([{ volume: 'w', available: 381 }])
  })

  it('counts what has just been finished until it is measured, but not what was on the disk of it', () => {
    const space = ledger(null, 0)
    const files = [{ path: '/a.part', bytes: 30 }]
    space.measured(disk(files, { free: 100 }))
    space.hold('a', [need('/a', 50)])
    space.release('a', 5)
    expect(space.shortages('b', [need('/b', 81)])).toMatchObject([{ available: 80 }])
    // It is complete in a measurement that had begun before its end.
    space.measured(disk([{ path: '/a', bytes: 50 }], { free: 80, beganAt: 4 }))
    expect(space.shortages('b', [need('/b', 81)])).toMatchObject([{ available: 80 }])
    // A complete file that is fetched again is written once more.
    space.hold('c', [need('/a', 50)])
    expect(space.shortages('b', [need('/b', 31)])).toMatchObject([{ available: 30 }])
  })

  it('is needed for all of a file that replaces another one', () => {
    const space = ledger(null, 0)
    space.measured(disk([{ path: '/a', bytes: 50 }], { free: 80 }))
    expect(space.shortages('a', [need('/a', 81)])).toMatchObject([{ needed: 81, available: 80 }])
  })

  it('counts of an unfinished file what is allocated, and not what is promised to it', () => {
    const space = ledger(null, 0)
    space.measured(disk([{ path: '/a.part', bytes: 50, pending: 20 }], { free: 100 }))
    space.hold('a', [need('/a', 50)])
    expect(space.shortages('b', [need('/b', 61)])).toMatchObject([{ available: 60 }])
    space.measured(
      disk(
        [
          { path: '/a.part', bytes: 50 },
          { path: '/b.part', bytes: 1, pending: 1 },
        ],
        { free: 100 },
      ),
    )
    expect(space.shortages('b', [need('/b', 100)])).toMatchObject([{ available: 99 }])
  })

  it('never suffices only for what is larger than the file system', () => {
    const space = ledger(null, 10)
    space.measured(disk([], { free: 50, capacity: 100 }))
    expect(space.shortages('a', [need('/a', 90)])).toMatchObject([{ never: false }])
    expect(space.shortages('a', [need('/a', 91)])).toMatchObject([{ never: true }])
  })

  it('is reduced by what others still have to write', () => {
    const space = ledger(null, 10)
    space.measured(disk([{ path: '/a.part', bytes: 30 }], { free: 100, capacity: 1_000 }))
    space.hold('a', [need('/a', 70)])
    expect(space.shortages('b', [need('/b', 50)])).toEqual([])
    expect(space.shortages('b', [need('/b', 51)])).toMatchObject([
      { kind: 'free', needed: 51, available: 50, limit: 10, never: false },
    ])
    expect(space.shortages('b', [need('/b', 991)])).toMatchObject([{ never: true }])
  })

  it('is reduced by what another process still has to write', () => {
    const space = ledger(null, 0)
    space.measured(disk([{ path: '/x.part', bytes: 80, pending: 60 }], { free: 100 }))
    expect(space.shortages('b', [need('/b', 41)])).toMatchObject([{ available: 40 }])
  })

  it('does not matter where the file system does not tell, nor for what is complete', () => {
    const space = ledger(null, 10)
    space.measured(disk([], { free: Infinity, capacity: Infinity }))
    expect(space.shortages('a', [need('/a', GB)])).toEqual([])
    space.measured(disk([], { free: 0 }))
    expect(space.shortages('a', [need('/a', 0)])).toEqual([])
    expect(space.shortages('a', [{ ...need('/a', 1), volume: 'unknown' }])).toEqual([])
    const unlimited = ledger(null, Infinity)
    unlimited.measured(disk([], { free: Infinity, capacity: Infinity }))
    expect(unlimited.shortages('a', [need('/a', GB)])).toEqual([])
  })
})

/** A step of a history: a download asks, or ends with a share of its file written. */
const step = fc.oneof(
  fc.record({ type: fc.constant('ask' as const), id: fc.integer({ min: 0, max: 5 }), bytes: fc.nat(60) }),
  fc.record({
    type: fc.constant('end' as const),
    id: fc.integer({ min: 0, max: 5 }),
    percent: fc.constantFrom(0, 40, 100),
  }),
  fc.record({ type: fc.constant('measure' as const), late: fc.boolean() }),
  fc.record({ type: fc.constant('delete' as const), id: fc.integer({ min: 0, max: 5 }) }),
)

it('never promises more than there is, whatever the order of requests, ends and measurements', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(100), fc.nat(50), (steps, limit, minFree) => {
      const capacity = 150
      const space = ledger(limit, minFree)
      const files = new Map<string, number>()
      const running = new Map<string, number>()
      let at = 0
      const state = () => {
        const used = [...files.values()].reduce((sum, bytes) => sum + bytes, 0)
        return disk(
          [...files].map(([path, bytes]) => ({ path, bytes })),
          { free: capacity - used, capacity, beganAt: at },
        )
      }
      let earlier = state()
      space.measured(earlier)
      for (const each of steps) {
        at += 1
        if (each.type === 'measure') {
          // A measurement that ends now may have begun a while ago.
          space.measured(each.late ? earlier : state())
          earlier = state()
          continue
        }
        const id = String(each.id)
        const path = `/${id}`
        if (each.type === 'ask') {
          if (running.has(id) || space.shortages(id, [need(path, each.bytes)]).length > 0) continue
          space.hold(id, [need(path, each.bytes)])
          running.set(id, each.bytes)
        } else if (each.type === 'delete') {
          files.delete(path)
        } else {
          const bytes = running.get(id)
          if (bytes === undefined) continue
          running.delete(id)
          const written = Math.floor((bytes * each.percent) / 100)
          files.delete(`${path}.part`)
          files.set(each.percent === 100 ? path : `${path}.part`, written)
          space.release(id, at)
        }
        // Even if all that run write all that they were promised.
        const kept = [...files].filter(
          ([name]) => !running.has(name.slice(1).replace('.part', '')) || !name.endsWith('.part'),
        )
        const total = [...kept, ...running].reduce((sum, [, bytes]) => sum + bytes, 0)
        expect(total).toBeLessThanOrEqual(limit)
        expect(capacity - total).toBeGreaterThanOrEqual(Math.min(minFree, capacity))
      }
    }),
    { numRuns: 500 },
  )
})

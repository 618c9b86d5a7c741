import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  add,
  clip,
  covers,
  frontier,
  parseIntervals,
  size,
  subtract,
  union,
  type ConnectionSpeed,
  type IntervalSet,
  type Running,
} from '../../../src/engine/part/intervals.js'
import { nextWork, slowest } from '../../../src/engine/fetch/segments.js'

/** The naive model: one boolean per byte. */
const width = 48
type Bitmap = readonly boolean[]

const bitmaps = fc.array(fc.boolean(), { minLength: width, maxLength: width })
const offsets = fc.nat({ max: width })

function toSet(bits: Bitmap): IntervalSet {
  const result: [number, number][] = []
  bits.forEach((bit, index) => {
    if (!bit) return
    const last = result.at(-1)
    if (last?.[1] === index) last[1]++
    else result.push([index, index + 1])
  })
  return result
}

const within = (start: number, end: number) => (index: number) => index >= start && index < end

describe('interval sets agree with a bitmap', () => {
  it('add', () => {
    fc.assert(
      fc.property(bitmaps, offsets, offsets, (bits, start, end) => {
        const inside = within(start, end)
        expect(add(toSet(bits), start, end)).toEqual(toSet(bits.map((bit, index) => bit || inside(index))))
      }),
    )
  })

  it('subtract', () => {
    fc.assert(
      fc.property(bitmaps, offsets, offsets, (bits, start, end) => {
        const inside = within(start, end)
        expect(subtract(toSet(bits), start, end)).toEqual(
          toSet(bits.map((bit, index) => bit && !inside(index))),
        )
      }),
    )
  })

  it('union', () => {
    fc.assert(
      fc.property(bitmaps, bitmaps, (a, b) => {
        expect(union(toSet(a), toSet(b))).toEqual(toSet(a.map((bit, index) => bit || b[index] === true)))
      }),
    )
  })

  it('size, covers and frontier', () => {
    fc.assert(
      fc.property(bitmaps, offsets, offsets, (bits, start, end) => {
        const set = toSet(bits)
        expect(size(set)).toBe(bits.filter(Boolean).length)
        expect(covers(set, start, end)).toBe(bits.every((bit, index) => bit || !within(start, end)(index)))
        const hole = bits.indexOf(false)
        expect(frontier(set)).toBe(hole < 0 ? width : hole)
      }),
    )
  })

  it('clip', () => {
    fc.assert(
      fc.property(bitmaps, offsets, (bits, total) => {
        const set = toSet(bits)
        expect(clip(set, total)).toEqual(toSet(bits.slice(0, total)))
      }),
    )
  })

  it('never changes a set in place', () => {
    fc.assert(
      fc.property(bitmaps, offsets, offsets, (bits, start, end) => {
        const set = toSet(bits)
        const before = structuredClone(set)
        add(set, start, end)
        subtract(set, start, end)
        union(set, [[start, start + 1]])
        clip(set, end)
        expect(set).toEqual(before)
      }),
    )
  })

  it('gives the same set back when nothing changes', () => {
    const set: IntervalSet = [[0, 10]]
    expect(add(set, 2, 8)).toBe(set)
    expect(add(set, 5, 5)).toBe(set)
    expect(subtract(set, 10, 20)).toBe(set)
    expect(clip(set, 10)).toBe(set)
  })

  it('holds past 2^32', () => {
    const start = 5 * 2 ** 30
    expect(size(add([[0, start]], start, start + 7))).toBe(start + 7)
  })
})

describe('parseIntervals', () => {
  it('reads back what was written', () => {
    fc.assert(
      fc.property(bitmaps, (bits) => {
        const set = toSet(bits)
        expect(parseIntervals(JSON.parse(JSON.stringify(set)))).toEqual(set)
      }),
    )
  })

  it('merges adjacent intervals', () => {
    expect(
      parseIntervals([
        [0, 4],
        [4, 9],
        [10, 12],
      ]),
    ).toEqual([
      [0, 9],
      [10, 12],
    ])
  })

  it.each([
    ['no array', { 0: [0, 1], length: 1 }],
    ['null', null],
    ['a bare number', [1]],
    ['one number', [[1]]],
    ['three numbers', [[1, 2, 3]]],
    ['strings', [['0', '1']]],
    ['fractions', [[0, 1.5]]],
    ['negative', [[-1, 5]]],
    ['NaN', [[0, Number.NaN]]],
    ['unsafe integers', [[0, 2 ** 53]]],
    ['empty', [[3, 3]]],
    ['backwards', [[5, 3]]],
    ['unsorted', [[10, 12], [0, 4]]], // prettier-ignore
    ['overlapping', [[0, 5], [4, 9]]], // prettier-ignore
  ])('refuses %s', (_what, value) => {
    expect(parseIntervals(value)).toBeNull()
  })

  it('never throws, and gives a proper set or null', () => {
    const pair = fc.array(fc.oneof(fc.integer({ min: -1, max: 30 }), fc.anything()), { maxLength: 3 })
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.array(pair)), (value) => {
        const set = parseIntervals(value)
        if (set === null) return
        let previous = -1
        for (const [start, end] of set) {
          expect(start).toBeGreaterThan(previous)
          expect(end).toBeGreaterThan(start)
          previous = end
        }
      }),
    )
  })
})

describe('nextWork', () => {
  const MiB = 1024 * 1024

  it('gives n even, contiguous segments on a fresh file', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 2 * MiB }),
        fc.integer({ min: 0, max: 500e9 }),
        (connections, minSegmentBytes, extra) => {
          const total = connections * (minSegmentBytes + connections) + extra
          const running: Running[] = []
          for (let id = 0; id < connections; id++) {
            const work = nextWork({ received: [], total, running, connections, minSegmentBytes })
            expect(work?.kind).toBe('gap')
            if (work === null) return
            expect(work.start).toBe(running.at(-1)?.end ?? 0)
            expect(Math.abs(work.end - work.start - total / connections)).toBeLessThanOrEqual(connections)
            running.push({ id, position: work.start, end: work.end })
          }
          expect(running.at(-1)?.end).toBe(total)
        },
      ),
    )
  })

  it('keeps the shares even while the first connection is already receiving', () => {
    const work = nextWork({
      received: [[0, MiB]],
      total: 41 * MiB,
      running: [{ id: 0, position: MiB, end: 11 * MiB }],
      connections: 4,
      minSegmentBytes: MiB,
    })
    expect(work).toEqual({ kind: 'gap', start: 11 * MiB, end: 21 * MiB })
  })

  it('takes the lowest gap, whole when little would be left of it', () => {
    const situation = { total: 100, running: [], connections: 10, minSegmentBytes: 8 }
    expect(
      nextWork({
        ...situation,
        received: [
          [0, 10],
          [20, 90],
        ],
      }),
    ).toEqual({ kind: 'gap', start: 10, end: 20 })
    expect(nextWork({ ...situation, received: [[20, 90]] })).toEqual({ kind: 'gap', start: 0, end: 8 })
  })

  it('steals the far half of the largest rest', () => {
    const running = [
      { id: 7, position: 10, end: 20 },
      { id: 9, position: 40, end: 100 },
    ]
    const received: IntervalSet = [
      [0, 10],
      [20, 40],
    ]
    const situation = { received, total: 100, running, connections: 3 }
    expect(nextWork({ ...situation, minSegmentBytes: 30 })).toEqual({
      kind: 'steal',
      victim: 9,
      start: 70,
      end: 100,
    })
    expect(nextWork({ ...situation, minSegmentBytes: 31 })).toBeNull()
  })

  it('hands out bounded segments from the front when asked to', () => {
    const situation = { received: [], total: 100, running: [], connections: 2, minSegmentBytes: 4 }
    expect(nextWork({ ...situation, maxSegmentBytes: 10 })).toEqual({ kind: 'gap', start: 0, end: 10 })
    expect(nextWork({ ...situation, maxSegmentBytes: 1 })).toEqual({ kind: 'gap', start: 0, end: 4 })
    expect(nextWork({ ...situation, maxSegmentBytes: 80 })).toEqual({ kind: 'gap', start: 0, end: 50 })
  })

  it('has nothing to do for a complete or empty file', () => {
    const situation = { running: [], connections: 4, minSegmentBytes: 1 }
    expect(nextWork({ ...situation, received: [[0, 10]], total: 10 })).toBeNull()
    expect(nextWork({ ...situation, received: [], total: 0 })).toBeNull()
  })

  it('brings every byte exactly once, whatever the speeds, drops and kept bytes', () => {
    const plans = fc.record({
      total: fc.integer({ min: 1, max: 600 }),
      connections: fc.integer({ min: 1, max: 9 }),
      minSegmentBytes: fc.integer({ min: 1, max: 40 }),
      maxSegmentBytes: fc.constantFrom(1, 30, 200, Infinity),
      kept: fc.array(fc.tuple(fc.nat({ max: 600 }), fc.nat({ max: 60 })), { maxLength: 6 }),
      // Each step: which connection moves, by how much, and whether it drops afterwards.
      steps: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 50 }), fc.nat({ max: 9 })), {
        minLength: 1,
        maxLength: 80,
      }),
    })
    fc.assert(
      fc.property(plans, ({ total, connections, minSegmentBytes, maxSegmentBytes, kept, steps }) => {
        let received: IntervalSet = []
        for (const [start, length] of kept) received = add(received, start, Math.min(total, start + length))
        const times = Array.from<unknown, number>({ length: total }, (_, index) =>
          covers(received, index, index + 1) ? 1 : 0,
        )
        let running: Running[] = []
        let nextId = 0
        const startAll = () => {
          while (running.length < connections) {
            const situation = { received, total, running, connections, minSegmentBytes, maxSegmentBytes }
            const work = nextWork(situation)
            if (work === null) return
            expect(work.start).toBeGreaterThanOrEqual(0)
            expect(work.end).toBeGreaterThan(work.start)
            expect(work.end).toBeLessThanOrEqual(total)
            for (const run of received) expect(run[1] <= work.start || run[0] >= work.end).toBe(true)
            if (work.kind === 'steal') {
              const victim = running.find(({ id }) => id === work.victim)
              expect(victim?.end).toBe(work.end)
              if (victim !== undefined) victim.end = work.start
              expect(victim?.position).toBeLessThan(work.start)
              expect(work.end - work.start).toBeGreaterThanOrEqual(minSegmentBytes)
            }
            for (const { position, end } of running) {
              expect(end <= work.start || position >= work.end).toBe(true)
            }
            running.push({ id: nextId++, position: work.start, end: work.end })
          }
        }
        let turn = 0
        while (size(received) < total) {
          startAll()
          // Someone is always at work while bytes are missing: no dead end.
          expect(running.length).toBeGreaterThan(0)
          // After the script the steps repeat without drops, so that it must come to an end.
          const [who, bytes, dice] = steps[turn % steps.length] ?? [0, 1, 9]
          const drops = dice === 0 && turn < steps.length
          turn++
          expect(turn).toBeLessThan(5_000)
          const mover = running[who % running.length]
          if (mover === undefined) continue
          const until = Math.min(mover.end, mover.position + bytes)
          for (let byte = mover.position; byte < until; byte++) times[byte] = (times[byte] ?? 0) + 1
          received = add(received, mover.position, until)
          mover.position = until
          if (drops || mover.position >= mover.end) running = running.filter((other) => other !== mover)
        }
        expect(times.every((count) => count === 1)).toBe(true)
        expect(nextWork({ received, total, running: [], connections, minSegmentBytes })).toBeNull()
      }),
    )
  })
})

describe('slowest', () => {
  const rules = { minAgeMs: 5_000, ratio: 0.2 }
  const connection = (id: number, bytesPerSecond: number, rest: Partial<ConnectionSpeed> = {}) => ({
    id,
    bytesPerSecond,
    ageMs: 10_000,
    remaining: 1e9,
    ...rest,
  })

  it('finds the one that is far behind', () => {
    expect(slowest([connection(1, 100), connection(2, 10), connection(3, 120)], rules)).toBe(2)
  })

  it('finds the slowest of several', () => {
    const all = [
      connection(1, 9),
      connection(2, 100),
      connection(3, 100),
      connection(4, 100),
      connection(5, 3),
    ]
    expect(slowest(all, rules)).toBe(5)
  })

  it('finds one that stands still', () => {
    expect(slowest([connection(1, 100), connection(2, 0), connection(3, 120)], rules)).toBe(2)
  })

  it.each([
    ['two others are missing', [connection(1, 100), connection(2, 1)]],
    ['it is too young', [connection(1, 100), connection(2, 1, { ageMs: 5_000 }), connection(3, 100)]],
    ['it is nearly done', [connection(1, 100), connection(2, 10, { remaining: 50 }), connection(3, 100)]],
    ['it is slow, but not by far', [connection(1, 100), connection(2, 20), connection(3, 100)]],
    ['all stand still', [connection(1, 0), connection(2, 0), connection(3, 0)]],
    ['there is nobody', []],
  ])('says null when %s', (_why, connections) => {
    expect(slowest(connections, rules)).toBeNull()
  })

  it('compares with the others only, and never names one that keeps up', () => {
    const speeds = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 3, maxLength: 16 })
    fc.assert(
      fc.property(speeds, (list) => {
        const found = slowest(
          list.map((speed, id) => connection(id, speed)),
          rules,
        )
        const behind = list.filter((speed, id) => {
          const others = list.filter((_, other) => other !== id).sort((a, b) => a - b)
          const low = others[Math.floor((others.length - 1) / 2)] ?? 0
          const high = others[Math.ceil((others.length - 1) / 2)] ?? 0
          return speed < 0.2 * ((low + high) / 2)
        })
        if (behind.length === 0) expect(found).toBeNull()
        else expect(list[found ?? -1]).toBe(Math.min(...behind))
      }),
    )
  })
})

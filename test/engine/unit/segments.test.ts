import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  type ActiveSegment,
  type ConnectionSpeed,
  nextSegment,
  slowest,
  straggler,
  windowFor,
} from '../../../src/engine/fetch/segments.js'
import {
  add,
  covers,
  frontier,
  type IntervalSet,
  size,
  subtract,
} from '../../../src/engine/part/intervals.js'

describe('nextSegment', () => {
  const MiB = 1024 * 1024

  it('gives n even, contiguous segments on a fresh file', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 2 * MiB }),
        fc.integer({ min: 0, max: 500e9 }),
        (connections, minSegmentBytes, extra) => {
          const total = connections * (minSegmentBytes + connections) + extra
          const active: ActiveSegment[] = []
          for (let id = 0; id < connections; id++) {
            const segment = nextSegment({ received: [], total, active, connections, minSegmentBytes })
            expect(segment?.kind).toBe('gap')
            if (segment === null) return
            expect(segment.start).toBe(active.at(-1)?.end ?? 0)
            expect(Math.abs(segment.end - segment.start - total / connections)).toBeLessThanOrEqual(
              connections,
            )
            active.push({ id, position: segment.start, end: segment.end })
          }
          expect(active.at(-1)?.end).toBe(total)
        },
      ),
    )
  })

  it('keeps the shares even while the first connection is already receiving', () => {
    const segment = nextSegment({
      received: [[0, MiB]],
      total: 41 * MiB,
      active: [{ id: 0, position: MiB, end: 11 * MiB }],
      connections: 4,
      minSegmentBytes: MiB,
    })
    expect(segment).toEqual({ kind: 'gap', start: 11 * MiB, end: 21 * MiB })
  })

  it('takes the lowest gap, whole when little would be left of it', () => {
    const situation = { total: 100, active: [], connections: 10, minSegmentBytes: 8 }
    expect(
      nextSegment({
        ...situation,
        received: [
          [0, 10],
          [20, 90],
        ],
      }),
    ).toEqual({ kind: 'gap', start: 10, end: 20 })
    expect(nextSegment({ ...situation, received: [[20, 90]] })).toEqual({ kind: 'gap', start: 0, end: 8 })
  })

  it('steals the far half of the largest rest', () => {
    const active = [
      { id: 7, position: 10, end: 20 },
      { id: 9, position: 40, end: 100 },
    ]
    const received: IntervalSet = [
      [0, 10],
      [20, 40],
    ]
    const situation = { received, total: 100, active, connections: 3 }
    expect(nextSegment({ ...situation, minSegmentBytes: 30 })).toEqual({
      kind: 'steal',
      victim: 9,
      start: 70,
      end: 100,
    })
    expect(nextSegment({ ...situation, minSegmentBytes: 31 })).toBeNull()
  })

  it.each([
    ['the first of the active segments', 0],
    ['one in the middle', 1],
    ['the last one', 2],
  ])('steals from the largest rest if that is %s', (_, largest) => {
    const active = [0, 1, 2].map((id) => ({
      id,
      position: id * 100,
      end: id * 100 + (id === largest ? 40 : 20),
    }))
    const gaps = active.map(({ position, end }) => [position, end] as const)
    let received: IntervalSet = [[0, 300]]
    for (const [start, end] of gaps) received = subtract(received, start, end)
    expect(nextSegment({ received, total: 300, active, connections: 4, minSegmentBytes: 8 })).toEqual({
      kind: 'steal',
      victim: largest,
      start: largest * 100 + 20,
      end: largest * 100 + 40,
    })
  })

  it('steals from the first of equal rests', () => {
    const active = [
      { id: 5, position: 0, end: 50 },
      { id: 6, position: 50, end: 100 },
    ]
    const situation = { received: [], total: 100, active, connections: 3, minSegmentBytes: 8 }
    expect(nextSegment(situation)).toMatchObject({ kind: 'steal', victim: 5 })
  })

  it('leaves a rest that is just large enough for a connection of its own', () => {
    const situation = { received: [], active: [], connections: 2, minSegmentBytes: 8 }
    expect(nextSegment({ ...situation, total: 16 })).toEqual({ kind: 'gap', start: 0, end: 8 })
    expect(nextSegment({ ...situation, total: 15 })).toEqual({ kind: 'gap', start: 0, end: 15 })
  })

  it('hands out bounded segments from the front when asked to', () => {
    const situation = { received: [], total: 100, active: [], connections: 2, minSegmentBytes: 4 }
    expect(nextSegment({ ...situation, maxSegmentBytes: 10 })).toEqual({ kind: 'gap', start: 0, end: 10 })
    expect(nextSegment({ ...situation, maxSegmentBytes: 1 })).toEqual({ kind: 'gap', start: 0, end: 4 })
    expect(nextSegment({ ...situation, maxSegmentBytes: 80 })).toEqual({ kind: 'gap', start: 0, end: 50 })
  })

  describe('with a window', () => {
    const situation = { total: 1_000, active: [], connections: 4, minSegmentBytes: 8, windowBytes: 100 }

    it('divides the window, not the file', () => {
      expect(nextSegment({ ...situation, received: [] })).toEqual({ kind: 'gap', start: 0, end: 25 })
      expect(nextSegment({ ...situation, received: [], maxSegmentBytes: 10 })).toMatchObject({ end: 10 })
    })

    it('begins no segment behind it, and takes over from others instead', () => {
      const active = [
        { id: 1, position: 0, end: 25 },
        { id: 2, position: 30, end: 100 },
      ]
      const received: IntervalSet = [[25, 30]]
      expect(nextSegment({ ...situation, received, active })).toEqual({
        kind: 'steal',
        victim: 2,
        start: 65,
        end: 100,
      })
      const narrow = { ...situation, received: [[0, 10]] as IntervalSet, windowBytes: 20 }
      // The segment of a connection that was once alone goes to the end.
      expect(nextSegment({ ...narrow, active: [{ id: 1, position: 10, end: 1_000 }] })).toEqual({
        kind: 'steal',
        victim: 1,
        start: 30,
        end: 1_000,
      })
      const nearEnd = [
        { id: 1, position: 10, end: 25 },
        { id: 2, position: 25, end: 1_000 },
      ]
      expect(nextSegment({ ...narrow, active: nearEnd })).toBeNull()
    })

    it('fills gaps before bytes that are there already wherever they are', () => {
      const received: IntervalSet = [
        [0, 10],
        [300, 310],
        [900, 910],
      ]
      const active = [{ id: 1, position: 10, end: 300 }]
      expect(nextSegment({ ...situation, received, active })).toEqual({ kind: 'gap', start: 310, end: 335 })
      const behind = [...active, { id: 2, position: 310, end: 900 }]
      expect(nextSegment({ ...situation, received, active: behind })).toMatchObject({
        kind: 'steal',
        victim: 2,
      })
    })

    it('is none for a single connection, whose bytes come in order', () => {
      expect(nextSegment({ ...situation, received: [], connections: 1 })).toMatchObject({ end: 1_000 })
    })
  })

  it('has nothing to do for a complete or empty file', () => {
    const situation = { active: [], connections: 4, minSegmentBytes: 1 }
    expect(nextSegment({ ...situation, received: [[0, 10]], total: 10 })).toBeNull()
    expect(nextSegment({ ...situation, received: [], total: 0 })).toBeNull()
  })

  it('brings every byte exactly once, whatever the speeds, drops and kept bytes', () => {
    const plans = fc.record({
      total: fc.integer({ min: 1, max: 600 }),
      connections: fc.integer({ min: 1, max: 9 }),
      minSegmentBytes: fc.integer({ min: 1, max: 40 }),
      maxSegmentBytes: fc.constantFrom(1, 30, 200, Infinity),
      windowBytes: fc.constantFrom(1, 40, 150, Infinity),
      kept: fc.array(fc.tuple(fc.nat({ max: 600 }), fc.nat({ max: 60 })), { maxLength: 6 }),
      // Each step: which connection moves, by how much, and whether it drops afterwards.
      steps: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 50 }), fc.nat({ max: 9 })), {
        minLength: 1,
        maxLength: 80,
      }),
    })
    fc.assert(
      fc.property(plans, ({ total, connections, minSegmentBytes, kept, steps, ...limits }) => {
        let received: IntervalSet = []
        for (const [start, length] of kept) received = add(received, start, Math.min(total, start + length))
        const times = Array.from<unknown, number>({ length: total }, (_, index) =>
          covers(received, index, index + 1) ? 1 : 0,
        )
        let active: ActiveSegment[] = []
        let nextId = 0
        const startAll = () => {
          while (active.length < connections) {
            const segment = nextSegment({ received, total, active, connections, minSegmentBytes, ...limits })
            if (segment === null) return
            const windowEnd = frontier(received) + (connections === 1 ? Infinity : limits.windowBytes)
            expect(segment.start).toBeLessThanOrEqual(Math.max(windowEnd, received.at(-1)?.[1] ?? 0))
            expect(segment.start).toBeGreaterThanOrEqual(0)
            expect(segment.end).toBeGreaterThan(segment.start)
            expect(segment.end).toBeLessThanOrEqual(total)
            for (const run of received) expect(run[1] <= segment.start || run[0] >= segment.end).toBe(true)
            if (segment.kind === 'steal') {
              const victim = active.find(({ id }) => id === segment.victim)
              expect(victim?.end).toBe(segment.end)
              if (victim !== undefined) victim.end = segment.start
              expect(victim?.position).toBeLessThan(segment.start)
              expect(segment.end - segment.start).toBeGreaterThanOrEqual(minSegmentBytes)
            }
            for (const { position, end } of active) {
              expect(end <= segment.start || position >= segment.end).toBe(true)
            }
            active.push({ id: nextId++, position: segment.start, end: segment.end })
          }
        }
        let turn = 0
        while (size(received) < total) {
          startAll()
          // At least one connection is active while bytes are missing.
          expect(active.length).toBeGreaterThan(0)
          // After the script the steps repeat without drops, so that it must come to an end.
          const [who, bytes, dice] = steps[turn % steps.length] ?? [0, 1, 9]
          const drops = dice === 0 && turn < steps.length
          turn++
          expect(turn).toBeLessThan(5_000)
          const mover = active[who % active.length]
          if (mover === undefined) continue
          const until = Math.min(mover.end, mover.position + bytes)
          for (let byte = mover.position; byte < until; byte++) times[byte] = (times[byte] ?? 0) + 1
          received = add(received, mover.position, until)
          mover.position = until
          if (drops || mover.position >= mover.end) active = active.filter((other) => other !== mover)
        }
        expect(times.every((count) => count === 1)).toBe(true)
        expect(nextSegment({ received, total, active: [], connections, minSegmentBytes })).toBeNull()
      }),
    )
  })
})

describe('windowFor', () => {
  const MiB = 1024 * 1024
  const pace = { connections: 4, minSegmentBytes: MiB, usual: [10 * MiB], answerMs: 1 }

  it.each([
    ['the speed is unknown', { usual: [] }, 16 * MiB],
    ['the server answers at once', {}, 16 * MiB],
    ['the server is far away', { answerMs: 100 }, 40 * MiB],
    ['the server takes for ever', { answerMs: 60_000 }, 80 * MiB],
    ['the connections are slow', { usual: [0.1 * MiB] }, 4 * MiB],
    ['one connection was slow', { usual: [0.1 * MiB, 10 * MiB, 12 * MiB] }, 16 * MiB],
  ])('when %s', (_name, change, expected) => {
    expect(windowFor({ ...pace, ...change })).toBe(expected)
  })

  it('has a segment for each connection, and no more than two seconds bring', () => {
    const paces = fc.record({
      connections: fc.integer({ min: 1, max: 64 }),
      minSegmentBytes: fc.integer({ min: 1, max: 4 * MiB }),
      usual: fc.array(fc.integer({ min: 1, max: 1000 * MiB }), { minLength: 1, maxLength: 8 }),
      answerMs: fc.oneof(fc.nat(10_000), fc.constant(Infinity)),
    })
    fc.assert(
      fc.property(paces, ({ connections, minSegmentBytes, usual, answerMs }) => {
        const bytes = windowFor({ connections, minSegmentBytes, usual, answerMs })
        expect(bytes).toBeGreaterThanOrEqual(connections * minSegmentBytes)
        expect(bytes).toBeLessThanOrEqual(connections * Math.max(minSegmentBytes, 2 * Math.max(...usual) + 1))
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

  it('finds the first of two that are equally slow', () => {
    const fast = [3, 4, 5].map((id) => connection(id, 100))
    expect(slowest([connection(1, 5), connection(2, 5), ...fast], rules)).toBe(1)
  })

  it('compares with the middle of two medians if the number of others is even', () => {
    const speeds = [16, 30, 100, 100]
    const others = speeds.map((speed, id) => connection(id, speed))
    // The median is 65, and a fifth of it 13.
    expect(slowest([...others, connection(9, 13)], rules)).toBeNull()
    expect(slowest([...others, connection(9, 12)], rules)).toBe(9)
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

describe('straggler', () => {
  const MiB = 1024 * 1024
  const minAgeMs = 5_000
  const connection = (id: number, bytesPerSecond: number, rest: Partial<ConnectionSpeed> = {}) => ({
    id,
    bytesPerSecond,
    ageMs: 10_000,
    remaining: MiB,
    ...rest,
  })

  it('is the one whose rest others would have long ago', () => {
    expect(straggler([connection(1, 2_000)], [MiB, 2 * MiB, 3 * MiB], minAgeMs)).toBe(1)
  })

  it.each([
    ['slow, but nearly done', connection(1, 2_000, { remaining: 9_000 })],
    ['hardly slower than the others', connection(1, 100_000, { remaining: 10 * MiB })],
    ['young', connection(1, 2_000, { ageMs: minAgeMs })],
    ['done', connection(1, 0, { remaining: 0 })],
  ])('is none that is %s', (_, each) => {
    expect(straggler([each], [150_000], minAgeMs)).toBeNull()
  })

  it('is one that has stopped', () => {
    expect(straggler([connection(1, 0)], [MiB], minAgeMs)).toBe(1)
  })

  it('is none while no other speed is known', () => {
    expect(straggler([connection(1, 1)], [], minAgeMs)).toBeNull()
    expect(straggler([connection(1, 0)], [], minAgeMs)).toBeNull()
  })

  it('is the one with most time left', () => {
    const all = [connection(1, 2_000), connection(2, 1_000), connection(3, 3_000, { remaining: 4 * MiB })]
    expect(straggler(all, [MiB], minAgeMs)).toBe(3)
    expect(straggler(all.toReversed(), [MiB], minAgeMs)).toBe(3)
    expect(straggler([connection(1, 2_000), connection(2, 2_000)], [MiB], minAgeMs)).toBe(1)
  })

  it.each([
    ['twice as long', 500, 10_000],
    ['five seconds longer', 200, 1_250],
  ])('takes %s with it as with another', (_, own, remaining) => {
    expect(straggler([connection(1, own, { remaining })], [1_000], minAgeMs)).toBe(1)
    expect(straggler([connection(1, own + 1, { remaining })], [1_000], minAgeMs)).toBeNull()
  })

  it('is compared with the middle one, in whatever order they finished', () => {
    expect(straggler([connection(1, 2_000)], [MiB, 2_000, MiB], minAgeMs)).toBe(1)
    expect(straggler([connection(1, 2_000)], [2_000, MiB, 2_000], minAgeMs)).toBeNull()
  })

  it('is none when most of them were slow in the end', () => {
    const slow = [2_000, 2_100, 1_900, 2_000]
    expect(straggler([connection(1, 2_000)], [MiB, MiB, MiB, ...slow], minAgeMs)).toBeNull()
    expect(straggler([connection(1, 2_000)], [MiB, MiB, MiB, MiB, ...slow.slice(1)], minAgeMs)).toBe(1)
  })

  it('never is one that others would not have earlier', () => {
    const speed = fc.integer({ min: 1, max: 1e9 })
    fc.assert(
      fc.property(speed, speed, fc.integer({ min: 0, max: 1e9 }), (own, usual, remaining) => {
        const found = straggler([connection(1, own, { remaining })], [usual], minAgeMs)
        if (found !== null) expect(remaining / own).toBeGreaterThanOrEqual(remaining / usual + 5)
      }),
    )
  })
})

import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { Backlog } from '../../src/http/backlog.js'

const bytes = (size: number) => () => new Uint8Array(size)
const bounds = { maxMessages: 3, maxBytes: 1_000 }

/** Numbers that a reader at a position gets. */
function read(backlog: Backlog, position: number, topic: string | null = null): number[] {
  const numbers: number[] = []
  for (let next = backlog.next(position, topic); next !== null; next = backlog.next(next.number, topic)) {
    numbers.push(next.number)
  }
  return numbers
}

describe('Backlog', () => {
  it('gives what came after, and of one topic only that', () => {
    const backlog = new Backlog(bounds)
    for (const topic of ['a', 'b', 'a']) backlog.add({ topic, replaces: null, encode: bytes(1) })
    expect([read(backlog, 0), read(backlog, 0, 'a'), read(backlog, 1, 'b'), read(backlog, 3)]).toEqual([
      [1, 2, 3],
      [1, 3],
      [2],
      [],
    ])
    expect([backlog.reaches(0), backlog.reaches(3), backlog.reaches(4)]).toEqual([true, true, false])
  })

  it('drops the oldest for want of room, in messages and in bytes', () => {
    const backlog = new Backlog(bounds)
    for (let count = 0; count < 5; count += 1) backlog.add({ topic: 'a', replaces: null, encode: bytes(1) })
    expect([read(backlog, 2), backlog.reaches(1), backlog.reaches(2), backlog.size]).toEqual([
      [3, 4, 5],
      false,
      true,
      3,
    ])
    backlog.add({ topic: 'a', replaces: null, encode: bytes(999) })
    expect([read(backlog, 4), backlog.reaches(3), backlog.bytes]).toEqual([[5, 6], false, 1_000])
    backlog.add({ topic: 'a', replaces: null, encode: bytes(1_001) })
    expect([backlog.size, backlog.bytes, backlog.reaches(6), backlog.reaches(7)]).toEqual([0, 0, false, true])
  })

  it('replaces: what was replaced is missed by nobody', () => {
    const backlog = new Backlog(bounds)
    backlog.add({ topic: 'a', replaces: null, encode: bytes(1) })
    for (let count = 0; count < 10_000; count += 1)
      backlog.add({ topic: 'a', replaces: 'progress a', encode: bytes(1) })
    backlog.add({ topic: 'b', replaces: 'progress b', encode: bytes(1) })
    expect([read(backlog, 0), read(backlog, 500), backlog.reaches(0), backlog.size]).toEqual([
      [1, 10_001, 10_002],
      [10_001, 10_002],
      true,
      3,
    ])
  })

  it('holds its bounds, and tells the truth about what is missing, whatever comes', () => {
    const message = fc.record({
      topic: fc.constantFrom('a', 'b', 'c'),
      replaceable: fc.boolean(),
      size: fc.integer({ min: 0, max: 40 }),
    })
    const script = fc.array(
      fc.oneof({ weight: 20, arbitrary: message }, { weight: 1, arbitrary: fc.constant(null) }),
      {
        maxLength: 300,
      },
    )
    fc.assert(
      fc.property(
        script,
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 0, max: 100 }),
        (steps, maxMessages, maxBytes) => {
          const backlog = new Backlog({ maxMessages, maxBytes })
          const sent: { number: number; topic: string; replaces: string | null }[] = []
          for (const step of steps) {
            if (step === null) {
              backlog.clear()
              continue
            }
            const { topic, replaceable, size } = step
            const replaces = replaceable ? topic : null
            backlog.add({ topic, replaces, encode: bytes(size) })
            sent.push({ number: backlog.last, topic, replaces })
            expect(backlog.size).toBeLessThanOrEqual(maxMessages)
            expect(backlog.bytes).toBeLessThanOrEqual(maxBytes)
          }
          for (let position = 0; position <= backlog.last; position += 1) {
            if (!backlog.reaches(position)) continue
            for (const wanted of [null, 'a']) {
              const expected = sent.filter(
                ({ number, topic, replaces }) =>
                  number > position &&
                  (wanted === null || topic === wanted) &&
                  !sent.some(
                    (later) =>
                      later.number > number && later.replaces !== null && later.replaces === replaces,
                  ),
              )
              expect(read(backlog, position, wanted)).toEqual(expected.map(({ number }) => number))
            }
          }
          expect(backlog.reaches(backlog.last)).toBe(true)
        },
      ),
    )
  })
})

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
  type IntervalSet,
} from '../../../src/engine/part/intervals.js'

/** The naive model: one boolean per byte. */
const width = 48
type Bitmap = readonly boolean[]

/** Short runs, and long ones, among them none and one that holds everything. */
const bitmaps = fc
  .oneof(
    fc.array(fc.boolean(), { minLength: width, maxLength: width }),
    fc
      .array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: width / 3 })), { maxLength: 8 })
      .map((runs) => runs.flatMap(([bit, length]) => new Array<boolean>(length).fill(bit))),
    fc.constant(new Array<boolean>(width).fill(true)),
  )
  .map((bits) => Array.from({ length: width }, (_, index) => bits[index] ?? false))
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
    expect(add(set, 0, 10)).toBe(set)
    expect(add(set, 5, 5)).toBe(set)
    expect(add(set, 15, 15)).toBe(set)
    expect(covers(set, 15, 15)).toBe(true)
    expect(subtract(set, 5, 5)).toBe(set)
    expect(subtract(set, 10, 20)).toBe(set)
    expect(subtract([], 0, 20)).toEqual([])
    const later: IntervalSet = [[10, 20]]
    expect(subtract(later, 0, 10)).toBe(later)
    expect(clip(set, 10)).toBe(set)
    expect(clip([], 0)).toEqual([])
    expect(frontier([])).toBe(0)
  })

  it('ends where a run ends', () => {
    const set: IntervalSet = [
      [0, 10],
      [20, 30],
    ]
    expect([covers(set, 0, 10), covers(set, 20, 30), covers(set, 20, 21), covers(set, 29, 30)]).toEqual([
      true,
      true,
      true,
      true,
    ])
    expect([covers(set, 0, 11), covers(set, 19, 30), covers(set, 9, 21), covers(set, 29, 31)]).toEqual([
      false,
      false,
      false,
      false,
    ])
    expect(add(set, 10, 20)).toEqual([[0, 30]])
    expect(subtract(set, 10, 20)).toBe(set)
    expect(subtract(set, 0, 10)).toEqual([[20, 30]])
    expect(subtract(set, 20, 30)).toEqual([[0, 10]])
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

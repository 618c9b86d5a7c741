/** What two versions of a file share. */
import { describe, expect, it } from 'vitest'
import { pieceAt, sharedParts } from '../../../src/engine/xet/delta.js'
import type { Term } from '../../../src/engine/xet/plan.js'
import fc from '../../support/properties.js'

/** Each chunk of a xorb has its own length. */
const lengthOf = (chunk: number) => 10 + ((chunk * 7) % 5)

function termOf(xorb: string, start: number, end: number): Term {
  let length = 0
  for (let chunk = start; chunk < end; chunk += 1) length += lengthOf(chunk)
  return { xorb, start, end, length }
}

/** The bytes of a file, each named by what it is. */
function bytesOf(terms: readonly Term[]): string[] {
  return terms.flatMap(({ xorb, start, end }) =>
    Array.from({ length: end - start }, (_, at) => start + at).flatMap((chunk) =>
      Array.from({ length: lengthOf(chunk) }, (_, at) => `${xorb} ${chunk} ${at}`),
    ),
  )
}

const terms = fc.array(
  fc
    .tuple(fc.constantFrom('a', 'b'), fc.nat(8), fc.integer({ min: 1, max: 6 }))
    .map(([xorb, start, count]) => termOf(xorb, start, start + count)),
  { minLength: 1, maxLength: 5 },
)

describe('two versions of a file', () => {
  it('share what an edit has left before and behind itself', () => {
    const old = [termOf('a', 0, 100)]
    const fresh = [termOf('a', 0, 40), termOf('b', 0, 2), termOf('a', 43, 100)]
    const parts = sharedParts(old, fresh)
    const before = termOf('a', 0, 40).length
    const edit = termOf('b', 0, 2).length
    const behind = termOf('a', 43, 100).length
    expect(parts).toEqual([
      { start: 0, end: before, from: 0 },
      { start: before + edit, end: before + edit + behind, from: termOf('a', 0, 43).length },
    ])
    expect(pieceAt(parts, 10, 1_000_000)).toEqual({ from: 10, end: before })
    expect(pieceAt(parts, before, 1_000_000)).toEqual({ from: null, end: before + edit })
    expect(pieceAt(parts, before + edit + 5, before + edit + 9)).toEqual({
      from: termOf('a', 0, 43).length + 5,
      end: before + edit + 9,
    })
    expect(pieceAt(parts, before + edit + behind, 1_000_000)).toEqual({ from: null, end: 1_000_000 })
  })

  it('share only bytes that are the same, in the order of the new one', () => {
    fc.assert(
      fc.property(terms, terms, (old, fresh) => {
        const [before, after] = [bytesOf(old), bytesOf(fresh)]
        let at = 0
        for (const { start, end, from } of sharedParts(old, fresh)) {
          expect(start).toBeGreaterThanOrEqual(at)
          expect(end).toBeGreaterThan(start)
          expect(after.slice(start, end)).toEqual(before.slice(from, from + end - start))
          at = end
        }
      }),
    )
  })

  it('that are the same share everything', () => {
    const all = [termOf('a', 0, 9), termOf('b', 3, 5)]
    expect(sharedParts(all, all).map(({ start, end }) => end - start)).toEqual(
      all.map(({ length }) => length),
    )
  })
})

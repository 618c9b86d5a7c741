/** Plans of both versions, what is refused of them, and chunks in the order of the file. */
import { describe, expect, it } from 'vitest'
import { maxRawBytes } from '../../../src/engine/xet/chunk.js'
import { parsePlan, rangeWith } from '../../../src/engine/xet/plan.js'
import { ChunkBudget, ChunkSequence } from '../../../src/engine/xet/sequence.js'
import fc from '../../support/properties.js'

const a = 'a'.repeat(64)
const b = 'b'.repeat(64)
const url = 'https://edge.example/xorb?Signature=1'

const modern = {
  offset_into_first_range: 5,
  terms: [
    { hash: a, unpacked_length: 100, range: { start: 2, end: 4 } },
    { hash: b, unpacked_length: 50, range: { start: 0, end: 1 } },
    { hash: a, unpacked_length: 60, range: { start: 7, end: 8 } },
  ],
  xorbs: {
    [a]: [
      {
        url,
        ranges: [
          { chunks: { start: 2, end: 4 }, bytes: { start: 10, end: 90 } },
          { chunks: { start: 7, end: 8 }, bytes: { start: 200, end: 260 } },
        ],
      },
    ],
    [b]: [{ url, ranges: [{ chunks: { start: 0, end: 1 }, bytes: { start: 0, end: 40 } }] }],
  },
}

const old = {
  offset_into_first_range: 5,
  terms: modern.terms,
  fetch_info: {
    [a]: [
      { range: { start: 2, end: 4 }, url, url_range: { start: 10, end: 90 } },
      { range: { start: 7, end: 8 }, url, url_range: { start: 200, end: 260 } },
    ],
    [b]: [{ range: { start: 0, end: 1 }, url, url_range: { start: 0, end: 40 } }],
  },
}

const refused = (plan: unknown, length = 200, isSecure = true) => {
  expect(() => parsePlan(plan, length, isSecure)).toThrow(expect.objectContaining({ name: 'DownloadError' }))
}

/** A copy of a plan with one change. */
function changed(change: (plan: typeof modern) => void): typeof modern {
  const copy = structuredClone(modern)
  change(copy)
  return copy
}

describe('a plan', () => {
  it('of both versions is read alike', () => {
    const plan = parsePlan(modern, 200, true)
    expect(plan).toEqual(parsePlan(old, 200, true))
    expect(plan).toMatchObject({ skip: 5, terms: [{ xorb: a, start: 2, end: 4, length: 100 }, {}, {}] })
    expect(plan.ranges.get(a)).toEqual([
      { url, start: 2, end: 4, bytes: { first: 10, last: 90 } },
      { url, start: 7, end: 8, bytes: { first: 200, last: 260 } },
    ])
  })

  it('may cover a term with several ranges, of which the longest is used', () => {
    const range = (start: number, end: number) => ({ url, start, end, bytes: { first: 0, last: 9 } })
    expect(rangeWith([range(0, 3), range(2, 9), range(2, 5)], 2)).toMatchObject({ end: 9 })
    expect(rangeWith([range(0, 3)], 3)).toBeNull()
  })

  it.each<[string, unknown]>([
    ['nothing', null],
    ['a text', 'plan'],
    ['a list', []],
    ['no terms', changed((plan) => (plan.terms = []))],
    ['a name that is no hash', changed((plan) => (plan.terms[0]!.hash = '../x'))],
    ['an offset behind the first term', changed((plan) => (plan.offset_into_first_range = 100))],
    ['a negative offset', changed((plan) => (plan.offset_into_first_range = -1))],
    ['a length that is none', changed((plan) => (plan.terms[1]!.unpacked_length = 1.5))],
    ['more chunks than bytes', changed((plan) => (plan.terms[1]!.unpacked_length = 0))],
    ['an empty run of chunks', changed((plan) => (plan.terms[1]!.range.end = 0))],
    ['far more chunks than a xorb has', changed((plan) => (plan.terms[1]!.range.end = 1e9))],
    ['a chunk without a range', changed((plan) => (plan.terms[2]!.range.end = 9))],
    ['no ranges', changed((plan) => (plan.xorbs = {}))],
    ['bytes the wrong way round', changed((plan) => (plan.xorbs[b]![0]!.ranges[0]!.bytes.start = 41))],
    ['an address that is none', changed((plan) => (plan.xorbs[b]![0]!.url = 'nowhere'))],
    ['another scheme', changed((plan) => (plan.xorbs[b]![0]!.url = 'file:///etc/passwd'))],
    ['http below https', changed((plan) => (plan.xorbs[b]![0]!.url = 'http://edge.example/'))],
  ])('with %s is refused', (_, plan) => {
    refused(plan)
  })

  it('must have the bytes that were asked for, and not far more', () => {
    expect(parsePlan(modern, 205, true).terms).toHaveLength(3)
    refused(modern, 206)
    refused(changed((plan) => (plan.terms[1]!.unpacked_length = 300 * 1024 * 1024)))
  })

  it('may lead to http where the store is asked over http', () => {
    const plan = changed((one) => (one.xorbs[b]![0]!.url = 'http://127.0.0.1/x'))
    expect(parsePlan(plan, 200, false).skip).toBe(5)
  })
})

/** A file of terms over a few xorbs, with its bytes. */
const files = fc
  .record({
    lengths: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 4, maxLength: 4 }),
    runs: fc.array(fc.tuple(fc.constantFrom(a, b), fc.nat(3), fc.integer({ min: 1, max: 3 })), {
      minLength: 1,
      maxLength: 6,
    }),
    start: fc.nat(),
    end: fc.nat(),
    budget: fc.constantFrom(0, 40, maxRawBytes * 10),
  })
  .map(({ lengths, runs, start, end, budget }) => {
    const dataOf = (xorb: string, chunk: number) =>
      Buffer.from(
        Array.from({ length: lengths[chunk] ?? 1 }, (_, at) => (xorb === a ? 0 : 100) + chunk * 20 + at),
      )
    const terms = runs.map(([xorb, from, count]) => {
      const to = Math.min(4, from + count)
      const chunks = Array.from({ length: to - from }, (_, at) => dataOf(xorb, from + at))
      return { xorb, start: from, end: to, length: Buffer.concat(chunks).length, chunks }
    })
    const all = Buffer.concat(terms.flatMap(({ chunks }) => chunks))
    const skip = start % Math.min(terms[0]?.length ?? 1, all.length)
    const length = 1 + (end % (all.length - skip))
    return { terms, dataOf, wanted: all.subarray(skip, skip + length), skip, length, budget }
  })

describe('the chunks of a plan', () => {
  it('give the bytes of the file, however much is kept and in whichever order ranges come', () => {
    fc.assert(
      fc.property(files, ({ terms, dataOf, wanted, skip, length, budget }) => {
        const memory = new ChunkBudget(budget)
        const sequence = new ChunkSequence({ skip, terms, ranges: new Map() }, length, memory)
        const got: Buffer[] = []
        let reads = 0
        for (;;) {
          for (let kept = sequence.takeKept(); kept !== null; kept = sequence.takeKept())
            got.push(Buffer.from(kept))
          const { next } = sequence
          if (next === null) break
          reads += 1
          expect(reads).toBeLessThan(100)
          // The part of the xorb is always all of it.
          for (let chunk = 0; chunk < 4; chunk += 1) {
            if (!sequence.isWorthReading(next.xorb, chunk, 4)) break
            if (!sequence.needs(next.xorb, chunk)) continue
            const data = dataOf(next.xorb, chunk)
            const bytes = sequence.take(next.xorb, chunk, data)
            if (bytes !== null) got.push(Buffer.from(bytes))
            data.fill(255)
          }
        }
        expect(Buffer.concat(got).equals(wanted)).toBe(true)
        sequence.dispose()
        expect(memory.take(budget), 'all memory has been given back').toBe(true)
        // With enough memory, each xorb is read once.
        if (budget > 1_000) expect(reads).toBeLessThanOrEqual(new Set(terms.map(({ xorb }) => xorb)).size)
      }),
    )
  })

  it.each([
    ['longer', 9],
    ['shorter', 11],
  ])('that are %s than their term are refused', (_, length) => {
    const terms = [{ xorb: a, start: 0, end: 2, length }]
    const sequence = new ChunkSequence({ skip: 0, terms, ranges: new Map() }, 8, new ChunkBudget(0))
    const take = () => {
      sequence.take(a, 0, Buffer.alloc(5))
      sequence.take(a, 1, Buffer.alloc(5))
    }
    expect(take).toThrow(/length that the plan says/)
  })
})

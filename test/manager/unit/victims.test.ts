import { describe, expect, it } from 'vitest'
import type { Shortage } from '../../../src/manager/space/ledger.js'
import { chooseVictims } from '../../../src/manager/space/victims.js'
import fc from '../../support/properties.js'

function candidate(usedAt: number, bytes: number, freeable = bytes, volume = 'v') {
  return { usedAt, bytes, freeable: new Map([[volume, freeable]]), sequence: usedAt }
}

function missing(kind: Shortage['kind'], bytes: number, volume: string | null = null): Shortage {
  return { kind, needed: bytes, available: 0, limit: 0, volume, never: false }
}

describe('what is evicted', () => {
  it('are the least recently used, no more than needed', () => {
    const [old, older, oldest] = [candidate(3, 10), candidate(2, 10), candidate(1, 10)]
    expect(chooseVictims([old, oldest, older], [missing('budget', 11)])).toEqual([oldest, older])
    expect(chooseVictims([old, oldest, older], [missing('budget', 10)])).toEqual([oldest])
  })

  it('is nothing at all if everything would not be enough', () => {
    expect(chooseVictims([candidate(1, 10)], [missing('budget', 11)])).toBeNull()
    expect(chooseVictims([], [missing('budget', 1)])).toBeNull()
  })

  it('is nothing that gives no space back where it is missing', () => {
    const linked = candidate(1, 10, 0)
    const elsewhere = candidate(2, 10, 10, 'w')
    const here = candidate(3, 10)
    expect(chooseVictims([linked, elsewhere, here], [missing('free', 5, 'v')])).toEqual([here])
    expect(chooseVictims([linked, elsewhere], [missing('free', 5, 'v')])).toBeNull()
  })

  it('is as little as what is there already allows', () => {
    const short = { ...missing('budget', 30), available: 20 }
    expect(chooseVictims([candidate(1, 10), candidate(2, 10)], [short])).toEqual([candidate(1, 10)])
    // A limit that is broken already.
    expect(chooseVictims([candidate(1, 40), candidate(2, 10)], [{ ...short, available: -20 }])).toHaveLength(
      2,
    )
  })

  it('makes room for each limit, and leaves what helps only where there is enough', () => {
    const both = [missing('budget', 10), missing('free', 10, 'v')]
    const linked = { ...candidate(1, 10, 0), sequence: 1 }
    const here = { ...candidate(2, 10), sequence: 2 }
    const more = { ...candidate(3, 10), sequence: 3 }
    expect(chooseVictims([linked, here, more], both)).toEqual([linked, here])
    // The budget is kept once the first is gone, and the second gives nothing to the file system.
    const useless = { ...candidate(2, 10, 0), sequence: 2 }
    expect(chooseVictims([linked, useless, more], both)).toEqual([linked, more])
  })

  it('is the earlier of two that were last used at the same time', () => {
    const [first, second] = [
      { ...candidate(1, 10), sequence: 1 },
      { ...candidate(1, 10), sequence: 2 },
    ]
    for (const order of [
      [first, second],
      [second, first],
    ])
      expect(chooseVictims(order, [missing('budget', 10)])).toEqual([first])
  })

  it('makes enough room for all limits, and every one of them is used less recently than those that stay', () => {
    const some = fc.array(fc.tuple(fc.nat(50), fc.nat(20)), { maxLength: 12 })
    fc.assert(
      fc.property(some, fc.nat(60), (files, bytes) => {
        const candidates = files.map(([usedAt, size], index) => ({
          ...candidate(usedAt, size),
          sequence: index,
        }))
        const chosen = chooseVictims(candidates, [missing('budget', bytes)])
        const all = candidates.reduce((sum, each) => sum + each.bytes, 0)
        if (chosen === null) {
          expect(all).toBeLessThan(bytes)
          return
        }
        expect(chosen.reduce((sum, each) => sum + each.bytes, 0)).toBeGreaterThanOrEqual(bytes)
        const last = Math.max(...chosen.map(({ usedAt }) => usedAt), 0)
        const staying = candidates.filter((each) => !chosen.includes(each) && each.bytes > 0)
        for (const each of staying) expect(each.usedAt).toBeGreaterThanOrEqual(last)
        expect(chosen.slice(0, -1).reduce((sum, each) => sum + each.bytes, 0)).toBeLessThan(
          Math.max(bytes, 1),
        )
      }),
    )
  })
})

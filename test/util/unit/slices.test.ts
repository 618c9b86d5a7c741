import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { mapInTurn } from '../../../src/util/slices.js'
import fc from '../../support/properties.js'

describe('mapInTurn', () => {
  it('has the results in the order of the items, and never more tasks than allowed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { maxLength: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (items, parallel) => {
          let running = 0
          const results = await mapInTurn(items, { parallel, units: 1 }, async (turns) => {
            running += 1
            expect(running).toBeLessThanOrEqual(parallel)
            for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
            running -= 1
            return turns * 2
          })
          expect(results).toEqual(items.map((item) => item * 2))
        },
      ),
    )
  })

  it('lets others have their turn in between', async () => {
    let turns = 0
    const over = new AbortController()
    const others = (async () => {
      while (!over.signal.aborted) {
        await setImmediate()
        turns += 1
      }
    })()
    await mapInTurn(Array.from({ length: 1_000 }), { parallel: 1, units: 20_000 }, () => Promise.resolve())
    over.abort()
    await others
    expect(turns).toBeGreaterThan(90)
  })

  it('starts no further task after an error', async () => {
    const started: number[] = []
    const failing = mapInTurn([1, 2, 3], { parallel: 1, units: 1 }, async (item) => {
      started.push(item)
      if (item === 2) throw new Error('two')
      return item
    })
    await expect(failing).rejects.toThrow('two')
    expect(started).toEqual([1, 2])
  })
})

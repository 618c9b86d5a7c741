import { describe, expect, it } from 'vitest'
import { Arrivals } from '../../../src/util/schedule.js'
import fc from '../../support/properties.js'

describe('Arrivals', () => {
  it('lets tasks pass in their order, however long they take before, and whichever fail', async () => {
    const task = fc.record({ turns: fc.nat(5), end: fc.constantFrom('pass', 'fail', 'leave', 'fail after') })
    await fc.assert(
      fc.asyncProperty(fc.array(task, { maxLength: 12 }), async (tasks) => {
        const arrivals = new Arrivals()
        const passed: number[] = []
        const ends = await Promise.allSettled(
          tasks.map(({ turns, end }, index) =>
            arrivals.run(async (pass) => {
              for (let turn = 0; turn < turns; turn++) await Promise.resolve()
              if (end === 'fail') throw new Error('before')
              if (end === 'leave') return
              await pass()
              passed.push(index)
              if (end === 'fail after') throw new Error('after')
            }),
          ),
        )
        const expected = [...tasks.entries()].filter(([, { end }]) => end === 'pass' || end === 'fail after')
        expect(passed).toEqual(expected.map(([index]) => index))
        expect(ends.map(({ status }) => status === 'rejected')).toEqual(
          tasks.map(({ end }) => end.startsWith('fail')),
        )
      }),
    )
  })

  it('writes at the same time', async () => {
    const arrivals = new Arrivals()
    let running = 0
    let most = 0
    const ends: (() => void)[] = []
    const all = Array.from({ length: 3 }, () =>
      arrivals.run(async (pass) => {
        most = Math.max(most, ++running)
        await new Promise<void>((resolve) => ends.push(resolve))
        await pass()
        running--
      }),
    )
    expect(most).toBe(3)
    for (const end of ends.reverse()) end()
    await Promise.all(all)
    expect(running).toBe(0)
  })
})

import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { ConnectionBudget, usefulConnections } from '../../../src/job/connection-budget.js'

interface File {
  useful: number
}

const useful = (file: File) => file.useful

/** Takes all that can be had now. */
function grants(
  budget: ConnectionBudget<File>,
  held: Map<File, number>,
): { started: number; widened: number } {
  const counts = { started: 0, widened: 0 }
  for (let grant = budget.next(); grant !== null; grant = budget.next()) {
    if (grant.kind === 'start') counts.started += 1
    else counts.widened += 1
    if (grant.kind === 'start') expect(held.has(grant.file)).toBe(false)
    else expect(grant.connections).toBeGreaterThan(held.get(grant.file) ?? Infinity)
    held.set(grant.file, grant.connections)
  }
  return counts
}

describe('the budget of a group', () => {
  it('is never exceeded, is used up while anything can use it, and serves every file', () => {
    const scenario = fc.record({
      total: fc.integer({ min: 1, max: 16 }),
      sizes: fc.array(fc.integer({ min: 1, max: 16 }), { maxLength: 40 }),
      pick: fc.infiniteStream(fc.nat()),
    })
    fc.assert(
      fc.property(scenario, ({ total, sizes, pick }) => {
        const files = sizes.map((size) => ({ useful: Math.min(size, total) }))
        const budget = new ConnectionBudget(total, useful, files)
        const held = new Map<File, number>()
        let started = 0
        for (;;) {
          started += grants(budget, held).started
          const sum = [...held.values()].reduce((a, b) => a + b, 0)
          expect(sum).toBeLessThanOrEqual(total)
          for (const [file, count] of held) expect(count).toBeLessThanOrEqual(file.useful)
          const sated = [...held].every(([file, count]) => count === file.useful)
          if (budget.waiting === 0) expect(sum === total || sated).toBe(true)
          else expect(held.size).toBeGreaterThan(0)
          if (held.size === 0) break
          const running = [...held.keys()]
          const [ended] = [running[pick.next().value % running.length]]
          if (ended === undefined) break
          budget.release(ended)
          budget.release(ended)
          held.delete(ended)
        }
        expect(started).toBe(files.length)
      }),
    )
  })

  it('lets small files go many at once', () => {
    const files = Array.from({ length: 100 }, () => ({ useful: 1 }))
    const budget = new ConnectionBudget(8, useful, files)
    expect(grants(budget, new Map())).toEqual({ started: 8, widened: 0 })
  })

  it('lets two large files go at a time, and gives the last one all', () => {
    const files = Array.from({ length: 3 }, () => ({ useful: 8 }))
    const budget = new ConnectionBudget(8, useful, files)
    const held = new Map<File, number>()
    const [a, b, c] = files
    if (a === undefined || b === undefined || c === undefined) throw new Error('There are three.')
    grants(budget, held)
    expect([...held.values()]).toEqual([4, 4])
    budget.release(a)
    grants(budget, held)
    expect(held.get(c)).toBe(4)
    budget.release(b)
    grants(budget, held)
    expect(held.get(c)).toBe(8)
  })

  it('leaves half to the small ones as long as there are any', () => {
    const large = { useful: 8 }
    const small = Array.from({ length: 5 }, () => ({ useful: 1 }))
    const budget = new ConnectionBudget(8, useful, [large, ...small])
    const held = new Map<File, number>()
    grants(budget, held)
    expect(held.get(large)).toBe(4)
    expect(held.size).toBe(5)
    expect(budget.drain()).toHaveLength(1)
    expect(budget.drain()).toEqual([])
  })

  it('knows how many are of use', () => {
    const MiB = 1024 * 1024
    expect(usefulConnections(null, MiB, 8)).toBe(8)
    expect(usefulConnections(0, MiB, 8)).toBe(1)
    expect(usefulConnections(8 * MiB - 1, MiB, 8)).toBe(1)
    expect(usefulConnections(12 * MiB, MiB, 8)).toBe(3)
    expect(usefulConnections(512 * MiB, MiB, 8)).toBe(8)
  })
})

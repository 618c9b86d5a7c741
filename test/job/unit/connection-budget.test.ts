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

  describe('with files of both kinds', () => {
    const small = (count: number) => Array.from({ length: count }, () => ({ useful: 1 }))
    const large = (count: number, most = 8) => Array.from({ length: count }, () => ({ useful: most }))
    const run = (total: number, files: File[]) => {
      const budget = new ConnectionBudget(total, useful, files)
      const held = new Map<File, number>()
      return { budget, held, take: () => grants(budget, held) }
    }

    it('gives the files in their order, the large ones first', () => {
      const files = [...small(2), ...large(2, 2), ...small(1)]
      const { held, take } = run(8, files)
      take()
      const order = [...held.keys()].map((file) => files.indexOf(file))
      expect(order).toEqual([2, 3, 0, 1, 4])
    })

    it('counts the files that wait', () => {
      const { budget, take } = run(2, [...small(3), ...large(2)])
      expect(budget.waiting).toBe(5)
      take()
      expect(budget.waiting).toBe(3)
    })

    it('hands out the waiting files in their order', () => {
      const files = [{ useful: 1 }, { useful: 4 }, { useful: 1 }, { useful: 4 }]
      const { budget, take } = run(8, files)
      expect(budget.drain().map((file) => files.indexOf(file))).toEqual([0, 2, 1, 3])
      expect(budget.waiting).toBe(0)
      expect(take()).toEqual({ started: 0, widened: 0 })
    })

    it('runs one file at a time with a single connection, the small ones first', () => {
      const [big, tiny] = [{ useful: 2 }, { useful: 1 }]
      const { budget, held, take } = run(1, [big, tiny])
      take()
      expect([...held.keys()]).toEqual([tiny])
      budget.release(tiny)
      take()
      expect([...held.keys()]).toContain(big)
      expect(held.get(big)).toBe(1)
    })

    it('leaves the small ones their half when a large one ends and the next begins', () => {
      const [first, second] = large(2)
      const { budget, held, take } = run(8, [first!, second!, ...small(20)])
      take()
      expect([held.get(first!), held.get(second!)]).toEqual([2, 2])
      expect(held.size).toBe(6)
      budget.release(first!)
      held.delete(first!)
      take()
      // No large file waits, so small ones use what it has released.
      expect(held.get(second!)).toBe(2)
      expect(held.size).toBe(7)
    })

    it('starts no large file beyond their half while small ones wait', () => {
      const big = large(3)
      const { budget, held, take } = run(4, [...big, ...small(9)])
      take()
      expect(big.map((file) => held.get(file))).toEqual([1, 1, undefined])
      budget.release(big[0]!)
      take()
      expect(big.map((file) => held.get(file))).toEqual([1, 1, 1])
    })

    it('does not count small files as large ones, neither when they start nor when they end', () => {
      const big = large(3)
      const tiny = small(12)
      const { budget, held, take } = run(4, [...big, ...tiny])
      take()
      expect([...held.keys()]).toHaveLength(4)
      for (const file of tiny.slice(0, 2)) budget.release(file)
      take()
      expect(held.has(big[2]!)).toBe(false)
      budget.release(big[0]!)
      take()
      expect(held.get(big[2]!)).toBe(1)
    })

    it('gives connections that are left over to a running file only when none waits', () => {
      const [a, b] = large(2, 3)
      const { held, take } = run(8, [a!, b!, ...small(1)])
      expect(take()).toEqual({ started: 3, widened: 2 })
      expect([held.get(a!), held.get(b!)]).toEqual([3, 3])
    })

    it('counts the connections that a running file was given later', () => {
      const [a, b, c] = large(3, 4)
      const { budget, held, take } = run(4, [a!, b!, c!])
      take()
      expect([held.get(a!), held.get(b!), held.get(c!)]).toEqual([2, 2, undefined])
      budget.release(a!)
      take()
      budget.release(b!)
      take()
      expect(held.get(c!)).toBe(4)
      // All are free again.
      budget.release(c!)
      expect(budget.next()).toBeNull()
      expect(budget.waiting).toBe(0)
    })

    it('announces what it changes', () => {
      const [a, b] = large(2, 4)
      const { budget } = run(4, [a!, b!])
      expect(budget.next()).toEqual({ kind: 'start', file: a, connections: 2 })
      expect(budget.next()).toEqual({ kind: 'start', file: b, connections: 2 })
      expect(budget.next()).toBeNull()
      budget.release(a!)
      expect(budget.next()).toEqual({ kind: 'widen', file: b, connections: 4 })
      expect(budget.next()).toBeNull()
    })
  })
})

describe('usefulConnections', () => {
  const MiB = 1024 * 1024

  it.each([
    ['of unknown size', null, 8],
    ['that is empty', 0, 1],
    ['too small for two', 8 * MiB - 1, 1],
    ['just large enough for two', 8 * MiB, 2],
    ['large enough for three', 12 * MiB, 3],
    ['larger than the budget', 512 * MiB, 8],
  ])('of a file %s', (_, size, connections) => {
    expect(usefulConnections(size, MiB, 8)).toBe(connections)
  })
})

import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { LimitedGrowth, PoolSize } from '../../../src/engine/fetch/pool-size.js'

const quietMs = 15_000

describe('PoolSize', () => {
  it('begins with all that is allowed, and does not grow beyond it', () => {
    const pool = new PoolSize(8)
    expect(pool.size).toBe(8)
    expect(pool.grow(quietMs * 10)).toBe(false)
    expect(pool.size).toBe(8)
  })

  it('shrinks to those that were at work when one more was refused', () => {
    const pool = new PoolSize(8)
    pool.refused(3, 0)
    expect(pool.size).toBe(3)
    pool.refused(5, 0)
    expect(pool.size).toBe(3)
    pool.refused(0, 0)
    expect(pool.size).toBe(1)
  })

  it('tries one more after each quiet while', () => {
    const pool = new PoolSize(4)
    pool.refused(2, 1_000)
    expect(pool.grow(1_000 + quietMs - 1)).toBe(false)
    expect(pool.grow(1_000 + quietMs)).toBe(true)
    expect(pool.size).toBe(3)
    expect(pool.grow(1_000 + quietMs + 1)).toBe(false)
    expect(pool.grow(1_000 + 2 * quietMs)).toBe(true)
    expect(pool.size).toBe(4)
    expect(pool.grow(1_000 + 9 * quietMs)).toBe(false)
  })

  it('has all again when the refusals were the network’s', () => {
    const pool = new PoolSize(8)
    pool.refused(1, 0)
    pool.reset()
    expect(pool.size).toBe(8)
  })

  describe('when the maximum changes', () => {
    const widened = (from: number, to: number) => {
      const pool = new PoolSize(from)
      pool.max = to
      return pool
    }

    it('follows a higher one at once, and says so once', () => {
      const pool = widened(2, 6)
      expect(pool.size).toBe(6)
      expect(pool.grow(0)).toBe(true)
      expect(pool.grow(0)).toBe(false)
      expect(pool.size).toBe(6)
    })

    it('follows a maximum that changes again before it is used', () => {
      const pool = widened(2, 6)
      pool.max = 4
      expect(pool.size).toBe(4)
      pool.max = 9
      expect(pool.size).toBe(9)
      expect(pool.grow(0)).toBe(true)
      expect(pool.grow(0)).toBe(false)
    })

    it('says nothing of the same one', () => {
      const pool = widened(4, 4)
      expect(pool.size).toBe(4)
      expect(pool.grow(quietMs)).toBe(false)
    })

    it('stays as small as the server made it, and grows step by step to the new maximum', () => {
      const pool = new PoolSize(4)
      pool.refused(2, 0)
      pool.max = 8
      expect(pool.size).toBe(2)
      expect(pool.grow(quietMs - 1)).toBe(false)
      for (let size = 3; size <= 8; size++) {
        expect(pool.grow(size * quietMs)).toBe(true)
        expect(pool.size).toBe(size)
      }
      expect(pool.grow(99 * quietMs)).toBe(false)
    })

    it('has all of the new maximum after a failure of the network', () => {
      const pool = new PoolSize(4)
      pool.refused(2, 0)
      pool.max = 8
      pool.reset()
      expect(pool.size).toBe(8)
    })
  })

  it('stays between one and the most, whatever happens', () => {
    const events = fc.array(fc.option(fc.nat(70)), { maxLength: 50 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), events, (most, happenings) => {
        const pool = new PoolSize(most)
        happenings.forEach((others, index) => {
          const now = index * quietMs
          if (others === null) pool.grow(now)
          else pool.refused(others, now)
          expect(pool.size).toBeGreaterThanOrEqual(1)
          expect(pool.size).toBeLessThanOrEqual(most)
        })
      }),
    )
  })
})

describe('LimitedGrowth', () => {
  const bucket = (limit: number | null, spare = true) => ({ limit, spare })

  it('does not hold anything back without a limit', () => {
    const growth = new LimitedGrowth([bucket(null, false), bucket(null)])
    expect(growth.limited).toBe(false)
    for (let others = 0; others < 64; others++) expect(growth.admits(others, 0)).toBe(true)
  })

  it('lets the first one in whatever the limit, the others one by one', () => {
    const growth = new LimitedGrowth([bucket(null), bucket(1000)])
    expect(growth.limited).toBe(true)
    expect(growth.admits(0, 1_000)).toBe(true)
    expect(growth.admits(1, 1_000)).toBe(false)
    expect(growth.admits(1, 1_199)).toBe(false)
    expect(growth.admits(1, 1_200)).toBe(true)
    expect(growth.admits(2, 1_300)).toBe(false)
    expect(growth.admits(2, 1_400)).toBe(true)
  })

  it('lets nobody join while a limit is used up, but the first', () => {
    const growth = new LimitedGrowth([bucket(1000, true), bucket(1000, false)])
    expect(growth.admits(0, 0)).toBe(true)
    expect(growth.admits(1, 60_000)).toBe(false)
    expect(growth.admits(0, 60_000)).toBe(true)
  })
})

import { describe, expect, it } from 'vitest'
import { sealHeaders, unsealHeaders } from '../../../src/cluster/seal.js'
import { shareOf } from '../../../src/cluster/shares.js'

describe('headers in the store of a cluster', () => {
  const secret = 's'.repeat(16)

  it('are stored as they are if they hold no secret', () => {
    expect(sealHeaders({ 'User-Agent': 'x' }, null)).toEqual({ 'User-Agent': 'x' })
  })

  it('are refused or encrypted if they may hold one', () => {
    const headers = { Authorization: 'Bearer t' }
    expect(() => sealHeaders(headers, null)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }))
    const sealed = sealHeaders(headers, secret)
    expect(JSON.stringify(sealed)).not.toContain('Bearer')
    expect(unsealHeaders(sealed, secret)).toEqual(headers)
    expect(unsealHeaders(sealed, 'another secret of them')).toEqual({})
    expect(unsealHeaders(sealed, null)).toEqual({})
  })
})

describe('the share of an instance', () => {
  const demands = new Map([
    ['a', { bytesPerSecond: 500, running: 2 }],
    ['b', { bytesPerSecond: 100, running: 1 }],
    ['c', { bytesPerSecond: 0, running: 0 }],
  ])

  it('grows with what the others do not need, and never beyond the limit', () => {
    const shares = ['a', 'b'].map((name) => shareOf(1_000, demands, name))
    expect(shares[0]).toBeGreaterThan(500)
    expect(shares[0]! + shares[1]!).toBeLessThanOrEqual(1_000)
    expect(shareOf(1_000, new Map(), 'a')).toBeLessThanOrEqual(1_000)
  })
})

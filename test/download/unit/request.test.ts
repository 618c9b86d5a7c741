import { describe, expect, it } from 'vitest'
import { isStricter } from '../../../src/download/request.js'
import fc from '../../support/properties.js'

const digest = 'a'.repeat(64)

describe('isStricter', () => {
  const open = { sha256: null, size: null }

  it.each([
    ['a digest', { sha256: digest }],
    ['a size', { size: 5 }],
    ['a size of nothing', { size: 0 }],
    ['both', { sha256: digest, size: 5 }],
    ['a digest, and no size', { sha256: digest, size: null }],
  ])('is so for %s where nothing was expected', (_, wanted) => {
    expect(isStricter(open, wanted)).toBe(true)
  })

  it.each([
    ['nothing said', {}],
    ['nothing said of either', { sha256: undefined, size: undefined }],
    ['nothing expected of either, as catalogs say it', { sha256: null, size: null }],
  ])('is not so with %s', (_, wanted) => {
    expect(isStricter(open, wanted)).toBe(false)
    expect(isStricter({ sha256: digest, size: 5 }, wanted)).toBe(false)
  })

  it('does not compare what was expected before: that is a conflict, or the same', () => {
    const known = { sha256: digest, size: 5 }
    expect(isStricter(known, known)).toBe(false)
    expect(isStricter(known, { sha256: 'b'.repeat(64), size: 6 })).toBe(false)
    expect(isStricter({ ...known, size: null }, { size: 6 })).toBe(true)
    expect(isStricter({ ...known, size: null }, { sha256: digest })).toBe(false)
    expect(isStricter({ ...known, sha256: null }, { sha256: digest })).toBe(true)
  })

  it('takes null for the same as nothing said', () => {
    const said = fc.record({ sha256: fc.option(fc.constant(digest)), size: fc.option(fc.nat({ max: 2 })) })
    fc.assert(
      fc.property(said, said, (record, wanted) => {
        const bare = { sha256: wanted.sha256 ?? undefined, size: wanted.size ?? undefined }
        expect(isStricter(record, wanted)).toBe(isStricter(record, bare))
      }),
    )
  })
})

import { describe, expect, it } from 'vitest'
import {
  compareIdentity,
  hasStrongValidator,
  ifRangeOf,
  type Identity,
  isSameVersion,
  sizeOnly,
  strongEtag,
} from '../../../src/engine/part/identity.js'

const modified = 'Mon, 01 Jan 2024 00:00:00 GMT'
const known: Identity = { total: 1000, etag: '"a"', lastModified: modified, lastModifiedStrong: true }
const bare: Identity = { total: 1000, etag: null, lastModified: null, lastModifiedStrong: false }
const dated: Identity = { ...known, etag: null }

describe('a validator', () => {
  it.each([
    ['a strong tag', { ...known, lastModifiedStrong: false }, '"a"', '"a"'],
    ['a tag that only contains W/', { ...bare, etag: '"W/a"' }, '"W/a"', '"W/a"'],
    ['a strong date', dated, null, modified],
    ['a weak tag beside a strong date', { ...known, etag: 'W/"a"' }, null, modified],
    ['a weak tag', { ...bare, etag: 'W/"a"' }, null, null],
    ['a weak date', { ...dated, lastModifiedStrong: false }, null, null],
    ['no date that is called strong', { ...bare, lastModifiedStrong: true }, null, null],
    ['nothing', bare, null, null],
  ])('%s', (_, identity, tag, ifRange) => {
    expect(strongEtag(identity)).toBe(tag)
    expect(ifRangeOf(identity)).toBe(ifRange)
    expect(hasStrongValidator(identity)).toBe(ifRange !== null)
  })

  it.each(['"a\nb"', '"a\0"', '"\u007f"', '"模"', '', `"${'a'.repeat(8_191)}"`])(
    'that no header can hold is not sent (%#)',
    (etag) => {
      expect(ifRangeOf({ ...bare, etag })).toBeNull()
    },
  )

  it.each(['"a\tb"', '"\u00e9"', `"${'a'.repeat(8_190)}"`])('that a header can hold is sent (%#)', (etag) => {
    expect(ifRangeOf({ ...bare, etag })).toBe(etag)
  })
})

describe('compareIdentity', () => {
  const later = 'Tue, 02 Jan 2024 00:00:00 GMT'

  it.each([
    ['the same', known, known, 'same'],
    ['the same tag at another time', known, { ...known, lastModified: later }, 'same'],
    ['another tag at the same time', known, { ...known, etag: '"b"' }, 'changed'],
    ['a tag that is left out', known, dated, 'same'],
    ['a tag that is weak now', known, { ...known, etag: 'W/"b"' }, 'same'],
    ['another time', dated, { ...dated, lastModified: later }, 'changed'],
    ['another time, of weak dates', { ...dated, lastModifiedStrong: false }, { ...dated, lastModified: later }, 'changed'], // prettier-ignore
    ['a date that is weak now', dated, { ...dated, lastModifiedStrong: false }, 'unsure'],
    ['a date that was weak', { ...dated, lastModifiedStrong: false }, dated, 'unsure'],
    ['a date that is left out', dated, bare, 'unsure'],
    ['a date that was not known', bare, dated, 'unsure'],
    ['a tag that was not known', bare, { ...bare, etag: '"a"' }, 'unsure'],
    ['another size', known, { ...known, total: 1001 }, 'changed'],
    ['a size that is left out', known, { ...known, total: null }, 'same'],
    ['a size that was not known', { ...known, total: null }, known, 'same'],
  ] as const)('%s', (_, one, other, expected) => {
    expect(compareIdentity(one, other, false)).toBe(expected)
  })

  it('believes a digest instead of validators, and sizes before it', () => {
    expect(compareIdentity(known, { ...known, etag: '"b"' }, true)).toBe('same')
    expect(compareIdentity(bare, bare, true)).toBe('same')
    expect(compareIdentity(known, { ...known, total: 1001 }, true)).toBe('changed')
  })
})

describe('isSameVersion', () => {
  it.each([
    ['the same', known, true],
    ['another size', { ...known, total: 1001 }, false],
    ['another tag', { ...known, etag: '"b"' }, true],
    ['another date', { ...known, lastModified: null }, true],
    ['another tag and another date', { ...known, etag: '"b"', lastModified: null }, false],
  ])('%s', (_, other, expected) => {
    expect(isSameVersion(known, other)).toBe(expected)
  })
})

it('sizeOnly keeps no validator', () => {
  expect(sizeOnly(known)).toEqual(bare)
})

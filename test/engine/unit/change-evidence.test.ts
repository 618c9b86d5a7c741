import { describe, expect, it } from 'vitest'
import { ChangeEvidence } from '../../../src/engine/fetch/change-evidence.js'
import type { Identity } from '../../../src/engine/part/identity.js'

const seen: Identity = { total: 500, etag: '"b"', lastModified: null, lastModifiedStrong: false }

describe('a response with another total size', () => {
  it('is confirmed by the same one again', () => {
    const evidence = new ChangeEvidence()
    expect(evidence.weigh('total', seen, true)).toBe('look-again')
    expect(evidence.weigh('total', seen, true)).toBe('changed')
  })

  it.each([
    ['size', { ...seen, total: 501 }],
    ['validators', { ...seen, etag: '"c"', lastModified: 'Mon, 01 Jan 2024 00:00:00 GMT' }],
  ])('is not confirmed by one with another %s, however often', (_, other) => {
    const evidence = new ChangeEvidence()
    evidence.weigh('total', seen, true)
    expect(evidence.weigh('total', other, true)).toBe('refuse')
    expect(evidence.weigh('total', seen, true)).toBe('refuse')
  })

  it('is forgotten when the known version comes again', () => {
    const evidence = new ChangeEvidence()
    evidence.weigh('total', seen, true)
    evidence.noteAccepted()
    expect(evidence.weigh('total', seen, true)).toBe('look-again')
  })

  it('is a bad node’s while other connections receive the known version', () => {
    const evidence = new ChangeEvidence()
    for (let n = 0; n < 3; n += 1) expect(evidence.weigh('total', seen, false)).toBe('refuse')
    expect(evidence.weigh('total', seen, true)).toBe('changed')
  })
})

describe('a response with another validator', () => {
  it('lets the bytes decide', () => {
    const evidence = new ChangeEvidence()
    expect(evidence.validatorChanged).toBe(false)
    expect(evidence.weigh('validator', seen, false)).toBe('look-again')
    expect(evidence.validatorChanged).toBe(true)
    expect(evidence.weighBytes(false)).toBe('changed')
  })

  it('also those of a complete body', () => {
    const evidence = new ChangeEvidence()
    evidence.weigh('validator', seen, true)
    expect(evidence.weighBytes(true)).toBe('changed')
  })
})

describe('bytes that differ from those on disk', () => {
  it('are looked at twice', () => {
    const evidence = new ChangeEvidence()
    expect(evidence.weighBytes(false)).toBe('look-again')
    expect(evidence.weighBytes(false)).toBe('changed')
  })

  it('count among the two also when the first were those of a complete body', () => {
    const evidence = new ChangeEvidence()
    expect(evidence.weighBytes(true)).toBe('refuse')
    expect(evidence.weighBytes(false)).toBe('changed')
  })

  it('show nothing in a complete body without a validator', () => {
    const evidence = new ChangeEvidence()
    for (let n = 0; n < 3; n += 1) expect(evidence.weighBytes(true)).toBe('refuse')
  })
})

describe('a complete body instead of a range', () => {
  it('of the known version is the end of ranges, unless others receive them', () => {
    const evidence = new ChangeEvidence()
    expect(evidence.weighWhole(true, false)).toBe('refuse')
    expect(evidence.weighWhole(true, true)).toBe('ranges-lost')
  })

  it('of an unknown version must come twice', () => {
    const evidence = new ChangeEvidence()
    expect(evidence.weighWhole(false, true)).toBe('look-again')
    expect(evidence.weighWhole(false, true)).toBe('ranges-lost')
  })

  it('of an unknown version counts also while other connections are open, and one of the known version does not', () => {
    const beside = new ChangeEvidence()
    expect(beside.weighWhole(false, false)).toBe('refuse')
    expect(beside.weighWhole(false, true)).toBe('ranges-lost')
    const known = new ChangeEvidence()
    expect(known.weighWhole(true, false)).toBe('refuse')
    expect(known.weighWhole(false, true)).toBe('look-again')
  })
})

import { describe, expect, it } from 'vitest'
import {
  entryOf,
  findEntries,
  isFault,
  type StoredMember,
  verdictOf,
  type VerifyStatus,
} from '../../../src/files/stored.js'
import { countsOf, targetsOf } from '../../../src/files/verify.js'
import fc from '../../support/properties.js'

const sha = (digit: string) => digit.repeat(64)

function member(of: Partial<StoredMember> = {}): StoredMember {
  return {
    filename: 'a.bin',
    path: '/models/a.bin',
    state: 'complete',
    size: 5,
    total: 5,
    sha256: sha('a'),
    gitOid: null,
    verification: null,
    modifiedAt: new Date(1_000),
    ...of,
  }
}

const init = {
  name: 'a.bin',
  path: '/models/a.bin',
  url: null,
  mode: null,
  layout: 'flat',
  finished: true,
  isGroup: true,
} as const

describe('verdictOf', () => {
  const nothing = { size: null, sha256: null, gitOid: null }
  const found = { size: 5, sha256: sha('a'), gitOid: null, changed: false }

  it.each<[string, Partial<typeof nothing> | object, Partial<typeof found> | object, VerifyStatus]>([
    ['a digest that is the same', { sha256: sha('a') }, {}, 'ok'],
    ['another digest', { sha256: sha('b') }, {}, 'damaged'],
    ['nothing known', {}, {}, 'unknown'],
    ['only the size known', { size: 5 }, {}, 'unknown'],
    ['another size', { size: 6, sha256: sha('a') }, { sha256: null }, 'size-differs'],
    ['an empty file that should not be', { size: 6 }, { size: 0 }, 'size-differs'],
    ['an empty file that should be', { size: 0, sha256: sha('a') }, { size: 0 }, 'ok'],
    ['the digest of git', { gitOid: 'c' }, { sha256: null, gitOid: 'c' }, 'ok'],
    ['another digest of git', { gitOid: 'c' }, { sha256: null, gitOid: 'd' }, 'damaged'],
    ['both digests, of which SHA-256 decides', { sha256: sha('a'), gitOid: 'c' }, {}, 'ok'],
    ['a file that was written to', { sha256: sha('a') }, { changed: true }, 'changed'],
  ])('%s', (_name, expected, actual, verdict) => {
    expect(verdictOf({ ...nothing, ...expected }, { ...found, ...actual })).toBe(verdict)
  })

  it('never calls a file right whose digest is another one', () => {
    const digest = fc.constantFrom(null, sha('a'), sha('b'))
    fc.assert(
      fc.property(
        fc.record({ size: fc.option(fc.nat(3)), sha256: digest, gitOid: fc.constantFrom(null, 'c') }),
        fc.record({
          size: fc.nat(3),
          sha256: digest,
          gitOid: fc.constantFrom(null, 'c'),
          changed: fc.boolean(),
        }),
        (expected, actual) => {
          const verdict = verdictOf(expected, actual)
          const isKnown = expected.sha256 !== null || expected.gitOid !== null
          if (verdict === 'unknown') expect(isKnown).toBe(false)
          if (verdict !== 'ok') return
          expect(actual.changed).toBe(false)
          expect(expected.size ?? actual.size).toBe(actual.size)
          if (expected.sha256 !== null) expect(actual.sha256).toBe(expected.sha256)
          else expect(actual.gitOid).toBe(expected.gitOid)
        },
      ),
    )
  })

  it('counts everything but right and unknown files as a fault', () => {
    const statuses: VerifyStatus[] = [
      'ok',
      'damaged',
      'unknown',
      'size-differs',
      'missing',
      'unreadable',
      'changed',
    ]
    expect(statuses.filter((status) => !isFault(status))).toEqual(['ok', 'unknown'])
    expect(countsOf(statuses.map((status) => ({ status })))).toEqual(
      Object.fromEntries(statuses.map((status) => [status, 1])),
    )
  })
})

describe('entryOf', () => {
  it('adds up its files', () => {
    const entry = entryOf(init, [
      member(),
      member({ size: 2, total: 9, modifiedAt: new Date(3_000), state: 'partial' }),
    ])
    expect(entry).toMatchObject({ size: 7, total: 14, state: 'partial', digestKnown: true, sha256: null })
    expect(entry.modifiedAt).toEqual(new Date(3_000))
    expect(entryOf({ ...init, isGroup: false }, [member()])).toMatchObject({
      sha256: sha('a'),
      state: 'complete',
    })
    expect(entryOf(init, [member({ total: null }), member()]).total).toBeNull()
    expect(entryOf(init, [member({ sha256: null }), member()]).digestKnown).toBe(false)
    expect(entryOf(init, [member({ sha256: null, gitOid: 'c' })]).digestKnown).toBe(true)
  })

  it('is as new as its newest file, in any order', () => {
    const at = (...times: (number | null)[]) =>
      entryOf(
        init,
        times.map((ms) => member({ modifiedAt: ms === null ? null : new Date(ms) })),
      ).modifiedAt?.getTime()
    expect(at(1, 3, 2)).toBe(3)
    expect(at(3, null)).toBe(3)
    expect(at(null, 3)).toBe(3)
    expect(at(3, 1)).toBe(3)
    // Clocks may be wrong.
    expect(at(-5, null)).toBe(-5)
    expect(at(-5)).toBe(-5)
    expect(entryOf(init, [member({ modifiedAt: null })]).modifiedAt).toBeNull()
  })

  it('of nothing knows no digest', () => {
    expect(entryOf({ ...init, isGroup: false }, [])).toMatchObject({
      sha256: null,
      digestKnown: false,
      size: 0,
    })
  })

  it('has a state that follows from those of its files', () => {
    const state = fc.constantFrom('complete' as const, 'partial' as const, 'missing' as const)
    fc.assert(
      fc.property(fc.array(state, { minLength: 1, maxLength: 5 }), (states) => {
        const entry = entryOf(
          init,
          states.map((one) => member({ state: one })),
        )
        const first = states[0] ?? 'missing'
        const isUniform = states.every((one) => one === first)
        expect(entry.state).toBe(isUniform ? first : 'partial')
      }),
    )
  })
})

describe('targetsOf', () => {
  it('leaves out what an unfinished download has yet to fetch, unless it is named', () => {
    const files = [
      member(),
      member({ filename: 'b', state: 'partial' }),
      member({ filename: 'c', state: 'missing' }),
    ]
    const names = (finished: boolean, everything: boolean) =>
      targetsOf([entryOf({ ...init, finished }, files)], everything).map(({ filename }) => filename)
    expect(names(false, false)).toEqual(['a.bin'])
    expect(names(true, false)).toEqual(['a.bin', 'b', 'c'])
    expect(names(false, true)).toEqual(['a.bin', 'b', 'c'])
  })
})

describe('findEntries', () => {
  const entries = [
    { name: 'llm/a.gguf', url: 'https://host/a.gguf' },
    { name: 'embed/a.gguf', url: 'hf:owner/repo' },
    { name: 'embed/b.gguf', url: 'hf:owner/repo' },
    { name: 'c.gguf', url: null },
    { name: 'llm/c.gguf', url: null },
  ]

  it.each<[string, string[]]>([
    ['llm/a.gguf', ['llm/a.gguf']],
    ['./llm/a.gguf', ['llm/a.gguf']],
    ['llm\\a.gguf', ['llm/a.gguf']],
    ['llm/a.gguf/', ['llm/a.gguf']],
    ['https://host/a.gguf', ['llm/a.gguf']],
    ['hf:owner/repo', ['embed/a.gguf', 'embed/b.gguf']],
    ['b.gguf', ['embed/b.gguf']],
    ['a.gguf', ['llm/a.gguf', 'embed/a.gguf']],
    ['c.gguf', ['c.gguf']],
    ['.gguf', []],
    ['', []],
    ['/', []],
    ['../c.gguf', []],
    ['.//a.gguf', []],
    ['././llm/a.gguf', ['llm/a.gguf']],
    ['llm/a.gguf//', ['llm/a.gguf']],
    ['llm/./a.gguf', []],
  ])('%s', (wanted, names) => {
    expect(findEntries(entries, wanted).map(({ name }) => name)).toEqual(names)
  })
})

import { describe, expect, it } from 'vitest'
import {
  type CacheRepository,
  findTarget,
  isNothing,
  parseCacheTarget,
  planPrune,
  planRemoval,
  refsTo,
  revisionBytes,
  revisionModifiedMs,
  usageOf,
} from '../../../src/layouts/hf-usage.js'
import fc from '../../support/properties.js'

const link = (path: string, blob: string) => ({ path, blob, ownBytes: 0, isThere: true })

const repository: CacheRepository = {
  type: 'models',
  name: 'owner/name',
  folder: 'models--owner--name',
  revisions: [
    {
      commit: 'aaaaaaa1',
      files: [link('x', 'shared'), link('y', 'old'), { ...link('z', ''), blob: null, ownBytes: 7 }],
    },
    { commit: 'bbbbbbb2', files: [link('x', 'shared'), link('y', 'new')] },
  ],
  refs: new Map([
    ['main', 'bbbbbbb2'],
    ['refs/pr/1', 'bbbbbbb2'],
    ['gone', 'ccccccc3'],
  ]),
  blobs: new Map([
    ['shared', { size: 100, modifiedMs: 1 }],
    ['old', { size: 20, modifiedMs: 3 }],
    ['new', { size: 30, modifiedMs: 2 }],
    ['orphan', { size: 5, modifiedMs: 1 }],
  ]),
  unfinished: new Map(),
}

describe('what a repository takes up', () => {
  it('counts shared files once, and copies by themselves', () => {
    expect(usageOf(repository)).toEqual({ size: 162, orphaned: 5, unfinished: 0, modifiedMs: 3 })
    const [first, second] = repository.revisions
    if (first === undefined || second === undefined) throw new Error('unreachable')
    expect([revisionBytes(repository, first), revisionBytes(repository, second)]).toEqual([127, 130])
    expect(revisionModifiedMs(repository, second)).toBe(2)
    expect(refsTo(repository, 'bbbbbbb2')).toEqual(['main', 'refs/pr/1'])
    const refs = new Map(['v2', 'main', 'a', 'v1'].map((ref) => [ref, 'bbbbbbb2']))
    expect(refsTo({ refs }, 'bbbbbbb2')).toEqual(['a', 'main', 'v1', 'v2'])
  })

  it('counts what is unfinished, and nothing for blobs that are missing', () => {
    const unfinished = new Map([
      ['d.incomplete', { size: 9, modifiedMs: 8 }],
      ['e.incomplete', { size: 2, modifiedMs: 1 }],
    ])
    expect(usageOf({ ...repository, unfinished })).toMatchObject({ size: 162, unfinished: 11, modifiedMs: 8 })
    const broken = { commit: 'ddddddd4', files: [link('x', 'missing'), link('y', 'new')] }
    expect(revisionBytes(repository, broken)).toBe(30)
    expect(revisionModifiedMs(repository, broken)).toBe(2)
    expect(revisionModifiedMs(repository, { ...broken, files: [link('x', 'missing')] })).toBeNull()
    const early = { ...repository, blobs: new Map([['p', { size: 1, modifiedMs: -5 }], ['q', { size: 1, modifiedMs: -3 }]]) } // prettier-ignore
    expect(revisionModifiedMs(early, { ...broken, files: [link('x', 'p'), link('y', 'q')] })).toBe(-3)
  })

  it('is nothing to remove only if no list names anything', () => {
    const nothing = { commits: [], refs: [], blobs: [], unfinished: [], isWhole: false, freedBytes: 0 }
    expect(isNothing(nothing)).toBe(true)
    for (const list of ['commits', 'refs', 'blobs', 'unfinished'])
      expect(isNothing({ ...nothing, [list]: ['a'] }), list).toBe(false)
    expect(isNothing({ ...nothing, isWhole: true })).toBe(false)
  })
})

describe('planRemoval', () => {
  it('keeps what other revisions share', () => {
    expect(planRemoval(repository, ['aaaaaaa1'])).toEqual({
      commits: ['aaaaaaa1'],
      refs: [],
      blobs: ['old'],
      unfinished: [],
      isWhole: false,
      freedBytes: 27,
    })
    expect(planRemoval(repository, ['bbbbbbb2'])).toMatchObject({
      refs: ['main', 'refs/pr/1'],
      blobs: ['new'],
    })
  })

  it('removes everything with the last revision', () => {
    const unfinished = new Map([['d.incomplete', { size: 9, modifiedMs: 1 }]])
    expect(planRemoval({ ...repository, unfinished }, ['aaaaaaa1', 'bbbbbbb2'])).toMatchObject({
      isWhole: true,
      refs: ['main', 'refs/pr/1', 'gone'],
      unfinished: ['d.incomplete'],
      freedBytes: 171,
    })
  })
})

describe('planPrune', () => {
  it('removes what nothing points to', () => {
    expect(planPrune(repository)).toEqual({
      commits: ['aaaaaaa1'],
      refs: ['gone'],
      blobs: ['old', 'orphan'],
      unfinished: [],
      isWhole: false,
      freedBytes: 32,
    })
  })

  it('leaves downloads alone that may go on, unless they are to be removed', () => {
    const unfinished = new Map([['d.incomplete', { size: 9, modifiedMs: 1 }]])
    expect(planPrune({ ...repository, unfinished })).toMatchObject({
      refs: [],
      unfinished: [],
      freedBytes: 32,
    })
    expect(planPrune({ ...repository, unfinished }, true)).toMatchObject({
      refs: ['gone'],
      unfinished: ['d.incomplete'],
      freedBytes: 41,
    })
    const empty = {
      ...repository,
      revisions: [],
      refs: new Map<string, string>(),
      blobs: new Map<string, never>(),
    }
    expect(isNothing(planPrune({ ...empty, unfinished }))).toBe(true)
    expect(planPrune({ ...empty, unfinished }, true).isWhole).toBe(true)
    expect(planPrune(empty).isWhole).toBe(true)
  })

  const names = ['p', 'q', 'r', 's']
  const repositories = fc
    .record({
      revisions: fc.uniqueArray(
        fc.record({ commit: fc.constantFrom('1', '2', '3'), blobs: fc.subarray(names) }),
        { selector: ({ commit }) => commit },
      ),
      refs: fc.uniqueArray(fc.tuple(fc.constantFrom('main', 'v1', 'v2'), fc.constantFrom('1', '2', '4')), {
        selector: ([ref]) => ref,
      }),
      blobs: fc.subarray(names),
    })
    .map(({ revisions, refs, blobs }): CacheRepository => ({
      ...repository,
      revisions: revisions.map(({ commit, blobs: used }) => ({
        commit,
        files: used.filter((name) => blobs.includes(name)).map((name) => link(name, name)),
      })),
      refs: new Map(refs),
      blobs: new Map(blobs.map((name) => [name, { size: 1, modifiedMs: 0 }])),
    }))

  const without = (from: CacheRepository, removal: ReturnType<typeof planPrune>): CacheRepository => ({
    ...from,
    revisions: from.revisions.filter(({ commit }) => !removal.commits.includes(commit)),
    refs: new Map([...from.refs].filter(([ref]) => !removal.refs.includes(ref))),
    blobs: new Map([...from.blobs].filter(([name]) => !removal.blobs.includes(name))),
  })

  const isSound = ({ revisions, blobs }: CacheRepository) =>
    revisions.every(({ files }) => files.every(({ blob }) => blob === null || blobs.has(blob)))

  it('never takes a blob from a revision that stays, and leaves nothing for a second time', () => {
    fc.assert(
      fc.property(repositories, (before) => {
        const removal = planPrune(before)
        const after = without(before, removal)
        expect(isSound(after)).toBe(true)
        expect(after.revisions.every(({ commit }) => [...after.refs.values()].includes(commit))).toBe(true)
        expect(usageOf(before).size - usageOf(after).size).toBe(removal.freedBytes)
        expect(usageOf(after).orphaned).toBe(0)
        if (!removal.isWhole) expect(isNothing(planPrune(after))).toBe(true)
      }),
    )
  })

  it('frees what it says when revisions are removed', () => {
    fc.assert(
      fc.property(repositories, fc.subarray(['1', '2', '3']), (before, commits) => {
        const removal = planRemoval(before, commits)
        const after = without(before, removal)
        expect(isSound(after)).toBe(true)
        expect(usageOf(before).size - usageOf(after).size).toBe(removal.freedBytes)
        expect([...after.refs.values()].some((commit) => removal.commits.includes(commit))).toBe(false)
      }),
    )
  })
})

describe('names of what is removed', () => {
  it.each([
    ['owner/name', { type: null, name: 'owner/name', revision: null }],
    ['gpt2', { type: null, name: 'gpt2', revision: null }],
    ['hf:owner/name', { type: null, name: 'owner/name', revision: null }],
    ['hf://owner/name@v1', { type: null, name: 'owner/name', revision: 'v1' }],
    ['owner/name@refs/pr/1', { type: null, name: 'owner/name', revision: 'refs/pr/1' }],
    ['datasets/owner/name', { type: 'datasets', name: 'owner/name', revision: null }],
    ['model/owner/name', { type: 'models', name: 'owner/name', revision: null }],
    ['models--owner--name', { type: 'models', name: 'owner/name', revision: null }],
    ['a1b2c3d', { type: null, name: null, revision: 'a1b2c3d' }],
    ['hf:a1b2c3d', { type: null, name: 'a1b2c3d', revision: null }],
    ['a1b2c3d4/name', { type: null, name: 'a1b2c3d4/name', revision: null }],
    ['models', { type: null, name: 'models', revision: null }],
    ['a--b/name', { type: null, name: 'a--b/name', revision: null }],
    ['models--a--b/name', { type: null, name: 'models--a--b/name', revision: null }],
    ['a.b/c.d', { type: null, name: 'a.b/c.d', revision: null }],
    ['dataset/owner/name', { type: 'datasets', name: 'owner/name', revision: null }],
    ['space/owner/name', { type: 'spaces', name: 'owner/name', revision: null }],
    ['spaces--owner--name', { type: 'spaces', name: 'owner/name', revision: null }],
  ])('%s', (text, target) => {
    expect(parseCacheTarget(text)).toEqual(target)
  })

  it.each([
    '',
    '..',
    '../..',
    'a/../b',
    'a/b/c',
    'owner/name@',
    '/etc',
    'a b',
    'models--..--..',
    'a/..',
    './a',
    'a/.',
    '.',
    'owner/hf:name',
  ])('not %s', (text) => {
    expect(parseCacheTarget(text)).toBeNull()
  })

  it('finds repositories, refs and the beginnings of commits', () => {
    const find = (text: string) => {
      const target = parseCacheTarget(text)
      return target === null ? [] : [...findTarget([repository], target).values()]
    }
    expect(find('owner/name')).toEqual(['all'])
    expect(find('models/owner/name')).toEqual(['all'])
    expect(find('datasets/owner/name')).toEqual([])
    expect(find('owner/other')).toEqual([])
    expect(find('owner/name@main')).toEqual([['bbbbbbb2']])
    expect(find('owner/name@aaaaaaa')).toEqual([['aaaaaaa1']])
    expect(find('owner/name@aaa')).toEqual([])
    expect(find('bbbbbbb')).toEqual([['bbbbbbb2']])
    expect(find('owner/name@gone')).toEqual([])
  })
})

import { describe, expect, it } from 'vitest'
import {
  commonRevision,
  FailureStreak,
  groupError,
  merge,
  type PlacedFile,
} from '../../../src/job/group-rules.js'
import type { ResolvedFile } from '../../../src/sources/source.js'
import type { GroupRecord } from '../../../src/download/record.js'

const digest = (sign: string) => sign.repeat(64)
const file = (filename: string, about: Partial<ResolvedFile> = {}): ResolvedFile => ({
  filename,
  urls: ['https://a.example/f'],
  headers: {},
  ...about,
})
const stampOf = (sha256: string) => ({ size: 1, mtimeMs: 1, ino: 1, sha256 })
const known = (revision: string | null, files: GroupRecord['files']): GroupRecord => ({
  revision,
  pinned: true,
  files,
})

const placed = (files: PlacedFile['file'][]): PlacedFile[] =>
  files.map((file) => ({ path: file.filename, file }))

describe('a group that is asked for again', () => {
  it('keeps what is of the same revision', () => {
    const done = { path: 'a', size: 1, done: true as const, stamp: stampOf(digest('a')) }
    const merged = merge(
      placed([file('a', { size: 1, revision: 'r1' }), file('b', { revision: 'r1' })]),
      known('r1', [done]),
    )
    expect(merged).toMatchObject({ revision: 'r1', outdated: [] })
    expect(merged.files).toEqual([expect.objectContaining(done), { path: 'b', stale: true }])
  })

  it('knows the version that is on disk until the new one is, if the Xet store has it', () => {
    const stamp = { ...stampOf(digest('a')), xet: digest('1') }
    const now = (sign: string) => placed([file('a', { sha256: digest(sign), revision: `r${sign}` })])
    const first = { path: 'a', sha256: digest('a'), done: true as const, stamp }
    const second = merge(now('b'), known('ra', [first])).files[0]
    expect(second).toMatchObject({ path: 'a', sha256: digest('b'), older: stamp })
    expect(second?.stamp).toBeUndefined()
    const begun = { path: 'a', sha256: digest('b'), downloaded: 5, older: stamp }
    expect(merge(now('b'), known('rb', [begun])).files[0], 'asked again').toMatchObject(begun)
    expect(merge(now('c'), known('rb', [begun])).files[0], 'a third').toMatchObject({ older: stamp })
    expect(merge(now('c'), known('rb', [begun])).files[0]?.downloaded).toBeUndefined()
    const unknown = { ...first, stamp: stampOf(digest('a')), older: stamp }
    expect(merge(now('b'), known('ra', [unknown])).files[0]?.older).toBeUndefined()
  })

  it('keeps of another revision only what has the same digest; what has none is fetched, whatever its size', () => {
    const merged = merge(
      placed([
        file('same', { size: 1, sha256: digest('a'), revision: 'r2' }),
        file('other', { size: 1, sha256: digest('b'), revision: 'r2' }),
        file('unknown', { size: 1, revision: 'r2' }),
      ]),
      known('r1', [
        { path: 'same', size: 1, sha256: digest('a'), done: true, stamp: stampOf(digest('a')) },
        { path: 'other', size: 1, sha256: digest('c'), done: true, stamp: stampOf(digest('c')) },
        { path: 'unknown', size: 1, done: true, stamp: stampOf(digest('d')) },
        { path: 'gone', done: true, stamp: stampOf(digest('e')) },
      ]),
    )
    expect(merged.files.map(({ path, done, stale }) => [path, done, stale])).toEqual([
      ['same', true, undefined],
      ['other', undefined, undefined],
      ['unknown', undefined, true],
    ])
    expect(merged.outdated.map(({ path }) => path)).toEqual(['other', 'unknown', 'gone'])
  })

  it('keeps what has the same id in git, whatever its revision, and remembers the id', () => {
    const oid = (sign: string) => sign.repeat(40)
    const stamp = stampOf(digest('d'))
    const merged = merge(
      placed([
        file('same', { size: 1, gitOid: oid('a'), revision: 'r2' }),
        file('other', { size: 1, gitOid: oid('b'), revision: 'r2' }),
        file('before', { size: 1, gitOid: oid('c'), revision: 'r2' }),
        file('lfs', { size: 1, gitOid: oid('d'), sha256: digest('e'), revision: 'r2' }),
      ]),
      known('r1', [
        { path: 'same', size: 1, gitOid: oid('a'), done: true, stamp },
        { path: 'other', size: 1, gitOid: oid('e'), done: true, stamp },
        // A record of an earlier version of this package.
        { path: 'before', size: 1, done: true, stamp },
        { path: 'lfs', size: 1, gitOid: oid('d'), done: true, stamp },
      ]),
    )
    expect(merged.files.map(({ path, gitOid, done, stale }) => [path, gitOid, done, stale])).toEqual([
      ['same', oid('a'), true, undefined],
      ['other', oid('b'), undefined, true],
      ['before', oid('c'), undefined, true],
      ['lfs', undefined, true, undefined],
    ])
  })

  it('remembers that what lies there is of another revision until it is replaced', () => {
    const again = merge(placed([file('a', { revision: 'r2' })]), known('r2', [{ path: 'a', stale: true }]))
    expect(again.files).toEqual([expect.objectContaining({ path: 'a', stale: true })])
  })

  it('goes by the revision of each file where a source has one for each', () => {
    const entries = [
      { path: 'a', size: 1, revision: 'e1', done: true as const },
      { path: 'b', size: 1, revision: 'e2', done: true as const },
    ]
    const now = [file('a', { size: 1, revision: 'e1' }), file('b', { size: 1, revision: 'e3' })]
    const merged = merge(placed(now), known(null, entries))
    expect(merged.revision).toBeNull()
    expect(merged.files).toMatchObject([
      { path: 'a', revision: 'e1', done: true },
      { path: 'b', revision: 'e3', stale: true },
    ])
    expect(merged.files[1]).not.toHaveProperty('done')
    // The only file, or files that happen to have the same one, keep it as the revision of the group.
    const alone = merge(placed([file('a', { size: 1, revision: 'e1' })]), known(null, entries))
    expect(alone).toMatchObject({ revision: 'e1', files: [{ done: true }] })
    const more = merge(placed(now), known('e1', [{ path: 'a', size: 1, done: true }]))
    expect(more.files[0]).toMatchObject({ revision: 'e1', done: true })
  })

  it('goes by the size where a source has neither revision nor digest', () => {
    const old = known(null, [{ path: 'a', size: 1, done: true }])
    expect(merge(placed([file('a', { size: 1 })]), old).files[0]).toMatchObject({ done: true })
    expect(merge(placed([file('a', { size: 2 })]), old).files[0]).toMatchObject({ size: 2, stale: true })
  })
})

describe('a group', () => {
  it.each([
    ['the one of all files', ['r1', 'r1'], 'r1'],
    ['none if they differ', ['r1', 'r2'], null],
    ['none if one has none', ['r1', undefined], null],
    ['none if the first has none', [undefined, 'r1'], null],
    ['none if no file has one', [undefined, undefined], null],
    ['none without files', [], null],
  ])('is bound to a revision: %s', (_, revisions, expected) => {
    const files = revisions.map((revision) => file('a', revision === undefined ? {} : { revision }))
    expect(commonRevision(files)).toBe(expected)
  })

  it('is all new without a record, and knows which files need one to be trusted', () => {
    const merged = merge(
      placed([
        file('a', { revision: 'r1' }),
        file('b', { revision: 'r1', size: 2, sha256: digest('b') }),
        file('c', { size: 3 }),
      ]),
      null,
    )
    expect(merged).toEqual({
      revision: null,
      files: [
        { path: 'a', revision: 'r1', stale: true },
        { path: 'b', size: 2, sha256: digest('b'), revision: 'r1' },
        { path: 'c', size: 3 },
      ],
      outdated: [],
    })
  })

  it('keeps everything that it knew of a file that is the same', () => {
    const state = { done: true as const, stamp: stampOf(digest('a')), fetched: true as const, downloaded: 7 }
    const old = { path: 'a', size: 1, sha256: digest('a'), ...state }
    const same = { size: 1, sha256: digest('a'), revision: 'r2' }
    expect(merge(placed([file('a', same)]), known('r1', [old])).files).toEqual([
      { path: 'a', size: 1, sha256: digest('a'), ...state },
    ])
    // What is downloaded again was fetched before, whichever version it was.
    expect(merge(placed([file('a', { ...same, sha256: digest('b') })]), known('r1', [old])).files).toEqual([
      { path: 'a', size: 1, sha256: digest('b'), fetched: true },
    ])
  })

  it.each([
    ['no size before', { sha256: digest('a') }, { size: 1 }, true],
    ['no size now', { size: 1 }, { sha256: digest('a') }, true],
    ['a digest before only, and another size', { size: 1, sha256: digest('a') }, { size: 2 }, false],
    ['a digest now only, and another size', { size: 1 }, { size: 2, sha256: digest('a') }, false],
    [
      'another digest, and the same size',
      { size: 1, sha256: digest('a') },
      { size: 1, sha256: digest('b') },
      false,
    ],
  ])(
    'keeps a file of the same revision by its size where no two digests decide: %s',
    (_, before, now, kept) => {
      const old = known('r1', [{ path: 'a', done: true, ...before }])
      const { files, outdated } = merge(placed([file('a', { revision: 'r1', ...now })]), old)
      expect(files[0]?.done === true).toBe(kept)
      expect(outdated).toHaveLength(kept ? 0 : 1)
    },
  )
})

describe('the end of a group', () => {
  const failure = (code: 'NOT_FOUND' | 'ACCESS_DENIED' | 'NO_SPACE', retryable = false) => ({
    code,
    message: `It is ${code}.`,
    retryable,
  })

  it('has the code of the cause when that keeps all files away, or the disk is full', () => {
    const all = { missing: 3, total: 3 }
    const some = { missing: 3, total: 4 }
    expect(groupError([failure('ACCESS_DENIED')], all).code).toBe('ACCESS_DENIED')
    expect(groupError([failure('ACCESS_DENIED')], some).code).toBe('GROUP_INCOMPLETE')
    expect(groupError([failure('NO_SPACE')], some).code).toBe('NO_SPACE')
    expect(groupError([failure('NOT_FOUND')], all).code).toBe('GROUP_INCOMPLETE')
    const mixed = groupError([failure('NOT_FOUND'), failure('NO_SPACE', true)], all)
    expect(mixed).toMatchObject({ code: 'GROUP_INCOMPLETE', retryable: true })
    expect(mixed.message).toBe('3 of 3 files could not be fetched; the first: It is NOT_FOUND.')
    expect(groupError([], some)).toEqual({
      code: 'GROUP_INCOMPLETE',
      message: '3 of 4 files could not be fetched',
      retryable: false,
    })
    expect(groupError([failure('NO_SPACE'), failure('NO_SPACE', true)], some)).toEqual({
      code: 'NO_SPACE',
      message: 'It is NO_SPACE. 3 of 4 files are missing.',
      retryable: true,
    })
    expect(groupError([failure('ACCESS_DENIED'), failure('NO_SPACE')], all).code).toBe('GROUP_INCOMPLETE')
  })

  it.each([
    ...(['NO_SPACE', 'READ_ONLY', 'ACCESS_DENIED', 'HTTP_ERROR', 'STALLED', 'SSRF_BLOCKED'] as const),
    ...(['REDIRECT_BLOCKED', 'NAME_RESOLUTION', 'CONNECT_FAILED', 'TLS_ERROR', 'PERMISSION'] as const),
    ...(['TARGET_LOCKED'] as const),
  ])('may have the cause %s', (code) => {
    expect(groupError([{ code, message: 'No.', retryable: false }], { missing: 1, total: 1 }).code).toBe(code)
    const streak = new FailureStreak()
    for (let times = 1; times < 8; times += 1) streak.failed(code)
    expect(streak.failed(code)).toBe(true)
  })

  it.each(['READ_ONLY', 'NO_SPACE'] as const)('comes at once after %s', (code) => {
    expect(new FailureStreak().failed(code)).toBe(true)
  })

  it('does not come early while the causes change', () => {
    const streak = new FailureStreak()
    for (let round = 0; round < 5; round += 1) {
      for (let times = 1; times < 8; times += 1) expect(streak.failed('ACCESS_DENIED')).toBe(false)
      expect(streak.failed('NOT_FOUND')).toBe(false)
    }
  })

  it('comes early when there is no hope: at once on a full disk, after a row of refusals, never for missing files', () => {
    expect(new FailureStreak().failed('NO_SPACE')).toBe(true)
    const missing = new FailureStreak()
    expect(Array.from({ length: 100 }, () => missing.failed('NOT_FOUND'))).not.toContain(true)
    const refused = new FailureStreak()
    const verdicts = Array.from({ length: 8 }, () => refused.failed('ACCESS_DENIED'))
    expect(verdicts.indexOf(true)).toBe(7)
    const patchy = new FailureStreak()
    for (let round = 0; round < 20; round += 1) {
      expect(patchy.failed('CONNECT_FAILED')).toBe(false)
      patchy.succeeded()
    }
  })
})

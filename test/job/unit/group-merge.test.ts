import { describe, expect, it } from 'vitest'
import { FailureStreak, groupError, merge, planGroup } from '../../../src/job/group-rules.js'
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

const placed = (files: Parameters<typeof planGroup>[0]) => planGroup(files).placed

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

  it('remembers that what lies there is of another revision until it is replaced', () => {
    const again = merge(placed([file('a', { revision: 'r2' })]), known('r2', [{ path: 'a', stale: true }]))
    expect(again.files).toEqual([expect.objectContaining({ path: 'a', stale: true })])
  })

  it('goes by the size where a source has neither revision nor digest', () => {
    const old = known(null, [{ path: 'a', size: 1, done: true }])
    expect(merge(placed([file('a', { size: 1 })]), old).files[0]).toMatchObject({ done: true })
    expect(merge(placed([file('a', { size: 2 })]), old).files[0]).toMatchObject({ size: 2, stale: true })
  })
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
    expect(mixed.message).toContain('3 of 3')
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

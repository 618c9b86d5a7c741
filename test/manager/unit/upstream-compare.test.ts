import { describe, expect, it } from 'vitest'
import {
  compareFiles,
  compareVersion,
  type KnownFile,
  type KnownFiles,
} from '../../../src/manager/upstream/compare.js'
import fc from '../../support/properties.js'

const file = (filename: string, about: Partial<KnownFile> = {}): KnownFile => ({
  filename,
  size: 1,
  sha256: null,
  gitOid: null,
  ...about,
})
const at = (revision: string | null, ...files: KnownFile[]): KnownFiles => ({ revision, files })
const a = { sha256: 'a'.repeat(64) }
const b = { sha256: 'b'.repeat(64) }

describe('what was downloaded and what the source has', () => {
  it.each<[string, KnownFiles, KnownFiles, string]>([
    ['the same revision', at('r1', file('x')), at('r1', file('x')), 'current revision'],
    [
      'another revision with the same digests',
      at('r1', file('x', a)),
      at('r2', file('x', a)),
      'current digest',
    ],
    [
      'another revision with the same ids in git',
      at('r1', file('x', { gitOid: '1' })),
      at('r2', file('x', { gitOid: '1' })),
      'current digest',
    ],
    ['another digest', at('r1', file('x', a)), at('r2', file('x', b)), 'outdated digest changed x'],
    [
      'another id in git',
      at('r1', file('x', { gitOid: '1' })),
      at('r2', file('x', { gitOid: '2' })),
      'outdated digest changed x',
    ],
    ['another size', at(null, file('x')), at(null, file('x', { size: 2 })), 'outdated size changed x'],
    ['only another revision', at('r1', file('x')), at('r2', file('x')), 'unknown null'],
    ['neither revisions nor digests', at(null, file('x')), at(null, file('x')), 'unknown null'],
    [
      'files that came and went',
      at('r1', file('x', a), file('old', a)),
      at('r2', file('new', b), file('x', a)),
      'outdated digest added new removed old',
    ],
    [
      'a single file under another name',
      at('r1', file('mine.gguf', a)),
      at('r2', file('x.gguf', a)),
      'current digest',
    ],
    [
      'one file of two, under another name',
      at('r1', file('x', a), file('y', b)),
      at('r2', file('z', a)),
      'outdated digest added z removed x removed y',
    ],
    [
      'two files of one, under other names',
      at('r1', file('x', a)),
      at('r2', file('y', a), file('z', a)),
      'outdated digest added y added z removed x',
    ],
    ['nothing any more', at('r1', file('x', a)), at('r2'), 'outdated digest removed x'],
    ['a file where there was none', at('r1'), at('r2', file('x', a)), 'outdated digest added x'],
    [
      'the same digest of one file, and nothing to tell of another',
      at('r1', file('x', a), file('y')),
      at('r2', file('x', a), file('y')),
      'unknown null',
    ],
    [
      'other digests in the same revision',
      at('r1', file('x', a)),
      at('r1', file('x', b)),
      'current revision',
    ],
    ['a digest that was not known before', at('r1', file('x')), at('r2', file('x', a)), 'unknown null'],
    [
      'an id in git that is not known any more',
      at('r1', file('x', { gitOid: '1' })),
      at('r2', file('x')),
      'unknown null',
    ],
    [
      'a size that was not known before',
      at(null, file('x', { size: null })),
      at(null, file('x')),
      'unknown null',
    ],
    [
      'a size that is not known any more',
      at(null, file('x')),
      at(null, file('x', { size: null })),
      'unknown null',
    ],
    [
      'a digest of another kind only',
      at('r1', file('x', a)),
      at('r2', file('x', { gitOid: '1' })),
      'unknown null',
    ],
  ])('%s', (_, known, listed, expected) => {
    const { status, by, changes } = compareFiles(known, listed)
    const shown = changes.flatMap(({ change, filename }) => [change, filename])
    expect([status, String(by), ...shown].join(' ')).toBe(expected)
  })

  it('are current exactly if nothing differs, wherever all digests are known', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 2 })
    const digests = fc.constantFrom(a, b)
    const some = names.chain((list) => fc.tuple(...list.map((name) => digests.map((one) => file(name, one)))))
    fc.assert(
      fc.property(some, some, (known, listed) => {
        const { status, changes } = compareFiles(at('r1', ...known), at('r2', ...listed))
        const text = (files: KnownFile[]) =>
          files.map(({ filename, sha256 }) => `${filename} ${sha256 ?? ''}`).sort()
        const isSame = JSON.stringify(text(known)) === JSON.stringify(text(listed))
        expect(status).toBe(isSame ? 'current' : 'outdated')
        expect(changes.length === 0).toBe(isSame)
      }),
    )
  })
})

describe('a file of a plain URL and what its server says', () => {
  const says = (etag: string | null, lastModified: string | null = null, size: number | null = 5) => ({
    etag,
    lastModified,
    size,
  })
  it.each<[string, ReturnType<typeof says> | null, ReturnType<typeof says>, string]>([
    ['the same tag', says('"1"'), says('"1"'), 'current validator'],
    ['the same tag, which is weak now', says('"1"'), says('W/"1"'), 'current validator'],
    ['another tag', says('"1"'), says('"2"'), 'outdated validator'],
    [
      'another tag, though the time is the same',
      says('"1"', 'now'),
      says('"2"', 'now'),
      'outdated validator',
    ],
    ['the same time', says(null, 'now'), says('"2"', 'now'), 'current validator'],
    ['another time', says(null, 'then'), says(null, 'now'), 'outdated validator'],
    ['another size', says('"1"'), says('"1"', null, 6), 'outdated size'],
    ['no size any more', says('"1"'), says('"1"', null, null), 'current validator'],
    ['nothing but the size', says(null), says('"1"'), 'unknown null'],
    ['no tag any more, but the same time', says('"1"', 'now'), says(null, 'now'), 'current validator'],
    ['no tag and no time any more', says('"1"', 'now'), says(null), 'unknown null'],
    ['a time that was not known before', says(null), says(null, 'now'), 'unknown null'],
    ['a size that was not known before', says('"1"', null, null), says('"1"'), 'current validator'],
    ['a tag with a W in it', says('"a W/b"'), says('"a b"'), 'outdated validator'],
    ['nothing', null, says(null, null, null), 'unknown null'],
  ])('%s', (_, known, now, expected) => {
    const { status, by, changes } = compareVersion({ validator: known, size: known?.size ?? null }, now, 'x')
    expect(`${status} ${String(by)}`).toBe(expected)
    const changed = [{ filename: 'x', change: 'changed', size: now.size }]
    expect(changes).toEqual(status === 'outdated' ? changed : [])
  })
})

import {
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { pathBelow, Destinations } from '../../../src/download/destination.js'
import { stampOf } from '../../../src/disk/stamp.js'
import { snapshotPath } from '../../../src/layouts/hf-paths.js'
import { recordOf } from '../../store/conformance.js'
import { listTree, tempDir } from '../../support/temp.js'

function failure(run: () => unknown): DownloadError | null {
  try {
    run()
  } catch (error) {
    if (error instanceof DownloadError) return error
    throw error
  }
  return null
}

describe('Places', () => {
  // On Windows, with its drive.
  const root = resolve('/models')
  const places = new Destinations(root, ['llm', 'embed'], 'llm')

  it('puts files below the folder of their mode', () => {
    expect(places.pathOf({ directory: null, mode: 'embed', filename: 'a.gguf' })).toBe(
      join(root, 'embed', 'a.gguf'),
    )
    expect(places.pathOf({ directory: null, mode: null, filename: 'a.gguf' })).toBe(join(root, 'a.gguf'))
  })

  it('puts files below another directory that was named, and knows its spellings', () => {
    const at = (directory: string | null) => places.pathOf({ directory, mode: 'llm', filename: 'a' })
    expect(at('sub')).toBe(join(root, 'sub', 'llm', 'a'))
    expect(at('/else/where')).toBe(resolve('/else', 'where', 'llm', 'a'))
    expect(places.folderOf({ directory: 'sub', mode: null })).toBe(join(root, 'sub'))
    for (const own of ['/models', '.', './', '/models/sub/..', '../models'])
      expect(places.directoryOf(own)).toBeNull()
    for (const sub of ['sub', '/models/sub', './x/../sub/']) expect(places.directoryOf(sub)).toBe('sub')
    expect(places.directoryOf('..models')).toBe('..models')
    expect(places.directoryOf('/modelsx')).toBe(resolve('/modelsx'))
    expect(places.directoryOf('../other')).toBe(resolve('/other'))
  })

  it('puts files of a cache into the snapshot of their commit, as its layout says', () => {
    const commit = 'c'.repeat(40)
    const inCache = (filename: string, path: string | null) => {
      const cache = { folder: 'models--o--r', commit, path, blob: null }
      return pathBelow({ directory: null, mode: null, filename, cache })
    }
    const within = (path: string) => snapshotPath({ folder: 'models--o--r', commit, path })
    expect(inCache('a.gguf', 'a.gguf')).toEqual(['models--o--r', 'snapshots', commit, 'a.gguf'])
    expect(inCache('a.gguf', 'sub/a.gguf')).toEqual(within('sub/a.gguf'))
    // Several files: the group's name is not used as a folder there.
    expect(inCache('name/sub/a.gguf', null)).toEqual(within('sub/a.gguf'))
    expect(inCache('name', null)).toEqual(within(''))
    expect(pathBelow({ directory: null, mode: null, filename: 'a.gguf' })).toEqual(['a.gguf'])
    expect(pathBelow({ directory: null, mode: null, filename: 'sub/a.gguf', cache: null })).toEqual([
      'sub/a.gguf',
    ])
  })

  it('knows the default, the registered modes, and none', () => {
    expect(places.modeOf(undefined)).toBe('llm')
    expect(places.modeOf('embed')).toBe('embed')
    expect(places.modeOf(null)).toBeNull()
    expect(new Destinations('/models', ['llm'], null).modeOf(undefined)).toBeNull()
  })

  it('counts the default mode among the registered ones', () => {
    const other = new Destinations('/models', ['llm'], 'voice')
    expect(other.modeOf('voice')).toBe('voice')
    expect(other.modeOf('llm')).toBe('llm')
  })

  it.each(['rerank', '', '..', 'LLM', 'llm/', '__proto__'])('refuses the mode %j', (mode) => {
    const error = failure(() => places.modeOf(mode))
    expect(error?.code).toBe('INVALID_OPTIONS')
    expect(error?.issues).toEqual([{ path: 'mode', message: 'must be one of llm, embed' }])
  })

  it('deletes part and journal, and only those', async () => {
    const directory = tempDir('places')
    mkdirSync(join(directory, 'llm'))
    for (const name of ['a', 'a.part', 'a.part.json', 'b.part'])
      writeFileSync(join(directory, 'llm', name), name)
    const here = new Destinations(directory, ['llm'], 'llm')
    await here.discardBytes({ directory: null, mode: 'llm', filename: 'b', named: false })
    await here.discardBytes({ directory: null, mode: 'llm', filename: 'a', named: true })
    await here.discardBytes({ directory: null, mode: 'llm', filename: 'a', named: true })
    expect(await listTree(directory)).toEqual(['llm/', 'llm/a', 'llm/b.part'])
  })

  it('deletes a finished file, also one that is gone', async () => {
    const directory = tempDir('places')
    writeFileSync(join(directory, 'a'), 'a')
    writeFileSync(join(directory, 'b'), 'b')
    const here = new Destinations(directory, [], null)
    await here.deleteFile({ directory: null, mode: null, filename: 'a' })
    await here.deleteFile({ directory: null, mode: null, filename: 'a' })
    expect(await listTree(directory)).toEqual(['b'])
    expect(readFileSync(join(directory, 'b'), 'utf8')).toBe('b')
  })

  describe('that look whether the file is there', () => {
    const sha256 = 'a'.repeat(64)

    /** A finished file, whole and right, and its record. */
    function finished() {
      const directory = tempDir('places')
      const path = join(directory, 'a')
      writeFileSync(path, 'bytes')
      // A time that another file can have to the last digit.
      utimesSync(path, 1_700_000_000, 1_700_000_000)
      const stat = lstatSync(path)
      const told = { filename: 'a', named: true, directory: null, mode: null, sha256, size: stat.size }
      const record = recordOf(1, told)
      return {
        path,
        places: new Destinations(directory, [], null),
        record: { ...record, stamp: stampOf(stat, sha256) },
      }
    }

    it('takes it for right while its stamp holds', async () => {
      const { places, record } = finished()
      expect(await places.holds(record)).toBe(true)
      expect(await places.holds({ ...record, size: null })).toBe(true)
      expect(await places.holds({ ...record, stamp: { ...record.stamp, ino: 0 } })).toBe(true)
      // No digest is known.
      expect(await places.holds({ ...record, sha256: null, stamp: null })).toBe(true)
    })

    it('notices that another file of the same size and time has taken its place', async () => {
      const { path, places, record } = finished()
      writeFileSync(`${path}2`, 'other')
      utimesSync(`${path}2`, 1_700_000_000, 1_700_000_000)
      renameSync(`${path}2`, path)
      expect(lstatSync(path)).toMatchObject({ size: record.stamp.size, mtimeMs: record.stamp.mtimeMs })
      expect(await places.holds(record)).toBe(false)
    })

    it('wants a name, the size, the digest and a stamp, and no fetch anew', async () => {
      const { places, record } = finished()
      expect(await places.holds({ ...record, named: false })).toBe(false)
      expect(await places.holds({ ...record, force: true })).toBe(false)
      expect(await places.holds({ ...record, size: 4 })).toBe(false)
      expect(await places.holds({ ...record, sha256: 'b'.repeat(64) })).toBe(false)
      expect(await places.holds({ ...record, stamp: null })).toBe(false)
    })

    it.each([
      ['nothing', () => undefined],
      ['a folder', (path: string) => mkdirSync(path)],
      [
        'a link to the file',
        (path: string) => {
          writeFileSync(`${path}2`, 'bytes')
          symlinkSync('a2', path)
        },
      ],
    ])('does not take %s for it', async (_, put) => {
      const { path, places, record } = finished()
      rmSync(path)
      put(path)
      const stat = lstatSync(path, { throwIfNoEntry: false })
      const stamp = stat === undefined ? record.stamp : stampOf(stat, sha256)
      expect(await places.holds({ ...record, size: null, stamp })).toBe(false)
    })
  })
})

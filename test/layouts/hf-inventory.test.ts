/** Reading a cache of the Hugging Face libraries, and removing from it. */
import { linkSync, lstatSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { acquireLock } from '../../src/disk/lock.js'
import { readCache, removeFromCache } from '../../src/layouts/hf-inventory.js'
import { planPrune, planRemoval, usageOf } from '../../src/layouts/hf-usage.js'
import { listTree, tempDir } from '../support/temp.js'

const commits = { old: 'a'.repeat(40), now: 'b'.repeat(40) }
const blob = (digit: string) => digit.repeat(64)

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** A cache with one repository that has two revisions, which share a blob. */
function makeCache(): { root: string; repository: string } {
  const root = tempDir('cache')
  const repository = join(root, 'models--owner--name')
  put(join(repository, 'refs', 'main'), commits.now)
  put(join(repository, 'blobs', blob('1')), 'shared')
  put(join(repository, 'blobs', blob('2')), 'old')
  put(join(repository, 'blobs', blob('3')), 'new!')
  link(repository, commits.old, 'config.json', blob('1'))
  link(repository, commits.old, 'onnx/model.onnx', blob('2'))
  link(repository, commits.now, 'config.json', blob('1'))
  link(repository, commits.now, 'onnx/model.onnx', blob('3'))
  return { root, repository }
}

function link(repository: string, commit: string, path: string, to: string): void {
  const file = join(repository, 'snapshots', commit, path)
  mkdirSync(dirname(file), { recursive: true })
  symlinkSync(`${'../'.repeat(path.split('/').length + 1)}blobs/${to}`, file)
}

async function only(root: string) {
  const { repositories } = await readCache(root)
  const first = repositories.find(({ name }) => name === 'owner/name')
  if (first === undefined) throw new Error('There is no repository.')
  return first
}

describe('readCache', () => {
  it('reads revisions, refs, blobs, and what is not finished', async () => {
    const { root, repository } = makeCache()
    put(join(repository, 'blobs', `${blob('4')}.a1b2.incomplete`), 'half')
    put(join(repository, 'blobs', blob('5')), 'orphan')
    const hard = join(repository, 'snapshots', commits.now, 'hard.bin')
    linkSync(join(repository, 'blobs', blob('3')), hard)
    const copy = join(repository, 'snapshots', commits.now, 'copy.bin')
    put(copy, 'old')
    const times = lstatSync(join(repository, 'blobs', blob('2')))
    utimesSync(copy, times.atime, times.mtime)
    const read = await only(root)
    expect(read).toMatchObject({ type: 'models', name: 'owner/name', folder: 'models--owner--name' })
    expect([...read.refs]).toEqual([['main', commits.now]])
    expect(read.revisions.map(({ commit, files }) => [commit, files])).toEqual([
      [
        commits.old,
        [
          { path: 'config.json', blob: blob('1'), ownBytes: 0, isThere: true },
          { path: 'onnx/model.onnx', blob: blob('2'), ownBytes: 0, isThere: true },
        ],
      ],
      [
        commits.now,
        [
          { path: 'config.json', blob: blob('1'), ownBytes: 0, isThere: true },
          { path: 'copy.bin', blob: blob('2'), ownBytes: 3, isThere: true },
          { path: 'hard.bin', blob: blob('3'), ownBytes: 0, isThere: true },
          { path: 'onnx/model.onnx', blob: blob('3'), ownBytes: 0, isThere: true },
        ],
      ],
    ])
    expect(usageOf(read)).toMatchObject({ size: 22, orphaned: 6, unfinished: 4 })
  })

  it('is empty where there is no cache, and leaves out what is behind a link', async () => {
    expect(await readCache(join(tempDir('none'), 'hub'))).toEqual({ repositories: [], skipped: [] })
    const { root, repository } = makeCache()
    const outside = tempDir('outside')
    put(join(outside, 'precious'), 'precious')
    symlinkSync(outside, join(root, 'models--linked--repo'))
    mkdirSync(join(root, 'models--owner--evil'))
    symlinkSync(outside, join(root, 'models--owner--evil', 'blobs'))
    link(repository, commits.now, 'evil', `../../../${outside.split('/').at(-1) ?? ''}/precious`)
    symlinkSync(outside, join(repository, 'snapshots', commits.now, 'folder'))
    put(join(root, 'version.txt'), '1')
    const { repositories, skipped } = await readCache(root)
    expect(repositories.map(({ name }) => name)).toEqual(['owner/name'])
    expect(skipped.map(({ folder }) => folder)).toEqual(['models--owner--evil'])
    const files = repositories[0]?.revisions.find(({ commit }) => commit === commits.now)?.files ?? []
    expect(files.filter(({ isThere }) => !isThere).map(({ path }) => path)).toEqual(['evil', 'folder'])
  })
})

describe('removeFromCache', () => {
  it('prunes a revision without a ref, and keeps shared blobs', async () => {
    const { root } = makeCache()
    const repository = await only(root)
    const removal = planPrune(repository)
    expect(removal.freedBytes).toBe(3)
    await removeFromCache(root, repository, removal)
    expect((await listTree(root)).filter((path) => !path.endsWith('/'))).toEqual([
      `models--owner--name/blobs/${blob('1')}`,
      `models--owner--name/blobs/${blob('3')}`,
      'models--owner--name/refs/main',
      `models--owner--name/snapshots/${commits.now}/config.json`,
      `models--owner--name/snapshots/${commits.now}/onnx/model.onnx`,
    ])
  })

  it('removes all of a repository with its last revision, and nothing outside of it', async () => {
    const { root, repository: path } = makeCache()
    const outside = tempDir('outside')
    put(join(outside, 'precious'), 'precious')
    symlinkSync(outside, join(path, 'snapshots', commits.now, 'folder'))
    put(join(root, '.locks', 'models--owner--name', 'x.lock'), '')
    put(join(root, 'models--other--name', 'refs', 'main'), commits.now)
    const repository = await only(root)
    await removeFromCache(root, repository, planRemoval(repository, Object.values(commits)))
    expect(await listTree(root)).toEqual([
      'models--other--name/',
      'models--other--name/refs/',
      'models--other--name/refs/main',
    ])
    expect(readFileSync(join(outside, 'precious'), 'utf8')).toBe('precious')
  })

  it('leaves a repository alone to which somebody is downloading', async () => {
    const { root, repository: path } = makeCache()
    const part = join(path, 'blobs', `${blob('4')}.part`)
    put(part, 'half')
    const lock = await acquireLock(`${part}.lock`)
    try {
      const repository = await only(root)
      const before = await listTree(root)
      const removed = removeFromCache(root, repository, planPrune(repository, true))
      await expect(removed).rejects.toMatchObject({ code: 'TARGET_LOCKED' })
      expect(await listTree(root)).toEqual(before)
    } finally {
      await lock.release()
    }
    const repository = await only(root)
    await removeFromCache(root, repository, planPrune(repository, true))
    expect(await listTree(root)).not.toContain(`models--owner--name/blobs/${blob('4')}.part`)
  })
})

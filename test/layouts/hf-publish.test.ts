/** What is written into a cache besides the blobs, and how that can fail. */
import { lstat, mkdir, readFile, readlink, realpath, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../src/errors.js'
import type { CachePlace } from '../../src/layouts/hf-paths.js'
import { linkSnapshot, pointRef, requireInside, type Linker } from '../../src/layouts/hf-files.js'
import { listTree, tempDir } from '../support/temp.js'

const commit = 'a'.repeat(40)
const blob = 'b'.repeat(64)
const place: CachePlace = { folder: 'models--o--n', commit, path: 'sub/model.gguf', blob, ref: 'main' }
const repository = 'models--o--n'
const file = `${repository}/snapshots/${commit}/sub/model.gguf`

async function cacheWithBlob(content = 'bytes'): Promise<string> {
  const root = tempDir('cache')
  await mkdir(join(root, repository, 'blobs'), { recursive: true })
  await writeFile(join(root, repository, 'blobs', blob), content)
  return root
}

const refuse = (code: string) => async () => {
  throw Object.assign(new Error(code), { code, errno: -1 })
}
const noSymlinks: Linker = {
  symlink: refuse('EPERM'),
  link: async (existing, path) => (await import('node:fs/promises')).link(existing, path),
}
const noLinks: Linker = { symlink: refuse('EPERM'), link: refuse('ENOTSUP') }

async function codeOf(run: Promise<unknown>): Promise<string | null> {
  return run.then(
    () => null,
    (error: unknown) => (isDownloadError(error) ? error.code : String(error)),
  )
}

describe('a snapshot', () => {
  it('is a relative link to the blob, and stays one when made again', async () => {
    const root = await cacheWithBlob()
    const path = await linkSnapshot(root, place)
    expect(path).toBe(join(root, file))
    const made = await lstat(path)
    expect(await readlink(path)).toBe(`../../../blobs/${blob}`)
    expect(await readFile(path, 'utf8')).toBe('bytes')
    await linkSnapshot(root, place)
    expect((await lstat(path)).ino, 'not touched').toBe(made.ino)
    expect(await listTree(join(root, repository, 'refs'))).toEqual([])
  })

  it('is made by many at once, and leaves nothing else behind', async () => {
    const root = await cacheWithBlob()
    await Promise.all(Array.from({ length: 20 }, () => linkSnapshot(root, place)))
    expect((await listTree(root)).filter((name) => !name.endsWith('/'))).toEqual([
      `${repository}/blobs/${blob}`,
      file,
    ])
  })

  it('that leads elsewhere is set right', async () => {
    const root = await cacheWithBlob()
    await mkdir(dirname(join(root, file)), { recursive: true })
    await symlink('/etc/passwd', join(root, file))
    await linkSnapshot(root, place)
    expect(await readFile(join(root, file), 'utf8')).toBe('bytes')
    expect(await listTree(dirname(join(root, file)))).toEqual(['model.gguf'])
  })

  it('is a hard link where symbolic ones cannot be made', async () => {
    const root = await cacheWithBlob()
    const path = await linkSnapshot(root, place, noSymlinks)
    const [a, b] = await Promise.all([lstat(path), stat(join(root, repository, 'blobs', blob))])
    expect(a.isFile()).toBe(true)
    expect(a.ino).toBe(b.ino)
    await linkSnapshot(root, place, noLinks)
    expect((await lstat(path)).ino, 'known as right').toBe(b.ino)
  })

  it('is a copy where no links can be made, and is known again', async () => {
    const root = await cacheWithBlob()
    const path = await linkSnapshot(root, place, noLinks)
    const made = await lstat(path)
    expect(made.isFile()).toBe(true)
    expect(made.ino).not.toBe((await stat(join(root, repository, 'blobs', blob))).ino)
    expect(await readFile(path, 'utf8')).toBe('bytes')
    await linkSnapshot(root, place, noLinks)
    expect((await lstat(path)).ino, 'not copied again').toBe(made.ino)
    expect(await listTree(dirname(path))).toEqual(['model.gguf'])
  })

  it('copy of something else is replaced', async () => {
    const root = await cacheWithBlob()
    await mkdir(dirname(join(root, file)), { recursive: true })
    await writeFile(join(root, file), 'other bytes')
    await linkSnapshot(root, place, noLinks)
    expect(await readFile(join(root, file), 'utf8')).toBe('bytes')
  })

  it('fails with what is wrong when that is not the links', async () => {
    const root = await cacheWithBlob()
    const full: Linker = { ...noLinks, symlink: refuse('ENOSPC') }
    expect(await codeOf(linkSnapshot(root, place, full))).toBe('NO_SPACE')
    await mkdir(join(root, file), { recursive: true })
    expect(await codeOf(linkSnapshot(root, place))).toBe('TARGET_NOT_REGULAR')
  })

  it('is not made through a link that leads out of the cache', async () => {
    for (const planted of [repository, `${repository}/snapshots`, `${repository}/refs`]) {
      const root = tempDir('cache')
      const outside = tempDir('outside')
      await mkdir(dirname(join(root, planted)), { recursive: true })
      await symlink(outside, join(root, planted))
      const made = linkSnapshot(root, place).then(() => pointRef(root, place))
      expect(await codeOf(made), planted).toBe('TARGET_NOT_REGULAR')
      expect(await listTree(outside), planted).toEqual([])
    }
  })

  it('may be made through links inside the cache, and below a root that is one', async () => {
    const real = await cacheWithBlob()
    const root = join(tempDir('root'), 'hub')
    await symlink(real, root)
    await mkdir(join(real, 'elsewhere'))
    await symlink(join(real, 'elsewhere'), join(real, repository, 'snapshots'))
    await linkSnapshot(root, place)
    expect(await readFile(join(real, 'elsewhere', commit, 'sub', 'model.gguf'), 'utf8')).toBe('bytes')
    expect(await codeOf(requireInside(root, [repository, 'blobs']))).toBeNull()
  })
})

describe('a ref', () => {
  it('holds the commit and no line feed, and moves on', async () => {
    const root = await cacheWithBlob()
    await pointRef(root, place)
    const path = join(root, repository, 'refs', 'main')
    expect(await readFile(path, 'utf8')).toBe(commit)
    const { ino } = await stat(path)
    await pointRef(root, place)
    expect((await stat(path)).ino, 'not written for nothing').toBe(ino)
    await pointRef(root, { ...place, commit: 'd'.repeat(40) })
    expect(await readFile(path, 'utf8')).toBe('d'.repeat(40))
    expect(await listTree(dirname(path))).toEqual(['main'])
  })

  it('of a pull request lies in folders; a commit has none', async () => {
    const root = await cacheWithBlob()
    await pointRef(root, { ...place, ref: 'refs/pr/1' })
    expect(await readFile(join(root, repository, 'refs', 'refs', 'pr', '1'), 'utf8')).toBe(commit)
    await pointRef(root, { ...place, ref: null })
    expect(await listTree(join(root, repository, 'refs'))).toEqual(['refs/', 'refs/pr/', 'refs/pr/1'])
  })

  it('is one of the commits when many write it at once', async () => {
    const root = await cacheWithBlob()
    const commits = Array.from({ length: 10 }, (_, index) => String(index).repeat(40))
    await Promise.all(commits.map((to) => pointRef(root, { ...place, commit: to })))
    expect(commits).toContain(await readFile(join(root, repository, 'refs', 'main'), 'utf8'))
    expect(await listTree(join(root, repository, 'refs'))).toEqual(['main'])
    expect(await realpath(root)).toBe(root)
  })
})

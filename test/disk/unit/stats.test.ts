import { lstatSync, mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { io, syncIo } from '../../../src/disk/io.js'
import { isSameInode } from '../../../src/disk/stats.js'
import { skipFor, symlinks } from '../../support/machine.js'
import { tempDir } from '../../support/temp.js'

describe('isSameInode', () => {
  const file = { dev: 1n, ino: 2n ** 63n + 1n }

  it('compares device and inode, to the last digit', () => {
    expect(isSameInode(file, { ...file }, 'linux')).toBe(true)
    expect(isSameInode(file, { ...file, dev: 2n }, 'linux')).toBe(false)
    expect(isSameInode(file, { ...file, ino: file.ino + 1n }, 'linux')).toBe(false)
  })

  it('leaves the device out on Windows, where two releases of libuv give two of them', () => {
    expect(isSameInode(file, { ...file, dev: 2n }, 'win32')).toBe(true)
    expect(isSameInode(file, { ...file, ino: file.ino + 1n }, 'win32')).toBe(false)
  })
})

describe.each([
  ['waiting', io],
  ['synchronous', syncIo],
])('the metadata that %s calls give', (_, files) => {
  it.each([1_700_000_000.123456, 0.25, 1, -1.5])(
    'has the same times as that of Node: %d',
    async (seconds) => {
      const path = join(tempDir('stats'), 'file')
      writeFileSync(path, 'content')
      utimesSync(path, seconds, seconds)
      const { size, mtimeMs, atimeMs, mtime, mode, nlink, uid, blocks } = statSync(path)
      expect(await files.lstat(path)).toMatchObject({ size, mtimeMs, atimeMs, mode, nlink, uid, blocks })
      expect((await files.lstat(path)).mtime).toEqual(mtime)
    },
  )

  it('tells the kinds apart', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    const folder = tempDir('stats')
    const [file, inner, link] = ['file', 'inner', 'link'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    writeFileSync(file, '')
    mkdirSync(inner)
    symlinkSync(file, link)
    const kinds = await Promise.all(
      [file, inner, link].map(async (path) => {
        const stats = await files.lstat(path)
        return [stats.isFile(), stats.isDirectory(), stats.isSymbolicLink()]
      }),
    )
    expect(kinds).toEqual([
      [true, false, false],
      [false, true, false],
      [false, false, true],
    ])
    expect((await files.stat(link)).ino).toBe(lstatSync(file, { bigint: true }).ino)
    expect(await files.lstatIfThere(join(folder, 'none'))).toBeNull()
  })
})

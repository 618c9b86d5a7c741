import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { expect, it } from 'vitest'
import { entriesBelow } from '../../../src/disk/walk.js'
import { skipFor, symlinks } from '../../support/machine.js'
import { tempDir } from '../../support/temp.js'

/** Paths of what {@link entriesBelow} finds. */
async function pathsBelow(folder: string): Promise<string[]> {
  const entries = await entriesBelow(folder)
  return entries
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)).split(sep).join('/'))
    .sort()
}

it('lists all folders and files, at any depth', async () => {
  const folder = tempDir('walk')
  mkdirSync(join(folder, 'a', 'b', 'c'), { recursive: true })
  mkdirSync(join(folder, 'empty'))
  for (const file of ['x', 'a/x', 'a/b/c/x']) writeFileSync(join(folder, file), '')
  expect(await pathsBelow(folder)).toEqual(['a', 'a/b', 'a/b/c', 'a/b/c/x', 'a/x', 'empty', 'x'])
  await expect(entriesBelow(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
})

it('follows no links but the folder itself, also where they lead upwards or to each other', async (context) => {
  if (!symlinks.available()) skipFor(context, symlinks)
  const [folder, outside] = [tempDir('walk'), tempDir('outside')]
  writeFileSync(join(outside, 'secret'), '')
  mkdirSync(join(folder, 'a'))
  writeFileSync(join(folder, 'a', 'x'), '')
  for (const [name, target] of [
    ['up', '..'],
    ['self', 'self'],
    ['out', outside],
    ['nowhere', 'missing'],
    ['file', 'x'],
  ] as const)
    symlinkSync(target, join(folder, 'a', name))
  const all = ['a', 'a/file', 'a/nowhere', 'a/out', 'a/self', 'a/up', 'a/x']
  expect(await pathsBelow(folder)).toEqual(all)
  const link = join(tempDir('link'), 'link')
  symlinkSync(folder, link)
  expect(await pathsBelow(link)).toEqual(all)
})

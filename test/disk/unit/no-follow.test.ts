import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { constants } from '../../../src/disk/fs.js'
import { type FileIo, io } from '../../../src/disk/io.js'
import { openNoFollow, readOnly } from '../../../src/disk/no-follow.js'
import { skipFor, symlinks } from '../../support/machine.js'
import { tempDir } from '../../support/temp.js'

let folder: string
let path: string
beforeEach(async () => {
  folder = tempDir('no-follow')
  path = join(folder, 'file')
  await writeFile(path, 'bytes')
})

async function textOf(fd: number): Promise<string> {
  const buffer = Buffer.alloc(16)
  const length = await io.read(fd, buffer, 0, 16, 0)
  await io.close(fd)
  return buffer.toString('utf8', 0, length)
}

describe.each([
  ['with O_NOFOLLOW', {}],
  ['without it, as on Windows', { flag: null }],
])('openNoFollow %s', (_name, options) => {
  it('opens a file', async () => {
    expect(await textOf(await openNoFollow(path, readOnly, options))).toBe('bytes')
    await io.close(await openNoFollow(path, constants.O_RDWR, options))
  })

  it('refuses a link, wherever it leads', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    for (const target of [path, folder, join(folder, 'nothing')]) {
      const link = join(folder, `link${String(target.length)}`)
      await symlink(target, link)
      await expect(openNoFollow(link, readOnly, options)).rejects.toMatchObject({ code: 'ELOOP' })
    }
  })

  it('creates a file only where nothing is, not even a link', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    const create = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
    await io.close(await openNoFollow(join(folder, 'new'), create, { ...options, mode: 0o600 }))
    await symlink(join(folder, 'elsewhere'), join(folder, 'link'))
    for (const taken of ['new', 'link'])
      await expect(openNoFollow(join(folder, taken), create, options)).rejects.toMatchObject({
        code: 'EEXIST',
      })
  })

  it('says what is not there', async () => {
    await expect(openNoFollow(join(folder, 'none'), readOnly, options)).rejects.toMatchObject({
      code: 'ENOENT',
    })
  })
})

describe('openNoFollow without O_NOFOLLOW, while somebody replaces the file', () => {
  /** Lets somebody act between the look at the path and the opening, some times. */
  function disturbed(act: () => Promise<void>, times: number): FileIo & { left: () => number } {
    let left = times
    let open = 0
    return {
      ...io,
      async open(...args) {
        if (left-- > 0) await act()
        open += 1
        return await io.open(...args)
      },
      async close(fd) {
        open -= 1
        await io.close(fd)
      },
      left: () => open,
    }
  }

  it('is not deceived by a link that appears in between', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    await writeFile(join(folder, 'secret'), 'secret')
    const files = disturbed(async () => {
      await symlink(join(folder, 'secret'), join(folder, 'new'))
      await rename(join(folder, 'new'), path)
    }, 1)
    await expect(openNoFollow(path, readOnly, { flag: null, files })).rejects.toMatchObject({ code: 'ELOOP' })
    expect(files.left(), 'no descriptor stays open').toBe(0)
  })

  it('opens the one that is there now, and gives up when it never ends', async () => {
    const replace = async () => {
      await mkdir(join(folder, 'x'), { recursive: true })
      await writeFile(join(folder, 'x', 'new'), 'newer')
      await rename(join(folder, 'x', 'new'), path)
    }
    const files = disturbed(replace, 1)
    expect(await textOf(await openNoFollow(path, readOnly, { flag: null, files }))).toBe('newer')
    const busy = disturbed(replace, 99)
    await expect(openNoFollow(path, readOnly, { flag: null, files: busy })).rejects.toMatchObject({
      code: 'ELOOP',
    })
    expect(busy.left()).toBe(0)
    expect(await readFile(path, 'utf8')).toBe('newer')
  })
})

import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { io } from '../../../src/disk/io.js'
import { findSharingFault } from '../../../src/disk/share-probe.js'
import { tempDir } from '../../support/temp.js'

const refused = (code: string) => Object.assign(new Error(`${code}: refused`), { code })

describe('a folder that several machines are to share', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('is fit for that on an ordinary disk, is made if it is missing, and is left as it was', async () => {
    const folder = join(tempDir('share'), 'models', 'all')
    expect(await findSharingFault(folder)).toBeNull()
    expect(await readdir(folder)).toEqual([])
    await mkdir(join(folder, 'x'))
    expect(await findSharingFault(folder)).toBeNull()
    expect(await readdir(folder)).toEqual(['x'])
  })

  it('is not fit when it is a file', async () => {
    const path = join(tempDir('share'), 'models')
    await writeFile(path, 'file')
    expect(await findSharingFault(path)).toMatch(/^no file can be made there \(E\w+\)$/)
  })

  it.each([
    ['rename', 'EPERM', 'files can not be renamed there (EPERM)'],
    ['read', 'EIO', 'what was written can not be read back there (EIO)'],
  ] as const)('is not fit when %s fails with %s', async (call, code, fault) => {
    const folder = tempDir('share')
    vi.spyOn(io, call).mockRejectedValue(refused(code))
    expect(await findSharingFault(folder)).toBe(fault)
    expect(await readdir(folder)).toEqual([])
  })

  it('is not fit when a file is made that exists already', async () => {
    const folder = tempDir('share')
    const open = io.open.bind(io)
    vi.spyOn(io, 'open').mockImplementation((path, flags, mode) =>
      open(path, flags === 'wx' ? 'w' : flags, mode),
    )
    expect(await findSharingFault(folder)).toBe('files are not made exclusively there')
    expect(await readdir(folder)).toEqual([])
  })
})

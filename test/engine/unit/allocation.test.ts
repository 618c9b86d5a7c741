import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { io } from '../../../src/disk/io.js'
import { extensionOf, fillsGaps, trialBytes, unsizedBytes } from '../../../src/engine/part/allocation.js'
import { extend } from '../../../src/engine/part/extend.js'
import fc from '../../support/properties.js'
import { tempDir } from '../../support/temp.js'

const MiB = 1024 * 1024

describe('extensionOf', () => {
  const isNew = true

  it.each([
    ['a new part on Linux', { length: 0, total: 10 * MiB, isNew }, 'linux', 'trial'],
    ['a new part on macOS', { length: 0, total: 10 * MiB, isNew }, 'darwin', 'trial'],
    ['a new part on Windows', { length: 0, total: 10 * MiB, isNew }, 'win32', 'none'],
    ['a part of a single write', { length: 0, total: unsizedBytes, isNew }, 'linux', 'none'],
    ['one that needs a few writes', { length: 0, total: unsizedBytes + 1, isNew }, 'linux', 'full'],
    ['one as long as a trial', { length: 0, total: trialBytes, isNew }, 'linux', 'full'],
    ['one that is a little longer', { length: 0, total: trialBytes + 1, isNew }, 'linux', 'trial'],
    ['a kept part', { length: 2 * MiB, total: 10 * MiB, isNew: false }, 'linux', 'trial'],
    ['a kept part on Windows', { length: 2 * MiB, total: 10 * MiB, isNew: false }, 'win32', 'none'],
    ['a kept part that needs little', { length: 9 * MiB, total: 10 * MiB, isNew: false }, 'linux', 'full'],
    ['a small kept part', { length: 10, total: 20, isNew: false }, 'linux', 'full'],
    ['a kept part of full length', { length: 10 * MiB, total: 10 * MiB, isNew: false }, 'win32', 'full'],
    ['a kept part that is too long', { length: 11 * MiB, total: 10 * MiB, isNew: false }, 'win32', 'full'],
  ])('of %s', (_name, part, platform, expected) => {
    expect(extensionOf(part, platform)).toBe(expected)
  })

  it('never makes a file long on Windows, nor untried one longer by more than a trial elsewhere', () => {
    const parts = fc.record({ length: fc.nat(1e9), total: fc.nat(1e12), isNew: fc.boolean() })
    fc.assert(
      fc.property(parts, fc.constantFrom('linux', 'darwin', 'win32'), (part, platform) => {
        const missing = Math.max(0, part.total - part.length)
        if (extensionOf(part, platform) === 'full')
          expect(missing).toBeLessThanOrEqual(platform === 'win32' ? 0 : trialBytes)
        if (extensionOf(part, platform) === 'trial') expect(missing).toBeGreaterThan(trialBytes)
      }),
    )
  })
})

describe('fillsGaps', () => {
  const trial = { platform: 'linux', from: 0, to: trialBytes, blocksBefore: 0, blocksAfter: 0 }
  const all = trialBytes / 512

  it.each([
    ['ext4, XFS, btrfs, APFS', {}, false],
    ['a file system that allocates a little metadata', { blocksAfter: 264 }, false],
    ['exFAT, FAT, HFS+', { blocksAfter: all }, true],
    ['clusters that are larger than the trial', { blocksAfter: 4 * all }, true],
    ['a kept part with holes', { from: 8, to: 8 + trialBytes, blocksBefore: 1, blocksAfter: 1 }, false],
    ['a kept part without', { from: 8, to: 8 + trialBytes, blocksBefore: 64, blocksAfter: 64 + all }, true],
    ['a trial that extended nothing', { from: trialBytes, blocksAfter: all }, false],
    ['Windows', { platform: 'win32' }, true],
  ])('judges %s', (_name, change, expected) => {
    expect(fillsGaps({ ...trial, ...change })).toBe(expected)
  })
})

describe('extend', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  async function extended(total: number | null, platform = 'linux', length = 0) {
    const path = join(tempDir('extend'), 'part')
    const file = await open(path, 'w+')
    try {
      if (length > 0) await file.write('x', length - 1)
      const outcome = await extend(file.fd, total, length === 0, { platform })
      return { ...outcome, length: (await stat(path)).size }
    } finally {
      await file.close()
    }
  }

  it('gives a part its full length where that costs nothing', async () => {
    expect(await extended(8 * MiB)).toEqual({ sized: true, filling: false, length: 8 * MiB })
    expect(await extended(8 * MiB, 'linux', 100)).toEqual({ sized: true, filling: false, length: 8 * MiB })
    expect(await extended(null)).toEqual({ sized: false, filling: false, length: 0 })
  })

  it('leaves it to grow on Windows, unless it has its length', async () => {
    expect(await extended(8 * MiB, 'win32')).toEqual({ sized: false, filling: true, length: 0 })
    expect(await extended(8 * MiB, 'win32', 100)).toEqual({ sized: false, filling: true, length: 100 })
    expect(await extended(100, 'win32', 100)).toEqual({ sized: true, filling: true, length: 100 })
    expect(await extended(null, 'win32')).toEqual({ sized: false, filling: true, length: 0 })
  })

  it.each([
    ['ignores a length', () => 0],
    ['sets a shorter one', (length: number) => length / 2],
  ])('believes no file system that %s', async (_name, lengthOf) => {
    const ftruncate = io.ftruncate.bind(io)
    vi.spyOn(io, 'ftruncate').mockImplementation((fd, length) => ftruncate(fd, lengthOf(length)))
    for (const total of [8 * MiB, 512 * 1024]) expect(await extended(total)).toMatchObject({ sized: false })
  })

  it('takes back what it has tried where the file system fills gaps', async () => {
    // As on exFAT, which `test/faults/disk-filling.test.ts` mounts.
    const fstat = io.fstat.bind(io)
    vi.spyOn(io, 'fstat').mockImplementation(async (fd) =>
      Object.assign(await fstat(fd), { blocks: trialBytes / 512 }),
    )
    expect(await extended(8 * MiB)).toEqual({ sized: false, filling: true, length: 0 })
  })
})

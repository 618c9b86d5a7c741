import {
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileStamp, isSame, isUnchanged, stampOf } from '../../../src/disk/stamp.js'
import { skipFor, symlinks } from '../../support/machine.js'
import fc from '../../support/properties.js'
import { tempDir } from '../../support/temp.js'

const seen = { size: 5, mtimeMs: 1_700_000_000_000.25, ino: 7 }

const sha256 = 'a'.repeat(64)

const metadata = fc.record({
  size: fc.integer({ min: 0, max: 2 }),
  mtimeMs: fc.constantFrom(0, 0.5, 1_700_000_000_000.25),
  ino: fc.integer({ min: 0, max: 2 }),
})

describe('isSame', () => {
  it('compares size, time and inode', () => {
    expect(isSame({ ...seen }, seen)).toBe(true)
  })

  it.each([
    ['one byte more', { size: 6 }],
    ['one byte less', { size: 4 }],
    ['no byte left', { size: 0 }],
    ['a later time', { mtimeMs: seen.mtimeMs + 0.25 }],
    ['an earlier time', { mtimeMs: seen.mtimeMs - 1 }],
    ['a time without its fraction', { mtimeMs: Math.trunc(seen.mtimeMs) }],
    ['another inode', { ino: 8 }],
    ['no inode, where there was one', { ino: 0 }],
  ])('tells apart %s', (_, change) => {
    expect(isSame({ ...seen, ...change }, seen)).toBe(false)
  })

  it('leaves an unknown inode out, and nothing else', () => {
    const stamp = { ...seen, ino: 0 }
    expect(isSame(seen, stamp)).toBe(true)
    expect(isSame({ ...seen, ino: 0 }, stamp)).toBe(true)
    expect(isSame({ ...seen, size: 6 }, stamp)).toBe(false)
    expect(isSame({ ...seen, mtimeMs: 0 }, stamp)).toBe(false)
  })

  it('keeps apart inodes that are the same number of 53 bits', () => {
    const ino = 2n ** 53n + 1n
    const stamp = stampOf({ ...seen, ino }, sha256)
    expect(stamp.ino).toBe('9007199254740993')
    expect(isSame({ ...seen, ino }, stamp)).toBe(true)
    expect(isSame({ ...seen, ino: ino - 1n }, stamp)).toBe(false)
    expect(isSame({ ...seen, ino: 7n }, stampOf({ ...seen, ino: 7n }, sha256))).toBe(true)
  })

  it('accepts what earlier versions have rounded', () => {
    const ino = 2n ** 53n + 1n
    const stored = { ...seen, ino: Number(ino) }
    expect(isSame({ ...seen, ino }, stored)).toBe(true)
    expect(isSame({ ...seen, ino: ino + 2_000n }, stored)).toBe(false)
  })

  it('survives JSON, whatever the inode', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (ino) => {
        const stamp = JSON.parse(JSON.stringify(stampOf({ ...seen, ino }, sha256))) as FileStamp
        expect(isSame({ ...seen, ino }, stamp)).toBe(true)
        expect(isSame({ ...seen, ino: ino + 1n }, stamp)).toBe(ino === 0n)
      }),
    )
  })

  it('holds for a stamp of the very file, and never when a known member differs', () => {
    fc.assert(
      fc.property(metadata, metadata, (now, before) => {
        expect(isSame(now, stampOf(now, sha256))).toBe(true)
        const known =
          before.ino === 0 ? (['size', 'mtimeMs'] as const) : (['size', 'mtimeMs', 'ino'] as const)
        expect(isSame(now, before)).toBe(known.every((name) => now[name] === before[name]))
      }),
    )
  })
})

describe('isUnchanged', () => {
  /** A file with its stamp. */
  function stamped() {
    const path = join(tempDir('stamp'), 'a')
    writeFileSync(path, 'bytes')
    return { path, stamp: stampOf(statSync(path), sha256) }
  }

  it('knows the file again, also under another name of it', async () => {
    const { path, stamp } = stamped()
    expect(await isUnchanged(path, stamp)).toBe(true)
    linkSync(path, `${path}2`)
    expect(await isUnchanged(`${path}2`, stamp)).toBe(true)
  })

  it('notices a file of the same size and time in its place', async () => {
    const { path, stamp } = stamped()
    const { atime, mtime } = statSync(path)
    // A time that both files can have to the last digit.
    utimesSync(path, atime, mtime)
    const old = stampOf(statSync(path), sha256)
    writeFileSync(`${path}2`, 'other')
    utimesSync(`${path}2`, atime, mtime)
    renameSync(`${path}2`, path)
    expect(statSync(path)).toMatchObject({ size: old.size, mtimeMs: old.mtimeMs })
    expect(await isUnchanged(path, old)).toBe(false)
    // Can't be detected if the file system has no inodes.
    expect(await isUnchanged(path, { ...old, ino: 0 })).toBe(true)
    expect(await isUnchanged(path, stamp)).toBe(false)
  })

  it('follows a link where one may lie, and only there', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    const { path, stamp } = stamped()
    symlinkSync(path, `${path}.link`)
    expect(await isUnchanged(`${path}.link`, stamp)).toBe(false)
    expect(await isUnchanged(`${path}.link`, stamp, true)).toBe(true)
  })

  it.each([
    ['nothing', () => undefined],
    ['a folder', (path: string) => mkdirSync(path)],
    ['a link that leads nowhere', (path: string) => symlinkSync('nowhere', path)],
    ['a link to itself', (path: string) => symlinkSync('a', path)],
  ])('is not so for %s', async (_, put) => {
    const { path } = stamped()
    rmSync(path)
    put(path)
    const stat = lstatSync(path, { throwIfNoEntry: false })
    // Even if the metadata of the other file matches.
    const stamp = stampOf(stat ?? seen, sha256)
    expect(await isUnchanged(path, stamp)).toBe(false)
    expect(await isUnchanged(path, stamp, true)).toBe(false)
  })
})

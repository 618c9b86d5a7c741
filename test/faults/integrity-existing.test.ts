import { mkdir, open, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { DownloadOptions } from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { arrives, expectInvariant, fails, KiB, makeManager, startBench } from './harness.js'

const content = randomContent(300 * KiB, 'existing')
const { size } = content
const sha256 = content.sha256()
const path = '/model.bin'
const name = 'model.bin'
const bytes = content.slice(0, size)
const sameSize = randomContent(size, 'same size').slice(0, size)
const shorter = bytes.subarray(0, size - 1)
const longer = Buffer.concat([bytes, Buffer.of(0)])
const empty = Buffer.alloc(0)

interface Case {
  what: string
  lies: Buffer
  options: Omit<DownloadOptions, 'url'>
  fetched: boolean
}

const cases: Case[] = [
  { what: 'unknown', lies: sameSize, options: {}, fetched: false },
  { what: 'unknown and empty', lies: empty, options: {}, fetched: false },
  { what: 'right by its size', lies: bytes, options: { size }, fetched: false },
  { what: 'of the right size', lies: sameSize, options: { size }, fetched: false },
  { what: 'too short', lies: shorter, options: { size }, fetched: true },
  { what: 'too long', lies: longer, options: { size }, fetched: true },
  { what: 'empty', lies: empty, options: { size }, fetched: true },
  { what: 'right by its digest', lies: bytes, options: { sha256 }, fetched: false },
  { what: 'right by both', lies: bytes, options: { sha256, size }, fetched: false },
  { what: 'wrong by its digest', lies: sameSize, options: { sha256 }, fetched: true },
  { what: 'wrong by its digest only', lies: sameSize, options: { sha256, size }, fetched: true },
  { what: 'too short for its digest', lies: shorter, options: { sha256 }, fetched: true },
  { what: 'right, fetched anew all the same', lies: bytes, options: { sha256, force: true }, fetched: true },
  { what: 'unknown, fetched anew', lies: sameSize, options: { force: true }, fetched: true },
  { what: 'of that size, fetched anew', lies: sameSize, options: { size, force: true }, fetched: true },
]

describe('row 48: a file lies there already', () => {
  it.each(cases)('$what', async ({ lies, options, fetched }) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    await mkdir(directory)
    await writeFile(join(directory, name), lies)
    const inode = (await stat(join(directory, name))).ino
    origin.serve(path, { content, bytesPerSecond: 4 * size })
    const looks: Promise<Buffer>[] = []
    const look = () => looks.push(readFile(join(directory, name)))
    manager.on('verifying', look)
    manager.on('progress', ({ progress }) => {
      if (progress.phase === 'downloading') look()
    })
    const download = await manager.download({ url: origin.url(path), ...options })
    const file = await arrives(download)
    expect(download.current).toMatchObject({ percent: 100, phase: 'completed' })
    const known = options.sha256 !== undefined
    if (fetched) {
      expect(file).toMatchObject({ existed: false, fetchedBytes: size, size, sha256, verified: known })
      // The old one stayed until the new one was verified.
      expect(looks.length).toBeGreaterThan(1)
      const seen = await Promise.all(looks)
      for (const one of seen.slice(0, -1)) expect(one.equals(lies)).toBe(true)
      await expectInvariant(directory, name, 'done', { content })
    } else {
      expect(file).toMatchObject({ existed: true, fetchedBytes: 0, size: lies.length, verified: known })
      expect(file.sha256).toBe(known ? sha256 : null)
      expect(origin.requests()).toEqual([])
      await expectInvariant(directory, name, 'X', { old: lies })
      expect((await stat(join(directory, name))).ino).toBe(inode)
    }
  })

  it('permissions of the old file are kept', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    await mkdir(directory)
    await writeFile(join(directory, name), sameSize, { mode: 0o640 })
    origin.serve(path, { content })
    await arrives(await manager.download({ url: origin.url(path), sha256 }))
    expect((await stat(join(directory, name))).mode & 0o777).toBe(0o640)
  })

  it.each([
    ['the server has none', { status: 404 }, 'NOT_FOUND', 'X'],
    [
      'the new one is cut short',
      { content, faults: [{ type: 'truncate', afterBytes: 0 }] },
      'TRUNCATED',
      'X',
    ],
    ['the new one is wrong', { content: randomContent(size, 'wrong') }, 'CHECKSUM_MISMATCH', 'X'],
  ] as const)('the old one is untouched when %s', async (_what, resource, code, disk) => {
    await using bench = await startBench({ tuning: { maxAttempts: 2 } })
    const { manager, origin, directory } = bench
    await mkdir(directory)
    await writeFile(join(directory, name), sameSize)
    origin.serve(path, resource)
    expect((await fails(await manager.download({ url: origin.url(path), sha256 }))).code).toBe(code)
    await expectInvariant(directory, name, disk, { old: sameSize })
  })

  it('the old one is untouched by cancel() and pause(), and swapped in the end', async () => {
    await using bench = await startBench({ connections: 1 })
    const { manager, origin, directory } = bench
    const url = origin.url(path)
    await mkdir(directory)
    await writeFile(join(directory, name), sameSize)
    origin.serve(path, { content, bytesPerSecond: size })
    const download = await manager.download({ url, force: true })
    await origin.waitForBytes(path, size / 4)
    await manager.pause(url)
    await expectInvariant(directory, name, 'K', { old: sameSize })
    await manager.cancel(url)
    await expectInvariant(directory, name, 'X', { old: sameSize })
    origin.serve(path, { content })
    await manager.retry(url)
    await arrives(download)
    await expectInvariant(directory, name, 'done', { content })
  })
})

describe('row 48: the digest of an existing file is remembered by size, time and inode', () => {
  const whole = 1_700_000_000

  /** A file that a manager has checked, with a time that can be set again exactly. */
  async function remembered() {
    const origin = await startOrigin()
    origin.serve(path, { content })
    const directory = join(tempDir('cache'), 'models')
    const target = join(directory, name)
    const url = origin.url(path)
    const ask = async () => {
      await using manager = makeManager(directory, { store: 'file' })
      return await arrives(await manager.download({ url, sha256 }))
    }
    expect(await ask()).toMatchObject({ existed: false })
    await utimes(target, whole, whole)
    expect(await ask()).toMatchObject({ existed: true, verified: true })
    origin.clearRequests()
    return { ask, target, [Symbol.asyncDispose]: () => origin.close() }
  }

  async function overwrite(target: string, mtime: number): Promise<void> {
    const handle = await open(target, 'r+')
    await handle.write(sameSize)
    await handle.close()
    await utimes(target, mtime, mtime)
  }

  it('with the same stamp it is not read again', async () => {
    await using file = await remembered()
    // Reading it now would return other bytes; that there is no error shows that it was not read.
    await overwrite(file.target, whole)
    expect(await file.ask()).toMatchObject({ existed: true, verified: true, sha256 })
  })

  it('with another time it is read again', async () => {
    await using file = await remembered()
    await overwrite(file.target, whole + 1)
    expect(await file.ask()).toMatchObject({ existed: false, fetchedBytes: size, sha256 })
  })

  it('with another inode it is read again', async () => {
    await using file = await remembered()
    await writeFile(`${file.target}.new`, sameSize)
    await utimes(`${file.target}.new`, whole, whole)
    await rename(`${file.target}.new`, file.target)
    expect(await file.ask()).toMatchObject({ existed: false, fetchedBytes: size, sha256 })
  })
})

/**
 * FAULTS.md row 26: paths that can't be written to, or where something else exists. All are reported before
 * any request.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { lstat, mkdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { DownloadOptions } from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { asNobody, describeWith, mounting, nobody, spawnUnder } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { cliPath } from '../support/process.js'
import { listTree, smallTmpfs, tempDir } from '../support/temp.js'
import { arrives, expectInvariant, fails, MiB, startBench, type Bench } from './harness.js'

const content = randomContent(300_000)

/** Asks for `model.bin`; it must fail at once, without a request, and leave the tree as it was. */
async function refused(bench: Bench, root: string, options: Partial<DownloadOptions> = {}): Promise<string> {
  const { origin, manager } = bench
  origin.serve('/model.bin', { content })
  const before = await listTree(root)
  const error = await fails(await manager.download({ url: origin.url('/model.bin'), ...options }))
  expect(await listTree(root), 'nothing created or changed').toEqual(before)
  expect(origin.totalConnections, 'before the network').toBe(0)
  return error.code
}

describe('row 26: something else lies at the target', () => {
  async function besideTarget(put: (target: string, root: string) => void | Promise<void>) {
    const root = tempDir('target')
    const directory = join(root, 'models')
    await mkdir(directory)
    await put(join(directory, 'model.bin'), root)
    const bench = await startBench({ directory })
    onTestFinished(() => bench[Symbol.asyncDispose]())
    return { bench, root, target: join(directory, 'model.bin') }
  }

  it.each([false, true])('row 26: a folder (force: %s)', async (force) => {
    const { bench, root, target } = await besideTarget((path) => void mkdir(path))
    expect(await refused(bench, root, { force })).toBe('TARGET_NOT_REGULAR')
    expect((await lstat(target)).isDirectory()).toBe(true)
  })

  it('row 26: a FIFO, which nobody waits for', async () => {
    const { bench, root, target } = await besideTarget((path) => void execFileSync('mkfifo', [path]))
    expect(await refused(bench, root)).toBe('TARGET_NOT_REGULAR')
    expect((await lstat(target)).isFIFO()).toBe(true)
  })

  it.each([false, true])(
    'row 26: a symbolic link to a file (force: %s): neither followed nor replaced',
    async (force) => {
      const { bench, root, target } = await besideTarget(async (path, outside) => {
        await writeFile(join(outside, 'precious'), 'precious')
        await symlink(join(outside, 'precious'), path)
      })
      expect(await refused(bench, root, { force })).toBe('TARGET_NOT_REGULAR')
      expect(await readFile(join(root, 'precious'), 'utf8')).toBe('precious')
      expect(await readlink(target)).toBe(join(root, 'precious'))
    },
  )

  it('row 26: a dangling symbolic link: what it points to is not made', async () => {
    const { bench, root } = await besideTarget((path, outside) => symlink(join(outside, 'nowhere'), path))
    expect(await refused(bench, root)).toBe('TARGET_NOT_REGULAR')
    expect(existsSync(join(root, 'nowhere'))).toBe(false)
  })

  it('row 26: a device', async () => {
    const { bench, root } = await besideTarget((path) => symlink('/dev/null', path))
    expect(await refused(bench, root)).toBe('TARGET_NOT_REGULAR')
  })

  it.each(['models', 'models/deeper/still'])(
    'row 26: a file where the folder %s should be',
    async (below) => {
      const root = tempDir('target')
      await writeFile(join(root, 'models'), 'a file')
      await using bench = await startBench({ directory: join(root, below) })
      expect(await refused(bench, root)).toBe('TARGET_NOT_REGULAR')
      expect(await readFile(join(root, 'models'), 'utf8')).toBe('a file')
    },
  )

  it('row 26: a dangling link where the folder should be', async () => {
    const root = tempDir('target')
    await symlink(join(root, 'nowhere'), join(root, 'models'))
    await using bench = await startBench({ directory: join(root, 'models') })
    expect(await refused(bench, root)).toBe('TARGET_NOT_REGULAR')
    expect(existsSync(join(root, 'nowhere'))).toBe(false)
  })

  it('row 26: a dangling link where a folder above it should be', async () => {
    const root = tempDir('target')
    await symlink(join(root, 'nowhere'), join(root, 'models'))
    await using bench = await startBench({ directory: join(root, 'models', 'llm') })
    expect(await refused(bench, root)).toBe('TARGET_NOT_REGULAR')
    expect(existsSync(join(root, 'nowhere'))).toBe(false)
  })
})

describe('row 26: something else lies at the part, its journal or its lock', () => {
  /** Puts things beside the target, then fetches it. */
  async function withPlanted(put: (target: string, precious: string) => void | Promise<void>) {
    const root = tempDir('planted')
    const directory = join(root, 'models')
    const precious = join(root, 'precious')
    await mkdir(directory)
    await writeFile(precious, 'precious')
    await put(join(directory, 'model.bin'), precious)
    const bench = await startBench({ directory })
    onTestFinished(() => bench[Symbol.asyncDispose]())
    bench.origin.serve('/model.bin', { content, bytesPerSecond: 2 * MiB })
    const download = await bench.manager.download({ url: bench.origin.url('/model.bin') })
    return { download, directory, precious }
  }

  const suffixes = ['.part', '.part.json']

  it.each(suffixes)('row 26: a link planted at %s: replaced, never followed', async (suffix) => {
    const { download, directory, precious } = await withPlanted((target, file) =>
      symlink(file, target + suffix),
    )
    await arrives(download)
    await expectInvariant(directory, 'model.bin', 'done', { content })
    expect(await readFile(precious, 'utf8')).toBe('precious')
  })

  it.each(suffixes)('row 26: a FIFO planted at %s: replaced, nobody waits for it', async (suffix) => {
    const { download, directory } = await withPlanted(
      (target) => void execFileSync('mkfifo', [target + suffix]),
    )
    await arrives(download)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it('row 26: a journal that links to something endless is not read to its end', async () => {
    const { download, directory } = await withPlanted((target) => symlink('/dev/zero', `${target}.part.json`))
    await arrives(download)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it.each(suffixes)('row 26: a folder at %s: TARGET_NOT_REGULAR, it stays', async (suffix) => {
    const { download, directory } = await withPlanted((target) => mkdir(target + suffix))
    expect((await fails(download)).code).toBe('TARGET_NOT_REGULAR')
    expect(await listTree(directory)).toEqual([`model.bin${suffix}/`])
  })

  it('row 26: a link planted at the lock is not followed; the download fails or takes its place', async () => {
    const { download, directory, precious } = await withPlanted((target, file) =>
      symlink(file, `${target}.part.lock`),
    )
    const code = await download.finished.then(
      () => 'done',
      (error: unknown) => (error as { code: string }).code,
    )
    expect(['done', 'TARGET_LOCKED', 'TARGET_NOT_REGULAR']).toContain(code)
    expect(await readFile(precious, 'utf8')).toBe('precious')
    expect((await listTree(directory)).filter((name) => name === 'model.bin')).toHaveLength(
      code === 'done' ? 1 : 0,
    )
  })
})

describeWith(mounting, 'row 26: a read-only file system', () => {
  /** A disk that is read-only from now on. */
  async function readOnly(prepare: (folder: string) => void | Promise<void>): Promise<string> {
    const folder = smallTmpfs(8 * MiB)
    if (folder === null) throw new Error('This machine does not let us mount.')
    await prepare(folder)
    execFileSync('mount', ['-o', 'remount,ro', folder])
    return folder
  }

  it('row 26: the folder is there: READ_ONLY', async () => {
    const folder = await readOnly(() => undefined)
    await using bench = await startBench({ directory: folder })
    expect(await refused(bench, folder)).toBe('READ_ONLY')
  })

  it('row 26: the folder would have to be made: READ_ONLY', async () => {
    const folder = await readOnly(() => undefined)
    await using bench = await startBench({ directory: join(folder, 'a/b') })
    expect(await refused(bench, folder)).toBe('READ_ONLY')
  })

  it('row 26: an old file is there and a new one is wanted: READ_ONLY, it stays', async () => {
    const folder = await readOnly((path) => writeFile(join(path, 'model.bin'), 'old'))
    await using bench = await startBench({ directory: folder })
    expect(await refused(bench, folder, { force: true })).toBe('READ_ONLY')
    expect(
      await refused(bench, folder, { url: bench.origin.url('/x'), filename: 'model.bin', size: 5 }),
    ).toBe('READ_ONLY')
    expect(await readFile(join(folder, 'model.bin'), 'utf8')).toBe('old')
  })

  it('row 26: the right file is there: nothing needs to be written, so it is done', async () => {
    const folder = await readOnly((path) =>
      writeFile(join(path, 'model.bin'), content.slice(0, content.size)),
    )
    await using bench = await startBench({ directory: folder })
    const { manager, origin } = bench
    const url = origin.url('/model.bin')
    const file = await arrives(await manager.download({ url, sha256: content.sha256() }))
    expect(file).toMatchObject({ existed: true, verified: true })
    expect(origin.totalConnections).toBe(0)
    await expectInvariant(folder, 'model.bin', 'done', { content })
  })
})

describeWith(nobody, 'row 26: no permission', () => {
  /** Runs the command line as a user who may do little; the last line of its output. */
  async function asUser(directory: string) {
    await using origin = await startOrigin()
    origin.serve('/model.bin', { content })
    const args = [cliPath, 'get', origin.url('/model.bin'), '-d', directory, '--json']
    const { code, stdout } = await spawnUnder(asNobody, args).finished()
    expect(code).toBe(1)
    expect(origin.totalConnections, 'before the network').toBe(0)
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as unknown
  }

  /** A folder that anybody may enter. */
  function openFolder(mode: number): string {
    const root = tempDir('permission')
    chmodSync(root, 0o755)
    const folder = join(root, 'models')
    mkdirSync(folder)
    chmodSync(folder, mode)
    return folder
  }

  it('row 26: a folder that may not be written to: PERMISSION, N', async () => {
    const folder = openFolder(0o755)
    expect(await asUser(folder)).toMatchObject({ type: 'failed', code: 'PERMISSION' })
    expect(await listTree(folder)).toEqual([])
  })

  it('row 26: a folder that may not be entered: PERMISSION, N', async () => {
    const folder = openFolder(0o700)
    expect(await asUser(join(folder, 'deeper'))).toMatchObject({ type: 'failed', code: 'PERMISSION' })
    expect(await listTree(folder)).toEqual([])
  })

  it('row 26: a folder that would have to be made in one of somebody else: PERMISSION, N', async () => {
    const folder = openFolder(0o755)
    expect(await asUser(join(folder, 'a/b'))).toMatchObject({ type: 'failed', code: 'PERMISSION' })
    expect(await listTree(folder)).toEqual([])
  })

  it('row 26: a part of somebody else in a folder of ours: replaced, never mixed', async () => {
    const folder = openFolder(0o755)
    chownSync(folder, 65534, 65534)
    await writeFile(join(folder, 'model.bin.part'), 'of root', { mode: 0o600 })
    await using origin = await startOrigin()
    origin.serve('/model.bin', { content })
    const { code } = await spawnUnder(asNobody, [
      cliPath,
      'get',
      origin.url('/model.bin'),
      '-d',
      folder,
    ]).finished()
    expect(code).toBe(0)
    await expectInvariant(folder, 'model.bin', 'done', { content })
  })

  it('row 26: a journal of somebody else that may not be read: PERMISSION, it stays', async () => {
    const folder = openFolder(0o755)
    await writeFile(join(folder, 'model.bin.part.json'), '{}', { mode: 0o600 })
    expect(await asUser(folder)).toMatchObject({ type: 'failed', code: 'PERMISSION' })
    expect(await listTree(folder)).toEqual(['model.bin.part.json'])
  })

  it('row 26: a link in the way to a folder that may not be written to: PERMISSION, N', async () => {
    const folder = openFolder(0o755)
    const link = join(folder, '..', 'link')
    symlinkSync(folder, link)
    expect(await asUser(link)).toMatchObject({ type: 'failed', code: 'PERMISSION' })
    expect(await listTree(folder)).toEqual([])
  })
})

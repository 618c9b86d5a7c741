import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { replaceFile } from '../../../src/disk/atomic.js'
import { fsError } from '../../../src/disk/errors.js'
import { ensureSpace, freeBytes } from '../../../src/disk/space.js'
import { linux, mounting, skipFor } from '../../support/machine.js'

const folder = mkdtempSync(join(tmpdir(), 'space-'))
const mounted =
  process.platform === 'linux' &&
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' }).status === 0
afterAll(() => {
  if (mounted) execFileSync('umount', [folder])
  rmSync(folder, { recursive: true })
})

describe('space (FAULTS row 24)', () => {
  it('counts what is free on a small disk', async (context) => {
    if (!mounted) skipFor(context, mounting)
    expect(await freeBytes(folder)).toBe(1024 * 1024)
    await writeFile(join(folder, 'a'), Buffer.alloc(300 * 1024))
    expect(await freeBytes(folder)).toBe((1024 - 300) * 1024)
    expect(await freeBytes(join(folder, 'not/yet/there'))).toBe((1024 - 300) * 1024)
  })

  it('refuses what does not fit, counting what lies there already', async (context) => {
    if (!mounted) skipFor(context, mounting)
    await writeFile(join(folder, 'a'), Buffer.alloc(300 * 1024))
    await ensureSpace(folder, 724 * 1024, 0)
    await expect(ensureSpace(folder, 724 * 1024 + 1, 0)).rejects.toMatchObject({
      code: 'NO_SPACE',
      retryable: true,
      message: 'Not enough disk space: 741 kB are needed, 741 kB are free.',
    })
    await ensureSpace(folder, 1024 * 1024, 300 * 1024)
    await expect(ensureSpace(folder, 5 * 1024 ** 3, 300 * 1024)).rejects.toThrow('5.4 GB are needed')
  })

  it('replacing a file on a full disk keeps the old one and leaves no temporary file', async (context) => {
    if (!mounted) skipFor(context, mounting)
    const path = join(folder, 'record')
    await replaceFile(path, 'old', { mode: 0o600 })
    const failed = replaceFile(path, 'x'.repeat(2 * 1024 * 1024), { mode: 0o600 })
    await expect(failed.catch((error: unknown) => fsError(error, 'x').code)).resolves.toBe('NO_SPACE')
    expect(await readFile(path, 'utf8')).toBe('old')
    expect((await readdir(folder)).filter((name) => name.startsWith('record'))).toEqual(['record'])
    await rm(path)
  })

  it('asks nothing when nothing is missing', async () => {
    await ensureSpace(folder, 10, 10)
    await ensureSpace(folder, 10, 20)
    await ensureSpace(folder, 0, 0)
  })

  it('refuses the absurd everywhere', async () => {
    await expect(ensureSpace(tmpdir(), Number.MAX_SAFE_INTEGER, 0)).rejects.toMatchObject({
      code: 'NO_SPACE',
    })
  })

  it('takes a file system without blocks for endless', async (context) => {
    if (!linux.available()) skipFor(context, linux)
    expect(await freeBytes('/proc')).toBe(Infinity)
  })
})

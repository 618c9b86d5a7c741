import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type BusyContext,
  busyMs,
  deniedMs,
  type FileCall,
  judgeFileFailure,
  type Obstacle,
  patiently,
} from '../../../src/disk/busy.js'
import { fsError } from '../../../src/disk/errors.js'
import { io, syncIo } from '../../../src/disk/io.js'
import { ManualClock } from '../../support/clock.js'
import fc from '../../support/properties.js'
import { tempDir } from '../../support/temp.js'

const systemError = (code: string) => Object.assign(new Error(code), { code, syscall: 'rename' })

const names = ['open', 'rename', 'unlink'] as const

const busyCodes = ['EPERM', 'EACCES', 'EBUSY'] as const

describe('judgeFileFailure', () => {
  it.each(busyCodes)('repeats %s on Windows, of whatever call', (code) => {
    for (const name of names) expect(judgeFileFailure(code, { name }, 'other', 'win32')).toBe('repeat')
  })

  it.each(['linux', 'darwin', 'freebsd'] as const)('repeats nothing on %s', (platform) => {
    for (const code of busyCodes)
      for (const name of names) expect(judgeFileFailure(code, { name }, 'other', platform)).toBe('throw')
  })

  it('tells a folder in the way by EPERM, which Windows and macOS answer', () => {
    for (const platform of ['win32', 'darwin', 'linux'] as const)
      for (const name of names)
        expect(judgeFileFailure('EPERM', { name }, 'folder', platform)).toBe('folder in the way')
    expect(judgeFileFailure('EACCES', { name: 'rename' }, 'folder', 'win32')).toBe('folder in the way')
    expect(judgeFileFailure('EACCES', { name: 'open' }, 'folder', 'linux')).toBe('throw')
  })

  it('makes a file writable that Windows would not replace', () => {
    expect(judgeFileFailure('EPERM', { name: 'rename' }, 'read-only file', 'win32')).toBe('make writable')
    expect(judgeFileFailure('EPERM', { name: 'open' }, 'read-only file', 'win32')).toBe('repeat')
    expect(judgeFileFailure('EBUSY', { name: 'rename' }, 'read-only file', 'win32')).toBe('repeat')
    expect(judgeFileFailure('EPERM', { name: 'rename' }, 'read-only file', 'linux')).toBe('throw')
  })

  it('throws everything else', () => {
    const obstacles: Obstacle[] = ['folder', 'read-only file', 'other']
    fc.assert(
      fc.property(
        fc.constantFrom('ENOENT', 'EEXIST', 'ENOSPC', 'EIO', 'EROFS', 'EXDEV', null),
        fc.constantFrom(...names),
        fc.constantFrom(...obstacles),
        (code, name, obstacle) => {
          expect(judgeFileFailure(code, { name }, obstacle, 'win32')).toBe('throw')
        },
      ),
    )
  })
})

describe('patiently', () => {
  const rename: FileCall = { name: 'rename', path: '/folder/target' }

  /** Makes a call that fails with each of these in turn, and moves the clock until it has ended. */
  async function call(failures: Iterable<string>, what: FileCall, more: Partial<BusyContext> = {}) {
    const clock = new ManualClock()
    const began = clock.now()
    const codes = failures[Symbol.iterator]()
    let attempts = 0
    const attempt = () => {
      attempts += 1
      const { value: code, done } = codes.next()
      if (done !== true) throw systemError(code)
      return 'done'
    }
    const context: BusyContext = {
      ...{ clock, platform: 'win32', obstacleAt: async () => 'other' },
      ...{ makeWritable: async () => undefined, takesFiles: async () => true, ...more },
    }
    const state = { ended: false }
    const outcome = patiently(what, attempt, context)
      .catch((error: unknown) => fsError(error, 'trying').code)
      .finally(() => {
        state.ended = true
      })
    for (let step = 0; step < 2_000; step += 1) {
      await new Promise((resolve) => setImmediate(resolve))
      if (state.ended) break
      clock.advance(10)
    }
    return { outcome: await outcome, attempts, waitedMs: clock.now() - began }
  }

  function* forever(code: string): Generator<string> {
    for (;;) yield code
  }

  it.each(busyCodes)('succeeds after %s once, and thrice, of every call', async (code) => {
    for (const name of names) {
      for (const times of [1, 3]) {
        const { outcome, attempts, waitedMs } = await call(Array<string>(times).fill(code), {
          ...rename,
          name,
        })
        expect({ outcome, attempts }).toEqual({ outcome: 'done', attempts: times + 1 })
        expect(waitedMs).toBeLessThan(deniedMs)
      }
    }
  })

  it.each(busyCodes)('gives up after ten seconds of %s: FILE_BUSY', async (code) => {
    const { outcome, attempts, waitedMs } = await call(forever(code), rename)
    expect(outcome).toBe('FILE_BUSY')
    expect(waitedMs).toBeGreaterThanOrEqual(busyMs)
    expect(waitedMs).toBeLessThan(busyMs + 1_000)
    expect(attempts).toBeLessThan(100)
  })

  it('takes a folder that takes no files at all for a missing permission, after a second', async () => {
    const create: FileCall = { name: 'open', path: '/folder/new', creates: true }
    const refused = await call(forever('EPERM'), create, { takesFiles: async () => false })
    expect(refused.outcome).toBe('PERMISSION')
    expect(refused.waitedMs).toBeLessThan(2 * deniedMs)
    expect((await call(forever('EPERM'), create)).outcome).toBe('FILE_BUSY')
    expect((await call(forever('EBUSY'), create, { takesFiles: async () => false })).outcome).toBe(
      'FILE_BUSY',
    )
    expect((await call(forever('EPERM'), rename, { takesFiles: async () => false })).outcome).toBe(
      'FILE_BUSY',
    )
  })

  it('tells a folder in the way at once', async () => {
    const { outcome, attempts } = await call(forever('EPERM'), rename, { obstacleAt: async () => 'folder' })
    expect({ outcome, attempts }).toEqual({ outcome: 'TARGET_NOT_REGULAR', attempts: 1 })
  })

  it('makes a read-only file writable once, and then waits as for any other', async () => {
    const made: string[] = []
    const context = {
      obstacleAt: async () => 'read-only file' as const,
      makeWritable: async (path: string) => void made.push(path),
    }
    const replaced = await call(['EPERM'], rename, context)
    expect({ ...replaced, made }).toMatchObject({
      outcome: 'done',
      attempts: 2,
      waitedMs: 0,
      made: [rename.path],
    })
    const refused = await call(forever('EPERM'), rename, context)
    expect({ outcome: refused.outcome, made }).toEqual({
      outcome: 'FILE_BUSY',
      made: [rename.path, rename.path],
    })
  })

  it('throws at once on other systems, where a refusal is a missing permission', async () => {
    const { outcome, attempts } = await call(forever('EPERM'), rename, { platform: 'linux' })
    expect({ outcome, attempts }).toEqual({ outcome: 'PERMISSION', attempts: 1 })
    expect((await call(forever('EBUSY'), rename, { platform: 'linux' })).outcome).toBe('FILE_BUSY')
  })
})

describe.each([
  ['waiting', io],
  ['synchronous', syncIo],
])('the %s calls', (_, files) => {
  it('leave what is no refusal as it is', async () => {
    const folder = tempDir('busy')
    const path = join(folder, 'file')
    await expect(files.open(path, 'r')).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(files.unlink(path)).rejects.toMatchObject({ code: 'ENOENT' })
    writeFileSync(path, '')
    chmodSync(path, 0o400)
    await expect(files.open(path, 'wx')).rejects.toMatchObject({ code: 'EEXIST' })
    await files.rename(path, `${path}2`)
    await files.unlink(`${path}2`)
    expect(readdirSync(folder)).toEqual([])
  })

  it('name a folder in the way', async () => {
    const folder = tempDir('busy')
    const [file, inner] = [join(folder, 'file'), join(folder, 'inner')]
    writeFileSync(file, '')
    mkdirSync(inner)
    for (const call of [files.rename(file, inner), files.unlink(inner)]) {
      const error: unknown = await call.catch((reason: unknown) => reason)
      expect(fsError(error, 'trying').code).toBe('TARGET_NOT_REGULAR')
    }
    expect(existsSync(file)).toBe(true)
  })
})

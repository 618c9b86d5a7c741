import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, type FileHandle } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { readRegularFile, replaceFile, uniqueSuffix } from '../../../src/disk/atomic.js'
import { bootId, isExactBootId } from '../../../src/disk/system.js'
import {
  asDownloadError,
  fsError,
  isMissing,
  isOutOfHandles,
  nullIfMissing,
  withHandles,
  isRefusal,
  noteBusy,
} from '../../../src/disk/errors.js'
import { ManualClock } from '../../support/clock.js'
import { posix, prlimit, skipFor, symlinks, unlinkOpen } from '../../support/machine.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fs-errors-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const errno = (code: string) => Object.assign(new Error(`${code}: oops, open '/secret/place'`), { code })

describe('asDownloadError', () => {
  const failed = (code: string, syscall?: string) =>
    Object.assign(new Error(code), { code, ...(syscall === undefined ? {} : { syscall, errno: -1 }) })

  it.each([
    ['EIO', 'fstat', 'DISK_IO', false],
    ['EIO', 'close', 'DISK_IO', false],
    ['ESTALE', 'read', 'DISK_IO', false],
    ['EBADF', 'ftruncate', 'DISK_IO', false],
    ['EACCES', 'lstat', 'PERMISSION', false],
    ['EROFS', 'unlink', 'READ_ONLY', false],
    ['ENOSPC', 'write', 'NO_SPACE', true],
    ['EMFILE', 'open', 'DISK_IO', true],
  ])('%s of %s is %s', (code, syscall, expected, retryable) => {
    const error = asDownloadError(failed(code, syscall))
    expect(error).toMatchObject({ code: expected, retryable })
    expect(error.message).toContain(`while accessing the file (${code})`)
  })

  it.each([
    ['ECONNREFUSED', 'connect'],
    ['ECONNRESET', 'read'],
    ['ENOTFOUND', 'getaddrinfo'],
    ['EAI_AGAIN', 'getaddrinfo'],
    ['ETIMEDOUT', 'connect'],
    ['EPIPE', 'write'],
    // Mistakes in code have codes, but no system call.
    ['ERR_INVALID_ARG_TYPE', undefined],
    ['EIO', undefined],
  ])('%s of %s is not a failure of the disk', (code, syscall) => {
    expect(asDownloadError(failed(code, syscall))).toMatchObject({ code: 'INTERNAL' })
  })

  it('leaves a DownloadError as it is, and takes anything else', () => {
    const error = new DownloadError('STALLED', 'x')
    expect(asDownloadError(error)).toBe(error)
    for (const thrown of [undefined, null, 'text', 7, new TypeError('x')])
      expect(asDownloadError(thrown).code).toBe('INTERNAL')
  })
})

describe('fsError', () => {
  it.each([
    ['ENOSPC', 'NO_SPACE', true],
    ['EDQUOT', 'NO_SPACE', true],
    ['EFBIG', 'NO_SPACE', true],
    ['EIO', 'DISK_IO', false],
    ['EWHATEVER', 'DISK_IO', false],
    ['EMFILE', 'DISK_IO', true],
    ['EACCES', 'PERMISSION', false],
    ['EPERM', 'PERMISSION', false],
    ['EROFS', 'READ_ONLY', false],
    ['ELOOP', 'TARGET_NOT_REGULAR', false],
    ['EISDIR', 'TARGET_NOT_REGULAR', false],
    ['ENOTDIR', 'TARGET_NOT_REGULAR', false],
    ['ENXIO', 'TARGET_NOT_REGULAR', false],
  ])('%s becomes %s', (code, expected, retryable) => {
    const cause = errno(code)
    const error = fsError(cause, 'writing model.gguf')
    expect(error).toMatchObject({ code: expected, retryable, cause })
    expect(error.message).toContain(`while writing model.gguf (${code}).`)
    expect(error.message).not.toContain('/secret')
  })

  it('knows a used-up quota, for which libuv has no name', (context) => {
    // Windows reports a full disk.
    if (!posix.available()) skipFor(context, posix)
    const cause = Object.assign(new Error('x'), {
      code: 'Unknown system error -122',
      errno: -constants.errno.EDQUOT,
    })
    expect(fsError(cause, 'writing').code).toBe('NO_SPACE')
  })

  it('leaves a DownloadError alone and takes anything else for a failing disk', () => {
    const own = new DownloadError('NO_SPACE', 'x')
    expect(fsError(own, 'y')).toBe(own)
    expect(fsError('strange', 'writing a').message).toBe('The disk failed while writing a.')
  })

  it('keeps EMFILE and ENFILE recognisable', () => {
    expect(isOutOfHandles(errno('EMFILE'))).toBe(true)
    expect(isOutOfHandles(fsError(errno('ENFILE'), 'x'))).toBe(true)
    expect(isOutOfHandles(errno('EIO'))).toBe(false)
  })
})

describe('isMissing and nullIfMissing', () => {
  const missing = errno('ENOENT')
  it.each([
    ['nothing lies there', missing],
    ['the same as a DownloadError', fsError(missing, 'looking at it')],
  ])('know that %s', (_, error) => {
    expect(isMissing(error)).toBe(true)
    expect(nullIfMissing(error)).toBeNull()
  })

  it.each([
    ['a file on the way', errno('ENOTDIR')],
    ['no permission', errno('EACCES')],
    ['that as a DownloadError', fsError(errno('EACCES'), 'looking at it')],
    ['a DownloadError without a cause', new DownloadError('NOT_FOUND', 'The server has no such file.')],
    ['an error that only has such a cause', new Error('outer', { cause: missing })],
    ['an error that only tells of it', new Error('ENOENT: no such file or directory')],
    ['something that is no error', { code: 'ENOENT' }],
    ['nothing at all', undefined],
  ])('take %s for something else', (_, error) => {
    expect(isMissing(error)).toBe(false)
    let thrown: unknown = 'nothing'
    try {
      nullIfMissing(error)
    } catch (caught) {
      thrown = caught
    }
    expect(thrown).toBe(error)
  })

  it('fit what the file system throws', async () => {
    await expect(stat(join(folder, 'a')).catch(nullIfMissing)).resolves.toBeNull()
    await symlink('nowhere', join(folder, 'link'))
    await expect(readFile(join(folder, 'link')).catch(nullIfMissing)).resolves.toBeNull()
    await expect(readFile(folder).catch(nullIfMissing)).rejects.toMatchObject({ code: 'EISDIR' })
  })
})

describe('isRefusal', () => {
  it.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EISDIR'])('is true for %s', (code) => {
    const error = Object.assign(new Error(code), { code, syscall: 'fsync' })
    expect(isRefusal(error)).toBe(true)
    expect(isRefusal(fsError(error, 'syncing'))).toBe(true)
  })

  it.each(['EIO', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EACCES', 'EBADF', 'ENOENT'])(
    'is false for %s, which is a failure',
    (code) => {
      expect(isRefusal(Object.assign(new Error(code), { code, syscall: 'fsync' }))).toBe(false)
    },
  )

  it('is false for what is no failure of a system call', () => {
    expect(isRefusal(new Error('EPERM'))).toBe(false)
    expect(isRefusal(null)).toBe(false)
  })
})

describe('fsError for files that others have open', () => {
  it.each(['EBUSY', 'ETXTBSY'])('%s is FILE_BUSY, says what to do, and may be tried again', (code) => {
    const error = fsError(Object.assign(new Error(code), { code, syscall: 'rename' }), 'publishing the file')
    expect(error).toMatchObject({ code: 'FILE_BUSY', retryable: true })
    expect(error.message).toBe(
      `Another program had the file open while publishing the file (${code}). Close that program, or exclude the folder from its scans, and try again.`,
    )
  })

  it('is also what a repeated call has found out, whatever its errno', () => {
    const error = Object.assign(new Error('EPERM'), { code: 'EPERM', syscall: 'rename' })
    expect(fsError(error, 'publishing').code).toBe('PERMISSION')
    expect(fsError(noteBusy(error), 'publishing')).toMatchObject({ code: 'FILE_BUSY', retryable: true })
  })
})

describe('withHandles (FAULTS row 29)', () => {
  it('tries again until a descriptor is free', async () => {
    let calls = 0
    const open = () => (++calls < 4 ? Promise.reject(errno('EMFILE')) : Promise.resolve('ok'))
    const clock = new ManualClock()
    const waiting = withHandles(open, 60_000, clock)
    await clock.advanceAsync(5 + 10 + 20 - 1)
    expect(calls).toBe(3)
    await clock.advanceAsync(1)
    await expect(waiting).resolves.toBe('ok')
    expect(calls).toBe(4)
  })

  it('gives up at the deadline with the error as it came', async () => {
    const clock = new ManualClock()
    const begin = clock.now()
    const times: number[] = []
    const open = () => {
      times.push(clock.now() - begin)
      return Promise.reject(errno('ENFILE'))
    }
    const failed = expect(withHandles(open, 300, clock)).rejects.toMatchObject({ code: 'ENFILE' })
    await clock.advanceAsync(300)
    await failed
    // The pause doubles from 5 ms on; the one of 160 ms would end after the deadline.
    expect(times).toEqual([0, 5, 15, 35, 75, 155])
  })

  it('pauses for 250 ms at most', async () => {
    const clock = new ManualClock()
    let calls = 0
    const open = () => Promise.reject(errno(++calls > 0 ? 'EMFILE' : ''))
    const failed = expect(withHandles(open, 60_000, clock)).rejects.toMatchObject({ code: 'EMFILE' })
    await clock.advanceAsync(60_000)
    await failed
    // 315 ms in seven attempts, then one every 250 ms.
    expect(calls).toBe(7 + Math.floor((60_000 - 315) / 250))
  })

  it('does not repeat other failures', async () => {
    let calls = 0
    const open = () => Promise.reject(errno(`E${++calls}`))
    await expect(withHandles(open)).rejects.toMatchObject({ code: 'E1' })
  })

  it('outlasts a process that really has no descriptor left', async (context) => {
    if (!prlimit.available()) skipFor(context, prlimit)
    const limits = /NOFILE.*?(\d+)\s+(\d+)/.exec(
      execFileSync('prlimit', ['--nofile', '--noheadings', '--pid', String(process.pid)], {
        encoding: 'utf8',
      }).replace(/\s+/g, ' '),
    )
    const [soft, hard] = [limits?.[1], limits?.[2]]
    expect(soft).toBeDefined()
    const highest = Math.max(...readdirSync('/proc/self/fd').map(Number))
    const setLimit = (count: string) =>
      expect(
        spawnSync('prlimit', [`--nofile=${count}:${hard}`, '--pid', String(process.pid)], { stdio: 'ignore' })
          .status,
      ).toBe(0)
    const handles: FileHandle[] = []
    const path = join(folder, 'f')
    setLimit(String(highest + 8))
    try {
      const full = async () => {
        for (;;) handles.push(await open(path, 'a'))
      }
      await expect(full()).rejects.toMatchObject({ code: 'EMFILE' })
      let failures = 0
      const waiting = withHandles(() =>
        open(path, 'r').catch((error: unknown) => {
          // Room comes only after the second failure.
          if (++failures === 2) void Promise.all(handles.splice(0).map((handle) => handle.close()))
          throw error
        }),
      )
      await (await waiting).close()
      expect(failures).toBeGreaterThanOrEqual(2)
    } finally {
      await Promise.all(handles.map((handle) => handle.close()))
      setLimit(String(soft))
    }
  })
})

describe('replaceFile', () => {
  it('writes with the mode asked for and leaves nothing else behind', async () => {
    const path = join(folder, 'a.json')
    await replaceFile(path, 'one', { mode: 0o600 })
    await replaceFile(path, 'twö', { mode: 0o600, sync: 'replacement' })
    expect(await readFile(path, 'utf8')).toBe('twö')
    if (posix.available()) expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['a.json'])
  })

  it('shows readers the old or the new text, never a part', async () => {
    const path = join(folder, 'a')
    const texts = ['x'.repeat(300_000), 'y'.repeat(200_000)]
    await replaceFile(path, texts[0] ?? '', { mode: 0o600 })
    const state = { writing: true }
    const writer = (async () => {
      for (let i = 0; i < 60; i++) await replaceFile(path, texts[i % 2] ?? '', { mode: 0o600 })
    })().finally(() => (state.writing = false))
    // Rejects below.
    writer.catch(() => undefined)
    while (state.writing) {
      expect(texts).toContain(await readFile(path, 'utf8'))
      // Windows replaces no file that somebody has open, and readers who never pause would always have it open.
      if (!unlinkOpen.available()) await sleep(20)
    }
    await writer
  })

  it('cleans up when the rename fails, and throws what the file system threw', async () => {
    await mkdir(join(folder, 'a/b'), { recursive: true })
    const error = await replaceFile(join(folder, 'a'), 'x', { mode: 0o600 }).catch(
      (thrown: unknown) => thrown,
    )
    expect(fsError(error, 'x').code).toBe('TARGET_NOT_REGULAR')
    expect(await readdir(folder)).toEqual(['a'])
    await expect(replaceFile(join(folder, 'no/where'), 'x', { mode: 0o600 })).rejects.toMatchObject({
      code: 'ENOENT',
    })
  })

  it('names temporary files alike', () => {
    for (let i = 0; i < 1_000; i++) expect(uniqueSuffix()).toMatch(/^[0-9a-z]{6}$/)
  })
})

describe('readRegularFile', () => {
  it('reads up to the limit and refuses a folder', async () => {
    await replaceFile(join(folder, 'a'), 'abcdef', { mode: 0o600 })
    const { data, stats } = await readRegularFile(join(folder, 'a'), 4)
    expect(data.toString()).toBe('abcd')
    expect(stats.size).toBe(6)
    await expect(readRegularFile(folder, 4)).rejects.toMatchObject({ code: 'TARGET_NOT_REGULAR' })
  })

  it('follows no link', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    await replaceFile(join(folder, 'a'), 'abcdef', { mode: 0o600 })
    await symlink('a', join(folder, 'link'))
    await expect(readRegularFile(join(folder, 'link'), 4)).rejects.toMatchObject({ code: 'ELOOP' })
  })

  it('does not wait for who writes into a named pipe', async (context) => {
    if (!posix.available()) skipFor(context, posix)
    execFileSync('mkfifo', [join(folder, 'fifo')])
    await expect(readRegularFile(join(folder, 'fifo'), 4)).rejects.toMatchObject({
      code: 'TARGET_NOT_REGULAR',
    })
  })
})

describe('bootId', () => {
  it('is the same each time, and exact on Linux', () => {
    expect(bootId()).toBe(bootId())
    expect(bootId()).not.toBe('')
    expect(isExactBootId(bootId())).toBe(process.platform === 'linux')
    expect(isExactBootId('boot:17')).toBe(false)
  })
})

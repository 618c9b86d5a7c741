import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type * as Fs from '../../../src/disk/fs.js'
import type { acquireLock as AcquireLock } from '../../../src/disk/lock.js'
import { judgeOwner, judgeSilence, type OwnerClaim, type OwnerFacts } from '../../../src/disk/lock-owner.js'
import { isExactBootId, processExists, processStartMs, processStat } from '../../../src/disk/system.js'
import fc from '../../support/properties.js'
import { tempDir } from '../../support/temp.js'

/** Windows and macOS have no `/proc`: no boot id, no start times, and only the monotonic clock. */
const windows: OwnerFacts = {
  pid: 4_242,
  bootId: 'boot:170000000',
  isExact: isExactBootId,
  startedMs: 3_600_000,
  runningMs: () => 60_000,
  stat: null,
  exists: true,
}

const ours: OwnerClaim = { pid: 4_242, bootId: windows.bootId, startTime: null, startedMs: 3_600_000 }

const linux: OwnerFacts = { ...windows, bootId: '5f7c', stat: { state: 'S', startTime: '77' } }

const oursOnLinux: OwnerClaim = { ...ours, bootId: '5f7c', startTime: '77' }

/** Bun and Deno, whose monotonic clock begins with the process. */
const clockless: OwnerFacts = { ...windows, startedMs: null }

describe('judgeOwner', () => {
  it.each<[string, Partial<OwnerClaim>, Partial<OwnerFacts>, 'alive' | 'dead' | 'unknown']>([
    ['another thread of this process', {}, {}, 'alive'],
    ['one that has read the clock a moment later', { startedMs: 3_600_004 }, {}, 'alive'],
    ['our id before the machine restarted', { startedMs: 5_000, bootId: 'boot:169000000' }, {}, 'dead'],
    ['our id before the machine restarted, and the clock was set back', { startedMs: 5_000 }, {}, 'dead'],
    ['our id earlier in this boot', { startedMs: 3_000_000 }, {}, 'dead'],
    ['our thread, after the clock was set', { bootId: 'boot:169999000' }, {}, 'unknown'],
    ['our id, from an earlier version in this boot', { startedMs: undefined }, {}, 'unknown'],
    [
      'our id, from an earlier version in another boot',
      { startedMs: undefined, bootId: 'boot:169000000' },
      {},
      'dead',
    ],
    ['another process that runs', { pid: 7 }, {}, 'unknown'],
    ['another process that runs, and that we may not signal', { pid: 7 }, { exists: null }, 'unknown'],
    ['another process that is gone', { pid: 7 }, { exists: false }, 'dead'],
    ['a reused id, after the machine restarted', { pid: 7, startedMs: 90_000_000 }, {}, 'dead'],
    ['one that has begun after us', { pid: 7, startedMs: 3_650_000 }, {}, 'unknown'],
    ['a reused id, from an earlier version', { pid: 7, startedMs: undefined }, {}, 'unknown'],
  ])('on Windows and macOS, judges %s', (_name, claim, facts, verdict) => {
    expect(judgeOwner({ ...ours, ...claim }, { ...windows, ...facts })).toBe(verdict)
  })

  it.each<[string, Partial<OwnerClaim>, Partial<OwnerFacts>, 'alive' | 'dead' | 'unknown']>([
    ['another thread of this process', {}, {}, 'alive'],
    ['another boot', { bootId: '1d2e' }, {}, 'dead'],
    ['a zombie', {}, { stat: { state: 'Z', startTime: '77' } }, 'dead'],
    ['a process that is being removed', {}, { stat: { state: 'X', startTime: '77' } }, 'dead'],
    ['a process that runs', { pid: 7 }, {}, 'alive'],
    ['a reused id', { pid: 7 }, { stat: { state: 'R', startTime: '78' } }, 'dead'],
    ['our id before', { startTime: '3' }, {}, 'dead'],
    ['a process that is hidden from us', { pid: 7 }, { stat: null, exists: null }, 'unknown'],
    ['our id where /proc is hidden', {}, { stat: null }, 'alive'],
    ['an owner that could not read /proc', { startTime: null, bootId: 'boot:1' }, {}, 'unknown'],
  ])('on Linux, judges %s', (_name, claim, facts, verdict) => {
    expect(judgeOwner({ ...oursOnLinux, ...claim }, { ...linux, ...facts })).toBe(verdict)
  })

  it('leaves our own id to the heartbeat where the clock tells nothing', () => {
    expect(judgeOwner({ ...ours, startedMs: null }, clockless)).toBe('unknown')
    expect(judgeOwner({ ...ours, startedMs: null, bootId: 'boot:1' }, clockless)).toBe('unknown')
    expect(judgeOwner(ours, clockless)).toBe('unknown')
  })

  const facts = fc.record({
    pid: fc.integer({ min: 1, max: 3 }),
    bootId: fc.constantFrom('boot:1', 'boot:2', 'a', 'b'),
    isExact: fc.constant(isExactBootId),
    startedMs: fc.option(fc.integer({ min: 2, max: 10_000 })),
    runningMs: fc.integer({ min: 0, max: 10_000 }).map((ms) => () => ms),
    stat: fc.option(
      fc.record({ state: fc.constantFrom('S', 'R', 'Z'), startTime: fc.constantFrom('1', '2') }),
    ),
    exists: fc.constantFrom(true, false, null),
  })

  it('never takes a lock of its own process for dead, whatever happens to the wall clock', () => {
    fc.assert(
      fc.property(facts, fc.constantFrom('boot:1', 'boot:2'), (now, bootId) => {
        const own = { ...now, stat: null, bootId }
        const claim = { pid: now.pid, bootId: 'boot:1', startTime: null, startedMs: now.startedMs }
        expect(judgeOwner(claim, own)).not.toBe('dead')
      }),
    )
  })

  it('never holds a lock for ever that has our id and another start', () => {
    fc.assert(
      fc.property(facts, fc.option(fc.integer({ min: 20_100, max: 99_999 })), (now, startedMs) => {
        const claim = { pid: now.pid, bootId: 'boot:1', startTime: null, startedMs }
        expect(judgeOwner(claim, { ...now, stat: null })).not.toBe('alive')
      }),
    )
  })
})

describe('judgeSilence', () => {
  it('takes a minute without a heartbeat for death, in either direction', () => {
    expect(judgeSilence(null, 60_000, windows)).toBe(60_000)
    expect(judgeSilence(null, 60_001, windows)).toBe('dead')
    expect(judgeSilence(null, -60_000, windows)).toBe(0)
    expect(judgeSilence(null, -60_001, windows)).toBe('dead')
  })

  it('takes a heartbeat under our id that is older than we are for one of another process', () => {
    const young = { pid: 4_242, runningMs: () => 1_000 }
    expect(judgeSilence(ours, 6_000, young)).toBe(6_000)
    expect(judgeSilence(ours, 6_001, young)).toBe('dead')
    expect(judgeSilence({ pid: 7 }, 6_001, young)).toBe(6_001)
    expect(judgeSilence(null, 6_001, young)).toBe(6_001)
  })
})

describe('facts of processes', () => {
  it('gives this process the same start at any time', () => {
    const first = processStartMs()
    expect(first).not.toBeNull()
    for (let count = 0; count < 20; count += 1)
      expect(Math.abs((processStartMs() ?? 0) - (first ?? 0))).toBeLessThan(10)
  })

  it('knows this process, and none with an impossible id', () => {
    expect(processExists(process.pid)).toBe(true)
    expect(processExists(2 ** 22 + 1)).toBe(false)
    expect(processStat(2 ** 22 + 1)).toBeNull()
  })
})

describe('a lock with our process id, without start times of others', () => {
  const path = join(tempDir('lock-owner'), 'model.gguf.part.lock')
  const locked = { code: 'TARGET_LOCKED', retryable: true }
  let acquireLock: typeof AcquireLock

  beforeAll(async () => {
    vi.doMock('../../../src/disk/fs.js', async (original) => {
      const fs = await original<typeof Fs>()
      const readFileSync = (file: string, encoding: 'utf8') => {
        if (file.startsWith('/proc/')) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
        return fs.readFileSync(file, encoding)
      }
      return { ...fs, readFileSync }
    })
    vi.resetModules()
    ;({ acquireLock } = await import('../../../src/disk/lock.js'))
  })

  afterAll(() => {
    vi.doUnmock('../../../src/disk/fs.js')
    vi.resetModules()
  })

  const forge = async (change: Record<string, unknown>) => {
    await rm(path, { force: true })
    const lock = await acquireLock(path)
    const own = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown> // of our own making
    await lock.release()
    expect(own).toMatchObject({ startTime: null, bootId: expect.stringMatching(/^boot:/) as string })
    const startedMs = Number(own['startedMs']) + Number(change['laterMs'] ?? 0)
    await writeFile(path, JSON.stringify({ ...own, startedMs, ...change }))
  }

  it('is held by another thread of this process', async () => {
    await forge({})
    await expect(acquireLock(path)).rejects.toMatchObject(locked)
  })

  it('is taken at once from a process that had the id before', async () => {
    await forge({ laterMs: -5_000 })
    await (await acquireLock(path)).release()
    await forge({ laterMs: 86_400_000, bootId: 'boot:1' })
    await (await acquireLock(path)).release()
  })

  it('is taken from an earlier version as soon as its heartbeat cannot be ours', async () => {
    await forge({ startedMs: undefined })
    await expect(acquireLock(path)).rejects.toMatchObject(locked)
    const { mtimeMs } = await stat(path)
    const before = mtimeMs / 1_000 - process.uptime() - 6
    await utimes(path, before, before)
    await (await acquireLock(path)).release()
  })
})

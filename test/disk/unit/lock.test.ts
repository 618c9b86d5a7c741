import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import fc from '../../support/properties.js'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { acquireLock, type FileLock } from '../../../src/disk/lock.js'
import { bundle } from '../../support/bundle.js'
import { ManualClock } from '../../support/clock.js'
import { linux, posix, skipFor, symlinks, unlinkOpen } from '../../support/machine.js'
import { waitFor, withTimeout } from '../../support/wait.js'

let folder: string
let path: string
const children: ChildProcess[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'))
  path = join(folder, 'model.gguf.part.lock')
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

/** What a lock of this process holds, as a model for forged ones. */
async function ownContent(): Promise<Record<string, unknown>> {
  const lock = await acquireLock(path)
  const content: unknown = JSON.parse(await readFile(path, 'utf8'))
  await lock.release()
  return content as Record<string, unknown> // JSON of our own making
}

/** What a process that has ended left in the lock. */
async function deadContent(): Promise<string> {
  const { pid } = spawnSync(process.execPath, ['--version'])
  return JSON.stringify({ ...(await ownContent()), pid, startTime: '1', token: 'dead' })
}

/** A real process that writes a lock file as its own and then sits there. */
async function holder(): Promise<ChildProcess> {
  const template = JSON.stringify({ ...(await ownContent()), token: 'theirs' })
  const script = `
    const fs = require('fs')
    let startTime = null
    try {
      const stat = fs.readFileSync('/proc/self/stat', 'latin1')
      startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    } catch {}
    const content = { ...${template}, pid: process.pid, startTime }
    fs.writeFileSync(${JSON.stringify(path)}, JSON.stringify(content), { flag: 'wx' })
    console.log('held')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  await withTimeout(once(child.stdout, 'data'), 10_000, 'the holder')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await withTimeout(once(child, 'exit'), 10_000, 'the end of the holder')
}

const age = async (seconds: number) => {
  const { mtimeMs } = await stat(path)
  await utimes(path, mtimeMs / 1000 - seconds, mtimeMs / 1000 - seconds)
}

/** Moves the time whenever a contender sleeps, until it has won or lost, or for some milliseconds. */
async function passTime(clock: ManualClock, contender: Promise<unknown>, ms = Infinity): Promise<void> {
  const until = clock.now() + ms
  const contest = { ended: false }
  const end = () => {
    contest.ended = true
  }
  void contender.then(end, end)
  for (;;) {
    // A heartbeat is farther away than the next look at a torn lock.
    const next = () => clock.pending.find((pendingMs) => pendingMs <= 100)
    while (!contest.ended && next() === undefined) await new Promise(setImmediate)
    if (contest.ended || clock.now() >= until) return
    clock.advance(next() ?? 0)
  }
}

async function expectLocked(): Promise<void> {
  const clock = new ManualClock(0)
  const contender = acquireLock(path, clock)
  await passTime(clock, contender)
  await expect(contender).rejects.toMatchObject({ code: 'TARGET_LOCKED', retryable: true })
  expect(clock.now()).toBe(0)
}

async function expectTakenOver(afterMs = 0): Promise<void> {
  const clock = new ManualClock(0)
  const taking = acquireLock(path, clock)
  await passTime(clock, taking)
  const lock = await taking
  expect(clock.now()).toBe(afterMs)
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid })
  expect(await readdir(folder)).toEqual(['model.gguf.part.lock'])
  await lock.release()
  expect(await readdir(folder)).toEqual([])
}

/** Exactly one of several contenders has won, and it releases its lock. */
async function expectOneWinner(results: readonly PromiseSettledResult<FileLock>[]): Promise<void> {
  const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  expect(won).toHaveLength(1)
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'TARGET_LOCKED' })
  }
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid })
  await won[0]?.release()
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('lock (transfer rule 12, FAULTS row 36)', () => {
  it('is held by one, private, and gone after release', async () => {
    const lock = await acquireLock(path)
    if (posix.available()) expect((await stat(path)).mode & 0o777).toBe(0o600)
    await expectLocked()
    await lock.release()
    await lock.release()
    expect(await readdir(folder)).toEqual([])
    await (await acquireLock(path)).release()
  })

  it('lets exactly one of 20 win, whether the lock is free, dead or torn', async () => {
    const dead = await deadContent()
    for (const before of [null, dead, 'garbage']) {
      if (before !== null) await writeFile(path, before)
      const clock = new ManualClock()
      const results = Promise.allSettled(Array.from({ length: 20 }, () => acquireLock(path, clock)))
      await passTime(clock, results)
      await expectOneWinner(await results)
      expect(await readdir(folder)).toEqual([])
    }
  })

  it('lets exactly one of 20 win that do not know of each other', async () => {
    const dead = await deadContent()
    // Each copy of the module has its own list of held locks.
    const copies: { acquireLock: typeof acquireLock }[] = []
    for (let count = 0; count < 20; count += 1) {
      vi.resetModules()
      copies.push(await import('../../../src/disk/lock.js'))
    }
    expect(new Set(copies.map((copy) => copy.acquireLock)).size).toBe(20)
    for (const before of [null, dead, '', 'garbage']) {
      if (before !== null) await writeFile(path, before)
      const clock = new ManualClock(0)
      const results = Promise.allSettled(copies.map((copy) => copy.acquireLock(path, clock)))
      await passTime(clock, results)
      await expectOneWinner(await results)
      expect(await readdir(folder)).toEqual([])
    }
  })

  it('respects another living process and takes over at once when it is killed', async () => {
    const child = await holder()
    await expectLocked()
    await kill(child)
    await expectTakenOver()
  })

  it('takes a zombie for dead', async (context) => {
    if (!linux.available()) skipFor(context, linux)
    // The shell starts the holder, is stopped before it can reap it, and so leaves a zombie behind when it is killed.
    const template = JSON.stringify({ ...(await ownContent()), token: 'theirs' })
    const shell = spawn('sh', ['-c', 'sleep 60 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(shell)
    const [line] = (await withTimeout(once(shell.stdout, 'data'), 10_000, 'the shell')) as [Buffer] // stdout gives buffers
    const pid = Number(line.toString())
    const stats = await readFile(`/proc/${pid}/stat`, 'latin1')
    const startTime = stats.slice(stats.lastIndexOf(')') + 2).split(' ')[19]
    await writeFile(path, JSON.stringify({ ...(JSON.parse(template) as object), pid, startTime }))
    await expectLocked()
    shell.kill('SIGSTOP')
    process.kill(pid, 'SIGKILL')
    await withTimeout(
      (async () => {
        while (!(await readFile(`/proc/${pid}/stat`, 'latin1')).includes(') Z '))
          await new Promise(setImmediate)
      })(),
      10_000,
      'the zombie',
    )
    await expectTakenOver()
  })

  it('tells a reused pid by its start time', async (context) => {
    if (!linux.available()) skipFor(context, linux)
    await kill(await holder())
    const old = JSON.parse(await readFile(path, 'utf8')) as object // written by the holder
    // The pid of a process that lives, and that began at another time.
    await writeFile(path, JSON.stringify({ ...old, pid: process.ppid }))
    await expectTakenOver()
    await writeFile(path, JSON.stringify({ ...old, pid: process.pid }))
    await expectTakenOver()
  })

  it('takes over what another boot left', async (context) => {
    if (!linux.available()) skipFor(context, linux)
    await writeFile(path, JSON.stringify({ ...(await ownContent()), bootId: 'another-boot' }))
    await expectTakenOver()
    // An inexact boot id proves nothing: the process decides.
    await writeFile(path, JSON.stringify({ ...(await ownContent()), bootId: 'boot:1' }))
    await expectLocked()
  })

  it.each([
    ['another host', { host: 'elsewhere' }],
    ['a system without start times', { startTime: null, pid: process.ppid }],
  ])('judges %s by the heartbeat', async (_name, change) => {
    await writeFile(path, JSON.stringify({ ...(await ownContent()), ...change }))
    await expectLocked()
    await age(50)
    await expectLocked()
    await age(11)
    await expectTakenOver()
  })

  it('shows every 20 s that its owner lives, until it is released', async () => {
    const clock = new ManualClock()
    const lock = await acquireLock(path, clock)
    const other = await acquireLock(`${path}2`, clock)
    expect(clock.pending).toEqual([20_000])
    for (let beat = 0; beat < 2; beat += 1) {
      const content = await readFile(path, 'utf8')
      await age(50)
      clock.advance(19_999)
      await new Promise(setImmediate)
      const before = (await stat(path)).mtimeMs
      clock.advance(1)
      await waitFor(async () => (await stat(path)).mtimeMs - before > 49_000)
      expect(await readFile(path, 'utf8')).toBe(content)
    }
    await other.release()
    expect(clock.pending).toEqual([20_000])
    await lock.release()
    expect(clock.pending).toEqual([])
  })

  it('waits a minute for a complete lock that it does not understand, as another version may have made', async () => {
    for (const content of [
      'null',
      '[]',
      '{"pid":1}',
      '{"pid":-1,"host":"","bootId":"","startTime":null,"token":"x"}',
    ]) {
      await writeFile(path, content)
      await expectLocked()
      await age(50)
      await expectLocked()
      await age(11)
      await expectTakenOver()
      await writeFile(path, content)
      // A time far ahead is as stale as one far back.
      await age(-3600)
      await expectTakenOver()
    }
  })

  it('takes over a torn lock once it is two seconds old', async () => {
    const whole = JSON.stringify(await ownContent())
    for (const content of ['', '{', '\u0000\u0001', 'garbage', whole.slice(0, whole.length / 2)]) {
      for (const [seconds, afterMs] of [
        [0, 2_000],
        [3, 0],
        [61, 0],
        [-3600, 2_000],
      ] as const) {
        await writeFile(path, content)
        await age(seconds)
        await expectTakenOver(afterMs)
      }
    }
  })

  it('respects a torn lock whose owner finishes writing it within two seconds', async () => {
    const whole = JSON.stringify({ ...(await ownContent()), token: 'theirs' })
    for (const [torn, complete] of [
      ['', whole],
      [whole.slice(0, 20), whole],
      ['', '{"version":2}'],
    ] as const) {
      for (const ms of [100, 1_900]) {
        await writeFile(path, torn)
        const clock = new ManualClock(0)
        const contender = acquireLock(path, clock)
        await passTime(clock, contender, ms)
        await writeFile(path, complete)
        await passTime(clock, contender)
        await expect(contender).rejects.toMatchObject({ code: 'TARGET_LOCKED', retryable: true })
        expect(clock.now()).toBe(ms + 100)
        expect(await readFile(path, 'utf8')).toBe(complete)
        expect(await readdir(folder)).toEqual(['model.gguf.part.lock'])
      }
    }
  })

  it('takes a torn lock as soon as it is gone, or as its owner is dead', async () => {
    const dead = await deadContent()
    for (const complete of [null, dead]) {
      await writeFile(path, '')
      const clock = new ManualClock(0)
      const contender = acquireLock(path, clock)
      await passTime(clock, contender, 500)
      await (complete === null ? rm(path) : writeFile(path, complete))
      await passTime(clock, contender)
      await (await contender).release()
      expect(clock.now()).toBe(600)
      expect(await readdir(folder)).toEqual([])
    }
  })

  it('is not held by who stalls before writing into it, when another one has taken it meanwhile', async (context) => {
    if (!unlinkOpen.available()) skipFor(context, unlinkOpen)
    vi.resetModules()
    const { io } = await import('../../../src/disk/io.js')
    const staller = await import('../../../src/disk/lock.js')
    let goOn = (): void => undefined
    const stall = new Promise<void>((resolve) => (goOn = resolve))
    const write = io.writeText.bind(io)
    const noLinks = Object.assign(new Error('EPERM'), { code: 'EPERM', syscall: 'link' })
    vi.spyOn(io, 'link').mockRejectedValue(noLinks)
    const writing = vi.spyOn(io, 'writeText').mockImplementationOnce(write)
    writing.mockImplementationOnce(async (fd, text) => {
      await stall
      await write(fd, text)
    })
    const stalled = staller.acquireLock(path)
    await vi.waitFor(() => stat(path))
    const clock = new ManualClock()
    const taken = acquireLock(path, clock)
    await passTime(clock, taken)
    const lock = await taken
    goOn()
    await expect(stalled).rejects.toMatchObject({ code: 'TARGET_LOCKED' })
    await lock.release()
    expect(await readdir(folder)).toEqual([])
    vi.restoreAllMocks()
  })

  it('waits anew for a torn lock that changes, but not for ever', async () => {
    await writeFile(path, '{')
    const clock = new ManualClock(0)
    const contender = acquireLock(path, clock)
    await passTime(clock, contender, 1_900)
    await appendFile(path, '{')
    await passTime(clock, contender)
    await (await contender).release()
    expect(clock.now()).toBe(2_000 + 2_000)

    for (const [everyMs, boundMs] of [
      [100, 500],
      [2_000, 10_000],
    ] as const) {
      await writeFile(path, '{')
      const clock = new ManualClock(0)
      const contender = acquireLock(path, clock)
      // Each change is made just before the look that sees it.
      await passTime(clock, contender, everyMs - 100)
      for (let change = 0; change < 5; change += 1) {
        await appendFile(path, '{')
        await passTime(clock, contender, everyMs)
      }
      await passTime(clock, contender)
      await expect(contender).rejects.toMatchObject({ code: 'TARGET_LOCKED', retryable: true })
      expect(clock.now()).toBe(boundMs)
      expect(await readFile(path, 'utf8')).toBe('{{{{{{')
    }
  })

  it('only ever fails with TARGET_LOCKED, whatever the file contains', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
          fc.json().map((text) => Buffer.from(text)),
        ),
        async (content) => {
          await writeFile(path, content)
          if (!isJson(content.toString())) {
            await expectTakenOver(2_000)
            return
          }
          await expectLocked()
          await age(61)
          await expectTakenOver()
        },
      ),
      { numRuns: 40 },
    )
  })

  it('leaves the lock alone that somebody else made meanwhile', async () => {
    const lock = await acquireLock(path)
    await writeFile(path, 'theirs')
    await lock.release()
    expect(await readFile(path, 'utf8')).toBe('theirs')
    await rm(path)
    const gone = await acquireLock(path)
    await rm(path)
    await gone.release()
  })

  it('counts a lock of another thread of this process as alive', async () => {
    const module = await bundle('src/disk/lock.ts', folder)
    const source = `
      const { parentPort, workerData } = require('worker_threads')
      import(workerData.module).then(async ({ acquireLock }) => {
        await acquireLock(workerData.path)
        parentPort.once('message', () => {})
        parentPort.postMessage('held')
      })`
    const worker = new Worker(source, {
      eval: true,
      workerData: { module: pathToFileURL(module).href, path },
    })
    await withTimeout(once(worker, 'message'), 10_000, 'the worker')
    await expectLocked()
    await worker.terminate()
  })

  it('refuses what is no regular file, and a folder that is not there', async () => {
    await mkdir(path)
    await expect(acquireLock(path)).rejects.toMatchObject({ code: 'TARGET_NOT_REGULAR' })
    await rm(path, { recursive: true })
    const error = await acquireLock(join(folder, 'no', 'lock')).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'DISK_IO' })
    expect(String(error)).not.toContain(folder)
  })

  it('refuses a link', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    await symlink('/etc/hostname', path)
    await expect(acquireLock(path)).rejects.toMatchObject({ code: 'TARGET_NOT_REGULAR' })
  })
})

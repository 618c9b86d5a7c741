import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import fc from '../../support/properties.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { acquireLock } from '../../../src/disk/lock.js'
import { bundle } from '../../support/bundle.js'
import { ManualClock } from '../../support/clock.js'
import { linux, skipFor } from '../../support/machine.js'
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
const expectLocked = () =>
  expect(acquireLock(path)).rejects.toMatchObject({ code: 'TARGET_LOCKED', retryable: true })
async function expectTakenOver(): Promise<void> {
  const lock = await acquireLock(path)
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid })
  expect(await readdir(folder)).toEqual(['model.gguf.part.lock'])
  await lock.release()
  expect(await readdir(folder)).toEqual([])
}

describe('lock (transfer rule 12, FAULTS row 36)', () => {
  it('is held by one, private, and gone after release', async () => {
    const lock = await acquireLock(path)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await expectLocked()
    await lock.release()
    await lock.release()
    expect(await readdir(folder)).toEqual([])
    await (await acquireLock(path)).release()
  })

  it('lets exactly one of 20 win, whether the lock is free, dead or garbage', async () => {
    const own = await ownContent()
    const dead = JSON.stringify({ ...own, startTime: '1', token: 'dead' })
    for (const before of [null, dead, 'garbage']) {
      if (before !== null) await writeFile(path, before)
      if (before === 'garbage') await age(61)
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => acquireLock(path)))
      const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      expect(won).toHaveLength(1)
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'TARGET_LOCKED' })
      }
      await won[0]?.release()
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

  it('waits a minute for an empty or broken lock, which may be in the making', async () => {
    for (const content of [
      '',
      '{',
      'null',
      '[]',
      '{"pid":1}',
      '\u0000\u0001',
      '{"pid":-1,"host":"","bootId":"","startTime":null,"token":"x"}',
    ]) {
      await writeFile(path, content)
      await expectLocked()
      await age(61)
      await expectTakenOver()
      await writeFile(path, content)
      // A time far ahead is as stale as one far back.
      await age(-3600)
      await expectTakenOver()
    }
  })

  it('only ever fails with TARGET_LOCKED, whatever the file contains', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.json().map((text) => Buffer.from(text)),
        ),
        async (content) => {
          await writeFile(path, content)
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
    const worker = new Worker(source, { eval: true, workerData: { module, path } })
    await withTimeout(once(worker, 'message'), 10_000, 'the worker')
    await expectLocked()
    await worker.terminate()
  })

  it('refuses what is no regular file, and a folder that is not there', async () => {
    await mkdir(path)
    await expect(acquireLock(path)).rejects.toMatchObject({ code: 'TARGET_NOT_REGULAR' })
    await rm(path, { recursive: true })
    await symlink('/etc/hostname', path)
    await expect(acquireLock(path)).rejects.toMatchObject({ code: 'TARGET_NOT_REGULAR' })
    const error = await acquireLock(join(folder, 'no', 'lock')).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'DISK_IO' })
    expect(String(error)).not.toContain(folder)
  })

  it('keeps real processes apart while some of them are killed', async () => {
    const module = await bundle('src/disk/lock.ts', folder)
    const target = join(folder, 'contended.lock')
    const marker = join(folder, 'inside')
    // Inside the lock each writes its pid, waits and looks whether it is still there; each dies inside now and then.
    const script = `
      import fs from 'node:fs'
      import { setTimeout as sleep } from 'node:timers/promises'
      const { acquireLock } = await import(${JSON.stringify(module)})
      const end = performance.now() + 1500
      let won = 0
      while (performance.now() < end) {
        let lock
        try { lock = await acquireLock(${JSON.stringify(target)}) } catch (error) {
          if (error.code !== 'TARGET_LOCKED') throw error
          await sleep(Math.random() * 2)
          continue
        }
        won++
        const me = process.pid + ':' + won
        fs.writeFileSync(${JSON.stringify(marker)}, me)
        await sleep(Math.random() * 3)
        if (fs.readFileSync(${JSON.stringify(marker)}, 'utf8') !== me) process.exit(66)
        if (Math.random() < 0.1) process.kill(process.pid, 'SIGKILL')
        await lock.release()
      }
      process.exit(0)`
    const end = performance.now() + 1_500
    let killed = 0
    const lane = async () => {
      while (performance.now() < end) {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
          stdio: ['ignore', 'ignore', 'inherit'],
        })
        children.push(child)
        const [code, signal] = (await withTimeout(once(child, 'exit'), 15_000, 'a contender')) as [
          number | null,
          string | null,
        ] // as Node documents
        if (signal === 'SIGKILL') killed++
        else expect(code).toBe(0)
      }
    }
    await Promise.all([lane(), lane(), lane()])
    expect(killed).toBeGreaterThan(0)
    await (await acquireLock(target)).release()
  })
})

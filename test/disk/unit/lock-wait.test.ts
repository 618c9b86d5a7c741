/** How a lock appears, and how long one whose owner may be dead is waited for. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { io } from '../../../src/disk/io.js'
import { acquireLock } from '../../../src/disk/lock.js'
import { ManualClock } from '../../support/clock.js'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'))
  path = join(folder, 'model.gguf.part.lock')
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function ownContent(): Promise<Record<string, unknown>> {
  const lock = await acquireLock(path)
  const content: unknown = JSON.parse(await readFile(path, 'utf8'))
  await lock.release()
  return content as Record<string, unknown> // JSON of our own making
}

const age = async (seconds: number) => {
  const { mtimeMs } = await stat(path)
  await utimes(path, mtimeMs / 1000 - seconds, mtimeMs / 1000 - seconds)
}

const linkError = (code: string) => Object.assign(new Error(code), { code, syscall: 'link' })

describe('a lock', () => {
  it('appears with its content, so that who is killed while taking it leaves no lock', async () => {
    const write = io.writeText.bind(io)
    let seen: string[] = []
    const writing = vi.spyOn(io, 'writeText').mockImplementationOnce(async (fd, text) => {
      seen = await readdir(folder)
      await write(fd, text)
    })
    const lock = await acquireLock(path)
    writing.mockRestore()
    expect(seen).toHaveLength(1)
    expect(seen[0]).toMatch(/^model\.gguf\.part\.lock\.[0-9a-z]{6}$/)
    expect(await readdir(folder)).toEqual(['model.gguf.part.lock'])
    await lock.release()
  })

  it('removes what others left who were killed while taking it', async () => {
    const { pid } = spawnSync(process.execPath, ['--version'])
    await writeFile(path, JSON.stringify({ ...(await ownContent()), pid, startTime: '1', token: 'dead' }))
    await writeFile(`${path}.a1b2c3`, '')
    await writeFile(`${path}.mine`, '')
    await (await acquireLock(path)).release()
    expect(await readdir(folder)).toEqual(['model.gguf.part.lock.mine'])
  })

  it.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EMLINK', 'EACCES'])(
    'needs no links, which fail with %s',
    async (code) => {
      const link = vi.spyOn(io, 'link').mockRejectedValue(linkError(code))
      const lock = await acquireLock(path)
      await expect(acquireLock(path)).rejects.toMatchObject({ code: 'TARGET_LOCKED' })
      expect(await readdir(folder)).toEqual(['model.gguf.part.lock'])
      await lock.release()
      link.mockRestore()
    },
  )

  describe('of an owner that may be dead', () => {
    /** Passes a second whenever the contender waits for one. */
    async function watchFor(clock: ManualClock, contender: Promise<unknown>, ms = Infinity): Promise<void> {
      const contest = { ended: false }
      const end = () => {
        contest.ended = true
      }
      void contender.then(end, end)
      for (const until = clock.now() + ms; !contest.ended && clock.now() < until;) {
        if (clock.pending.includes(1_000)) clock.advance(1_000)
        await new Promise(setImmediate)
      }
    }

    async function contend(agedSeconds: number) {
      await writeFile(path, JSON.stringify({ ...(await ownContent()), host: 'elsewhere', token: 'theirs' }))
      await age(agedSeconds)
      const clock = new ManualClock(0)
      const aborted = new AbortController()
      const waits: number[] = []
      const contender = acquireLock(path, clock, { signal: aborted.signal, onWait: (ms) => waits.push(ms) })
      return { clock, aborted, waits, contender }
    }

    it.each([0, 40])('is waited for until it is silent for a minute, as it was for %i s', async (seconds) => {
      const begin = performance.now()
      const { clock, waits, contender } = await contend(seconds)
      await watchFor(clock, contender)
      await (await contender).release()
      expect(waits).toHaveLength(1)
      const [waitMs = 0] = waits
      // The lock is as old as its file says, so what a slow machine has taken until then counts, too.
      expect(waitMs).toBeGreaterThan((59 - seconds) * 1_000 - (performance.now() - begin))
      expect(waitMs).toBeLessThanOrEqual((60 - seconds) * 1_000)
      expect(clock.now()).toBe(Math.ceil(waitMs / 1_000) * 1_000)
      expect(await readdir(folder)).toEqual([])
    })

    it('is held as soon as its owner gives a sign of life', async () => {
      const { clock, contender } = await contend(30)
      await watchFor(clock, contender, 10_000)
      await age(-30)
      await watchFor(clock, contender)
      await expect(contender).rejects.toMatchObject({ code: 'TARGET_LOCKED', retryable: true })
      expect(clock.now()).toBeLessThanOrEqual(12_000)
    })

    it('is taken as soon as it is released', async () => {
      const { clock, contender } = await contend(0)
      await watchFor(clock, contender, 10_000)
      await rm(path)
      await watchFor(clock, contender)
      await (await contender).release()
      expect(clock.now()).toBeLessThanOrEqual(12_000)
    })

    it('is not waited for by who has stopped', async () => {
      const { clock, aborted, contender } = await contend(0)
      await watchFor(clock, contender, 2_000)
      aborted.abort()
      await expect(contender).rejects.toMatchObject({ code: 'TARGET_LOCKED' })
    })
  })
})

import { mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { appendLine, logLine } from '../../src/catalog/run.js'
import { checkFile } from '../../src/catalog/models-status.js'
import { RunState } from '../../src/catalog/run-store.js'
import type { Run } from '../../src/catalog/run.js'
import { createMemoryStore } from '../../src/store/memory.js'
import { ManualClock } from '../support/clock.js'
import { tempDir } from '../support/temp.js'

const run: Run = {
  version: 1,
  startedAt: '2026-01-01T00:00:00.000Z',
  finishedAt: null,
  outcome: 'running',
  outputDir: '/models',
  force: false,
  models: [
    {
      key: 'a',
      url: 'https://a/1',
      required: true,
      phase: 'waiting',
      joined: false,
      before: null,
      error: null,
    },
  ],
}

describe('what is written down of a run', () => {
  it('is every change, with the log of the time', async () => {
    const store = createMemoryStore()
    const heard: string[] = []
    const clock = new ManualClock()
    const listener = {
      changed: () => heard.push('changed'),
      line: (line: string) => heard.push(line),
      problem: (message: string) => heard.push(message),
    }
    const state = new RunState(store, listener, clock)
    const stored = async () => (await store.readDocument?.('preload'))?.value
    await state.begin(run)
    expect(await stored()).toEqual({ version: 1, run, logs: [] })
    expect(state.act({ type: 'asked', key: 'a' })).toBe(true)
    expect(state.act({ type: 'asked', key: 'a' })).toBe(false)
    await state.flush()
    expect(await stored()).toMatchObject({ run: { models: [{ phase: 'active' }] } })
    state.log('a', 'hello')
    await state.flush()
    expect(await stored()).toMatchObject({ logs: [expect.stringMatching(/Z \[a\] hello$/)] })
    expect(heard).toEqual(['changed', 'changed', expect.stringMatching(/hello$/)])

    const next = new RunState(store, listener, clock)
    await next.load()
    expect(next.run).toEqual(state.run)
    expect(next.lines).toEqual(state.lines)
  })

  it('is a line of the log alone a moment later, together with others', async () => {
    const memory = createMemoryStore()
    let writes = 0
    const store = {
      ...memory,
      writeDocument: async (name: string, value: unknown) => {
        writes += 1
        await memory.writeDocument?.(name, value)
      },
    }
    const clock = new ManualClock()
    const ignored = { changed: () => undefined, line: () => undefined, problem: () => undefined }
    const state = new RunState(store, ignored, clock)
    await state.begin(run)
    state.log('a', 'one')
    await clock.advanceAsync(200)
    state.log('a', 'two')
    await clock.advanceAsync(49)
    expect(writes).toBe(1)
    await clock.advanceAsync(1)
    expect(writes).toBe(2)
    const logs = [expect.stringMatching(/one$/), expect.stringMatching(/two$/)]
    expect((await memory.readDocument?.('preload'))?.value).toMatchObject({ logs })
    expect(clock.pending).toEqual([])
  })
})

describe('a line of the log', () => {
  const at = new Date('2026-02-15T02:00:01.987Z')

  it('has time, key and message', () => {
    expect(logLine(at, 'llm', 'downloading …')).toBe('2026-02-15T02:00:01Z [llm] downloading …')
  })

  it('has neither secrets, nor line breaks, nor terminal codes, nor any length', () => {
    expect(logLine(at, 'llm', 'failed: https://me:pw@host/a?sig=s3cret\r\n\u001b[31m!\u2028')).toBe(
      '2026-02-15T02:00:01Z [llm] failed: https://host/a?… [31m! ',
    )
    expect(logLine(at, 'llm', 'x'.repeat(5_000)).length).toBeLessThan(1_100)
  })

  it('is one of 500', () => {
    let lines: string[] = []
    for (let i = 0; i < 502; i++) lines = appendLine(lines, `${i}`)
    expect([lines.length, lines[0], lines.at(-1)]).toEqual([500, '2', '501'])
  })
})

describe('a look at a file', () => {
  const digest = 'ab'.repeat(32)
  const other = 'cd'.repeat(32)
  const make = () => {
    const path = join(tempDir(), 'a.gguf')
    writeFileSync(path, '12345')
    const { size, mtimeMs, ino } = statSync(path)
    return { path, stamp: { size, mtimeMs, ino, sha256: digest } }
  }

  it('trusts a digest only while size, time and inode are the same', async () => {
    const { path, stamp } = make()
    const expected = { size: null, sha256: digest }
    const look = async (change: Partial<typeof stamp>) =>
      (await checkFile(path, expected, { ...stamp, ...change })).kind
    expect(await checkFile(path, expected, stamp)).toEqual({ kind: 'right', checked: true })
    // Some file systems have no inodes.
    expect(await look({ ino: 0 })).toBe('right')
    expect(await look({ sha256: other })).toBe('wrongDigest')
    expect(await look({ size: 6 })).toBe('notVerified')
    expect(await look({ mtimeMs: stamp.mtimeMs - 1 })).toBe('notVerified')
    expect(await look({ ino: stamp.ino + 1 })).toBe('notVerified')
    expect((await checkFile(path, expected, null)).kind).toBe('notVerified')
    utimesSync(path, 1, 1)
    expect(await look({})).toBe('notVerified')
  })

  it('without a digest accepts an existing file of the right size, and reports anything but a file', async () => {
    const { path } = make()
    const look = (at: string, size: number | null) => checkFile(at, { size, sha256: null }, null)
    expect(await look(path, null)).toEqual({ kind: 'right', checked: false })
    expect(await look(path, 5)).toEqual({ kind: 'right', checked: false })
    expect(await look(path, 4)).toEqual({ kind: 'wrongSize', found: 5 })
    expect(await look(`${path}.x`, null)).toEqual({ kind: 'missing' })
    expect(await look(join(path, 'below'), null)).toEqual({ kind: 'missing' })
    mkdirSync(`${path}.d`)
    expect(await look(`${path}.d`, null)).toEqual({ kind: 'notRegular' })
    expect(await look('x'.repeat(5_000), null)).toMatchObject({ kind: 'unreadable' })
  })
})

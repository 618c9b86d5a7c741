import { createHash } from 'node:crypto'
import { lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { acquireLock } from '../../../src/disk/lock.js'
import { partPaths } from '../../../src/disk/part-paths.js'
import {
  inspectLeftover,
  type Journal,
  parseJournal,
  peekLeftover,
} from '../../../src/engine/part/journal.js'
import { Lease } from '../../../src/engine/part/lease.js'
import { PartFile } from '../../../src/engine/part/part-file.js'
import { ManualClock } from '../../support/clock.js'
import { listTree, tempDir } from '../../support/temp.js'

const url = 'https://host/a'
const ten = Buffer.alloc(10, 'x')
const identity = { total: 30, etag: '"1"', lastModified: null, lastModifiedStrong: false }
const takenOver = { code: 'TAKEN_OVER', retryable: true }

afterEach(() => {
  vi.restoreAllMocks()
})

const clock = new ManualClock()

function leaseOf(epoch: number, confirm = () => Promise.resolve(true)): Lease {
  return new Lease({ epoch, validForMs: 1_000 }, { clock, confirm, onLost: vi.fn() })
}

async function open(lease: Lease | null, directory = tempDir('part-lease')) {
  const paths = partPaths(directory, 'a')
  const { resume } = await inspectLeftover(paths, [url], null, true, lease)
  const part = await PartFile.open({ paths, url, sha256: null, identity, resume, lease })
  return { directory, paths, part, journal: () => parseJournal(readFileSync(paths.journal, 'utf8')) }
}

/** Everything that a write could change. */
async function snapshot(directory: string): Promise<unknown[]> {
  return (await listTree(directory)).map((entry) => {
    const { ino, size, mtimeMs, ctimeMs } = lstatSync(join(directory, entry))
    const sha256 = createHash('sha256')
      .update(readFileSync(join(directory, entry)))
      .digest('hex')
    return { entry, ino, size, mtimeMs, ctimeMs, sha256 }
  })
}

describe('a part under a lease', () => {
  it('shows its number in the journal before the first byte, also when it is resumed', async () => {
    const first = await open(leaseOf(1))
    expect(first.journal()).toMatchObject({ epoch: 1, written: [] })
    first.part.writeNow(ten, 0)
    await first.part.keep()
    const second = await open(leaseOf(2), first.directory)
    expect(second.journal()).toMatchObject({ epoch: 2, written: [[0, 10]] })
    await second.part.close()
    const without = await open(null)
    without.part.writeNow(ten, 0)
    await without.part.keep()
    expect(without.journal()).not.toHaveProperty('epoch')
  })

  it('keeps what it has written for the next lease, which believes only what was synced', async () => {
    const { part, paths, directory } = await open(leaseOf(1))
    part.writeNow(ten, 0)
    await part.sync()
    part.writeNow(ten, 10)
    await part.saveJournal()
    const found = async (epoch?: number) => (await peekLeftover(paths, [url], null, true, epoch)).resume?.done
    expect(await found(1)).toEqual([[0, 20]])
    expect(await found(2)).toEqual([[0, 10]])
    expect(await found()).toEqual([[0, 10]])
    await part.keep()
    expect(await found(2)).toEqual([[0, 20]])
    expect(await listTree(directory)).toEqual(['a.part', 'a.part.json'])
  })

  it.each([
    ['write', (part: PartFile) => part.write(ten, 10)],
    ['blocking write', async (part: PartFile) => part.writeNow(ten, 10)],
    ['record', (part: PartFile) => part.saveJournal()],
    ['sync', (part: PartFile) => part.sync()],
    ['discard', (part: PartFile) => part.discard()],
    ['publish', (part: PartFile) => part.publish({ size: 30, sha256: '', mode: 0o644, replaces: false })],
    [
      'publish over a file',
      (part: PartFile) => part.publish({ size: 30, sha256: '', mode: 0o444, replaces: true }),
    ],
  ] as const)('is not touched by a %s after the loss', async (_, act) => {
    const lease = leaseOf(1)
    const { part, directory } = await open(lease)
    part.writeNow(ten, 0)
    part.writeNow(ten, 10)
    part.writeNow(ten, 20)
    const before = await snapshot(directory)
    clock.advance(1_000)
    await expect(act(part)).rejects.toMatchObject(takenOver)
    expect(await snapshot(directory)).toEqual(before)
    await part.keep()
    await part.close()
    expect(await snapshot(directory)).toEqual(before)
  })

  it.each(['discard', 'publish'] as const)('is asked for once more before a %s', async (what) => {
    const confirm = vi.fn(() => Promise.resolve(false))
    const { part, directory } = await open(leaseOf(1, confirm))
    for (const at of [0, 10, 20]) part.writeNow(ten, at)
    const act = () =>
      what === 'discard'
        ? part.discard()
        : part.publish({ size: 30, sha256: '', mode: 0o644, replaces: false })
    await expect(act()).rejects.toMatchObject(takenOver)
    expect(confirm).toHaveBeenCalledTimes(1)
    expect(await listTree(directory)).toEqual(expect.arrayContaining(['a.part', 'a.part.json']))
    await part.close()
  })

  it('is asked for before an unknown part is deleted to make room for a new one', async () => {
    const directory = tempDir('part-lease')
    writeFileSync(join(directory, 'a.part'), 'theirs')
    const no = leaseOf(1, () => Promise.resolve(false))
    await expect(open(no, directory)).rejects.toMatchObject(takenOver)
    expect(readFileSync(join(directory, 'a.part'), 'utf8')).toBe('theirs')
    const { part } = await open(leaseOf(1), directory)
    await part.discard()
    expect(await listTree(directory)).toEqual([])
  })
})

describe('a later lease on disk', () => {
  const later = (journal: Journal | null) => JSON.stringify({ ...journal, epoch: 2, writer: 'another' })

  it('is found before a record, a journal and the name, and left alone', async () => {
    for (const act of [
      (part: PartFile) => part.saveJournal(),
      (part: PartFile) => part.sync(),
      (part: PartFile) => part.publish({ size: 30, sha256: '', mode: 0o644, replaces: true }),
    ]) {
      const lease = leaseOf(1)
      const { part, paths, journal } = await open(lease)
      for (const at of [0, 10, 20]) part.writeNow(ten, at)
      const theirs = later(journal())
      writeFileSync(paths.journal, theirs)
      await expect(act(part)).rejects.toMatchObject(takenOver)
      expect(lease.isHeld).toBe(false)
      expect(readFileSync(paths.journal, 'utf8')).toBe(theirs)
      await part.close()
    }
  })

  it('is found at the start', async () => {
    const { part, paths, directory, journal } = await open(leaseOf(1))
    await part.close()
    writeFileSync(paths.journal, later(journal()))
    await expect(open(leaseOf(1), directory)).rejects.toMatchObject(takenOver)
    await (await open(leaseOf(2), directory)).part.close()
  })

  it('is no earlier one, whose owner was slow: its journal is replaced', async () => {
    const first = await open(leaseOf(1))
    const theirs = readFileSync(first.paths.journal, 'utf8')
    await first.part.close()
    const { part, paths, journal } = await open(leaseOf(2), first.directory)
    part.writeNow(ten, 0)
    writeFileSync(paths.journal, theirs)
    await part.sync()
    expect(journal()).toMatchObject({ epoch: 2, synced: [[0, 10]] })
    await part.close()
  })
})

describe('a lock under a lease', () => {
  const lockOf = () => join(tempDir('lease-lock'), 'a.part.lock')

  it('is taken at once by a later one, even from a living owner of this thread, and left to it', async () => {
    const path = lockOf()
    const first = await acquireLock(path, clock, null, leaseOf(1))
    await expect(acquireLock(path, clock, null, leaseOf(1))).rejects.toMatchObject({ code: 'TARGET_LOCKED' })
    const second = await acquireLock(path, clock, null, leaseOf(2))
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ epoch: 2 })
    await first.release()
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ epoch: 2 })
    await expect(acquireLock(path, clock)).rejects.toMatchObject({ code: 'TARGET_LOCKED' })
    await second.release()
    expect(await listTree(join(path, '..'))).toEqual([])
  })

  it('stays after the loss, for the next one', async () => {
    const path = lockOf()
    const lock = await acquireLock(path, clock, null, leaseOf(1))
    clock.advance(1_000)
    await lock.release()
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ epoch: 1 })
    await (await acquireLock(path, clock, null, leaseOf(2))).release()
    expect(await listTree(join(path, '..'))).toEqual([])
  })

  it('of a later one makes an earlier one take its hands off', async () => {
    const path = lockOf()
    const text = { pid: 1, host: 'elsewhere', bootId: 'b', startTime: null, epoch: 5, token: 't' }
    writeFileSync(path, JSON.stringify(text))
    await expect(acquireLock(path, clock, null, leaseOf(4))).rejects.toMatchObject(takenOver)
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(text)
  })
})

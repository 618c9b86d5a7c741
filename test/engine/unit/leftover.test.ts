import {
  existsSync,
  mkdirSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { io } from '../../../src/disk/io.js'
import { partPaths } from '../../../src/disk/part-paths.js'
import { bootId, hostId } from '../../../src/disk/system.js'
import {
  encodeJournal,
  inspectLeftover,
  type Journal,
  peekLeftover,
  readText,
  removeTemporary,
  statPart,
} from '../../../src/engine/part/journal.js'
import { encodeRecord } from '../../../src/engine/part/live-journal.js'
import { mirrorId } from '../../../src/engine/protocol.js'
import { skipFor, symlinks } from '../../support/machine.js'
import { listTree, tempDir } from '../../support/temp.js'

const url = 'https://host/model.gguf'

function scene() {
  const directory = tempDir('leftover')
  const paths = partPaths(directory, 'a')
  const journal: Journal = {
    version: 1,
    url,
    sha256: null,
    identity: { total: 10, etag: '"a"', lastModified: null, lastModifiedStrong: false },
    bootId: bootId(),
    writer: 'w',
    inode: '42',
    written: [[0, 5]],
    synced: [],
    publishing: null,
  }
  return { directory, paths, journal, text: encodeJournal(journal) }
}

/** An error of the file system. */
const systemError = (code: string) => Object.assign(new Error(code), { code })

afterEach(() => {
  vi.restoreAllMocks()
})

describe('what an earlier run left', () => {
  it('is nothing without a journal, even beside a part', async () => {
    const { paths } = scene()
    const nothing = { journal: null, resume: null, found: false, partExists: false }
    expect(await peekLeftover(paths, [url], null)).toEqual(nothing)
    writeFileSync(paths.part, 'x')
    expect(await peekLeftover(paths, [url], null)).toEqual(nothing)
  })

  it('is resumed from a journal of a hundred thousand pieces', async () => {
    const { paths, journal } = scene()
    const written = Array.from({ length: 100_000 }, (_, piece): [number, number] => {
      const start = piece * 2 * 2 ** 20
      return [start, start + 2 ** 20]
    })
    const total = written.length * 2 * 2 ** 20
    writeFileSync(paths.part, '')
    truncateSync(paths.part, total)
    const inode = String(statSync(paths.part).ino)
    const text = encodeJournal({
      ...{ ...journal, inode, written, synced: written.slice(0, -1) },
      identity: { ...journal.identity, total },
    })
    writeFileSync(paths.journal, text)
    const { resume } = await peekLeftover(paths, [url], null)
    expect(resume?.done).toEqual(written)
    // One piece that was never written makes the journal invalid.
    const wrong = text.replace('"synced":[[0,1048576]', '"synced":[[0,1048577]')
    expect(wrong).not.toBe(text)
    writeFileSync(paths.journal, wrong)
    expect((await peekLeftover(paths, [url], null)).resume).toBeNull()
  })

  it('is resumed from a part and its journal', async () => {
    const { paths, journal, text } = scene()
    writeFileSync(paths.journal, text)
    writeFileSync(paths.part, '12345')
    expect(await peekLeftover(paths, [url], null)).toEqual({
      journal,
      resume: { identity: journal.identity, mirror: mirrorId(url), done: [[0, 5]], synced: [], beside: 'w' },
      found: true,
      partExists: true,
    })
    expect((await peekLeftover(paths, ['https://other/a'], null)).resume).toBeNull()
    expect((await peekLeftover(paths, [url], 'a'.repeat(64))).resume).not.toBeNull()
  })

  it.each([
    ['is missing', () => undefined, false],
    ['is too short', (part: string) => writeFileSync(part, '1234'), true],
    ['is a folder', (part: string) => mkdirSync(part), true],
  ])('is not resumed when the part %s', async (_, put, partExists) => {
    const { paths, journal, text } = scene()
    writeFileSync(paths.journal, text)
    put(paths.part)
    expect(await peekLeftover(paths, [url], null)).toEqual({ journal, resume: null, found: true, partExists })
  })

  it('is not resumed when the part is a link to a part', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    const { paths, journal, text } = scene()
    writeFileSync(paths.journal, text)
    writeFileSync(`${paths.part}2`, '12345')
    symlinkSync(`${paths.part}2`, paths.part)
    const found = { journal, resume: null, found: true, partExists: true }
    expect(await peekLeftover(paths, [url], null)).toEqual(found)
  })

  it.each([
    ['is not JSON', (path: string) => writeFileSync(path, 'x')],
    ['is empty', (path: string) => writeFileSync(path, '')],
    ['is a folder', (path: string) => mkdirSync(path)],
  ])('is found, but is no journal when that %s', async (_, put) => {
    const { paths } = scene()
    writeFileSync(paths.part, '12345')
    put(paths.journal)
    expect(await inspectLeftover(paths, [url], null)).toEqual({
      journal: null,
      resume: null,
      found: true,
      partExists: true,
    })
  })

  describe('beside a journal: a record that is newer', () => {
    /** What is resumed of a part of eight bytes, with a record beside its journal. */
    const resumed = async (record: (journal: Journal) => string, saved?: string) => {
      const { paths, text, journal } = scene()
      writeFileSync(paths.part, '12345678')
      writeFileSync(paths.journal, saved ?? text)
      writeFileSync(paths.recent, record({ ...journal, inode: String(statSync(paths.part).ino) }))
      return (await peekLeftover(paths, [url], null)).resume
    }
    const newer = (changes: Partial<Journal> = {}) => {
      const change = { host: hostId(), serial: 1, written: [[0, 8]] as const, ...changes }
      return (journal: Journal) => encodeRecord(1, encodeJournal({ ...journal, ...change }))
    }

    it('counts if the same run has written it, or the one that goes on', async () => {
      expect(await resumed(newer())).toMatchObject({ done: [[0, 8]], beside: 'w' })
      expect(await resumed(newer({ writer: 'x', beside: 'w' }))).toMatchObject({
        done: [[0, 8]],
        beside: 'w',
      })
      const ofEarlierBoot = encodeJournal({ ...scene().journal, bootId: 'another' })
      const next = newer({ writer: 'x', beside: 'w' })
      expect((await resumed(next, ofEarlierBoot))?.done).toEqual([[0, 8]])
    })

    it.each([
      ['is of another run', newer({ writer: 'x' })],
      ['lay beside another journal', newer({ writer: 'x', beside: 'y' })],
      ['is of another boot', newer({ bootId: 'another' })],
      ['is of another host', newer({ host: 'another' })],
      ['is of another part', newer({ inode: '43' })],
      ['is older', newer({ serial: 0 })],
      ['is damaged', (journal: Journal) => newer()(journal).slice(0, -1)],
      ['has another number', (journal: Journal) => newer()(journal).replace('1 ', '2 ')],
      ['is a journal', (journal: Journal) => encodeJournal({ ...journal, serial: 1, written: [[0, 8]] })],
      ['is empty', () => ''],
    ])('does not count if it %s', async (_, record) => {
      expect((await resumed(record))?.done).toEqual([[0, 5]])
    })

    it('does not count if it cannot be read, or alone', async () => {
      const { paths, text } = scene()
      writeFileSync(paths.part, '12345678')
      writeFileSync(paths.journal, text)
      mkdirSync(paths.recent)
      expect((await peekLeftover(paths, [url], null)).resume?.done).toEqual([[0, 5]])
      expect(await resumed(newer(), 'damaged')).toBeNull()
    })
  })

  it('is for a trusted caller, unless it says otherwise', async () => {
    const { paths, journal } = scene()
    writeFileSync(paths.journal, encodeJournal({ ...journal, untrusted: true }))
    writeFileSync(paths.part, '12345')
    for (const look of [peekLeftover, inspectLeftover]) {
      expect((await look(paths, [url], null)).resume).toBeNull()
      expect((await look(paths, [url], null, true)).resume).toBeNull()
      expect((await look(paths, [url], null, false)).resume).toMatchObject({ untrusted: true })
    }
  })

  it('includes a journal of up to 16 MiB, and no longer one', async () => {
    const { paths, text, journal } = scene()
    const most = 16 * 1024 * 1024
    writeFileSync(paths.journal, text.padEnd(most))
    expect((await peekLeftover(paths, [url], null)).journal).toEqual(journal)
    writeFileSync(paths.journal, text.padEnd(most + 1))
    expect(await readText(paths.journal)).toBe('')
    expect(await readText(paths.directory)).toBe('')
    expect(await peekLeftover(paths, [url], null)).toMatchObject({ journal: null, found: true })
  })
})

describe('temporary journals', () => {
  const temporary = 'a.part.json.x1y2z3'
  const others = [
    'a.part.json.X1Y2Z3',
    'a.part.json.x1y2z',
    'a.part.json.x1y2z34',
    'a.part.json.x1.2z3',
    'a.part.jsonx1y2z3',
    'b.part.json.x1y2z3',
    'xa.part.json.x1y2z3',
  ]

  it('are deleted, and nothing else', async () => {
    const { directory, paths, text } = scene()
    writeFileSync(join(directory, temporary), 'x')
    // Where case does not count, one of them is the temporary one.
    const strangers = others.filter((name) => !existsSync(join(directory, name)))
    for (const name of strangers) writeFileSync(join(directory, name), 'x')
    writeFileSync(paths.journal, text)
    await peekLeftover(paths, [url], null)
    expect(await listTree(directory)).toContain(temporary)
    await inspectLeftover(paths, [url], null)
    expect(await listTree(directory)).toEqual([...strangers, 'a.part.json'].sort())
  })

  it('are not looked for without a journal', async () => {
    const { directory, paths } = scene()
    writeFileSync(join(directory, temporary), 'x')
    await inspectLeftover(paths, [url], null)
    expect(await listTree(directory)).toEqual([temporary])
  })

  it('do no harm when they cannot be deleted, or their folder is gone', async () => {
    const { directory, paths } = scene()
    mkdirSync(join(directory, temporary))
    writeFileSync(join(directory, 'a.part.json.aaaaaa'), 'x')
    await removeTemporary(paths)
    expect(await listTree(directory)).toEqual([`${temporary}/`])
    renameSync(directory, `${directory}-moved`)
    await expect(removeTemporary(paths)).resolves.toBeUndefined()
    renameSync(`${directory}-moved`, directory)
  })
})

describe('files that cannot be read', () => {
  it('are reported, for the journal and for the part', async () => {
    const { paths } = scene()
    vi.spyOn(io, 'lstatIfThere').mockRejectedValue(systemError('EACCES'))
    await expect(readText(paths.journal)).rejects.toMatchObject({
      code: 'PERMISSION',
      message: expect.stringContaining('reading the journal'),
    })
    await expect(statPart(paths.part)).rejects.toMatchObject({
      code: 'PERMISSION',
      message: expect.stringContaining('checking the part file'),
    })
  })

  it('count as missing when they are deleted meanwhile', async () => {
    const { paths, text } = scene()
    writeFileSync(paths.journal, text)
    vi.spyOn(io, 'open').mockImplementation((path) => {
      unlinkSync(path)
      return Promise.reject(systemError('ENOENT'))
    })
    expect(await readText(paths.journal)).toBeNull()
  })
})

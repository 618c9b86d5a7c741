import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { type FileNote, FileNotes, notesOf, redactedOrigin } from '../../../src/files/notes.js'
import { DownloadManager } from '../../../src/index.js'
import fc from '../../support/properties.js'
import { skipFor, symlinks } from '../../support/machine.js'
import { tempDir } from '../../support/temp.js'

const sha256 = 'a'.repeat(64)

/** Writes a file, and returns its note. */
function noted(path: string, text = 'text'): FileNote {
  writeFileSync(path, text)
  const { size, mtimeMs, ino } = statSync(path)
  return {
    path,
    url: 'https://host/a',
    stamp: { size, mtimeMs, ino, sha256 },
    at: '2026-02-15T02:00:00.000Z',
  }
}

afterEach(() => {
  vi.unstubAllEnvs()
})

it('keeps nothing of an address that may be secret', () => {
  const word = fc.stringMatching(/^[a-z0-9]{12}$/)
  fc.assert(
    fc.property(word, word, word, (user, query, fragment) => {
      const origin = redactedOrigin(`https://${user}:${query}@host/a.gguf?x=${query}#${fragment}`)
      expect(origin).toBe('https://host/a.gguf?…')
    }),
    { numRuns: 50 },
  )
  expect(redactedOrigin('hf:owner/repo@main')).toBe('hf:owner/repo@main')
})

it('believes a note as long as the file has its size and time, through whatever link', async (context) => {
  if (!symlinks.available()) skipFor(context, symlinks)
  const [root, folder] = [join(tempDir('notes'), 'files'), tempDir('noted')]
  const notes = new FileNotes(root)
  const path = join(folder, 'a.bin')
  const note = noted(path)
  await notes.write(note)
  const find = (name: string) => new FileNotes(root).find(name, statSync(name))
  expect(await find(path)).toEqual(note)
  const link = join(tempDir('link'), 'link')
  symlinkSync(folder, link)
  expect(await find(join(link, 'a.bin'))).toEqual(note)
  utimesSync(path, 1, 1)
  expect(await find(path)).toBeNull()
  writeFileSync(path, 'longer than before')
  expect(await find(path)).toBeNull()
  const again = noted(path, 'another')
  await notes.write(again)
  expect(await find(path)).toEqual(again)
  renameSync(path, join(folder, 'b.bin'))
  expect(await find(join(folder, 'b.bin'))).toBeNull()
  await notes.forget([path])
  expect(readdirSync(root)).toEqual([])
})

it('takes a damaged note, and one that cannot be written, for none', async () => {
  const [root, folder] = [join(tempDir('notes'), 'files'), tempDir('noted')]
  const [note, other] = [noted(join(folder, 'a.bin')), noted(join(folder, 'b.bin'))]
  await new FileNotes(root).write(note)
  const [name = ''] = readdirSync(root)
  // Windows has no such modes.
  if (process.platform !== 'win32') {
    expect(statSync(root).mode & 0o77).toBe(0)
    expect(statSync(join(root, name)).mode & 0o77).toBe(0)
  }
  const good = readFileSync(join(root, name), 'utf8')
  for (const text of ['', '{', '{"version":1}', JSON.stringify({ version: 2, ...note }), good.slice(0, -3)]) {
    writeFileSync(join(root, name), text)
    expect(await new FileNotes(root).find(note.path, note.stamp)).toBeNull()
    // What follows a line that was torn, by a kill or a power cut, is none the worse for it.
    await new FileNotes(root).write(other)
    expect(await new FileNotes(root).find(other.path, other.stamp)).toEqual(other)
  }
  writeFileSync(join(root, 'file'), '')
  await new FileNotes(join(root, 'file')).write(note)
  await new FileNotes(null).write(note)
  expect(await new FileNotes(null).find(note.path, note.stamp)).toBeNull()
  await new FileNotes(null).forget([note.path])
})

it('writes many at once, beside others who do', async () => {
  const [root, folder] = [join(tempDir('notes'), 'files'), tempDir('noted')]
  const all = Array.from({ length: 300 }, (_, count) => noted(join(folder, `${count}`)))
  const writers = [new FileNotes(root), new FileNotes(root)]
  // Less than what is swept for the first time, when what others write at that moment is lost.
  const few = all.slice(0, 80)
  await Promise.all(few.map((note, count) => writers[count % 2]!.write(note)))
  for (const note of few) expect(await new FileNotes(root).find(note.path, note.stamp)).toEqual(note)
  await Promise.all(all.map((note) => writers[0]!.write(note)))
  const found = new FileNotes(root)
  for (const note of all) expect(await found.find(note.path, note.stamp)).toEqual(note)
  expect(readdirSync(root)).toHaveLength(1)
  await found.forget(all.slice(1).map(({ path }) => path))
  const later = new FileNotes(root)
  expect(await later.find(all[0]!.path, all[0]!.stamp)).toEqual(all[0])
  expect(await later.find(all[1]!.path, all[1]!.stamp)).toBeNull()
  await later.forget(all.map(({ path }) => path))
  expect(readdirSync(root)).toEqual([])
})

it('keeps one note of a file that is downloaded again and again', async () => {
  const [root, folder] = [tempDir('notes'), tempDir('noted')]
  const note = noted(join(folder, 'a.bin'))
  for (let count = 0; count < 2_000; count += 1) await new FileNotes(root).write(note)
  const [name = ''] = readdirSync(root)
  expect(statSync(join(root, name)).size).toBeLessThan(160 * 1024)
  expect(await new FileNotes(root).find(note.path, note.stamp)).toEqual(note)
})

it('forgets files and folders that are gone', async () => {
  const root = tempDir('notes')
  const folder = tempDir('noted')
  const notes = new FileNotes(root)
  for (let count = 0; count < 1_000; count++) {
    const note = noted(join(folder, `${count}`))
    if (count < 995) rmSync(note.path)
    await notes.write(note)
  }
  const [name = ''] = readdirSync(root)
  expect(statSync(join(root, name)).size).toBeLessThan(160 * 1024)
  for (let count = 1; count < 64; count++) {
    const gone = join(folder, 'f', `${count}`)
    mkdirSync(gone, { recursive: true })
    await notes.write(noted(join(gone, 'x')))
    if (count < 63) rmSync(gone, { recursive: true })
  }
  expect(readdirSync(root)).toHaveLength(2)
})

it('lists what a note tells of a file without a record', async () => {
  const cache = tempDir('cache')
  vi.stubEnv('XDG_CACHE_HOME', cache)
  const directory = tempDir('models')
  const note = noted(join(directory, 'a.bin'))
  await new FileNotes().write(note)
  noted(join(directory, 'b.bin'))
  await using manager = new DownloadManager({ directory, store: 'memory', worker: false })
  expect(await manager.files()).toMatchObject([
    { name: 'a.bin', url: note.url, sha256, total: 4, digestKnown: true },
    { name: 'b.bin', url: null, sha256: null, digestKnown: false },
  ])
  const { files } = await manager.verify()
  expect(files.map(({ status }) => status)).toEqual(['damaged', 'unknown'])
})

it('makes notes of completed downloads with stamps only', () => {
  const { stamp } = noted(join(tempDir('noted'), 'a'))
  const base = {
    url: 'hf:o/r',
    layout: 'flat',
    state: 'completed',
    finishedAt: null,
    createdAt: 'now',
    group: null,
    stamp,
  }
  const of = (patch: object) => notesOf({ ...base, ...patch } as never, '/m/x').map(({ path }) => path)
  expect(of({})).toEqual(['/m/x'])
  expect(of({ stamp: null })).toEqual([])
  expect(of({ state: 'failed' })).toEqual([])
  expect(of({ layout: 'hf-cache' })).toEqual([])
  const files = [
    { path: 'a/b', done: true, stamp },
    { path: 'c', done: true },
    { path: 'd', stamp },
  ]
  expect(of({ group: { files } })).toEqual([join('/m/x', 'a', 'b')])
})

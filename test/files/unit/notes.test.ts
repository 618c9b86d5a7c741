import {
  mkdirSync,
  readdirSync,
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
  const [root, folder] = [tempDir('notes'), tempDir('noted')]
  const note = noted(join(folder, 'a.bin'))
  await new FileNotes(root).write(note)
  const [bucket = ''] = readdirSync(root)
  const [name = ''] = readdirSync(join(root, bucket))
  // Windows has no such modes.
  if (process.platform !== 'win32') {
    expect(statSync(join(root, bucket)).mode & 0o77).toBe(0)
    expect(statSync(join(root, bucket, name)).mode & 0o77).toBe(0)
  }
  for (const text of ['', '{', '{"version":1}', JSON.stringify({ version: 2, ...note })]) {
    writeFileSync(join(root, bucket, name), text)
    expect(await new FileNotes(root).find(note.path, note.stamp)).toBeNull()
  }
  writeFileSync(join(root, 'file'), '')
  await new FileNotes(join(root, 'file')).write(note)
  await new FileNotes(null).write(note)
  expect(await new FileNotes(null).find(note.path, note.stamp)).toBeNull()
})

it('forgets files and folders that are gone', async () => {
  const root = tempDir('notes')
  const folder = tempDir('noted')
  const notes = new FileNotes(root)
  for (let count = 0; count < 64; count++) {
    const note = noted(join(folder, `${count}`))
    if (count < 60) rmSync(note.path)
    await notes.write(note)
  }
  const [bucket = ''] = readdirSync(root)
  expect(readdirSync(join(root, bucket))).toHaveLength(4)
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

import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { downloadRecordSchema } from '../../src/index.js'
import type { Journal } from '../../src/engine/part/journal.js'
import { randomContent } from '../support/content.js'
import { describeWith, spawnUnder, strace } from '../support/machine.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { cliPath } from '../support/process.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { arrives, expectInvariant, KiB, makeManager } from './harness.js'
import { layOut, makeKept, type Kept } from './leftovers.js'

const content = randomContent(512 * KiB, 'publish')
const path = '/model.bin'
const name = 'model.bin'
const sha256 = content.sha256()
const bytes = content.slice(0, content.size)
const old = Buffer.from('the file that was there before')
let origin: Origin

beforeAll(async () => {
  origin = await startOrigin()
  origin.serve(path, { content })
})
afterAll(() => origin.close())

describe('row 31: killed between the temporary journal and its rename', () => {
  let kept: Kept
  beforeAll(async () => {
    kept = await makeKept(origin, path, content)
  })

  it.each([
    ['whole', (journal: string) => journal],
    ['half', (journal: string) => journal.slice(0, journal.length / 2)],
    ['empty', () => ''],
  ])('the temporary one is %s: goes on with the old one, and leaves nothing behind', async (_what, cut) => {
    const directory = await layOut(name, kept)
    await writeFile(join(directory, `${name}.part.json.a1b2c3`), cut(JSON.stringify(kept.journal)))
    await using manager = makeManager(directory)
    const file = await arrives(await manager.download({ url: origin.url(path) }))
    expect(file.fetchedBytes).toBeLessThan(content.size)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('there was no journal yet: starts over, and leaves nothing behind', async () => {
    const directory = await layOut(name, { part: kept.part, journal: null })
    await writeFile(join(directory, `${name}.part.json.a1b2c3`), JSON.stringify(kept.journal))
    await using manager = makeManager(directory)
    await arrives(await manager.download({ url: origin.url(path) }))
    await expectInvariant(directory, name, 'done', { content })
  })

  it('leaves files of a similar name alone', async () => {
    const directory = await layOut(name, kept)
    const others = [`${name}.part.json.a1b2c3d`, `${name}.part.json.bak`, `x${name}.part.json.a1b2c3`]
    for (const other of others) await writeFile(join(directory, other), 'not ours')
    await using manager = makeManager(directory)
    await arrives(await manager.download({ url: origin.url(path) }))
    await expectInvariant(directory, name, 'done', { content, others })
  })
})

/** A folder after the rename and before the removal of the journal, which states the inode of the file. */
async function published(change: (journal: Journal) => Journal): Promise<string> {
  const kept = await makeKept(origin, path, content)
  const directory = await layOut(name, { part: null, journal: null })
  const target = join(directory, name)
  await writeFile(target, bytes)
  const journal = change({
    ...kept.journal,
    written: [[0, content.size]],
    inode: String((await stat(target, { bigint: true })).ino),
    publishing: { size: content.size, sha256 },
  })
  await writeFile(`${target}.part.json`, JSON.stringify(journal))
  origin.clearRequests()
  return directory
}

describe('row 31: killed between the rename and the end', () => {
  it.each([
    ['nothing more is known', {}],
    ['the digest is known', { sha256 }],
    ['it was asked for anew', { force: true }],
    ['it was asked for anew, the digest is known', { force: true, sha256 }],
  ])('is completed, not fetched again: %s', async (_what, options) => {
    const directory = await published((journal) => journal)
    await using manager = makeManager(directory)
    const file = await arrives(await manager.download({ url: origin.url(path), ...options }))
    expect(file).toMatchObject({ existed: true, fetchedBytes: 0, size: content.size, sha256 })
    expect(origin.requests()).toEqual([])
    await expectInvariant(directory, name, 'done', { content })
  })

  it.each([
    ['of another file', (journal: Journal) => ({ ...journal, inode: '1' })],
    ['without a mark', (journal: Journal) => ({ ...journal, publishing: null })],
    [
      'that marks another size',
      (journal: Journal) => ({ ...journal, publishing: { size: content.size + 1, sha256 } }),
    ],
  ])('a journal %s proves nothing: fetched anew when that was asked for', async (_what, change) => {
    const directory = await published(change)
    await using manager = makeManager(directory)
    const file = await arrives(await manager.download({ url: origin.url(path), force: true }))
    expect(file).toMatchObject({ existed: false, fetchedBytes: content.size })
    await expectInvariant(directory, name, 'done', { content })
  })

  it('a mark does not hold against another digest', async () => {
    const directory = await published((journal) => journal)
    const other = randomContent(content.size, 'another')
    origin.serve('/other.bin', { content: other })
    await using manager = makeManager(directory)
    const url = origin.url('/other.bin')
    await arrives(await manager.download({ url, filename: name, sha256: other.sha256() }))
    await expectInvariant(directory, name, 'done', { content: other })
  })

  it('and before the record is saved: the next start completes it without a request', async () => {
    const directory = join(tempDir('record'), 'models')
    const store = join(directory, '.model-downloader')
    const url = origin.url(path)
    {
      // A record as a run leaves it that was killed while it downloaded.
      await using manager = makeManager(directory, { store: 'file' })
      origin.serve(path, { content, faults: [{ type: 'stallBody', afterBytes: 1000 }] })
      const download = await manager.download({ url })
      await origin.waitForRequest((request) => request.bytesSent > 0)
      expect(download.state).not.toBe('completed')
    }
    origin.serve(path, { content })
    const [record = ''] = (await listTree(store)).filter((entry) => entry.endsWith('.json'))
    const saved = downloadRecordSchema.parse(JSON.parse(await readFile(join(store, record), 'utf8')))
    await writeFile(join(store, record), JSON.stringify({ ...saved, state: 'verifying' }))
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, name), bytes)
    origin.clearRequests()

    await using manager = makeManager(directory, { store: 'file' })
    await manager.ready
    const download = manager.get(url)
    if (download === undefined) throw new Error('The record was not loaded.')
    expect(await arrives(download)).toMatchObject({ existed: true, fetchedBytes: 0 })
    expect(origin.requests()).toEqual([])
    await manager.close()
    const after = downloadRecordSchema.parse(JSON.parse(await readFile(join(store, record), 'utf8')))
    expect(after.state).toBe('completed')
    await expectInvariant(directory, name, 'done', {
      content,
      others: ['.model-downloader/', `.model-downloader/${record}`],
    })
  })
})

/** What may exist under the final name at any time. */
type Final = 'absent' | 'old' | 'new'

async function finalOf(directory: string): Promise<Final> {
  if (!(await listTree(directory)).includes(name)) return 'absent'
  const file = await readFile(join(directory, name))
  if (file.equals(old)) return 'old'
  if (file.equals(bytes)) return 'new'
  throw new Error(`Something else lies under the final name: ${file.length} bytes.`)
}

describeWith(strace, 'row 31: killed at each call that makes something last', () => {
  const syncs = ['fdatasync', 'fsync']
  const moves = ['rename', 'unlink']

  it.each([
    { what: 'nothing there before', before: null, options: {}, calls: [syncs, moves] },
    { what: 'a wrong file there before', before: old, options: { sha256 }, calls: [syncs, moves] },
    { what: 'fetched anew', before: old, options: { force: true }, calls: [['rename'], ['unlink']] },
  ])(
    '$what: old or new, never torn; the same request goes on',
    async ({ before, options, calls }) => {
      await Promise.all(calls.map(explore))

      async function explore(names: readonly string[]): Promise<void> {
        for (const call of names) {
          let nth = 1
          while (await killAt(call, nth, before, options)) nth += 1
          // As many as there were; if there were none, nothing was tested.
          expect(nth, `kills at ${call}`).toBeGreaterThan(1)
        }
      }
    },
    120_000,
  )

  /** Kills the n-th call of a kind, before it takes effect; false when there were less of them. */
  async function killAt(
    call: string,
    nth: number,
    before: Buffer | null,
    options: { sha256?: string; force?: boolean },
  ): Promise<boolean> {
    const directory = tempDir('strace')
    // A path of its own, so that its bytes can be told from those of others.
    const here = `/${directory.slice(-6)}/${name}`
    origin.serve(here, { content })
    if (before !== null) await writeFile(join(directory, name), before)
    const flags = [
      ...(options.sha256 === undefined ? [] : ['--sha256', options.sha256]),
      ...(options.force === true ? ['--force'] : []),
    ]
    const command = ['get', origin.url(here), '-d', directory, '--quiet', ...flags]
    // One thread in the pool, since strace counts calls per thread.
    const traced = spawnUnder(
      ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e'].concat(
        `inject=${call}:signal=KILL:when=${nth}`,
      ),
      [cliPath, ...command],
      { env: { UV_THREADPOOL_SIZE: '1' } },
    )
    const first = await traced.finished(30_000)
    const told = `${call} ${nth}: ${first.signal ?? first.code ?? ''} ${first.stderr}`
    const between = await finalOf(directory)
    if (first.signal === null && first.code === 0) {
      expect(between, told).toBe('new')
      return false
    }
    // strace ends as its program did.
    expect(first.signal, told).toBe('SIGKILL')
    if (before === null) expect(between, told).not.toBe('old')
    else expect(between, told).not.toBe('absent')

    const sent = origin.bytesSent(here)
    // As the same command would, but without a second process.
    await using manager = makeManager(directory)
    await arrives(await manager.download({ url: origin.url(here), ...options }))
    expect(await listTree(directory), told).toEqual([name])
    expect(await sha256File(join(directory, name)), told).toBe(sha256)
    // The file is published; only a request to download it again may come too late.
    if (between === 'new' && options.force !== true) expect(origin.bytesSent(here), told).toBe(sent)
    return true
  }
})

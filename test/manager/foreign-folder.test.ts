/**
 * Folders that came from somebody else: an archive, a repository, another user. What their records say is held to
 * the rules of requests, and links in them lead nowhere. FAULTS.md row 69.
 */
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { DownloadManagerOptions } from '../../src/index.js'
import type { DownloadRecord } from '../../src/download/record.js'
import { createFileStore } from '../../src/store/file.js'
import { arrives, fails, KiB, makeManager } from '../faults/harness.js'
import { recordOf } from '../store/conformance.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'

const content = randomContent(64 * KiB)
const digest = 'ab'.repeat(32)
const commit = 'c'.repeat(40)

/** A folder with a file beside it, an origin, and a record planted in the folder. */
async function plant(change: Partial<DownloadRecord>, options: DownloadManagerOptions = {}) {
  const parent = tempDir('foreign')
  const directory = join(parent, 'models')
  const folder = join(directory, '.model-downloader')
  await mkdir(join(parent, 'outside'), { recursive: true })
  for (const name of ['victim', 'victim.part', 'victim.part.json', '.bashrc'])
    await writeFile(join(parent, 'outside', name), 'precious')
  const origin = await startOrigin()
  origin.serve('/a.bin', { content })
  const record = recordOf(1, { url: origin.url('/a.bin'), filename: 'a.bin', mode: null, ...change })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, `${record.id}.json`)
  // Not written by the store, as whoever plants it can't.
  await writeFile(path, JSON.stringify(record), { mode: 0o600 })
  const logs: string[] = []
  const open = async () => {
    const manager = makeManager(directory, { store: 'file', modes: ['llm'], ...options })
    manager.on('log', ({ message }) => logs.push(message))
    await manager.ready
    return manager
  }
  const outside = async () => {
    const names = (await readdir(join(parent, 'outside'))).sort()
    const texts = await Promise.all(names.map((name) => readFile(join(parent, 'outside', name), 'utf8')))
    return names.map((name, index) => [name, texts[index]])
  }
  const untouched = ['.bashrc', 'victim', 'victim.part', 'victim.part.json'].map((name) => [name, 'precious'])
  return {
    parent, directory, folder, path, record, origin, logs, open, outside, untouched,
    [Symbol.asyncDispose]: () => origin.close(),
  } // prettier-ignore
}

const file = { path: 'a', downloaded: 3 }
const group = (path: string) => ({ revision: null, pinned: true, files: [{ ...file, path }] })
const cache = { folder: 'models--o--n', commit, path: 'a.bin', blob: digest }
const inCache = { layout: 'hf-cache' as const, filename: 'a.bin' }

describe('a planted record', () => {
  it.each<[string, Partial<DownloadRecord>]>([
    ['a file name that leads out', { filename: '../outside/victim' }],
    ['a file name with a folder', { filename: 'outside/victim' }],
    ['a file name of a device', { filename: 'aux.gguf' }],
    ['the parent folder as a name', { filename: '..' }],
    ['a NUL in its name', { filename: 'a\0' }],
    ['a lone surrogate in its name', { filename: 'a\ud800.bin' }],
    ['a mode that leads out', { mode: '../outside' }],
    ['a mode that is not registered', { mode: 'etc' }],
    ['a folder that leads out', { directory: '../outside' }],
    ['a folder that leads out in the middle', { directory: 'x/../../outside' }],
    [
      'a file of a group that leads out',
      { url: 'hf:o/n', filename: 'n', group: group('../../outside/victim') },
    ],
    ['an absolute file of a group', { url: 'hf:o/n', filename: 'n', group: group('/etc/passwd') }],
    ['a repository that leads out', { ...inCache, cache: { ...cache, folder: '../outside' } }],
    [
      'a repository that leads out in the middle',
      { ...inCache, cache: { ...cache, folder: 'models--a/../../outside' } },
    ],
    ['a commit that leads out', { ...inCache, cache: { ...cache, commit: '../../../outside' } }],
    [
      'a path in a snapshot that leads out',
      { ...inCache, cache: { ...cache, path: '../../../../outside/victim' } },
    ],
    ['a blob that leads out', { ...inCache, cache: { ...cache, blob: '../../outside/victim' } }],
    ['a cache without that layout', { cache }],
    ['an address of another scheme', { url: 'https:///', urls: ['file:///etc/passwd'] }],
    ['a mirror of another scheme', { urls: ['ftp://host/a.bin'] }],
    ['a header that begins another', { headers: { a: 'b\r\nc: d' } }],
    ['a header of the engine', { headers: { range: 'bytes=0-1' } }],
    ['a million connections', { connections: 1_000_000 }],
    ['a glob that is too long', { include: ['*'.repeat(2_000)] }],
  ])('with %s is not used', async (_, change) => {
    await using scene = await plant({ ...change, state: 'failed' })
    await using manager = await scene.open()
    expect(manager.list()).toEqual([])
    expect(scene.logs).toContainEqual(expect.stringMatching(/is not used/))
    await manager.remove(scene.record.url, { deleteFile: true })
    expect(await scene.outside()).toEqual(scene.untouched)
    expect(scene.origin.totalConnections).toBe(0)
  })

  it('under the id of another URL is not used', async () => {
    await using scene = await plant({ id: createHash('sha256').update('x').digest('hex') })
    await using manager = await scene.open()
    expect(manager.list()).toEqual([])
  })

  it.each<[string, (outside: string) => Partial<DownloadRecord>]>([
    ['an absolute folder', (outside) => ({ directory: outside, filename: 'victim', force: true })],
    ['a hidden file', () => ({ filename: '.npmrc' })],
  ])('with %s is used only when that is requested again', async (_, change) => {
    await using scene = await plant({})
    const { origin, parent, path, record } = scene
    const bad = { ...record, ...change(join(parent, 'outside')) }
    await writeFile(path, JSON.stringify(bad), { mode: 0o600 })
    await using manager = await scene.open()
    expect(manager.list()).toEqual([])
    expect(scene.logs).toContainEqual(expect.stringMatching(/not used until that is requested again/))
    expect(origin.totalConnections).toBe(0)
    expect(await scene.outside()).toEqual(scene.untouched)
    const { directory, filename } = bad
    await arrives(
      await manager.download({
        url: record.url,
        filename,
        force: true,
        ...(directory === null ? {} : { directory }),
      }),
    )
  })

  it('that this host wrote itself is used, even after its folder was renamed', async () => {
    await using scene = await plant({ state: 'completed' })
    const { directory, record, parent } = scene
    const outside = join(parent, 'outside')
    const store = createFileStore(scene.folder)
    await store.save({ ...record, directory: outside })
    await rename(directory, `${directory}2`)
    await using manager = makeManager(`${directory}2`, { store: 'file' })
    await manager.ready
    expect(manager.list().map((download) => download.path)).toEqual([join(outside, 'a.bin')])
  })

  it.each([
    ['the folder', (scene: { folder: string }) => scene.folder],
    ['the record', (scene: { path: string }) => scene.path],
  ])('has the trust of a remote caller if others can write %s', async (_, what) => {
    await using scene = await plant({ headers: { authorization: 'secret' } })
    await chmod(what(scene), 0o777)
    await using manager = await scene.open()
    const [download] = manager.list()
    if (download === undefined) throw new Error('It is not listed.')
    expect((await fails(download)).code).toBe('SSRF_BLOCKED')
    expect(scene.origin.totalConnections).toBe(0)
    // A trusted request starts from what it says itself.
    await arrives(await manager.download({ url: scene.record.url }))
    expect(scene.origin.requests('/a.bin')[0]?.headers['authorization']).toBeUndefined()
  })
})

describe('a linked folder', () => {
  const scene = async (options: DownloadManagerOptions = {}) => {
    const planted = await plant(
      { state: 'failed', filename: 'other.bin', url: 'https://models.example/x' },
      options,
    )
    return planted
  }

  it.each<[string, string, { mode?: string | null; directory?: string }]>([
    ['of a mode', 'llm', { mode: 'llm' }],
    ['of a download', 'sub', { mode: null, directory: 'sub' }],
    ['above that of a download', 'sub', { mode: null, directory: 'sub/deep' }],
    ['of a mode in that of a download', 'sub/llm', { mode: 'llm', directory: 'sub' }],
  ])('%s is not followed', async (_, link, where) => {
    await using place = await scene()
    const { directory, parent, origin } = place
    await mkdir(join(directory, 'sub'), { recursive: true })
    if (link === 'sub') await rename(join(directory, 'sub'), join(directory, 'old'))
    await symlink(join(parent, 'outside'), join(directory, link))
    await using manager = await place.open()
    const download = await manager.download({
      url: origin.url('/a.bin'),
      filename: 'victim',
      force: true,
      ...where,
    })
    expect((await fails(download)).code).toBe('TARGET_NOT_REGULAR')
    expect(await place.outside()).toEqual(place.untouched)
    // Neither does anything delete files behind it.
    await manager.remove(origin.url('/a.bin'), { deleteFile: true })
    expect(await place.outside()).toEqual(place.untouched)
    expect(origin.totalConnections).toBe(0)
  })

  it('does not lead to files that a finished download would delete', async () => {
    await using place = await scene()
    const { directory, parent, origin } = place
    await using manager = await place.open()
    const url = origin.url('/a.bin')
    await arrives(await manager.download({ url, filename: 'victim', mode: 'llm' }))
    await rename(join(directory, 'llm'), join(directory, 'moved'))
    await symlink(join(parent, 'outside'), join(directory, 'llm'))
    const removed = manager.remove(url, { deleteFile: true })
    await expect(removed).rejects.toMatchObject({ code: 'TARGET_NOT_REGULAR' })
    expect(await place.outside()).toEqual(place.untouched)
  })

  it('of a mode is followed with linkedModes, and no deeper one', async () => {
    await using place = await scene({ linkedModes: true })
    const { directory, parent, origin } = place
    await symlink(join(parent, 'outside'), join(directory, 'llm'))
    await using manager = await place.open()
    const url = origin.url('/a.bin')
    expect(await arrives(await manager.download({ url, mode: 'llm' }))).toMatchObject({
      sha256: content.sha256(),
    })
    expect((await lstat(join(parent, 'outside', 'a.bin'))).isFile()).toBe(true)
    await symlink(parent, join(directory, 'sub'))
    const deeper = await manager.download({ url: `${url}?2`, directory: 'sub', mode: 'llm' })
    expect((await fails(deeper)).code).toBe('TARGET_NOT_REGULAR')
  })

  it('that the host application names itself is followed', async () => {
    await using place = await scene()
    const { parent, origin } = place
    await symlink(join(parent, 'outside'), join(parent, 'alias'))
    await using manager = makeManager(join(parent, 'alias'))
    await arrives(await manager.download({ url: origin.url('/a.bin') }))
    const other = { url: `${origin.url('/a.bin')}?2`, directory: join(parent, 'alias'), filename: 'b.bin' }
    await arrives(await manager.download(other))
  })
})

/** Repositories that go into a cache of the Hugging Face libraries whole. */
import { access, lstat, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { scanCacheDir } from '@huggingface/hub'
import { describe, expect, it } from 'vitest'
import { huggingFace, type DownloadManagerOptions } from '../../src/index.js'
import { arrives, fails, KiB, makeManager, MiB } from '../faults/harness.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const shared = randomContent(30 * KiB, 'shared')
const large = ggufContent(3 * MiB, 'large')
const files = {
  'README.md': textContent('# A model'),
  'config.json': textContent('{}'),
  'tokenizer.json': shared,
  // The same bytes at two places are one blob.
  'onnx/tokenizer.json': shared,
  'model.gguf': large,
}
const url = 'hf:owner/model'
const folder = 'models--owner--model'

function managerOf(hub: Hub, directory: string, more: DownloadManagerOptions = {}) {
  return makeManager(directory, {
    layout: 'hf-cache',
    sources: [huggingFace({ endpoint: hub.url, token: null })],
    adopt: false,
    ...more,
  })
}

const plainFiles = async (root: string) => (await listTree(root)).filter((name) => !name.endsWith('/'))

describe('a repository in a cache', () => {
  it('is a snapshot, and is read back by the libraries', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    const download = await manager.download({ url })
    const file = await arrives(download)
    const snapshot = join(root, folder, 'snapshots', commit)
    expect(file.path).toBe(snapshot)
    expect(download.group?.path).toBe(snapshot)
    for (const [path, content] of Object.entries(files)) {
      const full = join(snapshot, ...path.split('/'))
      expect(download.group?.files.find(({ filename }) => filename === path)?.path).toBe(full)
      expect((await lstat(full)).isSymbolicLink()).toBe(true)
      expect(await readlink(full)).toMatch(/^(?:\.\.\/){2,3}blobs\//)
      expect(await sha256File(full)).toBe(content.sha256())
    }
    const seen = await scanCacheDir(root)
    expect(seen.warnings).toEqual([])
    expect(seen.repos[0]?.revisions).toMatchObject([{ commitOid: commit, refs: ['main'] }])
    expect(seen.repos[0]?.revisions[0]?.files).toHaveLength(4)
    expect(await listTree(join(root, folder, 'blobs')), 'one blob for the twins').toHaveLength(4)
  })

  it('names its commit only when all of it is there', async () => {
    await using hub = await startHub()
    const first = hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    await arrives(await manager.download({ url }))
    const main = join(root, folder, 'refs', 'main')
    const second = hub.commit('owner/model', {
      ...files,
      'model.gguf': ggufContent(2 * MiB, 'new'),
      'README.md': textContent('# Another'),
    })
    hub.cdnBehaviour = { status: 404, content: textContent('gone') }
    expect(await fails(await manager.download({ url }))).toMatchObject({ code: 'GROUP_INCOMPLETE' })
    expect(await readFile(main, 'utf8')).toBe(first)
    hub.cdnBehaviour = {}
    const { fetchedBytes } = await arrives(await manager.download({ url }))
    expect(await readFile(main, 'utf8')).toBe(second)
    expect(fetchedBytes, 'what has not changed is not fetched').toBeLessThan(2 * MiB + 64 * KiB)
    expect(await sha256File(join(root, folder, 'snapshots', first, 'model.gguf'))).toBe(large.sha256())
    expect((await scanCacheDir(root)).warnings).toEqual([])
  })

  it('goes on after a restart; when it is there, nothing is fetched or hashed', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const root = tempDir('cache')
    hub.cdnBehaviour = { bytesPerSecond: 2 * MiB }
    {
      await using manager = managerOf(hub, root, { store: 'file' })
      const download = await manager.download({ url })
      await waitFor(() => download.group?.completed === 4 && download.current.downloaded > MiB, {
        what: 'the small files and some bytes',
      })
    }
    await expect(access(join(root, folder, 'refs', 'main'))).rejects.toThrow('ENOENT')
    hub.cdnBehaviour = {}
    {
      await using manager = managerOf(hub, root, { store: 'file' })
      await manager.ready
      const download = manager.get(url)!
      const file = await arrives(download)
      expect(file.fetchedBytes).toBeLessThan(3 * MiB - 300 * KiB)
    }
    await using manager = managerOf(hub, root, { store: 'file' })
    await manager.ready
    const requests = hub.cdn.requests().length
    expect(await arrives(await manager.download({ url }))).toMatchObject({ existed: true, fetchedBytes: 0 })
    expect(hub.cdn.requests().length).toBe(requests)
  })

  it('leaves nothing when it is canceled, or removed with its files', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    hub.cdnBehaviour = { bytesPerSecond: 2 * MiB }
    const download = await manager.download({ url })
    await waitFor(() => download.group?.completed === 4, { what: 'the small files' })
    await download.cancel()
    expect(await listTree(root)).toEqual([])
    hub.cdnBehaviour = {}
    await download.retry()
    await arrives(download)
    await manager.remove(url, { deleteFile: true })
    expect(await listTree(root)).toEqual([])
  })

  it('keeps what another snapshot links to when it is removed', async () => {
    await using hub = await startHub()
    const first = hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    await arrives(await manager.download({ url }))
    hub.commit('owner/model', { ...files, 'README.md': textContent('# Another') })
    await arrives(await manager.download({ url }))
    await manager.remove(url, { deleteFile: true })
    expect(await sha256File(join(root, folder, 'snapshots', first, 'model.gguf'))).toBe(large.sha256())
    expect(await plainFiles(join(root, folder, 'refs')), 'it would lead nowhere').toEqual([])
    expect((await scanCacheDir(root)).repos[0]?.revisions).toHaveLength(1)
  })

  it('sets a broken snapshot right without fetching', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    await arrives(await manager.download({ url }))
    const model = join(root, folder, 'snapshots', commit, 'model.gguf')
    const config = join(root, folder, 'snapshots', commit, 'config.json')
    await rm(model)
    await rm(config)
    await writeFile(config, 'something else')
    const sent = hub.cdn.bytesSent()
    await arrives(await manager.download({ url }))
    expect(await sha256File(model)).toBe(large.sha256())
    expect(await readFile(config, 'utf8')).toBe('{}')
    expect(hub.cdn.bytesSent()).toBe(sent)
  })

  it('is planned file by file', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    const before = await manager.plan({ url })
    expect(before.files.map(({ filename }) => filename).sort()).toEqual(Object.keys(files).sort())
    expect(before.totalBytes).toBe(Object.values(files).reduce((sum, { size }) => sum + size, 0))
    expect(before.files[0]?.path.startsWith(join(root, folder, 'snapshots', commit))).toBe(true)
    const flat = await manager.plan({ url, layout: 'flat' })
    expect(flat.files.map(({ path }) => path)).toContain(join(root, 'model', 'onnx', 'tokenizer.json'))
    expect(await listTree(root)).toEqual([])
    await arrives(await manager.download({ url }))
    expect((await manager.plan({ url })).files.every(({ status }) => status === 'complete')).toBe(true)
  })
})

/** Downloads that go into a cache of the Hugging Face libraries, as those see it. */
import { lstat, mkdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { scanCacheDir } from '@huggingface/hub'
import { describe, expect, it } from 'vitest'
import {
  DownloadManager,
  huggingFace,
  isDownloadError,
  type DownloadManagerOptions,
} from '../../src/index.js'
import { arrives, fails, KiB, makeManager, MiB } from '../faults/harness.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { gitOid, startHub, type Hub } from '../support/hub.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const model = ggufContent(300 * KiB)
const readme = textContent('# A model')
const files = {
  'README.md': readme,
  'model-Q4_K_M.gguf': model,
  'onnx/model.onnx': randomContent(20 * KiB, 'o'),
}
const folder = 'models--owner--model'
const url = 'hf:owner/model/model-Q4_K_M.gguf'

function managerOf(hub: Hub, directory: string, more: DownloadManagerOptions = {}) {
  return makeManager(directory, {
    layout: 'hf-cache',
    sources: [huggingFace({ endpoint: hub.url, token: null })],
    adopt: false,
    ...more,
  })
}

describe('a file in a cache', () => {
  it('lies where the libraries look for it, and is read back by theirs', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    const paths: string[] = []
    for (const path of Object.keys(files)) {
      const download = await manager.download({ url: `hf:owner/model/${path}` })
      const file = await arrives(download)
      paths.push(file.path)
      expect(file.path).toBe(join(root, folder, 'snapshots', commit, ...path.split('/')))
      expect(download.path).toBe(file.path)
      expect(file.filename).toBe(path.slice(path.lastIndexOf('/') + 1))
      expect(download.filename).toBe(file.filename)
      expect((await lstat(file.path)).isSymbolicLink()).toBe(true)
    }
    expect(await readlink(paths[1]!)).toBe(`../../blobs/${model.sha256()}`)
    expect(await readlink(paths[2]!)).toBe(`../../../blobs/${files['onnx/model.onnx'].sha256()}`)
    expect(await readFile(join(root, folder, 'refs', 'main'), 'utf8')).toBe(commit)

    const seen = await scanCacheDir(root)
    expect(seen.warnings).toEqual([])
    expect(seen.repos).toHaveLength(1)
    const [repo] = seen.repos
    expect(repo).toMatchObject({ id: { name: 'owner/model', type: 'model' } })
    const [revision] = repo!.revisions
    expect(revision).toMatchObject({ commitOid: commit, refs: ['main'] })
    // Theirs looks into no folders of a snapshot.
    expect(revision!.files.map(({ path, blob }) => [path, blob.size]).sort()).toEqual(
      [
        [paths[0], readme.size],
        [paths[1], model.size],
      ].sort(),
    )
    const blobs = await listTree(join(root, folder, 'blobs'))
    expect(blobs.sort()).toEqual([gitOid(readme), model.sha256(), files['onnx/model.onnx'].sha256()].sort())
  })

  it('of a tag, a pull request, a commit, a data set', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const data = hub.add('owner/data', { files: { 'a.txt': textContent('a') }, type: 'datasets' })
    hub.tag('owner/model', 'v1', commit)
    hub.tag('owner/model', 'refs/pr/1', commit)
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    const refs = async () =>
      (await listTree(join(root, folder, 'refs'))).filter((name) => !name.endsWith('/'))
    await arrives(await manager.download({ url: `hf:owner/model/README.md@${commit}` }))
    expect(await refs()).toEqual([])
    expect((await scanCacheDir(root)).warnings).toEqual([])
    for (const [revision, expected] of [
      ['v1', ['v1']],
      ['refs/pr/1', ['refs/pr/1', 'v1']],
    ] as const) {
      await manager.remove(`hf:owner/model/README.md@${commit}`)
      await arrives(await manager.download({ url: `hf:owner/model/README.md@${revision}` }))
      await manager.remove(`hf:owner/model/README.md@${revision}`)
      expect(await refs()).toEqual(expected)
    }
    await arrives(await manager.download({ url: 'hf:datasets/owner/data/a.txt' }))
    expect(await readFile(join(root, 'datasets--owner--data', 'refs', 'main'), 'utf8')).toBe(data)
  })

  it('of a newer commit is another snapshot; what has not changed is not fetched again', async () => {
    await using hub = await startHub()
    const first = hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    const old = await arrives(await manager.download({ url }))
    const second = hub.commit('owner/model', { ...files, 'README.md': textContent('new') })
    const sent = hub.cdn.bytesSent()
    const download = await manager.download({ url })
    const file = await arrives(download)
    expect(file).toMatchObject({ existed: true, fetchedBytes: 0 })
    expect(download.path).toBe(old.path.replace(first, second))
    expect(hub.cdn.bytesSent()).toBe(sent)
    expect(await readFile(join(root, folder, 'refs', 'main'), 'utf8')).toBe(second)
    const seen = await scanCacheDir(root)
    expect(seen.repos[0]?.revisions.map(({ commitOid }) => commitOid).sort()).toEqual([first, second].sort())
    expect(seen.repos[0]?.size, 'one blob').toBe(model.size)
  })

  it('that another program has put there is not fetched', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const root = tempDir('cache')
    const blob = join(root, folder, 'blobs', model.sha256())
    await mkdir(dirname(blob), { recursive: true })
    await writeFile(blob, model.slice(0, model.size))
    await using manager = managerOf(hub, root)
    expect(await arrives(await manager.download({ url }))).toMatchObject({ existed: true, verified: true })
    expect(hub.cdn.requests().filter(({ path }) => path.includes('blobs'))).toEqual([])
  })

  it('that is paused goes on after a restart, from its bytes', async () => {
    await using hub = await startHub()
    const large = randomContent(4 * MiB, 'large')
    hub.add('owner/model', { files: { 'large.bin': large } })
    hub.cdnBehaviour = { bytesPerSecond: 4 * MiB }
    const root = tempDir('cache')
    {
      await using manager = managerOf(hub, root, { store: 'file' })
      const download = await manager.download({ url: 'hf:owner/model/large.bin' })
      await waitFor(() => download.current.downloaded > MiB, { what: 'some bytes' })
      await download.pause()
      expect((await listTree(join(root, folder, 'blobs'))).sort()).toEqual([
        `${large.sha256()}.part`,
        `${large.sha256()}.part.json`,
      ])
      await expect(lstat(join(root, folder, 'refs'))).rejects.toThrow('ENOENT')
    }
    hub.cdnBehaviour = {}
    await using manager = managerOf(hub, root, { store: 'file' })
    await manager.ready
    const download = await manager.resume('hf:owner/model/large.bin')
    const file = await arrives(download)
    expect(file.fetchedBytes).toBeLessThan(large.size - MiB / 2)
    expect(file).toMatchObject({ sha256: large.sha256(), verified: true })
  })

  it('that is canceled leaves nothing; one that is removed with its file neither', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: { 'large.bin': randomContent(4 * MiB, 'large'), ...files } })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root)
    hub.cdnBehaviour = { bytesPerSecond: 2 * MiB }
    const slow = await manager.download({ url: 'hf:owner/model/large.bin' })
    await waitFor(() => slow.current.downloaded > 0, { what: 'some bytes' })
    await slow.cancel()
    expect((await listTree(root)).filter((name) => !name.endsWith('/'))).toEqual([])
    hub.cdnBehaviour = {}
    const first = await arrives(await manager.download({ url }))
    hub.commit('owner/model', { ...files, 'README.md': textContent('new') })
    await arrives(await manager.download({ url }))
    await manager.remove(url, { deleteFile: true })
    expect((await readFile(first.path)).length, 'the older snapshot still has it').toBe(model.size)
    await arrives(await manager.download({ url: `${url}@main` }))
    await rm(first.path)
    await manager.remove(`${url}@main`, { deleteFile: true })
    expect(await listTree(join(root, folder, 'blobs'))).toEqual([])
  })

  it('that two refs mean is a conflict, whatever their names', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    await using manager = managerOf(hub, tempDir('cache'))
    await arrives(await manager.download({ url }))
    const other = await manager.download({ url: 'hf:owner/model:Q4_K_M' })
    expect(await fails(other)).toMatchObject({ code: 'CONFLICT' })
  })

  it('of two repositories may have one name', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    hub.add('owner/fork', { files })
    await using manager = managerOf(hub, tempDir('cache'))
    const urls = [url, url.replace('model/', 'fork/')]
    const all = await Promise.all(urls.map(async (one) => arrives(await manager.download({ url: one }))))
    expect(new Set(all.map(({ path }) => path)).size).toBe(2)
  })

  it('that git keeps is held against its name', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    await using manager = managerOf(hub, tempDir('cache'))
    hub.smallBehaviour = { content: textContent('# A modeL') }
    const error = await fails(await manager.download({ url: 'hf:owner/model/README.md' }))
    expect(error.code).toBe('CHECKSUM_MISMATCH')
    expect((await listTree(manager.directory)).filter((name) => !name.endsWith('/'))).toEqual([])
  })
})

describe('the layout', () => {
  it.each([
    [{ url: 'https://example.com/a.gguf' }, 'layout'],
    [{ url: 'ollama:llama3' }, 'layout'],
    [{ url, mode: 'llm' }, 'mode'],
    [{ url, filename: 'a.gguf' }, 'filename'],
  ])('does not go with %j', async (options, path) => {
    await using manager = makeManager(tempDir('cache'), { modes: ['llm'] })
    const refusal = await manager
      .download({ ...options, layout: 'hf-cache' })
      .catch((error: unknown) => error)
    expect(isDownloadError(refusal, 'INVALID_OPTIONS') && refusal.issues[0]?.path).toBe(path)
  })

  it('of the manager holds for refs of the hub only, and for those only that name nothing else', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const root = tempDir('cache')
    await using manager = managerOf(hub, root, { modes: ['llm'] })
    const plain = await manager.download({ url: hub.cdn.url('/x.bin') })
    expect(plain.path).toBe(join(root, 'x.bin'))
    await manager.cancel(plain.url)
    const named = await arrives(await manager.download({ url, filename: 'mine.gguf', mode: 'llm' }))
    expect(named.path).toBe(join(root, 'llm', 'mine.gguf'))
    await expect(manager.download({ url, layout: 'hf-cache' })).rejects.toMatchObject({ code: 'CONFLICT' })
    // As it is known.
    expect(await arrives(await manager.download({ url }))).toMatchObject({ existed: true, path: named.path })
  })

  it('goes to the cache of the environment, unless a folder is named', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const root = tempDir('environment')
    const before = process.env['HF_HUB_CACHE']
    process.env['HF_HUB_CACHE'] = root
    try {
      await using manager = new DownloadManager({
        layout: 'hf-cache',
        sources: [huggingFace({ endpoint: hub.url, token: null })],
        store: 'memory',
        worker: false,
      })
      const file = await arrives(await manager.download({ url }))
      expect(file.path.startsWith(join(root, folder))).toBe(true)
      const given = tempDir('given')
      const other = await manager.download({ url: `${url}@main`, directory: given })
      expect((await arrives(other)).path.startsWith(join(given, folder))).toBe(true)
    } finally {
      if (before === undefined) delete process.env['HF_HUB_CACHE']
      else process.env['HF_HUB_CACHE'] = before
    }
  })
})

/** Downloads whose files lie in a cache of another program already, and those that only seem to. */
import { mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { downloadFileToCacheDir } from '@huggingface/hub'
import { describe, expect, it } from 'vitest'
import { huggingFace, type DownloadManagerOptions } from '../../src/index.js'
import { arrives, KiB, makeManager } from '../faults/harness.js'
import { ggufContent, textContent, type Content } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { withHome } from './home.js'

const model = ggufContent(600 * KiB, 'model')
const other = ggufContent(600 * KiB, 'other')
const files = { 'model.gguf': model, 'README.md': textContent('# A model') }
const url = 'hf:owner/model/model.gguf'
const blobPath = join('.ollama', 'models', 'blobs', `sha256-${model.sha256()}`)

function managerOf(hub: Hub, more: DownloadManagerOptions = {}) {
  return makeManager(tempDir('take'), {
    sources: [huggingFace({ endpoint: hub.url, token: null })],
    ...more,
  })
}

async function put(path: string, content: Content): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content.slice(0, content.size))
  return path
}

/** A hub with the repository, and a home without any cache. */
async function inScene(task: (scene: { hub: Hub; home: string }) => Promise<void>): Promise<void> {
  await using hub = await startHub()
  hub.add('owner/model', { files })
  await withHome((home) => task({ hub, home }))
}

describe('a file of another cache', () => {
  it('is taken, checked, and not fetched', () =>
    inScene(async ({ hub, home }) => {
      const original = await put(join(home, blobPath), model)
      await using manager = managerOf(hub)
      const log: string[] = []
      manager.on('log', ({ message }) => void log.push(message))
      const download = await manager.download({ url })
      const file = await arrives(download)
      expect(file).toMatchObject({ adoptedFrom: original, verified: true, existed: false, fetchedBytes: 0 })
      expect(download.current).toMatchObject({ downloaded: model.size, percent: 100 })
      expect(await sha256File(file.path)).toBe(model.sha256())
      expect(hub.cdn.bytesSent()).toBe(0)
      expect(log.join('\n')).toContain('Ollama')
      expect(log.join('\n'), 'no paths of this machine').not.toContain(home)
      expect(await listTree(manager.directory)).toEqual(['model.gguf'])
      expect(await arrives(await manager.download({ url }))).toMatchObject({
        existed: true,
        adoptedFrom: null,
      })
    }))

  it.each(['', '/model.gguf'])('may be larger than what a remote caller may download', (path) =>
    inScene(async ({ hub, home }) => {
      const original = await put(join(home, blobPath), model)
      await using manager = managerOf(hub, { remoteMaxFileBytes: 1_000 })
      const remote = { allowPrivateNetwork: true }
      const download = await manager.download({ url: `hf:owner/model${path}`, remote, adopt: true })
      expect(await arrives(download)).toMatchObject({ adoptedFrom: path === '' ? null : original })
      expect(hub.cdn.bytesSent()).toBe(0)
    }),
  )

  it('is taken for a plain URL whose digest is given, and not without one', () =>
    inScene(async ({ hub, home }) => {
      await put(join(home, '.lmstudio', 'models', 'owner', 'model', 'model.gguf'), model)
      hub.cdn.serve('/model.gguf', { content: model })
      hub.cdn.serve('/plain/model.gguf', { content: model })
      await using manager = managerOf(hub)
      const plain = await manager.download({ url: hub.cdn.url('/plain/model.gguf'), filename: 'plain.gguf' })
      expect((await arrives(plain)).fetchedBytes).toBe(model.size)
      const known = { sha256: model.sha256(), size: model.size }
      const checked = await manager.download({ url: hub.cdn.url('/model.gguf'), ...known })
      expect(await arrives(checked)).toMatchObject({ fetchedBytes: 0, verified: true })
      expect(hub.cdn.requests().map(({ path }) => path)).not.toContain('/model.gguf')
    }))

  it('with other content under the right name is refused, and the right one fetched', () =>
    inScene(async ({ hub, home }) => {
      const original = await put(join(home, blobPath), other)
      await using manager = managerOf(hub)
      const file = await arrives(await manager.download({ url }))
      expect(file).toMatchObject({ adoptedFrom: null, verified: true, fetchedBytes: model.size })
      expect(await sha256File(file.path)).toBe(model.sha256())
      expect(await sha256File(original)).toBe(other.sha256())
      expect(await listTree(manager.directory)).toEqual(['model.gguf'])
    }))

  it('is not looked for when that is not wanted, is forced, or a stranger asks', () =>
    inScene(async ({ hub, home }) => {
      const original = await put(join(home, blobPath), model)
      const remote = { allowPrivateNetwork: true }
      for (const [options, taken] of [
        [{ adopt: false }, false],
        [{ force: true }, false],
        [{ remote }, false],
        [{ remote, adopt: true }, true],
        [{}, true],
      ] as const) {
        await using manager = managerOf(hub)
        const { adoptedFrom } = await arrives(await manager.download({ url, ...options }))
        expect(adoptedFrom, JSON.stringify(options)).toBe(taken ? original : null)
      }
      await using manager = managerOf(hub, { adopt: false })
      expect((await arrives(await manager.download({ url }))).adoptedFrom).toBeNull()
    }))

  it('shares nothing with a copy; what a stranger asks for anew is not taken', () =>
    inScene(async ({ hub, home }) => {
      const original = await put(join(home, blobPath), model)
      await using manager = managerOf(hub)
      const file = await arrives(await manager.download({ url, adopt: 'copy' }))
      expect(file.adoptedFrom).toBe(original)
      expect((await stat(file.path)).ino).not.toBe((await stat(original)).ino)
      await writeFile(file.path, 'damaged')
      const remote = { allowPrivateNetwork: true }
      expect((await arrives(await manager.download({ url, remote }))).adoptedFrom).toBeNull()
    }))

  it('goes from our cache to a flat folder, and from another cache into ours', () =>
    inScene(async ({ hub, home }) => {
      const original = await put(join(home, blobPath), model)
      await using manager = managerOf(hub)
      const cache = join(home, '.cache', 'huggingface', 'hub')
      const cached = await arrives(await manager.download({ url, layout: 'hf-cache', directory: cache }))
      expect(cached.adoptedFrom).toBe(original)
      expect(cached.path).toContain(join('models--owner--model', 'snapshots'))
      await rm(original)
      const flat = await arrives(await manager.download({ url: `${url}@main` }))
      expect(flat.adoptedFrom).toContain(join('models--owner--model', 'blobs'))
      expect(await sha256File(flat.path)).toBe(model.sha256())
    }))

  it('in our cache is what the official client takes, without fetching', () =>
    inScene(async ({ hub }) => {
      const root = tempDir('cache')
      await using manager = managerOf(hub)
      const ours = await arrives(await manager.download({ url, layout: 'hf-cache', directory: root }))
      const sent = hub.cdn.bytesSent()
      const theirs = await downloadFileToCacheDir({
        repo: 'owner/model',
        path: 'model.gguf',
        cacheDir: root,
        hubUrl: hub.url,
      })
      expect(theirs).toBe(ours.path)
      expect(hub.cdn.bytesSent()).toBe(sent)
      // And vice versa: files that it has downloaded are found by us.
      const readme = await downloadFileToCacheDir({
        repo: 'owner/model',
        path: 'README.md',
        cacheDir: root,
        hubUrl: hub.url,
      })
      const again = await manager.download({
        url: 'hf:owner/model/README.md',
        layout: 'hf-cache',
        directory: root,
      })
      expect(await arrives(again)).toMatchObject({ path: readme, existed: true, fetchedBytes: 0 })
      expect(await readFile(readme, 'utf8')).toBe('# A model')
    }))
})

/** What the Hugging Face libraries leave where they can't make links: the snapshot has the bytes, and there is no blob. */
async function unlinkedCache(hub: Hub, cacheDir: string): Promise<string> {
  const paths: string[] = []
  for (const path of ['model.gguf', 'README.md']) {
    const snapshot = await downloadFileToCacheDir({ repo: 'owner/model', path, cacheDir, hubUrl: hub.url })
    await rename(await realpath(snapshot), snapshot)
    paths.push(snapshot)
  }
  return paths[0] ?? ''
}

describe('a cache without links', () => {
  it('gives its files to a flat folder', () =>
    inScene(async ({ hub, home }) => {
      const original = await unlinkedCache(hub, join(home, '.cache', 'huggingface', 'hub'))
      const sent = hub.cdn.bytesSent()
      await using manager = managerOf(hub)
      expect((await manager.plan({ url })).files).toMatchObject([{ status: 'adoptable', from: original }])
      const file = await arrives(await manager.download({ url }))
      expect(file).toMatchObject({ adoptedFrom: original, verified: true, fetchedBytes: 0 })
      expect(await sha256File(file.path)).toBe(model.sha256())
      expect(hub.cdn.bytesSent()).toBe(sent)
    }))

  it('is used in place, every file of it, and once only', () =>
    inScene(async ({ hub }) => {
      const directory = tempDir('cache')
      const snapshot = await unlinkedCache(hub, directory)
      await using manager = managerOf(hub, { adopt: false })
      const want = { url: 'hf:owner/model', layout: 'hf-cache', directory } as const
      const plan = await manager.plan(want)
      expect(plan.files.map(({ status }) => status)).toEqual(['adoptable', 'adoptable'])
      expect(plan.missingBytes).toBe(0)
      const file = await arrives(await manager.download(want))
      expect(file).toMatchObject({ fetchedBytes: 0, adoptedFrom: null, existed: true })
      const [blob, seen] = await Promise.all(
        [join(directory, 'models--owner--model', 'blobs', model.sha256()), snapshot].map((path) =>
          stat(path),
        ),
      )
      expect(blob?.ino).toBe(seen?.ino)
      expect(await sha256File(snapshot)).toBe(model.sha256())
    }))

  it('is not trusted: a damaged file is fetched again', () =>
    inScene(async ({ hub }) => {
      const directory = tempDir('cache')
      const snapshot = await unlinkedCache(hub, directory)
      await writeFile(snapshot, other.slice(0, other.size))
      await using manager = managerOf(hub)
      const file = await arrives(await manager.download({ url, layout: 'hf-cache', directory }))
      expect(file).toMatchObject({ path: snapshot, fetchedBytes: model.size })
      expect(await sha256File(snapshot)).toBe(model.sha256())
    }))
})

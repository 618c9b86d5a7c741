/** A ref that means several files is one download. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { arrives, fails, KiB, MiB } from '../faults/harness.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { listTree } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { EventLog } from './events.js'
import { expectFiles, startScene, statesOf } from './group-scene.js'

const ref = 'hf:owner/model'
const files = {
  'README.md': textContent('hello'),
  'config.json': textContent('{}'),
  'onnx/model.onnx': randomContent(300 * KiB, 'onnx'),
  'model.gguf': ggufContent(2 * MiB),
  'empty.txt': textContent(''),
}
const slowly = { bytesPerSecond: 512 * KiB, etag: null, lastModified: null }

describe('a group', () => {
  it('is one download, with one progress and one end', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files })
    const log = new EventLog(manager)
    const seen: number[] = []
    manager.on('progress', ({ progress }) => seen.push(progress.downloaded))
    const download = await manager.download({ url: ref })
    expect(download.group).toBeNull()
    const file = await arrives(download)

    const total = Object.values(files).reduce((sum, { size }) => sum + size, 0)
    const folder = join(directory, 'model')
    expect(file).toMatchObject({
      path: folder,
      filename: 'model',
      size: total,
      sha256: null,
      existed: false,
      fetchedBytes: total,
    })
    expect(file.files?.map(({ filename }) => filename).sort()).toEqual(Object.keys(files).sort())
    expect(download.group).toMatchObject({ path: folder, completed: 5, missing: [] })
    for (const one of download.group?.files ?? []) {
      expect(one).toMatchObject({ state: 'completed', downloaded: one.size, error: null })
      expect(one.path).toBe(join(folder, one.filename))
      // Those that are kept in git are compared with its id.
      expect(one.verified, one.filename).toBe(true)
      expect(one.sha256).toMatch(/^[0-9a-f]{64}$/)
    }
    await expectFiles(folder, files)
    expect(download.current).toMatchObject({ downloaded: total, total, percent: 100, phase: 'completed' })
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect(log.count('completed')).toBe(1)
    expect(manager.list()).toEqual([download])
  })

  it('takes the globs and the folder that it is given', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files })
    const download = await manager.download({
      url: ref,
      filename: 'mine',
      include: ['*.gguf', '*.md', 'onnx/**'],
      exclude: ['*.md'],
    })
    await arrives(download)
    const { 'model.gguf': gguf, 'onnx/model.onnx': onnx } = files
    await expectFiles(join(directory, 'mine'), { 'model.gguf': gguf, 'onnx/model.onnx': onnx })
    await expect(manager.download({ url: ref, include: ['*.md'] })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(await manager.download({ url: ref })).toBe(download)
  })

  it('is paused, resumed and canceled as one, and leaves nothing', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files })
    hub.cdnBehaviour = slowly
    const download = await manager.download({ url: ref })
    await waitFor(() => download.current.downloaded > 400 * KiB && download.group?.completed === 3, {
      what: 'the small files and some bytes',
    })
    await download.pause()
    expect(statesOf(download)).toMatchObject({ 'README.md': 'completed', 'model.gguf': 'paused' })
    const kept = download.current.downloaded
    hub.cdnBehaviour = {}
    await download.resume()
    const file = await arrives(download)
    expect(file.fetchedBytes).toBeLessThanOrEqual(file.size - kept)
    await expectFiles(join(directory, 'model'), files)

    await manager.remove(ref, { deleteFile: true })
    expect(await listTree(directory)).toEqual([])
    hub.cdnBehaviour = slowly
    const again = await manager.download({ url: ref })
    await waitFor(() => again.group?.completed === 3, { what: 'the small files' })
    await again.cancel()
    expect(await listTree(directory)).toEqual([])
    expect(again).toMatchObject({ state: 'canceled', current: { downloaded: 0 } })
    expect(new Set(Object.values(statesOf(again)))).toEqual(new Set(['canceled']))
    hub.cdnBehaviour = {}
    await again.retry()
    await arrives(again)
    await expectFiles(join(directory, 'model'), files)
  })

  it('leaves alone what is not its own', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files })
    hub.cdnBehaviour = slowly
    const folder = join(directory, 'model')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'mine.txt'), 'mine')
    await writeFile(join(folder, 'config.json'), '{}')
    const download = await manager.download({ url: ref })
    await waitFor(() => download.group?.completed === 3, { what: 'the small files' })
    await download.cancel()
    expect(await listTree(folder)).toEqual(['config.json', 'mine.txt'])
    hub.cdnBehaviour = {}
    await download.retry()
    await arrives(download)
    await manager.remove(ref, { deleteFile: true })
    expect(await listTree(folder)).toEqual(['mine.txt'])
    expect(await readFile(join(folder, 'mine.txt'), 'utf8')).toBe('mine')
  })

  it('takes nothing for its own that has no digest and may be of another revision', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files })
    const folder = join(directory, 'model')
    await mkdir(folder, { recursive: true })
    // The same length as the expected file, but other content.
    await writeFile(join(folder, 'README.md'), 'HELLO')
    await arrives(await manager.download({ url: ref }))
    await expectFiles(folder, files)
  })

  it('goes on without a file that cannot be had, tells of it, and retries only that', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files })
    hub.cdnBehaviour = { status: 404 }
    const download = await manager.download({ url: ref })
    const error = await fails(download)
    expect(error).toMatchObject({ code: 'GROUP_INCOMPLETE' })
    expect(error.issues.map(({ path }) => path).sort()).toEqual(['model.gguf', 'onnx/model.onnx'])
    expect(download.group?.missing.map(({ filename, error: cause }) => [filename, cause?.code])).toEqual([
      ['model.gguf', 'NOT_FOUND'],
      ['onnx/model.onnx', 'NOT_FOUND'],
    ])
    expect(download.group?.completed).toBe(3)
    hub.cdnBehaviour = {}
    const asked = hub.origin.requests().length
    await download.retry()
    await arrives(download)
    await expectFiles(join(directory, 'model'), files)
    const since = hub.origin.requests().slice(asked)
    expect(since.filter(({ path }) => path.includes('README'))).toEqual([])
  })

  it('refuses a digest or a size, which are those of one file', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files })
    const error = await fails(await manager.download({ url: ref, size: 5 }))
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' })
    expect(await listTree(directory)).toEqual([])
  })
})

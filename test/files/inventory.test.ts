/** Lists of what is on disk in a folder of models. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { walk } from '../../src/files/walk.js'
import { DownloadManager, huggingFace } from '../../src/index.js'
import { makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { gitOid, startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

describe('manager.files()', () => {
  it('shows partial downloads, groups as groups, and other files, but nothing hidden or linked', async () => {
    await using hub = await startHub()
    await using origin = await startOrigin()
    const directory = tempDir('models')
    const model = randomContent(64 * 1024)
    const config = randomContent(100)
    const commit = hub.add('owner/repo', {
      files: { 'model.onnx': model, 'sub/config.json': config },
    })
    await using manager = makeManager(directory, {
      sources: [huggingFace({ endpoint: hub.url, token: null })],
    })
    await (
      await manager.download({ url: 'hf:owner/repo', mode: 'llm' })
    ).finished
    const slow = randomContent(8 * 1024 * 1024)
    origin.serve('/slow.bin', { content: slow, bytesPerSecond: 1024 * 1024 })
    const partial = await manager.download({ url: origin.url('/slow.bin'), mode: 'embed' })
    await waitFor(() => partial.current.downloaded > 0)
    await manager.pause(partial.url)
    put(join(directory, 'rerank', 'own.gguf'), 'own')
    put(join(directory, 'node_modules', 'x.js'), 'x')
    put(join(directory, '.git', 'config'), 'x')
    symlinkSync('/etc', join(directory, 'etc'))
    const files = await manager.files()
    expect(files.map(({ name, state, isGroup, finished }) => [name, state, isGroup, finished])).toEqual([
      ['embed/slow.bin', 'partial', false, false],
      ['llm/repo', 'complete', true, true],
      ['rerank/own.gguf', 'complete', false, true],
    ])
    const [unfinished, group] = files
    expect(unfinished).toMatchObject({
      url: partial.url,
      total: slow.size,
      mode: 'embed',
      digestKnown: false,
    })
    expect(unfinished?.size).toBeGreaterThan(0)
    expect(unfinished?.size).toBeLessThan(slow.size)
    expect(group).toMatchObject({
      url: 'hf:owner/repo',
      revision: commit,
      digestKnown: true,
      size: model.size + 100,
    })
    expect(group?.files.map(({ filename }) => filename).sort()).toEqual(['model.onnx', 'sub/config.json'])
    // A group is verified file by file; nobody knows of a file that lies there what it was verified with.
    expect(files.map(({ verification }) => verification)).toEqual([null, null, null])
    expect(group?.files.map(({ filename, verification }) => [filename, verification])).toEqual(
      expect.arrayContaining([
        ['model.onnx', { algorithm: 'sha256', value: model.sha256(), from: 'source' }],
        ['sub/config.json', { algorithm: 'git', value: gitOid(config), from: 'source' }],
      ]),
    )

    // Another manager of the folder, without its records, finds the same files.
    await using other = new DownloadManager({ directory, store: 'memory' })
    const names = (await other.files()).map(({ name, state, url }) => [name, state, url])
    expect(names).toEqual([
      ['embed/slow.bin', 'partial', partial.url],
      ['llm/repo/model.onnx', 'complete', null],
      ['llm/repo/sub/config.json', 'complete', null],
      ['rerank/own.gguf', 'complete', null],
    ])
  })

  it('verifies the files of a cache by the names of their blobs', async () => {
    await using hub = await startHub()
    const directory = tempDir('hub')
    const model = randomContent(64 * 1024)
    hub.add('owner/repo', { files: { 'model.onnx': model, 'config.json': randomContent(100) } })
    const sources = [huggingFace({ endpoint: hub.url, token: null })]
    {
      await using manager = makeManager(directory, {
        sources,
        layout: 'hf-cache',
        defaultMode: null,
        store: 'memory',
      })
      await (
        await manager.download({ url: 'hf:owner/repo' })
      ).finished
      expect(await manager.verify()).toMatchObject({ ok: true, counts: { ok: 2, unknown: 0 } })
    }
    await using manager = makeManager(directory, { store: 'memory' })
    const [entry] = await manager.files()
    expect(entry).toMatchObject({ layout: 'hf-cache', isGroup: true, digestKnown: true })
    const small = entry?.files.find(({ filename }) => filename === 'config.json')
    writeFileSync(small?.path ?? '', Buffer.alloc(100))
    const before = await listTree(directory)
    const { ok, files } = await manager.verify()
    expect(ok).toBe(false)
    expect(files.map(({ filename, status }) => [filename, status])).toEqual([
      ['config.json', 'damaged'],
      ['model.onnx', 'ok'],
    ])
    expect(await listTree(directory)).toEqual(before)
  })

  it('tells of completed downloads whose files are gone, and stops when it is told to', async () => {
    await using origin = await startOrigin()
    const directory = tempDir('models')
    origin.serve('*', { content: randomContent(1000) })
    await using manager = makeManager(directory)
    const file = await (await manager.download({ url: origin.url('/a.bin') })).finished
    unlinkSync(file.path)
    expect(await manager.files()).toMatchObject([{ name: 'a.bin', state: 'missing', size: 0 }])
    expect(await manager.verify()).toMatchObject({ ok: false, counts: { missing: 1 } })
    // Neither does a pipe in the place of the file hold up the check.
    execFileSync('mkfifo', [file.path])
    expect(await manager.verify()).toMatchObject({ ok: false, counts: { unreadable: 1 } })
    const signal = AbortSignal.abort()
    await expect(manager.verify({ signal })).rejects.toMatchObject({ code: 'CANCELED' })
    await expect(manager.verify({ names: ['x'] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(manager.verify({ concurrency: 0 })).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
    await manager.close()
    await expect(manager.files()).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

describe('walk', () => {
  it('stops at its limit', async () => {
    const root = tempDir('many')
    for (const name of ['a', 'b', 'c']) put(join(root, name), name)
    expect(await walk([root], 2)).toMatchObject({ isCut: true, files: { length: 2 } })
    expect(await walk([root], 3)).toMatchObject({ isCut: false, files: { length: 3 } })
    expect(await walk([join(root, 'none')])).toMatchObject({ files: [], unreadable: [] })
  })
})

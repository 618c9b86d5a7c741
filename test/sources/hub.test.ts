/** The imitation of the hub is good enough for the hub's own client. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { downloadFile, listFiles, snapshotDownload } from '@huggingface/hub'
import { describe, expect, it, vi } from 'vitest'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { listTree, tempDir } from '../support/temp.js'

const files = {
  'README.md': textContent('# A model'),
  'config.json': textContent('{"hidden_size":64}'),
  'model.gguf': ggufContent(300_000),
  'onnx/deep/model.onnx': randomContent(40_000, 'onnx'),
  'onnx/vocab.txt': textContent('a\nb\n'),
}

describe('the official client', () => {
  it('lists files, over several pages', async () => {
    await using hub = await startHub({ pageSize: 2 })
    hub.add('owner/model', { files })
    const found = []
    for await (const file of listFiles({ repo: 'owner/model', recursive: true, hubUrl: hub.url })) {
      if (file.type === 'file') found.push([file.path, file.size, file.lfs?.oid])
    }
    const kept = (path: keyof typeof files) =>
      files[path].size >= 10 * 1024 ? files[path].sha256() : undefined
    const paths = Object.keys(files).sort() as (keyof typeof files)[]
    expect(found.sort()).toEqual(paths.map((path) => [path, files[path].size, kept(path)]))
    const flat = []
    for await (const file of listFiles({ repo: 'owner/model', hubUrl: hub.url })) flat.push(file.path)
    expect(flat.sort()).toEqual(['README.md', 'config.json', 'model.gguf', 'onnx'])
  })

  it.each(['README.md', 'model.gguf'] as const)('downloads %s', async (path) => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const blob = await downloadFile({ repo: 'owner/model', path, hubUrl: hub.url })
    const bytes = Buffer.from((await blob?.arrayBuffer()) ?? new ArrayBuffer(0))
    expect(bytes.equals(files[path].slice(0, files[path].size))).toBe(true)
    expect(await downloadFile({ repo: 'owner/model', path: 'absent', hubUrl: hub.url })).toBeNull()
  })

  it('downloads a gated repository with a token, and is told what is wrong without', async () => {
    await using hub = await startHub()
    hub.add('owner/gated', { files, gated: 'manual' })
    hub.allow('hf_good', ['owner/gated'])
    const ask = (accessToken?: string) =>
      downloadFile({
        repo: 'owner/gated',
        path: 'model.gguf',
        hubUrl: hub.url,
        ...(accessToken === undefined ? {} : { accessToken }),
      })
    await expect(ask()).rejects.toMatchObject({ statusCode: 401 })
    await expect(ask('hf_other')).rejects.toMatchObject({ statusCode: 401 })
    expect((await ask('hf_good'))?.size).toBe(300_000)
    expect(hub.cdn.requests().some(({ headers }) => 'authorization' in headers)).toBe(false)
  })

  it('takes a snapshot into its cache', async () => {
    await using hub = await startHub({ pageSize: 3 })
    const commit = hub.add('owner/model', { files })
    const cacheDir = tempDir('hf-cache')
    // The client prints every file to the console.
    const debug = vi.spyOn(console, 'debug').mockImplementation(() => undefined)
    const folder = await snapshotDownload({ repo: 'owner/model', cacheDir, hubUrl: hub.url })
    debug.mockRestore()
    expect(folder).toBe(join(cacheDir, 'models--owner--model', 'snapshots', commit))
    for (const [path, content] of Object.entries(files)) {
      expect((await readFile(join(folder, path))).equals(content.slice(0, content.size)), path).toBe(true)
    }
    expect(await listTree(join(cacheDir, 'models--owner--model', 'refs'))).toEqual(['main'])
  })
})

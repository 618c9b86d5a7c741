import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DownloadManager } from '../../src/manager/manager.js'
import { createFileStore } from '../../src/store/file.js'
import { ggufContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { recordOf } from '../store/conformance.js'

const content = ggufContent(200_000)

describe('a download with a directory of its own', () => {
  it('goes there, also when relative, and is there after a restart', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content })
    origin.serve('/b.gguf', { content })
    const directory = tempDir()
    const elsewhere = tempDir()
    {
      await using manager = new DownloadManager({ directory })
      const far = await manager.download({ url: origin.url('/a.gguf'), directory: elsewhere })
      const near = await manager.download({ url: origin.url('/b.gguf'), directory: 'sub/x', mode: 'embed' })
      expect((await far.finished).path).toBe(join(elsewhere, 'llm', 'a.gguf'))
      expect((await near.finished).path).toBe(join(directory, 'sub', 'x', 'embed', 'b.gguf'))
    }
    expect(await listTree(elsewhere)).toEqual(['llm/', 'llm/a.gguf'])
    expect(await sha256File(join(elsewhere, 'llm', 'a.gguf'))).toBe(content.sha256())
    await using manager = new DownloadManager({ directory })
    await manager.ready
    expect(manager.get(origin.url('/a.gguf'))?.path).toBe(join(elsewhere, 'llm', 'a.gguf'))
    expect(manager.get(origin.url('/b.gguf'))?.path).toBe(join(directory, 'sub', 'x', 'embed', 'b.gguf'))
  })

  it('is joined by a call that names none or the same, and not by one that names another', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content, bytesPerSecond: 100_000 })
    const directory = tempDir()
    await using manager = new DownloadManager({ directory })
    const url = origin.url('/a.gguf')
    const first = await manager.download({ url, directory: 'sub' })
    expect(await manager.download({ url })).toBe(first)
    expect(await manager.download({ url, directory: join(directory, 'sub', '.') })).toBe(first)
    await expect(manager.download({ url, directory: 'other' })).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(manager.download({ url, directory })).rejects.toMatchObject({ code: 'CONFLICT' })
    await first.cancel()
    expect(await listTree(directory)).not.toContainEqual(expect.stringContaining('.part'))
  })

  it('does not meet another download in one file, whatever the folders are called', async () => {
    await using origin = await startOrigin()
    origin.serve('/1/a.gguf', { content, bytesPerSecond: 100_000 })
    await using manager = new DownloadManager({ directory: tempDir() })
    await manager.download({ url: origin.url('/1/a.gguf'), directory: 'x', mode: 'llm' })
    const others = [
      { directory: 'x/llm', mode: null },
      { directory: join(manager.directory, 'x'), mode: 'llm' },
    ]
    for (const other of others) {
      const asked = manager.download({ url: origin.url('/2/a.gguf'), ...other })
      await expect(asked).rejects.toMatchObject({ code: 'CONFLICT' })
    }
    await manager.download({ url: origin.url('/2/a.gguf'), directory: 'y', mode: 'llm' })
  })

  it.each(['', 'a\0b', 7])('refuses %j', async (bad) => {
    await using manager = new DownloadManager({ directory: tempDir(), store: 'memory' })
    // What a caller in plain JavaScript may give.
    const asked = manager.download({ url: 'https://models.example/a.gguf', directory: bad as string })
    await expect(asked).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
  })

  it('is unknown to older records, which stay readable', async () => {
    const directory = tempDir()
    const store = createFileStore(join(directory, '.model-downloader'))
    // As the version before wrote it: JSON leaves undefined out.
    await store.save({ ...recordOf(1, { state: 'completed' }), directory: undefined as never })
    await using manager = new DownloadManager({ directory })
    await manager.ready
    expect(manager.list().map((download) => download.path)).toEqual([join(directory, 'llm', '1.gguf')])
  })
})

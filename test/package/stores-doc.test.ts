/** The store that docs/stores.md shows passes the tests that it shows, and a manager works with it. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { DownloadManager } from '../../src/index.js'
import type { DownloadStore } from '../../src/store/store.js'
import { blocksOf, read } from '../support/documents.js'
import { root, spawnNode } from '../support/process.js'
import { tempDir } from '../support/temp.js'

/** A folder as a reader of the page would have it: its files, beside the installed package. */
function asShown(): string {
  const folder = tempDir('stores-doc')
  mkdirSync(path.join(folder, 'node_modules'))
  symlinkSync(root, path.join(folder, 'node_modules', 'model-downloader'), 'dir')
  for (const { code } of blocksOf(read('docs/stores.md'))) {
    const name = /^\/\/ ([\w.-]+\.mjs)$/m.exec(code)?.[1]
    if (name !== undefined) writeFileSync(path.join(folder, name), code)
  }
  return folder
}

describe('the example of docs/stores.md', () => {
  it('passes every case of the kit', async () => {
    const folder = asShown()
    const { code, stdout } = await spawnNode('--test', ['--test-reporter=tap', 'one-file-store.test.mjs'], {
      cwd: folder,
    }).finished()
    expect(stdout).toMatch(/^# fail 0$/m)
    expect(Number(/^# pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(20)
    expect(code).toBe(0)
  }, 40_000)

  it('remembers downloads of a manager', async () => {
    const folder = asShown()
    const shown = (await import(pathToFileURL(path.join(folder, 'one-file-store.mjs')).href)) as {
      openOneFileStore: (file: string) => Promise<DownloadStore>
    } // as the page shows it
    const file = path.join(folder, 'downloads.json')
    const open = async () =>
      new DownloadManager({
        directory: path.join(folder, 'models'),
        store: await shown.openOneFileStore(file),
        autoResume: false,
        worker: false,
      })
    const url = 'http://127.0.0.1:9/model.gguf'
    {
      await using manager = await open()
      const download = await manager.download({ url })
      await download.cancel()
    }
    expect(await readFile(file, 'utf8')).toContain(url)
    await using manager = await open()
    await manager.ready
    expect(manager.list().map((download) => [download.url, download.state])).toEqual([[url, 'canceled']])
  })
})

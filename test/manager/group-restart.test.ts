/** What a group remembers, and what a restart costs. */
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Source } from '../../src/index.js'
import { arrives, fails, KiB, makeManager, MiB } from '../faults/harness.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { expectFiles, managerOf, statesOf } from './group-scene.js'

const ref = 'hf:owner/model'
const files = {
  'a.bin': randomContent(100 * KiB, 'a'),
  'b.bin': randomContent(4 * MiB, 'b'),
  'config.json': textContent('{"revision":1}'),
  'tokenizer.json': textContent('{"revision":1}'),
}
const next = { ...files, 'config.json': textContent('{"revision":2}'), 'b.bin': randomContent(4 * MiB, 'b2') }
const slow = { bytesPerSecond: MiB }
const inFiles = { store: 'file' as const, connections: 2 }

/** Asks for the group and closes the manager when all but `b.bin` are there. */
async function beginOnly(hub: Hub, directory: string): Promise<void> {
  hub.cdnBehaviour = slow
  await using manager = managerOf(hub, directory, inFiles)
  const download = await manager.download({ url: ref })
  await waitFor(() => download.group?.completed === 3 && download.current.downloaded > MiB, {
    what: 'the small files and some bytes',
  })
  await manager.close()
  hub.cdnBehaviour = {}
}

describe('after a restart', () => {
  it('a group goes on by itself, and fetches and hashes only what is missing', async () => {
    await using hub = await startHub()
    const directory = tempDir('group-restart')
    hub.add('owner/model', { files })
    await beginOnly(hub, directory)
    hub.origin.clearRequests()

    await using manager = managerOf(hub, directory, inFiles)
    await manager.ready
    const download = manager.get(ref)
    expect(download?.group).toMatchObject({ completed: 3 })
    expect(download?.current.downloaded).toBeGreaterThan(MiB)
    const kept = (download?.current.downloaded ?? 0) - 3 * files['a.bin'].size
    expect((await download?.finished)?.fetchedBytes).toBeLessThan(files['b.bin'].size - kept)
    const asked = hub.origin.requests().filter(({ path }) => path.includes('/resolve/'))
    expect(asked.map(({ path }) => path.slice(path.lastIndexOf('/') + 1))).toEqual(['b.bin'])
    await expectFiles(join(directory, 'model'), files)
  })

  it('it goes on with the commit that it began with, though the branch has moved on', async () => {
    await using hub = await startHub()
    const directory = tempDir('group-restart')
    hub.add('owner/model', { files })
    await beginOnly(hub, directory)
    hub.commit('owner/model', next)

    {
      await using manager = managerOf(hub, directory, inFiles)
      await manager.ready
      await manager.get(ref)?.finished
      await expectFiles(join(directory, 'model'), files)
    }
    // A new request means the branch as it is now; unchanged files are not fetched.
    await using manager = managerOf(hub, directory, inFiles)
    const file = await arrives(await manager.download({ url: ref }))
    await expectFiles(join(directory, 'model'), next)
    // That of `tokenizer.json` is the same in git.
    const bytes = next['b.bin'].size + next['config.json'].size
    expect(file).toMatchObject({ existed: false, fetchedBytes: bytes })
  })

  it('it starts over when that commit is gone, says so, and mixes nothing', async () => {
    const directory = tempDir('group-restart')
    const begun = await startHub()
    begun.add('owner/model', { files: { ...files, 'old.json': textContent('{}') } })
    {
      begun.cdnBehaviour = slow
      await using manager = managerOf(begun, directory, inFiles)
      const download = await manager.download({ url: ref })
      await waitFor(() => download.group?.completed === 4, { what: 'the small files' })
      await manager.close()
    }
    await begun[Symbol.asyncDispose]()
    // The first commit no longer exists.
    await using hub = await startHub()
    hub.add('owner/model', { files: next })
    await using manager = managerOf(hub, directory, inFiles)
    const lines: string[] = []
    manager.on('log', ({ message }) => lines.push(message))
    await manager.ready
    await manager.get(ref)?.finished
    await expectFiles(join(directory, 'model'), next)
    expect(lines.join('\n')).toMatch(/no longer has the revision/)
    expect(lines.join('\n')).toMatch(/source has changed/)
  })

  it('a file that was changed or deleted meanwhile is fetched again, the others are not', async () => {
    await using hub = await startHub()
    const directory = tempDir('group-restart')
    hub.add('owner/model', { files })
    {
      await using manager = managerOf(hub, directory, inFiles)
      await arrives(await manager.download({ url: ref }))
    }
    await writeFile(join(directory, 'model', 'a.bin'), 'short')
    hub.origin.clearRequests()
    await using manager = managerOf(hub, directory, inFiles)
    await arrives(await manager.download({ url: ref }))
    await expectFiles(join(directory, 'model'), files)
    const asked = hub.origin.requests().filter(({ path }) => path.includes('/resolve/'))
    expect(asked.map(({ path }) => path.slice(path.lastIndexOf('/') + 1))).toEqual(['a.bin'])
  })

  it('what is missing of a failed one is still known, and retried', async () => {
    await using hub = await startHub()
    const directory = tempDir('group-restart')
    hub.add('owner/model', { files })
    hub.cdnBehaviour = { status: 404 }
    {
      await using manager = managerOf(hub, directory, inFiles)
      await fails(await manager.download({ url: ref }))
    }
    hub.cdnBehaviour = {}
    await using manager = managerOf(hub, directory, inFiles)
    await manager.ready
    const download = manager.get(ref)
    if (download === undefined) throw new Error('It is forgotten.')
    expect(statesOf(download)).toMatchObject({ 'a.bin': 'failed', 'config.json': 'completed' })
    const error = await fails(download)
    expect(error.issues.map(({ path }) => path)).toEqual(['a.bin', 'b.bin'])
    await download.retry()
    await arrives(download)
    await expectFiles(join(directory, 'model'), files)
  })

  it('the record holds neither tokens nor addresses', async () => {
    await using hub = await startHub()
    const directory = tempDir('group-restart')
    hub.add('owner/model', { files, gated: 'manual' })
    hub.allow('hf_canary', ['owner/model'])
    await using manager = managerOf(hub, directory, { ...inFiles, token: 'hf_canary' })
    await arrives(await manager.download({ url: ref }))
    await manager.close()
    const folder = join(directory, '.model-downloader')
    const [name = ''] = (await readdir(folder)).filter((one) => one.endsWith('.json'))
    const text = await readFile(join(folder, name), 'utf8')
    expect(text).toContain('tokenizer.json')
    expect(text).not.toMatch(/hf_canary|https?:|Signature/)
    const seen = JSON.stringify(hub.cdn.requests().map(({ headers }) => headers))
    expect(seen).not.toContain('hf_canary')
  })
})

describe('a source that knows no revisions', () => {
  it('goes on with a group by sizes and digests', async () => {
    await using origin = await startOrigin()
    for (const [path, content] of Object.entries(files)) origin.serve(`/${path}`, { content })
    origin.serve('/b.bin', { content: files['b.bin'], ...slow })
    const source: Source = {
      name: 'mine',
      match: (text) => text.startsWith('mine:'),
      resolve: () =>
        Promise.resolve({
          files: Object.entries(files).map(([path, { size }]) => ({
            filename: path,
            urls: [origin.url(`/${path}`)],
            size,
            headers: {},
          })),
        }),
    }
    const directory = tempDir('group-restart')
    const open = () => makeManager(directory, { sources: [source], ...inFiles })
    {
      await using manager = open()
      const download = await manager.download({ url: 'mine:model' })
      await waitFor(() => download.group?.completed === 3, { what: 'the small files' })
      await manager.close()
    }
    origin.serve('/b.bin', { content: files['b.bin'] })
    origin.clearRequests()
    // Its time has changed, but it still has the expected size.
    await utimes(join(directory, 'model', 'a.bin'), 1, 1)
    await using manager = open()
    await manager.ready
    await manager.get('mine:model')?.finished
    await expectFiles(join(directory, 'model'), files)
    expect(origin.requests('/a.bin')).toEqual([])
    expect(await listTree(directory)).toContain('model/a.bin')
  })
})

/** Finished downloads whose source has moved on: what is noticed, and what an update fetches. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DownloadManager, huggingFace } from '../../src/index.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'

const kept = {
  'README.md': textContent('# A model'),
  'model.safetensors.index.json': textContent('{"weight_map":{}}'),
  'model.bin': randomContent(40_000, 'model'),
}
const before = { ...kept, 'config.json': textContent('{"a":1}'), 'old.txt': textContent('gone soon') }
const after = { ...kept, 'config.json': textContent('{"a":2}'), 'new.txt': textContent('new') }

const isFile = ({ path }: { path: string }) => path.includes('/resolve/') || !path.startsWith('/api/')

describe('a group whose branch has moved', () => {
  const layouts = ['flat', 'hf-cache'] as const
  it.each(layouts)('is noticed, and only what has changed is fetched (%s)', async (layout) => {
    await using hub = await startHub()
    const first = hub.add('owner/model', { files: before })
    const directory = tempDir('upstream')
    const options = {
      directory,
      layout,
      sources: [huggingFace({ endpoint: hub.url, token: null })],
      worker: false,
    }
    const url = 'hf:owner/model'
    {
      await using manager = new DownloadManager(options)
      await (
        await manager.download({ url })
      ).finished
      expect(await manager.check(url)).toMatchObject({ status: 'current', by: 'revision', revision: first })
      expect(await manager.outdated()).toEqual([])
    }
    // Another commit with the same files.
    const same = hub.commit('owner/model', before)
    // A restart in between: what is needed is in the record.
    await using manager = new DownloadManager(options)
    expect(await manager.check(url)).toMatchObject({
      status: 'current',
      by: 'digest',
      latestRevision: same,
    })
    const second = hub.commit('owner/model', after)
    const [check, ...others] = await manager.outdated()
    expect(others).toEqual([])
    expect(check).toMatchObject({
      url,
      status: 'outdated',
      by: 'digest',
      revision: first,
      latestRevision: second,
      changes: [
        { filename: 'config.json', change: 'changed', size: 7 },
        { filename: 'new.txt', change: 'added', size: 3 },
        { filename: 'old.txt', change: 'removed', size: null },
      ],
      bytes: 10,
      error: null,
    })
    const seen = hub.origin.requests().length
    const download = await manager.update(url)
    const { fetchedBytes, path } = await download.finished
    expect(fetchedBytes).toBe(10)
    const fetched = hub.origin
      .requests()
      .slice(seen)
      .flatMap(({ path: at }) => /\/resolve\/[^/]+\/(.+)$/.exec(at)?.[1] ?? [])
    expect(fetched.sort()).toEqual(['config.json', 'new.txt'])
    expect(hub.cdn.requests()).toHaveLength(1)
    expect(readFileSync(join(path, 'config.json'), 'utf8')).toBe('{"a":2}')
    expect(await manager.check(url)).toMatchObject({ status: 'current', revision: second })
  })

  it('reads small files of records that do not know their ids in git, instead of fetching them', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: before })
    const directory = tempDir('upstream')
    const sources = [huggingFace({ endpoint: hub.url, token: null })]
    const url = 'hf:owner/model'
    {
      await using manager = new DownloadManager({ directory, sources, worker: false })
      await (
        await manager.download({ url })
      ).finished
      await manager.close()
      const { id } = manager.list()[0]?.record ?? { id: '' }
      const file = join(directory, '.model-downloader', `${id}.json`)
      writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/"gitOid":"[0-9a-f]{40}",?/g, ''))
    }
    hub.commit('owner/model', after)
    await using manager = new DownloadManager({ directory, sources, worker: false })
    const { changes } = await manager.check(url)
    expect(changes.map(({ filename }) => filename)).toEqual(['config.json', 'new.txt', 'old.txt'])
    const { fetchedBytes } = await (await manager.update(url)).finished
    expect(fetchedBytes).toBe(10)
  })

  it.each(layouts)('fetches nothing of files that have other names now (%s)', async (layout) => {
    await using hub = await startHub()
    const [one, other, same] = [
      randomContent(50_000, 'one'),
      randomContent(60_000, 'other'),
      kept['model.bin'],
    ]
    const config = kept['README.md']
    const files = (names: Record<string, typeof one>) => ({ files: { ...names, 'README.md': config } })
    hub.add('owner/model', files({ 'a.bin': one, 'old/b.bin': other, 'c.bin': same }))
    const directory = tempDir('upstream')
    const sources = [huggingFace({ endpoint: hub.url, token: null })]
    await using manager = new DownloadManager({ directory, layout, sources, worker: false })
    const url = 'hf:owner/model'
    const { path } = await (await manager.download({ url })).finished
    const now = { 'b.bin': other, 'new/a.bin': one, 'copy/a.bin': one, 'c.bin': same, 'about.md': config }
    hub.commit('owner/model', now)
    const seen = [hub.cdn, hub.origin].map((each) => each.requests().filter(isFile).length)
    const file = await (await manager.update(url)).finished
    expect(file.fetchedBytes).toBe(0)
    expect([hub.cdn, hub.origin].map((each) => each.requests().filter(isFile).length)).toEqual(seen)
    for (const [name, content] of Object.entries(now))
      expect(readFileSync(join(file.path, name)).equals(content.slice(0, content.size)), name).toBe(true)
    // What was complete once stays, and is not shared with the new file.
    if (layout === 'flat') {
      expect(readFileSync(join(path, 'a.bin')).length).toBe(one.size)
      writeFileSync(join(path, 'a.bin'), 'mine')
      expect(readFileSync(join(path, 'new/a.bin')).length).toBe(one.size)
    }
    expect(await manager.check(url)).toMatchObject({ status: 'current' })
  })

  it('takes no file that is another one by now for what was renamed', async () => {
    await using hub = await startHub()
    const one = randomContent(50_000, 'one')
    hub.add('owner/model', { files: { 'a.bin': one, ...kept } })
    const sources = [huggingFace({ endpoint: hub.url, token: null })]
    await using manager = new DownloadManager({ directory: tempDir('upstream'), sources, worker: false })
    const url = 'hf:owner/model'
    const { path } = await (await manager.download({ url })).finished
    writeFileSync(join(path, 'a.bin'), randomContent(50_000, 'mine').slice(0, 50_000))
    hub.commit('owner/model', { 'b.bin': one, ...kept })
    expect((await (await manager.update(url)).finished).fetchedBytes).toBe(50_000)
    expect(readFileSync(join(path, 'b.bin')).equals(one.slice(0, one.size))).toBe(true)
  })

  it('and one small file: it is fetched again only if it is another one', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: before })
    await using manager = new DownloadManager({
      directory: tempDir('upstream'),
      sources: [huggingFace({ endpoint: hub.url, token: null })],
      worker: false,
    })
    const url = 'hf:owner/model/config.json'
    await (
      await manager.download({ url, filename: 'mine.json' })
    ).finished
    hub.commit('owner/model', { ...before, 'new.txt': textContent('new') })
    expect(await manager.check(url)).toMatchObject({ status: 'current', by: 'digest' })
    hub.commit('owner/model', after)
    expect(await manager.check(url)).toMatchObject({ status: 'outdated', bytes: 7 })
    const { path } = await (await manager.update(url)).finished
    expect(readFileSync(path, 'utf8')).toBe('{"a":2}')
    hub.commit('owner/model', { 'README.md': textContent('only this') })
    expect(await manager.check(url)).toMatchObject({ status: 'gone', error: { code: 'NOT_FOUND' } })
    await expect(manager.update(url)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('a plain URL', () => {
  it('is outdated when its validator or its size has changed, and is replaced by an update', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content: randomContent(1_000, 1), etag: '"one"' })
    origin.serve('/b.bin', { content: randomContent(1_000, 1), etag: null, lastModified: null })
    await using manager = new DownloadManager({ directory: tempDir('upstream'), worker: false })
    const [a, b] = [origin.url('/a.bin'), origin.url('/b.bin')]
    for (const url of [a, b]) await (await manager.download({ url })).finished
    expect(await manager.check(a)).toMatchObject({ status: 'current', by: 'validator' })
    expect(await manager.check(b)).toMatchObject({ status: 'unknown', by: null, error: null })
    origin.serve('/a.bin', { content: randomContent(1_000, 2), etag: '"two"' })
    origin.serve('/b.bin', { content: randomContent(2_000, 2), etag: null, lastModified: null })
    const checks: string[] = []
    const outdated = await manager.outdated({ onCheck: ({ url }) => checks.push(url) })
    expect(outdated.map(({ url, by, bytes }) => [url, by, bytes])).toEqual([
      [a, 'validator', 1_000],
      [b, 'size', 2_000],
    ])
    expect(checks.sort()).toEqual([a, b].sort())
    const download = await manager.update(a)
    const { path } = await download.finished
    expect(readFileSync(path).equals(randomContent(1_000, 2).slice(0, 1_000))).toBe(true)
    expect(await manager.check(a)).toMatchObject({ status: 'current' })
    expect((await manager.update(a)).state).toBe('completed')
  })

  it('tells why nothing is known', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content: randomContent(1_000) })
    await using manager = new DownloadManager({
      directory: tempDir('upstream'),
      worker: false,
      tuning: { maxAttempts: 1 },
    })
    const url = origin.url('/a.bin')
    await expect(manager.check(url)).rejects.toMatchObject({ code: 'UNKNOWN_DOWNLOAD' })
    const download = await manager.download({ url })
    await download.finished
    origin.serve('/a.bin', { content: randomContent(1_000), status: 500 })
    expect(await manager.check(url)).toMatchObject({ status: 'unknown', error: { code: 'HTTP_ERROR' } })
    const aborted = manager.check(url, { signal: AbortSignal.abort() })
    await expect(aborted).rejects.toMatchObject({ code: 'CANCELED' })
    const pinned = await manager.download({
      url: `${url}?pinned`,
      sha256: randomContent(1_000).sha256(),
      filename: 'b',
    })
    await pinned.finished.catch(() => undefined)
    await expect(manager.check(`${url}?pinned`)).rejects.toMatchObject({ code: 'INVALID_STATE' })
    await manager.close()
    await expect(manager.check(url)).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

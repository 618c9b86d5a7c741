import { hash } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createFileStore, DownloadManager, type DownloadManagerOptions } from '../../src/index.js'
import { arrives, fails, fastTuning, KiB, MiB } from '../faults/harness.js'
import { recordOf } from '../store/conformance.js'
import { randomContent } from '../support/content.js'
import { type Resource, startOrigin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { EventLog } from './events.js'

const content = randomContent(256 * KiB)
/** A body that never comes to its end, however long a loaded machine takes for what happens meanwhile. */
const endless = {
  content: randomContent(4 * MiB),
  faults: [{ type: 'stallBody', afterBytes: MiB }],
} satisfies Resource
/** One connection, which waits for the rest of such a body. */
const patient = { connections: 1, tuning: { ...fastTuning, bodyTimeoutMs: 3_600_000 } }
const storeFolder = '.model-downloader'

function open(directory: string, options: DownloadManagerOptions = {}): DownloadManager {
  return new DownloadManager({ directory, defaultMode: null, proxy: false, tuning: fastTuning, ...options })
}

const filenames = (manager: DownloadManager) => manager.list().map((download) => download.filename)

describe('after a restart', () => {
  it('unfinished downloads go on by themselves, in order, from their bytes; paused ones stay paused', async () => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    const names = ['done', 'lost', 'running', 'waiting', 'paused', 'urgent']
    for (const name of names) if (name !== 'lost') origin.serve(`/${name}.bin`, { content })
    origin.serve('/running.bin', endless)
    const url = (name: string) => origin.url(`/${name}.bin`)
    let kept: number
    {
      await using manager = open(directory, { concurrency: 1, ...patient })
      await arrives(await manager.download({ url: url('done') }))
      await fails(await manager.download({ url: url('lost') }))
      const running = await manager.download({ url: url('running') })
      for (const name of ['waiting', 'paused']) await manager.download({ url: url(name) })
      await manager.download({ url: url('urgent'), priority: 1 })
      await manager.pause(url('paused'))
      await waitFor(() => running.current.downloaded > 512 * KiB, { what: 'some bytes' })
      await manager.close()
      kept = running.current.downloaded
    }
    origin.serve('/running.bin', { content: endless.content })
    origin.clearRequests()

    await using manager = open(directory, { concurrency: 1 })
    const log = new EventLog(manager)
    await manager.ready
    expect(filenames(manager)).toEqual(names.map((name) => `${name}.bin`))
    const [done, lost, running, , paused] = manager.list()
    expect(running?.current.downloaded).toBe(kept)
    await withTimeout(manager.onIdle(), 10_000, 'onIdle')
    const states = ['completed', 'failed', 'completed', 'completed', 'paused', 'completed']
    expect(manager.list().map((download) => download.state)).toEqual(states)
    // Priority outranks arrival, also then.
    expect(log.order('started')).toEqual(['urgent.bin', 'running.bin', 'waiting.bin'])
    expect((await running?.finished)?.fetchedBytes).toBe(endless.content.size - kept)
    expect(origin.requests('/done.bin')).toEqual([])
    await expect(done?.finished).resolves.toMatchObject({ sha256: content.sha256(), existed: true })
    expect(done?.current.percent).toBe(100)
    await expect(lost?.finished).rejects.toMatchObject({ code: 'NOT_FOUND', status: 404 })
    await paused?.resume()
    await withTimeout(manager.onIdle(), 5_000, 'onIdle')
    expect(paused?.state).toBe('completed')
  })

  it.each([
    { where: 'in its folder', mode: null, remote: null },
    {
      where: 'of a remote caller',
      mode: 'llm',
      remote: { allowPrivateNetwork: true, allowedHosts: ['127.0.0.1'] },
    },
  ])('a download $where goes on although its record is empty', async ({ mode, remote }) => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    const url = origin.url('/model.bin')
    origin.serve('/model.bin', endless)
    const options = { url, mode, sha256: endless.content.sha256(), ...(remote === null ? {} : { remote }) }
    let kept: number
    {
      await using manager = open(directory, patient)
      const download = await manager.download(options)
      await waitFor(() => download.current.downloaded > 512 * KiB, { what: 'some bytes' })
      await manager.close()
      kept = download.current.downloaded
    }
    const [record = ''] = await readdir(join(directory, storeFolder))
    await writeFile(join(directory, storeFolder, record), '')
    origin.serve('/model.bin', { content: endless.content })

    await using manager = open(directory)
    const log = new EventLog(manager)
    await manager.ready
    const [download, ...others] = manager.list()
    expect(others).toEqual([])
    expect(download?.record).toMatchObject({ url, mode, remote, sha256: options.sha256 })
    expect((await download?.finished)?.fetchedBytes).toBe(endless.content.size - kept)
    expect(log.logs.map(({ message }) => message).join()).toContain('was restored from the journal')
  })

  it('a download is restored for a remote caller when its journal does not say for whom it is', async () => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    const url = origin.url('/model.bin')
    const journal = {
      ...{ version: 1, url, sha256: null, bootId: '', writer: 'w', inode: '1', publishing: null },
      identity: { total: 10, etag: null, lastModified: null, lastModifiedStrong: false },
      ...{ written: [[0, 5]], synced: [[0, 5]] },
    }
    await mkdir(join(directory, storeFolder))
    await writeFile(join(directory, storeFolder, `${hash('sha256', url)}.json`), '')
    await writeFile(join(directory, 'model.bin.part.json'), JSON.stringify(journal))
    await using manager = open(directory)
    await manager.ready
    const [download] = manager.list()
    await expect(download?.finished).rejects.toMatchObject({ code: 'SSRF_BLOCKED' })
    expect(origin.requests()).toEqual([])
  })

  it('without autoResume all that is unfinished is paused', async () => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    origin.serve('*', { content })
    const store = createFileStore(join(directory, storeFolder))
    for (const [sequence, state] of (['queued', 'downloading', 'verifying', 'paused'] as const).entries()) {
      const url = origin.url(`/${sequence}.gguf`)
      await store.save(recordOf(sequence, { url, state, filename: `${sequence}.bin`, mode: null }))
    }
    await using manager = open(directory, { autoResume: false })
    await withTimeout(manager.onIdle(), 5_000, 'onIdle')
    expect(manager.list().map((download) => download.state)).toEqual(Array(4).fill('paused'))
    expect(origin.requests()).toEqual([])
    const first = await manager.resume(origin.url('/0.gguf'))
    const file = await arrives(first)
    expect(file).toMatchObject({ path: join(directory, '0.bin'), sha256: content.sha256() })
  })

  it.each(['resolving', 'downloading', 'verifying'] as const)(
    'what a killed process left as %s goes on',
    async (state) => {
      const directory = tempDir('restart')
      await using origin = await startOrigin()
      origin.serve('/a.bin', { content })
      const store = createFileStore(join(directory, storeFolder))
      await store.save(recordOf(1, { url: origin.url('/a.bin'), state, filename: 'a.bin', mode: null }))
      await using manager = open(directory)
      await manager.ready
      const [download] = manager.list()
      if (download === undefined) throw new Error('It is not known.')
      await arrives(download)
    },
  )

  it('later downloads come after those of before', async () => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    for (const name of ['a', 'b']) origin.serve(`/${name}.bin`, { content })
    {
      await using manager = open(directory)
      await arrives(await manager.download({ url: origin.url('/a.bin') }))
    }
    await using manager = open(directory)
    // No need to wait for `ready`: the method does.
    await manager.download({ url: origin.url('/b.bin') })
    expect(filenames(manager)).toEqual(['a.bin', 'b.bin'])
  })

  it('a finished one whose file is gone is listed as it was, and fetched when it is asked for', async () => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    {
      await using manager = open(directory)
      await arrives(await manager.download({ url }))
    }
    await unlink(join(directory, 'a.bin'))
    await using manager = open(directory)
    await manager.ready
    expect(manager.get(url)?.state).toBe('completed')
    const file = await arrives(await manager.download({ url }))
    expect(file).toMatchObject({ existed: false, size: content.size })
  })

  it('a finished one is not hashed again as long as its file is the same', async () => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content })
    const options = { url: origin.url('/a.bin'), sha256: content.sha256() }
    {
      await using manager = open(directory)
      await arrives(await manager.download(options))
    }
    origin.clearRequests()
    // Without read permission it is not read. (Root may read everything.)
    await chmod(join(directory, 'a.bin'), 0o000)
    await using manager = open(directory)
    const file = await arrives(await manager.download(options))
    expect(file).toMatchObject({ existed: true, verified: true, sha256: content.sha256() })
    expect(origin.requests()).toEqual([])
  })

  it('a removed one stays forgotten', async () => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content })
    {
      await using manager = open(directory)
      const download = await manager.download({ url: origin.url('/a.bin') })
      await arrives(download)
      await manager.remove(download.url)
    }
    await using manager = open(directory)
    await manager.ready
    expect(manager.list()).toEqual([])
    expect(await listTree(directory)).toEqual([`${storeFolder}/`, 'a.bin'])
  })

  it('headers are still there: they lie in a file that only the owner may read, and are sent again', async () => {
    const directory = tempDir('restart')
    await using origin = await startOrigin()
    const auth = 'Bearer secret token'
    origin.serve('/a.bin', { ...endless, auth })
    {
      await using manager = open(directory, patient)
      const url = origin.url('/a.bin')
      const download = await manager.download({ url, headers: { Authorization: auth } })
      await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    }
    const folder = join(directory, storeFolder)
    const [name, ...more] = await readdir(folder)
    if (name === undefined) throw new Error('There is no record.')
    expect(more).toEqual([])
    expect(await readFile(join(folder, name), 'utf8')).toContain(auth)
    expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    origin.serve('/a.bin', { content: endless.content, auth })
    origin.clearRequests()
    await using manager = open(directory)
    await withTimeout(manager.onIdle(), 5_000, 'onIdle')
    expect(manager.list()[0]?.state).toBe('completed')
    for (const request of origin.requests()) expect(request.headers['authorization']).toBe(auth)
  })
})

describe('records', () => {
  it('that are corrupt are set aside and logged; the others are there', async () => {
    const directory = tempDir('restart')
    const folder = join(directory, storeFolder)
    const store = createFileStore(folder)
    const good = recordOf(1, { state: 'completed' })
    await store.save(good)
    const bad = ['a', 'b', 'c'].map((letter) => letter.repeat(64))
    await writeFile(join(folder, `${bad[0]}.json`), '')
    await writeFile(join(folder, `${bad[1]}.json`), '{"version":1,')
    await writeFile(join(folder, `${bad[2]}.json`), JSON.stringify({ ...good, id: bad[2], version: 9 }))
    await using manager = open(directory)
    const log = new EventLog(manager)
    await manager.ready
    expect(manager.list().map((download) => download.url)).toEqual([good.url])
    expect(log.logs.map(({ level, download }) => [level, download])).toEqual(
      Array(3).fill(['warn', undefined]),
    )
    for (const [index, id] of bad.entries())
      expect(log.logs[index]?.message).toContain(`${id}.json was set aside as ${id}.json.corrupt`)
    const expected = [`${good.id}.json`, ...bad.map((id) => `${id}.json.corrupt`)]
    expect((await readdir(folder)).sort()).toEqual(expected.sort())
  })

  it('by the thousand are all loaded, in order', async () => {
    const directory = tempDir('restart')
    const folder = join(directory, storeFolder)
    await mkdir(folder, { recursive: true })
    const records = Array.from({ length: 1_000 }, (_, sequence) => recordOf(sequence, { state: 'completed' }))
    await Promise.all(
      records.map((record) => writeFile(join(folder, `${record.id}.json`), JSON.stringify(record))),
    )
    await using manager = open(directory)
    await manager.ready
    expect(manager.list().map((download) => download.url)).toEqual(records.map((record) => record.url))
  })
})

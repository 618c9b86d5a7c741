import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { Catalog, type CatalogModel } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import type { Run } from '../../src/catalog/run.js'
import { DownloadManager } from '../../src/manager/manager.js'
import { createFileStore } from '../../src/store/file.js'
import { createMemoryStore } from '../../src/store/memory.js'
import type { DownloadStore } from '../../src/store/store.js'
import { ggufContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { dist, spawnNode } from '../support/process.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { messagesIn, open } from './support.js'

const small = ggufContent(300_000)
const five = ['a', 'b', 'c', 'd', 'e']

/** The stored state. */
const documentIn = (directory: string): { run: Run; logs: string[] } =>
  // Written by the preloader, and checked by it when it is read.
  JSON.parse(readFileSync(join(directory, '.model-downloader', 'preload.json'), 'utf8')) as never

const modelsAt = (origin: Origin, keys: readonly string[]): CatalogModel[] =>
  keys.map((key) => ({ key, url: origin.url(`/${key}.gguf`) }))

describe('a preload whose process is killed', () => {
  it('goes on by itself, fetches nothing from the start, and its status and log continue', async () => {
    await using origin = await startOrigin()
    const content = ggufContent(4_000_000)
    for (const key of five) origin.serve(`/${key}.gguf`, { content, bytesPerSecond: 2_500_000 })
    const directory = tempDir()
    const catalog = join(tempDir(), 'models.json')
    writeFileSync(catalog, JSON.stringify(modelsAt(origin, five)))
    const script = join(tempDir(), 'child.mjs')
    writeFileSync(
      script,
      `import { Catalog, DownloadManager, Preloader } from ${JSON.stringify(pathToFileURL(join(dist, 'index.js')).href)}
      const manager = new DownloadManager({ directory: ${JSON.stringify(directory)}, concurrency: 2, connections: 1 })
      const catalog = await Catalog.fromFile(${JSON.stringify(catalog)})
      const preloader = new Preloader({ manager, catalog })
      await preloader.ready
      if (process.argv[2] === 'start') await preloader.start()
      const { downloads, ...status } = await preloader.finished()
      console.log(JSON.stringify(status))
      await preloader.close()
      await manager.close()`,
    )
    const sent = (key: string) =>
      origin.requests(`/${key}.gguf`).reduce((total, request) => total + request.bytesSent, 0)
    // Killed when the first is complete, the second has begun and the others are waiting.
    await using first = spawnNode(script, ['start'])
    await waitFor(() => sent('a') + sent('b') + sent('c') > 2.4 * content.size, {
      timeoutMs: 20_000,
      what: 'bytes of the third file',
    })
    await first.kill()
    const before = documentIn(directory)
    expect(before.run).toMatchObject({ outcome: 'running', finishedAt: null })
    const asked = origin.requests().length
    const started = five.filter((key) => sent(key) > 1_000_000)

    await using second = spawnNode(script)
    const { stdout } = await second.finished(20_000)
    const status = JSON.parse(stdout) as { logs: string[]; started_at: string }
    expect(status).toMatchObject({
      running: false,
      success_flag: true,
      return_code: 0,
      error: null,
      completed: 5,
      total: 5,
      progress: 100,
      started_at: before.run.startedAt,
    })
    expect(status.logs.slice(0, before.logs.length)).toEqual(before.logs)
    expect(
      status.logs.filter((line) => /\[preload\] resumed after a restart: \d of 5 completed$/.test(line)),
    ).toHaveLength(1)
    for (const key of five)
      expect(await sha256File(join(directory, 'llm', `${key}.gguf`))).toBe(content.sha256())
    // No file that had begun was requested from its first byte again, and hardly any byte was sent twice.
    expect(started.length).toBeGreaterThanOrEqual(2)
    const again = origin.requests().slice(asked)
    for (const { path, range } of again)
      if (started.includes(path.slice(1, 2))) expect(range?.start).toBeGreaterThan(0)
    const total = five.reduce((sum, key) => sum + sent(key), 0)
    expect(total - 5 * content.size).toBeLessThan(2 * content.size)
    expect((await listTree(join(directory, 'llm'))).sort()).toEqual(five.map((key) => `${key}.gguf`))
  })

  it('ends well whatever the last thing was that was written down', async () => {
    await using origin = await startOrigin()
    const keys = ['a', 'b', 'c']
    for (const key of keys) origin.serve(`/${key}.gguf`, { content: small })
    const catalog = new Catalog(modelsAt(origin, keys))
    let writes = Infinity
    // Every step of the beginning, where the order matters most; then every third.
    for (let limit = 0; limit < writes; limit += limit < 6 ? 1 : 3) {
      const directory = tempDir()
      const store = mortalStore(createFileStore(join(directory, '.model-downloader')), limit)
      const manager = new DownloadManager({ directory, store, concurrency: 2 })
      const preloader = new Preloader({ manager, catalog })
      await preloader.ready
      const end = preloader.start({ force: limit % 2 === 1 }).then(() => preloader.finished())
      await withTimeout(Promise.race([end, store.died]), 10_000, 'the end or the death')
      if (store.writes < limit) writes = store.writes
      const closed = preloader.close().then(() => manager.close())
      await withTimeout(closed, 10_000, 'closing')

      await using scene = await open(catalog, { directory })
      const status = await scene.end()
      // Killed before the start was stored: there was no run.
      if (limit === 0) expect(status).toMatchObject({ running: false, started_at: null })
      else expect(status).toMatchObject({ success_flag: true, completed: 3, total: 3, progress: 100 })
      if (limit > 0)
        for (const key of keys)
          expect(await sha256File(join(directory, 'llm', `${key}.gguf`))).toBe(small.sha256())
    }
    // The start, the requests for three models, and the end of each.
    expect(writes).toBeGreaterThan(6)
  }, 60_000)
})

/** A store that stops writing after the given number of writes, like a process that has died. */
function mortalStore(
  store: DownloadStore,
  limit: number,
): DownloadStore & { died: Promise<void>; writes: number } {
  let die: () => void = () => undefined
  const died = new Promise<void>((resolve) => (die = resolve))
  const mortal = {
    died,
    writes: 0,
    load: () => store.load(),
    save: (record: Parameters<DownloadStore['save']>[0]) => write(() => store.save(record)),
    remove: (id: string) => write(() => store.remove(id)),
    readDocument: async (name: string) =>
      (await store.readDocument?.(name)) ?? { value: null, problem: null },
    writeDocument: (name: string, value: unknown) =>
      write(async () => {
        await store.writeDocument?.(name, value)
      }),
    close: async () => {
      await store.close?.()
    },
  }
  async function write(run: () => Promise<void>): Promise<void> {
    if (mortal.writes >= limit) {
      die()
      return
    }
    mortal.writes += 1
    await run()
  }
  return mortal
}

describe('after a restart', () => {
  it('the status of a finished run stays readable, failed or not', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const directory = tempDir()
    const models = modelsAt(origin, ['a', 'b'])
    let before
    {
      await using scene = await open(models, { directory })
      await scene.preloader.start()
      before = await scene.end()
      expect(before).toMatchObject({ success_flag: false })
    }
    await using scene = await open(models, { directory })
    const after = scene.preloader.status()
    expect({ ...after, downloads: null }).toEqual({ ...before, downloads: null })
    expect(Object.keys(after.downloads ?? {})).toEqual(['a', 'b'])
    expect(after.downloads?.['a']?.state).toBe('completed')
    expect(origin.requests('/a.gguf').length).toBeGreaterThan(0)
  })

  it('a run that was closed goes on; a model that somebody had paused stays so', async () => {
    await using origin = await startOrigin()
    for (const key of ['a', 'b', 'c'])
      origin.serve(`/${key}.gguf`, { content: small, bytesPerSecond: 300_000 })
    const directory = tempDir()
    const models = modelsAt(origin, ['a', 'b', 'c'])
    {
      await using scene = await open(models, { directory, concurrency: 1 })
      await scene.preloader.start()
      await waitFor(() => scene.manager.get(origin.url('/b.gguf')) !== undefined, { what: 'b' })
      await scene.manager.pause(origin.url('/b.gguf'))
      await waitFor(() => scene.preloader.status().current === 'a', { what: 'a to begin' })
    }
    expect(documentIn(directory).run.outcome).toBe('running')
    await using scene = await open(models, { directory, concurrency: 1 })
    expect(scene.preloader.status()).toMatchObject({ running: true, total: 3 })
    await waitFor(() => scene.preloader.status().completed === 2, { timeoutMs: 10_000, what: 'the others' })
    expect(scene.manager.get(origin.url('/b.gguf'))?.state).toBe('paused')
    await scene.manager.resume(origin.url('/b.gguf'))
    expect(await scene.end()).toMatchObject({ success_flag: true, completed: 3 })
  })

  it('a run goes on also when the manager resumes nothing by itself', async () => {
    await using origin = await startOrigin()
    for (const key of ['a', 'b']) origin.serve(`/${key}.gguf`, { content: small, bytesPerSecond: 300_000 })
    const directory = tempDir()
    const models = modelsAt(origin, ['a', 'b'])
    {
      await using scene = await open(models, { directory, concurrency: 1 })
      await scene.preloader.start()
      await waitFor(() => scene.manager.list().length === 2, { what: 'both to be asked for' })
    }
    await using scene = await open(models, { directory, concurrency: 1, autoResume: false })
    expect(await scene.end()).toMatchObject({ success_flag: true, completed: 2 })
  })

  it('nothing resumes without autoResume, and the next start does', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 300_000 })
    const directory = tempDir()
    const models = modelsAt(origin, ['a'])
    {
      await using scene = await open(models, { directory })
      await scene.preloader.start()
    }
    await using scene = await open(models, { directory, autoResume: false }, { autoResume: false })
    const status = scene.preloader.status()
    expect(status).toMatchObject({
      running: false,
      success_flag: false,
      return_code: 1,
      error: 'interrupted',
    })
    expect(messagesIn(status).at(-1)).toBe('[preload] interrupted by a restart')
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true })
  })

  it('a cancel that was under way is brought to its end', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 100_000 })
    const directory = tempDir()
    const models = modelsAt(origin, ['a', 'b'])
    {
      await using scene = await open(models, { directory, concurrency: 1 })
      await scene.preloader.start()
      await waitFor(() => scene.preloader.status().current === 'a', { what: 'a to begin' })
    }
    const file = join(directory, '.model-downloader', 'preload.json')
    const document = documentIn(directory)
    writeFileSync(file, JSON.stringify({ ...document, run: { ...document.run, outcome: 'canceling' } }))
    await using scene = await open(models, { directory, concurrency: 1 })
    expect(await scene.end()).toMatchObject({ success_flag: false, error: 'canceled' })
    expect(scene.manager.list().map((download) => download.state)).toEqual(['paused', 'paused'])
  })

  it('a forced run fetches nothing twice', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    origin.serve('/b.gguf', { content: small, bytesPerSecond: 200_000 })
    const directory = tempDir()
    const models = modelsAt(origin, ['a', 'b'])
    {
      await using scene = await open(models, { directory, concurrency: 1 })
      await scene.preloader.start({ force: true })
      await waitFor(() => scene.preloader.status().current === 'b', { what: 'b to begin' })
    }
    const file = join(directory, '.model-downloader', 'preload.json')
    // As if the process had died before it stored the request for `a`.
    writeFileSync(file, readFileSync(file, 'utf8').replace('"phase":"completed"', '"phase":"waiting"'))
    const before = origin.requests('/a.gguf').length
    await using scene = await open(models, { directory, concurrency: 1 })
    expect(await scene.end()).toMatchObject({ success_flag: true, completed: 2 })
    expect(origin.requests('/a.gguf')).toHaveLength(before)
  })

  it('a model whose URL is another one now is fetched from there, and one that is gone fails', async () => {
    await using origin = await startOrigin()
    for (const path of ['/1/a.gguf', '/2/a.gguf', '/b.gguf'])
      origin.serve(path, { content: small, bytesPerSecond: path.startsWith('/2') ? 1_000_000 : 30_000 })
    const directory = tempDir()
    const b = { key: 'b', url: origin.url('/b.gguf'), required: false }
    {
      await using scene = await open([{ key: 'a', url: origin.url('/1/a.gguf') }, b], { directory })
      await scene.preloader.start()
      await waitFor(() => scene.manager.list().length === 2, { what: 'both to be asked for' })
    }
    await using scene = await open([{ key: 'a', url: origin.url('/2/a.gguf') }], { directory })
    const status = await scene.end()
    expect(status).toMatchObject({ success_flag: true, completed: 1, total: 2 })
    expect(messagesIn(status)).toContain('[b] failed: it is no longer in the catalog')
    expect(scene.manager.get(origin.url('/1/a.gguf'))).toBeUndefined()
    expect(await sha256File(join(directory, 'llm', 'a.gguf'))).toBe(small.sha256())
  })

  it.each([
    ['torn', '{"version":1,"run":{'],
    ['of another shape', '{"version":1,"run":{"version":2},"logs":[]}'],
    ['not even an object', '7'],
  ])('a state that is %s is told of, and does no harm', async (_, text) => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const directory = tempDir()
    const models = modelsAt(origin, ['a'])
    {
      await using scene = await open(models, { directory })
      await scene.preloader.start()
      await scene.end()
    }
    writeFileSync(join(directory, '.model-downloader', 'preload.json'), text)
    const problems: string[] = []
    const manager = new DownloadManager({ directory })
    manager.on('log', ({ message }) => problems.push(message))
    const preloader = new Preloader({ manager, catalog: new Catalog(models) })
    await preloader.ready
    expect(problems).toEqual([expect.stringMatching(/preload/)])
    expect(preloader.status()).toMatchObject({ running: false, started_at: null, logs: [] })
    await preloader.start()
    expect(await preloader.finished()).toMatchObject({ success_flag: true })
    await preloader.close()
    await manager.close()
  })
})

describe('a store', () => {
  it('without documents keeps no state, and is no obstacle', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const memory = createMemoryStore()
    const store: DownloadStore = {
      load: () => memory.load(),
      save: (record) => memory.save(record),
      remove: (id) => memory.remove(id),
    }
    const directory = tempDir()
    {
      await using scene = await open(modelsAt(origin, ['a']), { directory, store })
      await scene.preloader.start()
      expect(await scene.end()).toMatchObject({ success_flag: true })
    }
    await using scene = await open(modelsAt(origin, ['a']), { directory, store })
    expect(scene.preloader.status()).toMatchObject({ running: false, started_at: null })
  })

  it('that cannot write refuses a start, and stops no run', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 300_000 })
    const memory = createMemoryStore()
    let broken = true
    const store: DownloadStore = {
      ...memory,
      writeDocument: async (name, value) => {
        if (broken) throw new Error('disk on fire')
        await memory.writeDocument?.(name, value)
      },
    }
    await using scene = await open(modelsAt(origin, ['a']), { directory: tempDir(), store })
    const problems: string[] = []
    scene.manager.on('log', ({ message }) => problems.push(message))
    await expect(scene.preloader.start()).rejects.toMatchObject({ code: 'STORE_ERROR' })
    expect(scene.preloader.status()).toMatchObject({ running: false, started_at: null })
    broken = false
    await scene.preloader.start()
    broken = true
    expect(await scene.end()).toMatchObject({ success_flag: true })
    expect(problems.filter((message) => message.includes('disk on fire'))).toHaveLength(1)
  })

  it('that cannot read makes every call fail, instead of forgetting the run', async () => {
    const store: DownloadStore = {
      ...createMemoryStore(),
      readDocument: () => Promise.reject(new Error('disk on fire')),
    }
    const manager = new DownloadManager({ directory: tempDir(), store })
    const preloader = new Preloader({ manager, catalog: new Catalog([]) })
    await expect(preloader.ready).rejects.toMatchObject({ code: 'STORE_ERROR' })
    await expect(preloader.start()).rejects.toMatchObject({ code: 'STORE_ERROR' })
    await preloader.close()
    await manager.close()
    await sleep(0)
  })
})

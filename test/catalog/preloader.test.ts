import { writeFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { Catalog } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import type { PreloadRunSnapshot, PreloaderOptions } from '../../src/catalog/options.js'
import { DownloadManager } from '../../src/manager/manager.js'
import { ggufContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { messagesIn, open } from './support.js'

const small = ggufContent(300_000)

describe('a preload', () => {
  it('brings all models that are fetched by themselves, and tells how', async () => {
    await using origin = await startOrigin()
    for (const name of ['a', 'b', 'c']) origin.serve(`/${name}.gguf`, { content: small })
    const directory = tempDir()
    const models = [
      { key: 'a', url: origin.url('/a.gguf'), sha256: small.sha256() },
      { key: 'b', url: origin.url('/b.gguf'), mode: 'embed', size: small.size },
      { key: 'c', url: origin.url('/c.gguf'), auto_download: false },
    ]
    await using scene = await open(models, { directory })
    const { preloader } = scene
    expect(preloader.status()).toEqual({
      running: false,
      started_at: null,
      finished_at: null,
      success_flag: null,
      return_code: null,
      error: null,
      output_dir: null,
      logs: [],
      current: null,
      completed: null,
      total: null,
      progress: null,
      downloads: null,
    })
    const started = await preloader.start()
    expect(started).toEqual({
      success: true,
      message: 'The preload of 2 models has started.',
      output_dir: directory,
      models: ['a', 'b'],
      force: false,
      started_at: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
    })
    expect(preloader.status()).toMatchObject({
      running: true,
      success_flag: null,
      return_code: null,
      total: 2,
    })
    const status = await scene.end()
    expect(status).toMatchObject({
      running: false,
      started_at: started.started_at,
      finished_at: expect.stringMatching(/Z$/),
      success_flag: true,
      return_code: 0,
      error: null,
      output_dir: directory,
      current: null,
      completed: 2,
      total: 2,
      progress: 100,
    })
    expect(Object.keys(status.downloads ?? {})).toEqual(['a', 'b'])
    expect(status.downloads?.['a']?.state).toBe('completed')
    expect(status.logs.every((line) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[\w+\] \S/.test(line))).toBe(true)
    const lines = messagesIn(status)
    expect(lines[0]).toBe(`[preload] started: 2 models to ${directory}`)
    expect(lines).toContain(`[a] downloading ${origin.url('/a.gguf')}`)
    expect(lines).toContain(`[b] completed: ${join(directory, 'embed', 'b.gguf')} (300 kB)`)
    expect(lines.at(-1)).toBe('[preload] finished: 2 of 2 completed')
    expect(await sha256File(join(directory, 'llm', 'a.gguf'))).toBe(small.sha256())
    expect((await listTree(directory)).filter((path) => /^(llm|embed)/.test(path))).toEqual([
      'embed/',
      'embed/b.gguf',
      'llm/',
      'llm/a.gguf',
    ])
  })

  it('counts a model that is right already at once, without the network', async () => {
    await using origin = await startOrigin()
    origin.serve('/slow.gguf', { content: small, bytesPerSecond: 200_000 })
    const directory = tempDir()
    mkdirSync(join(directory, 'llm'))
    writeFileSync(join(directory, 'llm', 'there.gguf'), small.slice(0, small.size))
    const models = [
      { key: 'slow', url: origin.url('/slow.gguf') },
      { key: 'there', url: origin.url('/there.gguf'), size: small.size },
    ]
    await using scene = await open(models, { directory, concurrency: 1 })
    await scene.preloader.start()
    expect(scene.preloader.status()).toMatchObject({ completed: 1, total: 2, progress: 50 })
    await scene.end()
    expect(origin.requests('/there.gguf')).toEqual([])
  })

  it('fetches the models that are named, also those that do not come by themselves', async () => {
    await using origin = await startOrigin()
    for (const name of ['a', 'b', 'c']) origin.serve(`/${name}.gguf`, { content: small })
    const models = ['a', 'b', 'c'].map((key) => ({
      key,
      url: origin.url(`/${key}.gguf`),
      auto_download: key === 'a',
    }))
    await using scene = await open(models, { directory: tempDir() })
    const { preloader } = scene
    const choose = async (request: Parameters<typeof preloader.start>[0]) => {
      const { models: keys } = await preloader.start(request)
      await scene.end()
      return keys
    }
    expect(await choose({ models: ['c', ' b ', 'c', ''] })).toEqual(['b', 'c'])
    expect(await choose({})).toEqual(['a'])
    expect(await choose({ models: [] })).toEqual(['a'])
    expect(await choose({ models: 'all' })).toEqual(['a'])
    expect(await choose({ models: ['all'] })).toEqual(['a'])
    await expect(preloader.start({ models: ['a', 'x', 'y'] })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      issues: [
        { path: 'models', message: 'the catalog has no model "x"' },
        { path: 'models', message: 'the catalog has no model "y"' },
      ],
    })
    // What a caller in plain JavaScript may give.
    const odd = { models: 'a,b' } as unknown as { models: 'all' }
    await expect(preloader.start(odd)).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
  })

  it('ends at once when there is nothing to fetch', async () => {
    await using scene = await open([], { directory: tempDir() })
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true, return_code: 0, total: 0, progress: 100 })
  })

  it('runs once at a time', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 300_000 })
    await using scene = await open([{ key: 'a', url: origin.url('/a.gguf') }], { directory: tempDir() })
    const starts = await Promise.allSettled([1, 2, 3].map(() => scene.preloader.start()))
    expect(starts.map((start) => start.status)).toEqual(['fulfilled', 'rejected', 'rejected'])
    await expect(scene.preloader.start()).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await scene.end()).toMatchObject({ success_flag: true })
    await scene.preloader.start()
    expect((await scene.end()).logs).toHaveLength(3)
  })

  it('fails with a required model, and not with another', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const model = (key: string, required: boolean) => ({ key, url: origin.url(`/${key}.gguf`), required })
    await using scene = await open([model('a', true), model('b', false)], { directory: tempDir() })
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({
      success_flag: true,
      return_code: 0,
      error: null,
      completed: 1,
      total: 2,
      progress: 50,
    })
    await using strict = await open([model('a', true), model('b', true)], { directory: tempDir() })
    await strict.preloader.start()
    const status = await strict.end()
    expect(status).toMatchObject({ success_flag: false, return_code: 1, completed: 1 })
    expect(status.error).toMatch(/^1 of 2 models failed: b: .*404/)
    expect(messagesIn(status).at(-1)).toBe('[preload] failed: b')
    expect(status.downloads?.['b']?.state).toBe('failed')
  })

  it('goes on while somebody tries a failed model again', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 200_000 })
    const models = ['a', 'b'].map((key) => ({ key, url: origin.url(`/${key}.gguf`) }))
    await using scene = await open(models, { directory: tempDir() })
    await scene.preloader.start()
    const other = origin.url('/b.gguf')
    await waitFor(() => scene.manager.get(other)?.state === 'failed', { what: 'b to fail' })
    origin.serve('/b.gguf', { content: small })
    await scene.manager.retry(other)
    expect(await scene.end()).toMatchObject({ success_flag: true, completed: 2 })
  })

  it('waits for a model that somebody paused, and counts one that somebody took away as canceled', async () => {
    await using origin = await startOrigin()
    for (const name of ['a', 'b']) origin.serve(`/${name}.gguf`, { content: small, bytesPerSecond: 300_000 })
    const models = ['a', 'b'].map((key) => ({ key, url: origin.url(`/${key}.gguf`), required: key === 'a' }))
    await using scene = await open(models, { directory: tempDir() })
    await scene.preloader.start()
    const a = origin.url('/a.gguf')
    await waitFor(() => scene.manager.get(a)?.state === 'downloading', { what: 'a to begin' })
    await scene.manager.pause(a)
    await scene.manager.remove(origin.url('/b.gguf'))
    expect(scene.preloader.status()).toMatchObject({ running: true, completed: 0 })
    await scene.manager.resume(a)
    const status = await scene.end()
    expect(status).toMatchObject({ success_flag: true, completed: 1 })
    const lines = messagesIn(status)
    expect(lines).toEqual(expect.arrayContaining(['[a] paused', '[a] resumed', '[b] canceled']))
  })

  it('fetches again when told to, and keeps the old file until the new one is there', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const directory = tempDir()
    await using scene = await open([{ key: 'a', url: origin.url('/a.gguf') }], { directory })
    await scene.preloader.start()
    await scene.end()
    const next = ggufContent(300_000, 'next')
    origin.serve('/a.gguf', { content: next })
    await scene.preloader.start()
    await scene.end()
    expect(await sha256File(join(directory, 'llm', 'a.gguf'))).toBe(small.sha256())
    expect(await scene.preloader.start({ force: true })).toMatchObject({ force: true })
    await scene.end()
    expect(await sha256File(join(directory, 'llm', 'a.gguf'))).toBe(next.sha256())
  })

  it('keeps the secrets of URLs to itself', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, faults: [{ type: 'status', status: 503, times: 2 }] })
    const signed = (path: string) => `${origin.url(path).replace('//', '//me:pa55word@')}?X-Signature=s3cret`
    const models = [
      { key: 'a', url: signed('/a.gguf') },
      { key: 'b', url: signed('/missing.gguf') },
    ]
    await using scene = await open(models, { directory: tempDir() })
    const told: unknown[] = []
    scene.preloader.on('log', (event) => told.push(event))
    scene.preloader.on('status', (status) => told.push({ ...status, downloads: null }))
    await scene.preloader.start()
    const status = await scene.end()
    const text = JSON.stringify([told, { ...status, downloads: null }, await scene.preloader.modelsStatus()])
    expect(text).not.toMatch(/s3cret|pa55word/)
    expect(text).toContain('/a.gguf?…')
  })

  it('keeps 500 lines', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 300_000 })
    const url = origin.url('/a.gguf')
    await using scene = await open([{ key: 'a', url }], { directory: tempDir() })
    await scene.preloader.start()
    const download = await waitFor(() => scene.manager.get(url))
    if (download === undefined) throw new Error('No download.')
    for (let i = 0; i < 600; i++)
      scene.manager.emit('log', { download, level: 'info', message: `line ${i}\n\u001b[31mred` })
    const { logs } = scene.preloader.status()
    expect(logs).toHaveLength(500)
    expect(logs.at(-1)).toMatch(/Z \[a\] line 599 \[31mred$/)
    expect((await scene.end()).logs).toHaveLength(500)
  })

  it('speaks Chinese', async () => {
    await using origin = await startOrigin()
    const directory = tempDir()
    const models = [{ key: 'a', url: origin.url('/a.gguf') }]
    await using scene = await open(models, { directory }, { locale: 'zh-CN' })
    expect((await scene.preloader.start()).message).toBe('已开始预下载 1 个模型。')
    const status = await scene.end()
    expect(status.error).toMatch(/^共 1 个模型，1 个失败：a/)
    expect(messagesIn(status)[0]).toBe(`[preload] 已开始：1 个模型，保存到 ${directory}`)
    await expect(scene.preloader.start({ models: ['x'] })).rejects.toMatchObject({
      message: 'models: 模型清单中没有模型 "x"',
    })
  })

  it('tells its status and its log as they come, and cannot be hurt by who listens', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: ggufContent(600_000), bytesPerSecond: 600_000 })
    await using scene = await open([{ key: 'a', url: origin.url('/a.gguf') }], { directory: tempDir() })
    const { preloader, manager } = scene
    const statuses: PreloadRunSnapshot[] = []
    const lines: string[] = []
    const problems: string[] = []
    manager.on('log', ({ message }) => problems.push(message))
    preloader.on('status', () => {
      throw new Error('ouch')
    })
    preloader.on('status', (status) => statuses.push(status))
    preloader.on('log', ({ line }) => lines.push(line))
    await preloader.start()
    const end = await scene.end()
    await waitFor(() => statuses.at(-1)?.running === false, { what: 'the last status' })
    expect(lines).toEqual(end.logs)
    expect(statuses.some((status) => status.current === 'a' && (status.progress ?? 0) > 0)).toBe(true)
    const progress = statuses.map((status) => status.progress ?? 0)
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
    expect(messagesIn(end).some((line) => /^\[a\] \d\d\.\d % \([\d.]+ kB of 600 kB\)$/.test(line))).toBe(true)
    expect(problems.some((message) => message.includes(`preloader's "status" event failed: ouch`))).toBe(true)
  })

  it('refuses modes that the manager does not know, and options that it does not', () => {
    const manager = new DownloadManager({ directory: tempDir(), store: 'memory', modes: ['llm', 'tts'] })
    const catalog = new Catalog([
      { key: 'a', url: 'https://a/1.gguf', mode: 'tts' },
      { key: 'b', url: 'https://a/2.gguf', mode: null },
      { key: 'c', url: 'https://a/3.gguf', mode: 'vision' },
    ])
    const make = (options: object) => () => new Preloader({ manager, catalog, ...options })
    expect(make({})).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('new DownloadManager({ modes: ["llm","tts","vision"] })'),
        issues: [expect.objectContaining({ path: 'models.2.mode' })],
      }),
    )
    for (const odd of [{ catalog: {} }, { manager: {} }, { locale: 'de' }, { roots: [] }, { extra: 1 }])
      expect(make(odd)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }))
  })

  it('takes the manager of another copy of the package, but not what only looks like one', async () => {
    vi.resetModules()
    const copy = await import('../../src/manager/manager.js')
    expect(copy.DownloadManager).not.toBe(DownloadManager)
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const catalog = new Catalog([{ key: 'a', url: origin.url('/a.gguf') }])
    const directory = tempDir()
    {
      await using manager = new copy.DownloadManager({ directory })
      await using preloader = new Preloader({ manager, catalog })
      await preloader.start()
      await preloader.finished()
      expect(preloader.status()).toMatchObject({ success_flag: true, completed: 1 })
    }
    // It was stored in the manager's store.
    await using manager = new DownloadManager({ directory })
    await using preloader = new Preloader({ manager, catalog })
    await preloader.ready
    expect(preloader.status()).toMatchObject({ success_flag: true, completed: 1 })
    const alike = { download: () => undefined, get: () => undefined, directory }
    // Anything that a host in plain JavaScript may pass.
    const odd = { manager: alike, catalog } as object as PreloaderOptions
    expect(() => new Preloader(odd)).toThrow(/must be a DownloadManager/)
  })

  it('lets go of the manager when it is closed', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 300_000 })
    const manager = new DownloadManager({ directory: tempDir() })
    const catalog = new Catalog([{ key: 'a', url: origin.url('/a.gguf') }])
    const before = manager.eventNames().length
    const preloader = new Preloader({ manager, catalog })
    await preloader.start()
    const end = preloader.finished()
    const ended = expect(end).rejects.toMatchObject({ code: 'CLOSED' })
    await preloader.close()
    await preloader.close()
    await ended
    expect(manager.eventNames()).toHaveLength(before)
    expect(preloader.status().running).toBe(true)
    await expect(preloader.start()).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(preloader.cancel()).rejects.toMatchObject({ code: 'CLOSED' })
    // The manager continues with the downloads, and the next preloader with the run.
    const next = new Preloader({ manager, catalog })
    await next.ready
    expect(await next.finished()).toMatchObject({ success_flag: true })
    await next.close()
    await manager.close()
  })
})

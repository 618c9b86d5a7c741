/**
 * Where a preload puts files when the manager already knows their URLs at other paths, and what canceling
 * leaves behind.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ggufContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { messagesIn, open } from './support.js'

const small = ggufContent(300_000)
const other = ggufContent(300_000, 'other')
const big = ggufContent(3_000_000)

/** Bytes that the origin has sent for a path. */
const sent = (origin: Origin, path: string) =>
  origin.requests(path).reduce((total, request) => total + request.bytesSent, 0)

describe('an output folder', () => {
  it('takes the files, also when the URL was fetched to another one before', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const directory = tempDir()
    const models = [{ key: 'a', url: origin.url('/a.gguf') }]
    await using scene = await open(models, { directory })
    const run = async (outputDir?: string) => {
      await scene.preloader.start(outputDir === undefined ? {} : { outputDir })
      expect(await scene.end()).toMatchObject({ success_flag: true, completed: 1 })
    }
    await run()
    await run('sub')
    await run(join(directory, 'sub', 'deeper'))
    expect((await listTree(directory)).filter((path) => path.endsWith('.gguf'))).toEqual([
      'llm/a.gguf',
      'sub/deeper/llm/a.gguf',
      'sub/llm/a.gguf',
    ])
    expect(scene.manager.get(origin.url('/a.gguf'))?.path).toBe(
      join(directory, 'sub', 'deeper', 'llm', 'a.gguf'),
    )
    // Back to the path where the file already exists: nothing is fetched.
    const before = origin.requests('/a.gguf').length
    await run()
    expect(origin.requests('/a.gguf')).toHaveLength(before)
  })

  it.each(['../x', '/etc', 'a\0b', 'C:\\x', '\\\\host\\share', '.model-downloader'])(
    'is refused when it is %j, and nothing begins',
    async (outputDir) => {
      const directory = tempDir()
      await using scene = await open([{ key: 'a', url: 'https://models.example/a.gguf' }], { directory })
      await expect(scene.preloader.start({ outputDir })).rejects.toMatchObject({ code: 'UNSAFE_FILENAME' })
      expect(scene.preloader.status().running).toBe(false)
      expect(await listTree(directory)).toEqual([])
    },
  )

  it('may lie in another root that the host allows', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const root = tempDir()
    const models = [{ key: 'a', url: origin.url('/a.gguf') }]
    await using scene = await open(models, { directory: tempDir() }, { roots: [root] })
    await scene.preloader.start({ outputDir: join(root, 'x') })
    await scene.end()
    expect(await sha256File(join(root, 'x', 'llm', 'a.gguf'))).toBe(small.sha256())
    await expect(scene.preloader.start({ outputDir: 'y' })).rejects.toMatchObject({ code: 'UNSAFE_FILENAME' })
  })
})

describe('a URL that the manager knows', () => {
  it('is not taken away from who fetches it to another place right now', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 300_000 })
    const url = origin.url('/a.gguf')
    await using scene = await open([{ key: 'a', url }], { directory: tempDir() })
    const theirs = await scene.manager.download({ url, mode: 'embed' })
    await scene.preloader.start()
    const status = await scene.end()
    expect(status).toMatchObject({ success_flag: false })
    expect(status.error).toContain('already known with a different mode')
    expect((await theirs.finished).path).toContain('embed')
    // Once it has finished, the catalog's path is used; the other file stays.
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true })
    expect(existsSync((await theirs.finished).path)).toBe(true)
    expect(scene.manager.get(url)?.mode).toBe('llm')
  })

  it('is joined when it comes to the same place, and checked against the digest afterwards', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 300_000 })
    origin.serve('/b.gguf', { content: other, bytesPerSecond: 300_000 })
    const model = (key: string) => ({ key, url: origin.url(`/${key}.gguf`), sha256: small.sha256() })
    await using scene = await open([model('a'), model('b')], { directory: tempDir() })
    const urls = [model('a').url, model('b').url]
    for (const url of urls) await scene.manager.download({ url })
    await waitFor(() => urls.every((url) => scene.manager.get(url)?.state === 'downloading'))
    await scene.preloader.start()
    const status = await scene.end()
    expect(messagesIn(status)).toContain('[a] already being downloaded; will be verified afterwards')
    expect(status).toMatchObject({ success_flag: false, completed: 1 })
    expect(status.error).toMatch(/^1 of 2 models failed: b: /)
    expect(scene.manager.get(urls[0] ?? '')).toMatchObject({ state: 'completed', verified: true })
    expect(sent(origin, '/a.gguf')).toBe(small.size)
  })

  it('goes on when it was paused', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: big, bytesPerSecond: 3_000_000 })
    const url = origin.url('/a.gguf')
    await using scene = await open([{ key: 'a', url }], { directory: tempDir(), connections: 1 })
    const download = await scene.manager.download({ url })
    await waitFor(() => download.current.downloaded > 500_000, { what: 'bytes' })
    await download.pause()
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true })
    expect(
      Math.max(...origin.requests('/a.gguf').map((request) => request.range?.start ?? 0)),
    ).toBeGreaterThan(0)
  })

  it('is fetched anew when the catalog says another digest now', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const directory = tempDir()
    const url = origin.url('/a.gguf')
    {
      await using scene = await open([{ key: 'a', url, sha256: small.sha256() }], { directory })
      await scene.preloader.start()
      await scene.end()
    }
    origin.serve('/a.gguf', { content: other })
    await using scene = await open([{ key: 'a', url, sha256: other.sha256() }], { directory })
    expect((await scene.preloader.modelsStatus()).models['a']).toMatchObject({ ready: false })
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true })
    expect(await sha256File(join(directory, 'llm', 'a.gguf'))).toBe(other.sha256())
    expect((await scene.preloader.modelsStatus()).models['a']).toMatchObject({ ready: true })
  })

  it('gives its file to the URL that the catalog gives now', async () => {
    await using origin = await startOrigin()
    origin.serve('/1/a.gguf', { content: small })
    origin.serve('/2/a.gguf', { content: other })
    const directory = tempDir()
    const model = (path: string, sha256: string) => [{ key: 'a', url: origin.url(path), sha256 }]
    {
      await using scene = await open(model('/1/a.gguf', small.sha256()), { directory })
      await scene.preloader.start()
      await scene.end()
    }
    {
      // A mirror of the same file: it is verified, not fetched.
      await using scene = await open(model('/2/a.gguf', small.sha256()), { directory })
      await scene.preloader.start()
      expect(await scene.end()).toMatchObject({ success_flag: true })
      expect(origin.requests('/2/a.gguf')).toEqual([])
    }
    await using scene = await open(model('/2/a.gguf', other.sha256()), { directory })
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true })
    expect(await sha256File(join(directory, 'llm', 'a.gguf'))).toBe(other.sha256())
  })
})

describe('canceling', () => {
  it('stops what the run works on, keeps the bytes, and the next run goes on with them', async () => {
    await using origin = await startOrigin()
    for (const key of ['a', 'b']) origin.serve(`/${key}.gguf`, { content: big, bytesPerSecond: 3_000_000 })
    const directory = tempDir()
    const models = ['a', 'b', 'c'].map((key) => ({ key, url: origin.url(`/${key}.gguf`) }))
    mkdirSync(join(directory, 'llm'))
    writeFileSync(join(directory, 'llm', 'c.gguf'), 'there')
    await using scene = await open(models, { directory, concurrency: 1, connections: 1 })
    const { preloader, manager } = scene
    await preloader.cancel()
    await preloader.start()
    const a = origin.url('/a.gguf')
    await waitFor(() => (manager.get(a)?.current.downloaded ?? 0) > 1_000_000, { what: 'bytes' })
    await preloader.cancel()
    const status = preloader.status()
    expect(status).toMatchObject({
      running: false,
      success_flag: false,
      return_code: 1,
      error: 'canceled',
      completed: 1,
      total: 3,
      current: null,
    })
    expect(status.finished_at).not.toBeNull()
    expect(messagesIn(status).at(-1)).toBe('[preload] canceled; downloaded data is kept')
    expect(manager.list().map((download) => download.state)).toEqual(['paused', 'paused'])
    await preloader.cancel()
    const before = sent(origin, '/a.gguf')
    await preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true, completed: 3 })
    // Data that was in transit when it was stopped is sent again.
    expect(sent(origin, '/a.gguf')).toBeLessThan(big.size + 1_000_000)
    expect(before).toBeGreaterThan(1_000_000)
    expect(await sha256File(join(directory, 'llm', 'a.gguf'))).toBe(big.sha256())
  })

  it('leaves alone what somebody else had asked for', async () => {
    await using origin = await startOrigin()
    for (const key of ['a', 'b']) origin.serve(`/${key}.gguf`, { content: small, bytesPerSecond: 200_000 })
    const models = ['a', 'b'].map((key) => ({ key, url: origin.url(`/${key}.gguf`) }))
    await using scene = await open(models, { directory: tempDir() })
    const theirs = await scene.manager.download({ url: origin.url('/a.gguf') })
    await scene.preloader.start()
    await waitFor(() => scene.manager.get(origin.url('/b.gguf'))?.state === 'downloading')
    await scene.preloader.cancel()
    expect(scene.preloader.status()).toMatchObject({ running: false, error: 'canceled' })
    expect(scene.manager.get(origin.url('/b.gguf'))?.state).toBe('paused')
    expect((await theirs.finished).size).toBe(small.size)
  })

  it('at any moment leaves a state that holds together', async () => {
    await using origin = await startOrigin()
    for (const key of ['a', 'b', 'c'])
      origin.serve(`/${key}.gguf`, { content: small, bytesPerSecond: 2_000_000 })
    const models = ['a', 'b', 'c'].map((key) => ({ key, url: origin.url(`/${key}.gguf`) }))
    const directory = tempDir()
    await using scene = await open(models, { directory })
    for (let round = 0; round < 15; round++) {
      const starting = scene.preloader.start({ force: true })
      for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve))
      await Promise.allSettled([scene.preloader.cancel(), starting, scene.preloader.cancel()])
      await scene.preloader.cancel()
      expect(scene.preloader.status()).toMatchObject({ running: false })
      const busy = scene.manager
        .list()
        .filter((download) => !['paused', 'completed'].includes(download.state))
      expect(busy.map((download) => download.state)).toEqual([])
    }
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true, completed: 3 })
  })
})

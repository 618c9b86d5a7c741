import { appendFileSync, mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Catalog } from '../../src/catalog/catalog.js'
import { ggufContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { open } from './support.js'
import { cpuMs } from '../support/cost.js'

const small = ggufContent(300_000)
const bytes = small.slice(0, small.size)
const other = ggufContent(300_000, 'other')

describe('the status of the models', () => {
  it('has the shape of the contract, in both languages', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small })
    const directory = tempDir()
    const models = [
      { key: 'a', name: 'Model A', url: origin.url('/a.gguf'), size: small.size, description: 'first' },
      {
        key: 'b',
        url: 'https://models.example/b.gguf',
        mode: 'embed',
        required: false,
        auto_download: false,
      },
    ]
    await using scene = await open(models, { directory })
    const { preloader } = scene
    const first = await preloader.modelsStatus()
    expect(first).toEqual({
      success: true,
      models: {
        a: {
          ready: false,
          name: 'Model A',
          cache_hint: join(directory, 'llm', 'a.gguf'),
          message: 'Not downloaded yet.',
        },
        b: {
          ready: false,
          name: 'b',
          cache_hint: join(directory, 'embed', 'b.gguf'),
          message: 'Not downloaded yet.',
        },
      },
      catalog: [
        { key: 'a', name: 'Model A', required: true, auto_download: true, description: 'first' },
        { key: 'b', name: 'b', required: false, auto_download: false, description: '' },
      ],
      any_ready: false,
      any_missing: true,
      first_use_tip: 'Missing: Model A (a), b.\nStart a preload to download them.',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
    await preloader.start()
    await scene.end()
    expect(await preloader.modelsStatus('zh-CN')).toMatchObject({
      models: { a: { ready: true, message: '已就绪。' }, b: { ready: false, message: '尚未下载。' } },
      any_ready: true,
      any_missing: true,
      first_use_tip: '缺少：b。\n启动预下载即可下载这些模型。',
    })
  })

  it('gives the commands from the folders of the host', async () => {
    const root = tempDir()
    const backend = join(root, 'back end')
    mkdirSync(backend)
    writeFileSync(
      join(backend, 'models.json'),
      JSON.stringify([
        { key: 'a', url: 'https://models.example/a.gguf' },
        { key: 'b', url: 'https://models.example/b.gguf', auto_download: false },
      ]),
    )
    const catalog = await Catalog.fromFile(join(backend, 'models.json'))
    const directory = join(root, 'models')
    const commands = { projectRoot: root, backendDir: backend, platform: 'linux' as const }
    await using scene = await open(catalog, { directory }, { commands })
    expect((await scene.preloader.modelsStatus()).first_use_tip.split('\n').slice(2)).toEqual([
      `From the project root (${root}):`,
      "  npx model-downloader preload 'back end/models.json' -d models --models a,b",
      `; or from the backend folder (${backend}):`,
      '  npx model-downloader preload models.json -d ../models --models a,b',
    ])
    mkdirSync(join(directory, 'llm'), { recursive: true })
    writeFileSync(join(directory, 'llm', 'b.gguf'), bytes)
    // Without names, the command fetches all missing models.
    expect((await scene.preloader.modelsStatus()).first_use_tip).not.toContain('--models')
  })

  it('is never ready with a file of the wrong size, a link, or a folder', async () => {
    const directory = tempDir()
    mkdirSync(join(directory, 'llm', 'c.gguf'), { recursive: true })
    writeFileSync(join(directory, 'llm', 'a.gguf'), bytes.subarray(1))
    writeFileSync(join(directory, 'real.gguf'), bytes)
    symlinkSync(join(directory, 'real.gguf'), join(directory, 'llm', 'b.gguf'))
    const models = ['a', 'b', 'c', 'd'].map((key) => ({
      key,
      url: `https://models.example/${key}.gguf`,
      size: small.size,
    }))
    await using scene = await open(models, { directory, store: 'memory' })
    const status = await scene.preloader.modelsStatus()
    expect(Object.values(status.models).map(({ ready, message }) => `${String(ready)} ${message}`)).toEqual([
      'false The file has the wrong size: 299999 bytes instead of 300000.',
      'false Something other than a regular file exists at this path.',
      'false Something other than a regular file exists at this path.',
      'false Not downloaded yet.',
    ])
  })

  it('does not trust a file that was put there by hand before a run has checked its digest, once', async () => {
    await using origin = await startOrigin()
    origin.serve('/b.gguf', { content: small })
    const directory = tempDir()
    mkdirSync(join(directory, 'llm'))
    writeFileSync(join(directory, 'llm', 'a.gguf'), bytes)
    writeFileSync(join(directory, 'llm', 'b.gguf'), other.slice(0, other.size))
    const models = ['a', 'b'].map((key) => ({ key, url: origin.url(`/${key}.gguf`), sha256: small.sha256() }))
    {
      await using scene = await open(models, { directory })
      const before = await scene.preloader.modelsStatus()
      expect(Object.values(before.models).map((model) => model.ready)).toEqual([false, false])
      expect(before.models['a']?.message).toContain('not verified yet')
      await scene.preloader.start()
      expect(await scene.end()).toMatchObject({ success_flag: true, completed: 2 })
      // The correct file was verified, the wrong one was downloaded again.
      expect(origin.requests('/a.gguf')).toEqual([])
      expect(origin.requests('/b.gguf').length).toBeGreaterThan(0)
    }
    // The result is remembered until the file changes.
    await using scene = await open(models, { directory })
    const after = await scene.preloader.modelsStatus()
    expect(Object.values(after.models).map((model) => model.message)).toEqual([
      'Ready, digest checked.',
      'Ready, digest checked.',
    ])
    appendFileSync(join(directory, 'llm', 'a.gguf'), 'x')
    unlinkSync(join(directory, 'llm', 'b.gguf'))
    const changed = await scene.preloader.modelsStatus()
    expect(changed.models['a']).toMatchObject({
      ready: false,
      message: expect.stringContaining('not verified yet'),
    })
    expect(changed.models['b']).toMatchObject({ ready: false, message: 'Not downloaded yet.' })
    expect(changed).toMatchObject({ any_ready: false, any_missing: true })
  })

  it('tells what is being done, and why something failed', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 100_000 })
    const models = ['a', 'b', 'c'].map((key) => ({ key, url: origin.url(`/${key}.gguf`) }))
    await using scene = await open(models, { directory: tempDir(), concurrency: 1 })
    const { preloader, manager } = scene
    await preloader.start({ models: ['a', 'b'] })
    const a = origin.url('/a.gguf')
    await waitFor(() => (manager.get(a)?.current.percent ?? 0) > 0, { what: 'bytes' })
    const status = await preloader.modelsStatus()
    expect(status.models['a']?.message).toMatch(/^Downloading, \d+\.\d %\.$/)
    expect(status.models['b']?.message).toBe('Waiting in the queue.')
    expect(status.models['c']?.message).toBe('Not downloaded yet.')
    expect(status.first_use_tip).toMatch(/^Missing: a, b, c\./)
    await manager.pause(a)
    await waitFor(() => manager.get(origin.url('/b.gguf'))?.state === 'failed', { what: 'b to fail' })
    const later = await preloader.modelsStatus()
    expect(later.models['a']?.message).toMatch(/^Paused at \d+\.\d %\.$/)
    expect(later.models['b']?.message).toMatch(/^Failed: .*404/)
  })

  it('holds no commands while all that is missing is being fetched', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.gguf', { content: small, bytesPerSecond: 300_000 })
    const models = [{ key: 'a', url: origin.url('/a.gguf') }]
    await using scene = await open(models, { directory: tempDir() })
    await scene.preloader.start()
    expect((await scene.preloader.modelsStatus()).first_use_tip).toBe('Downloading now: a.')
    await scene.end()
    expect((await scene.preloader.modelsStatus()).first_use_tip).toBe('All models are ready.')
  })

  it('finds a file that only its server names, and one in the folder of the last run', async () => {
    await using origin = await startOrigin()
    origin.serve('/download', { content: small, contentDisposition: 'attachment; filename="named.gguf"' })
    const directory = tempDir()
    const models = [
      { key: 'a', url: origin.url('/download') },
      { key: 'b', url: origin.url('/b.gguf') },
    ]
    mkdirSync(join(directory, 'sub', 'llm'), { recursive: true })
    writeFileSync(join(directory, 'sub', 'llm', 'b.gguf'), bytes)
    await using scene = await open(models, { directory })
    const { preloader } = scene
    expect((await preloader.modelsStatus()).models['a']?.cache_hint).toBe(join(directory, 'llm'))
    await preloader.start({ outputDir: 'sub' })
    expect(await scene.end()).toMatchObject({ completed: 2, output_dir: join(directory, 'sub') })
    expect((await preloader.modelsStatus()).models).toMatchObject({
      a: { ready: true, cache_hint: join(directory, 'sub', 'llm', 'named.gguf') },
      b: { ready: true, cache_hint: join(directory, 'sub', 'llm', 'b.gguf') },
    })
    rmSync(join(directory, 'sub'), { recursive: true })
    expect((await preloader.modelsStatus()).any_ready).toBe(false)
  })

  it('costs little, however large the files are', async () => {
    const directory = tempDir()
    mkdirSync(join(directory, 'llm'))
    const models = Array.from({ length: 200 }, (_, i) => {
      writeFileSync(join(directory, 'llm', `${i}.gguf`), 'x')
      return { key: `m${i}`, url: `https://models.example/${i}.gguf`, size: i % 2 }
    })
    await using scene = await open(models, { directory, store: 'memory' })
    expect(await cpuMs(() => scene.preloader.modelsStatus())).toBeLessThan(1_000)
    const status = await scene.preloader.modelsStatus()
    expect(Object.values(status.models).filter((model) => model.ready)).toHaveLength(100)
  })
})

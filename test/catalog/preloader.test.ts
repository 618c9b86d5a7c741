import { writeFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ggufContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
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
      message: 'The preload of 2 models has begun.',
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
    expect(lines).toContain(`[b] completed: ${join(directory, 'embed', 'b.gguf')} (300.0 kB)`)
    expect(lines.at(-1)).toBe('[preload] finished: 2 of 2 are there')
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
})

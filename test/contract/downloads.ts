import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ggufContent } from '../support/content.js'
import { waitFor } from '../support/wait.js'
import { expectProblem } from './scene.js'
import type { Subject } from './suite.js'

const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/)
const count = expect.any(Number)

/** Every field of a download and its type, as existing frontends read them. */
const downloadShape = {
  url: expect.any(String),
  filename: expect.any(String),
  mode: expect.any(String),
  status: expect.stringMatching(/^(?:downloading|completed|failed)$/),
  downloaded: count,
  total: count,
  progress: count,
  state: expect.stringMatching(
    /^(?:queued|resolving|downloading|verifying|paused|completed|failed|canceled)$/,
  ),
  bytes_per_second: count,
  connections: count,
  verified: expect.any(Boolean),
  verification: expect.toSatisfy((value) => value === null || typeof value === 'object'),
  created_at: time,
  file_count: null,
  files_completed: null,
  files: null,
}

/** `/api/models/download…` and the OpenAPI document. */
export function downloadTests({ open, inDepth }: Subject): void {
  describe('a download', () => {
    it('is started at once and polled to its end', async () => {
      await using scene = await open()
      const url = scene.serve('/models/tiny.gguf')
      const started = await scene.start(url, { sha256: ggufContent(100_000).sha256(), size: 100_000 })
      expect(started.status).toBe(200)
      expect(started.headers.get('content-type')).toMatch(/^application\/json/)
      expect(started.body).toEqual({
        success: true,
        url,
        filename: 'tiny.gguf',
        mode: 'llm',
        message: 'Download started',
      })
      const done = await scene.until(url, 'completed')
      expect(done).toEqual({
        ...downloadShape,
        url,
        filename: 'tiny.gguf',
        mode: 'llm',
        status: 'completed',
        state: 'completed',
        downloaded: 100_000,
        total: 100_000,
        progress: 100,
        error: null,
        code: null,
        eta_seconds: 0,
        connections: 0,
        sha256: ggufContent(100_000).sha256(),
        verified: true,
        verification: { algorithm: 'sha256', value: ggufContent(100_000).sha256(), from: 'caller' },
        started_at: time,
        finished_at: time,
      })
      expect(existsSync(join(scene.manager.directory, 'llm', 'tiny.gguf'))).toBe(true)
    })

    inDepth('tells numbers while it goes on, and is joined by who asks again', async () => {
      await using scene = await open()
      const url = scene.serve('/slow.gguf', { size: 1_000_000, bytesPerSecond: 200_000 })
      await scene.start(url)
      const going = await waitFor(async () => {
        const download = await scene.poll(url)
        return Number(download['downloaded']) > 0 ? download : null
      })
      expect(going).toMatchObject({
        ...downloadShape,
        status: 'downloading',
        state: 'downloading',
        total: 1_000_000,
      })
      expect(going).toMatchObject({ error: null, code: null, finished_at: null, started_at: time })
      expect(going!['progress']).toBeLessThan(100)
      const joined = await scene.start(url)
      expect(joined.body).toMatchObject({ success: true, message: 'Download already in progress' })
      expectProblem(await scene.start(url, { filename: 'other.gguf' }), 409, 'CONFLICT')
      await scene.call('POST', '/api/models/download/cancel', { json: { url } })
    })

    inDepth('of a file that is there is complete at the first poll', async () => {
      await using scene = await open()
      const url = scene.serve('/there.gguf')
      await scene.start(url, { mode: 'embed' })
      await scene.until(url, 'completed')
      const again = await scene.start(url, { mode: 'embed' })
      expect(again.body).toMatchObject({
        filename: 'there.gguf',
        mode: 'embed',
        message: 'File already exists',
      })
      expect(await scene.poll(url)).toMatchObject({ status: 'completed', progress: 100, error: null })
      expect(scene.origin.requests('/there.gguf')).toHaveLength(1)
    })

    inDepth('that fails says why', async () => {
      await using scene = await open()
      const url = scene.origin.url('/missing.gguf')
      await scene.start(url)
      const failed = await scene.until(url, 'failed')
      expect(failed).toMatchObject({ ...downloadShape, status: 'failed', total: 0, code: 'NOT_FOUND' })
      expect(failed['error']).toMatch(/\S/)
      expect(failed['progress']).toBe(0)
    })

    it('that nobody knows is 404', async () => {
      await using scene = await open()
      const query = { url: 'http://127.0.0.1:1/unknown.gguf' }
      expectProblem(
        await scene.call('GET', '/api/models/download/status', { query }),
        404,
        'UNKNOWN_DOWNLOAD',
      )
      expectProblem(
        await scene.call('GET', '/api/models/download/events', { query }),
        404,
        'UNKNOWN_DOWNLOAD',
      )
      for (const move of ['pause', 'resume', 'cancel', 'retry']) {
        const answer = await scene.call('POST', `/api/models/download/${move}`, { json: query })
        expectProblem(answer, 404, 'UNKNOWN_DOWNLOAD')
      }
    })

    inDepth('is listed by its URL, among the others', async () => {
      await using scene = await open()
      const list = (query = {}) => scene.call('GET', '/api/models/download/status', { query })
      expect((await list()).body).toEqual({ success: true, downloads: {} })
      const first = scene.serve('/first.gguf')
      const second = `${scene.serve('/second.gguf')}?name=a&b=%20`
      await scene.start(first)
      await scene.start(second, { mode: 'rerank' })
      await scene.until(first, 'completed')
      await scene.until(second, 'completed')
      const { body } = await list()
      expect(body).toEqual({
        success: true,
        downloads: { [first]: expect.anything(), [second]: expect.anything() },
      })
      expect((await list({ mode: 'rerank' })).body).toMatchObject({
        downloads: { [second]: { mode: 'rerank' } },
      })
      expect((await list({ state: 'failed' })).body).toEqual({ success: true, downloads: {} })
      expect((await list({ state: 'completed', mode: 'llm' })).body).toMatchObject({
        downloads: { [first]: {} },
      })
      expectProblem(await list({ state: 'nonsense' }), 400, 'INVALID_OPTIONS')
    })

    inDepth('is paused, resumed, canceled and tried again; asking twice is harmless', async () => {
      await using scene = await open()
      const url = scene.serve('/moves.gguf', { size: 400_000, bytesPerSecond: 200_000 })
      const move = (name: string) => scene.call('POST', `/api/models/download/${name}`, { json: { url } })
      await scene.start(url)
      await scene.until(url, 'downloading')
      for (let i = 0; i < 2; i++) {
        const paused = await move('pause')
        expect(paused).toMatchObject({
          status: 200,
          body: { success: true, download: { ...downloadShape, url } },
        })
        expect(paused.body).toMatchObject({ download: { state: 'paused', status: 'downloading' } })
      }
      for (let i = 0; i < 2; i++) expect(await move('resume')).toMatchObject({ status: 200 })
      await scene.until(url, 'downloading')
      for (let i = 0; i < 2; i++) {
        expect(await move('cancel')).toMatchObject({
          status: 200,
          body: { success: true, download: { state: 'canceled', status: 'failed', error: 'canceled' } },
        })
      }
      expectProblem(await move('pause'), 409, 'INVALID_STATE')
      for (let i = 0; i < 2; i++)
        expect(await move('retry')).toMatchObject({ status: 200, body: { success: true } })
      await scene.until(url, 'completed')
      expectProblem(await move('cancel'), 409, 'INVALID_STATE')
      expect(await scene.poll(url)).toMatchObject({ state: 'completed' })
    })

    inDepth('is removed, with its file or without', async () => {
      await using scene = await open()
      const [kept, gone] = [scene.serve('/kept.gguf'), scene.serve('/gone.gguf')]
      for (const url of [kept, gone]) {
        await scene.start(url)
        await scene.until(url, 'completed')
      }
      const remove = (query: Record<string, string>) =>
        scene.call('DELETE', '/api/models/download', { query })
      for (let i = 0; i < 2; i++) {
        expect(await remove({ url: kept })).toMatchObject({ status: 200, body: { success: true, url: kept } })
        expect(await remove({ url: gone, delete_file: 'true' })).toMatchObject({ status: 200 })
      }
      const { body } = await scene.call('GET', '/api/models/download/status')
      expect(body).toEqual({ success: true, downloads: {} })
      expect(existsSync(join(scene.manager.directory, 'llm', 'kept.gguf'))).toBe(true)
      expect(existsSync(join(scene.manager.directory, 'llm', 'gone.gguf'))).toBe(false)
      expectProblem(await remove({}), 400, 'INVALID_OPTIONS')
    })

    inDepth('is polled by many at a time', async () => {
      await using scene = await open()
      const url = scene.serve('/popular.gguf', { size: 300_000, bytesPerSecond: 300_000 })
      await Promise.all(Array.from({ length: 20 }, () => scene.start(url)))
      const pollers = Array.from({ length: 20 }, async () => {
        // Each instance of a cluster has numbers of its own, up to a second old.
        const last = new Map<string, number>()
        return await waitFor(
          async () => {
            const { download, instance } = await scene.pollSomewhere(url)
            const { status, progress } = download
            expect(progress).toBeGreaterThanOrEqual(last.get(instance) ?? 0)
            last.set(instance, Number(progress))
            return status === 'completed' ? progress : null
          },
          { timeoutMs: 10_000 },
        )
      })
      expect(new Set(await Promise.all(pollers))).toEqual(new Set([100]))
      expect(scene.manager.list()).toHaveLength(1)
    })
  })

  describe('the OpenAPI document', () => {
    it('names every route', async () => {
      await using scene = await open()
      const { status, body } = await scene.call('GET', '/api/models/openapi.json')
      expect(status).toBe(200)
      expect(body).toMatchObject({
        openapi: expect.stringMatching(/^3\.1\./),
        paths: {
          '/api/models/download': { post: {}, delete: {} },
          '/api/models/download/status': { get: {} },
          '/api/models/download/pause': { post: {} },
          '/api/models/download/resume': { post: {} },
          '/api/models/download/cancel': { post: {} },
          '/api/models/download/retry': { post: {} },
          '/api/models/download/events': { get: {} },
          '/api/models/openapi.json': { get: {} },
          '/api/v1/models/status': { get: {} },
          '/api/v1/models/preload/start': { post: {} },
          '/api/v1/models/preload/cancel': { post: {} },
          '/api/v1/models/preload/status': { get: {} },
          '/api/v1/models/preload/events': { get: {} },
        },
      })
    })
  })
}

import { describe, expect, it } from 'vitest'
import { waitFor } from '../support/wait.js'
import { ggufContent } from '../support/content.js'
import { readEvents } from './events.js'
import { expectProblem, type Scene } from './scene.js'
import type { Subject } from './suite.js'

const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/)
const base = '/api/v1/models'

/** A catalog of two models: one that is fetched by itself, and one that is not. */
export const modelsOf = (slow?: number) => (origin: Scene['origin']) => {
  for (const key of ['chat', 'extra']) {
    origin.serve(`/${key}.gguf`, {
      content: ggufContent(200_000, key),
      ...(slow === undefined ? {} : { bytesPerSecond: slow }),
    })
  }
  return [
    { key: 'chat', name: 'Chat model', url: origin.url('/chat.gguf'), description: 'talks' },
    {
      key: 'extra',
      name: 'Extra model',
      url: origin.url('/extra.gguf'),
      mode: 'embed',
      required: false,
      auto_download: false,
    },
  ]
}

const status = async (scene: Scene) => {
  const answer = await scene.call('GET', `${base}/preload/status`)
  expect(answer.status).toBe(200)
  return answer.body as Record<string, unknown> // each test looks at it
}

/** `/api/v1/models…`. */
export function preloadTests({ open, inDepth }: Subject): void {
  describe('the preload', () => {
    inDepth('that was never run says so', async () => {
      await using scene = await open({ models: modelsOf() })
      expect(await status(scene)).toEqual({
        success: true,
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
      const answer = await scene.call('GET', `${base}/status`, { headers: { 'Accept-Language': 'zh-CN' } })
      expect(answer.status).toBe(200)
      expect(answer.body).toEqual({
        success: true,
        models: {
          chat: {
            ready: false,
            name: 'Chat model',
            cache_hint: expect.any(String),
            message: expect.any(String),
          },
          extra: {
            ready: false,
            name: 'Extra model',
            cache_hint: expect.any(String),
            message: expect.any(String),
          },
        },
        catalog: [
          { key: 'chat', name: 'Chat model', required: true, auto_download: true, description: 'talks' },
          { key: 'extra', name: 'Extra model', required: false, auto_download: false, description: '' },
        ],
        any_ready: false,
        any_missing: true,
        first_use_tip: expect.any(String),
        timestamp: time,
      })
    })

    it('is started with a null body and a query, polled, and leaves the models ready', async () => {
      await using scene = await open({ models: modelsOf() })
      const started = await scene.call('POST', `${base}/preload/start`, {
        query: { models: 'all', force: 'false' },
        json: null,
      })
      expect(started.status, JSON.stringify(started.body)).toBe(200)
      expect(started.body).toEqual({
        success: true,
        message: expect.any(String),
        output_dir: expect.any(String),
        models: ['chat'],
        force: false,
        started_at: time,
      })
      const done = await waitFor(
        async () => {
          const found = await status(scene)
          return found['running'] === false ? found : null
        },
        { timeoutMs: 10_000 },
      )
      expect(done).toMatchObject({
        success: true,
        running: false,
        started_at: time,
        finished_at: time,
        success_flag: true,
        return_code: 0,
        error: null,
        output_dir: expect.any(String),
        logs: expect.arrayContaining([expect.stringMatching(/^\d{4}-.*Z \[.+\] /)]),
        current: null,
        completed: 1,
        total: 1,
        progress: 100,
        downloads: { chat: { status: 'completed', progress: 100 } },
      })
      const { body } = await scene.call('GET', `${base}/status`)
      expect(body).toMatchObject({
        models: { chat: { ready: true }, extra: { ready: false } },
        any_ready: true,
        any_missing: true,
      })
    })

    it('is started with nothing at all, as with a JSON body', async () => {
      await using scene = await open({ models: modelsOf() })
      const idle = () =>
        waitFor(async () => (await status(scene))['running'] === false, { timeoutMs: 10_000 })
      // axios posts null with this type.
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
      expect((await scene.call('POST', `${base}/preload/start`, { headers })).body).toMatchObject({
        models: ['chat'],
      })
      await idle()
      expect((await scene.call('POST', `${base}/preload/start`)).status).toBe(200)
      await idle()
      const answer = await scene.call('POST', `${base}/preload/start`, {
        json: { models: 'extra,chat', force: true },
      })
      expect(answer.body).toMatchObject({ models: ['chat', 'extra'], force: true })
      await idle()
      expect(await status(scene)).toMatchObject({ completed: 2, total: 2, success_flag: true })
    })

    inDepth('refuses what is not possible', async () => {
      await using scene = await open({ models: modelsOf(100_000) })
      const start = (query: Record<string, string>) =>
        scene.call('POST', `${base}/preload/start`, { query, json: null })
      expectProblem(await start({ models: 'nonsense' }), 400, 'INVALID_OPTIONS')
      expectProblem(await start({ output_dir: '/etc' }), 400, 'UNSAFE_FILENAME')
      expect((await start({})).status).toBe(200)
      expectProblem(await start({}), 409, 'CONFLICT')
      const canceled = await scene.call('POST', `${base}/preload/cancel`)
      expect(canceled.status).toBe(200)
      await waitFor(async () => (await status(scene))['running'] === false, { timeoutMs: 10_000 })
      expect(await status(scene)).toMatchObject({ success_flag: false, return_code: 1, error: 'canceled' })
      expect((await scene.call('POST', `${base}/preload/cancel`)).status).toBe(200)
    })

    it('is told of as it goes', async () => {
      await using scene = await open({ models: modelsOf() })
      const { response, next, leave } = await readEvents(scene.url(`${base}/preload/events`))
      expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
      expect(await next()).toMatchObject({ event: 'status', data: { running: false } })
      await scene.call('POST', `${base}/preload/start`)
      expect(await next('log')).toMatchObject({ data: { line: expect.any(String) } })
      let last = await next('status')
      while ((last.data as { running: boolean }).running) last = await next('status')
      leave()
      await waitFor(() => scene.preloadListeners === 0)
    })

    inDepth('is 404 where there is no catalog', async () => {
      await using scene = await open()
      for (const [method, route] of [
        ['GET', '/status'],
        ['POST', '/preload/start'],
        ['POST', '/preload/cancel'],
        ['GET', '/preload/status'],
        ['GET', '/preload/events'],
      ] as const) {
        expectProblem(await scene.call(method, `${base}${route}`), 404)
      }
    })
  })
}

/** The preload routes over a real preloader. */
import { describe, expect, it } from 'vitest'
import { createHandler, type Handler, type HandlerOptions } from '../../src/http/handler.js'
import { Catalog, Preloader } from '../../src/index.js'
import { KiB, MiB } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { withTimeout } from '../support/wait.js'
import { ask, openEvents, problem, startHttp, type HttpBench, type Sent } from './bench.js'

const base = '/api/v1/models'
const start = `${base}/preload/start`
const names = ['chat', 'embed', 'extra']

interface PreloadBench extends AsyncDisposable {
  bench: HttpBench
  preloader: Preloader
  handler: Handler
  /** Starts a run and waits for its end; the answer, and the keys that were fetched. */
  run: (query: string, sent?: Sent) => Promise<Record<string, unknown>>
}

async function startPreload(
  options: Partial<HandlerOptions> = {},
  bytesPerSecond?: number,
): Promise<PreloadBench> {
  const bench = await startHttp()
  const { manager, origin } = bench
  const speed = bytesPerSecond === undefined ? {} : { bytesPerSecond }
  for (const name of names) origin.serve(`/${name}.bin`, { content: randomContent(64 * KiB, name), ...speed })
  const catalog = new Catalog(
    names.map((key) => ({
      key,
      name: `The ${key} model`,
      url: origin.url(`/${key}.bin`),
      mode: key === 'embed' ? 'embed' : 'llm',
      auto_download: key !== 'extra',
    })),
  )
  const preloader = new Preloader({ manager, catalog })
  const handler = createHandler({ manager, preloader, ...options })
  return {
    bench,
    preloader,
    handler,
    run: async (query, sent) => {
      const { status, body } = await ask(handler, 'POST', start + query, sent)
      expect([query, status]).toEqual([query, 200])
      await withTimeout(preloader.finished(), 10_000, 'the preload')
      return body
    },
    async [Symbol.asyncDispose]() {
      handler.close()
      await preloader.close()
      await bench[Symbol.asyncDispose]()
    },
  }
}

describe('without a preloader', () => {
  it('the routes are ours, and say what is missing', async () => {
    await using bench = await startHttp()
    for (const [method, path] of [
      ['GET', `${base}/status`],
      ['POST', start],
      ['POST', `${base}/preload/cancel`],
      ['GET', `${base}/preload/status`],
      ['GET', `${base}/preload/events`],
    ] as const) {
      expect(bench.handler.owns(path)).toBe(true)
      const { body } = await bench.problem(404, 'NOT_FOUND', method, path)
      expect(body['detail']).toContain('preloader')
    }
  })
})

describe('start', () => {
  it('takes parameters from the query or from the body, which counts for more', async () => {
    await using made = await startPreload()
    const { run } = made
    expect(await run('')).toMatchObject({ success: true, models: ['chat', 'embed'], force: false })
    for (const [query, sent, models, force] of [
      ['?models=all', {}, ['chat', 'embed'], false],
      ['?models=', {}, ['chat', 'embed'], false],
      ['?models=extra,%20chat', { json: null }, ['chat', 'extra'], false],
      ['?force=true&output_dir=', { json: null }, ['chat', 'embed'], true],
      [
        '?force=False',
        { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } },
        ['chat', 'embed'],
        false,
      ],
      ['', { json: { models: 'extra' } }, ['extra'], false],
      ['', { json: { models: ['extra', 'embed'], force: true, output_dir: null } }, ['embed', 'extra'], true],
      ['?models=chat&force=1', { json: { models: 'extra' } }, ['extra'], true],
      ['?models=chat', { json: {} }, ['chat'], false],
      ['?models=chat&lang=zh', { json: { force: null, verbose: true } }, ['chat'], false],
    ] as const) {
      expect(await run(query, sent), query).toMatchObject({ models, force })
    }
  })

  it('takes a folder inside of the roots', async () => {
    await using made = await startPreload()
    const { bench, run } = made
    const { output_dir: folder } = await run('?models=chat&output_dir=inside')
    expect(folder).toBe(`${bench.directory}/inside`)
  })

  it('FAULTS row 41: refuses a folder elsewhere', async () => {
    await using made = await startPreload()
    for (const folder of [
      '..',
      '../x',
      '/etc',
      'a/../../x',
      'C:\\x',
      '\\\\server\\share',
      'con',
      'a\u0000b',
      'a\u202eb',
    ]) {
      const sent: Sent = { json: { output_dir: folder } }
      const { body } = await problem(made.handler, 400, 'UNSAFE_FILENAME', 'POST', start, sent)
      expect(body['issues'], folder).toMatchObject([{ path: 'output_dir' }])
    }
    expect(made.preloader.status()).toMatchObject({ running: false, started_at: null })
  })

  it('refuses what it does not understand', async () => {
    await using made = await startPreload()
    const refuse = (query: string, sent?: Sent) =>
      problem(made.handler, 400, 'INVALID_OPTIONS', 'POST', start + query, sent)
    await refuse('?models=chat,unheard')
    await refuse('?force=perhaps')
    for (const json of [
      [],
      'chat',
      5,
      { models: 5 },
      { models: [5] },
      { force: 'perhaps' },
      { output_dir: {} },
    ]) {
      await refuse('', { json })
    }
    await problem(made.handler, 415, 'INVALID_OPTIONS', 'POST', start, { text: 'models=chat' })
    await problem(made.handler, 413, 'INVALID_OPTIONS', 'POST', start, { text: ' '.repeat(70_000) })
  })

  it('is 409 while one runs, and cancel can be repeated', async () => {
    await using made = await startPreload({}, 16 * KiB)
    const { handler } = made
    expect((await ask(handler, 'POST', start)).status).toBe(200)
    await problem(handler, 409, 'CONFLICT', 'POST', start)
    for (let time = 0; time < 2; time += 1) {
      const { status, body } = await ask(handler, 'POST', `${base}/preload/cancel`)
      expect([status, body]).toMatchObject([
        200,
        { success: true, running: false, error: 'canceled', return_code: 1 },
      ])
    }
  })

  it('needs its own permission', async () => {
    await using made = await startPreload({
      authorize: (action, request) =>
        request.headers.has('authorization') ? action !== 'queue:manage' : 'unauthenticated',
    })
    const headers = { Authorization: 'Bearer viewer' }
    for (const path of [start, `${base}/preload/cancel`]) {
      await problem(made.handler, 403, 'ACCESS_DENIED', 'POST', path, { headers })
      await problem(made.handler, 401, 'ACCESS_DENIED', 'POST', path)
    }
    expect((await ask(made.handler, 'GET', `${base}/preload/status`, { headers })).status).toBe(200)
  })
})

describe('looking', () => {
  it('speaks the language that is asked for, else that of the host', async () => {
    await using made = await startPreload({ locale: 'zh-CN' })
    const tip = async (language?: string) => {
      const sent = language === undefined ? {} : { headers: { 'Accept-Language': language } }
      const { body } = await ask(made.handler, 'GET', `${base}/status`, sent)
      expect(Object.keys(body)).toEqual([
        'success',
        'models',
        'catalog',
        'any_ready',
        'any_missing',
        'first_use_tip',
        'timestamp',
      ])
      return body['first_use_tip']
    }
    const [ours, chinese, english] = [await tip(), await tip('zh-CN,zh;q=0.9,en;q=0.8'), await tip('en-US')]
    expect([ours === chinese, chinese === english]).toEqual([true, false])
    expect(await tip('fr')).toBe(ours)
  })

  it('follows a run by its events, and leaves no listener behind', async () => {
    await using made = await startPreload({}, 64 * KiB)
    const { handler, preloader } = made
    const counts = () => [preloader.listenerCount('status'), preloader.listenerCount('log')]
    const before = counts()
    const reader = await openEvents(handler, `${base}/preload/events`)
    expect(await reader.next()).toMatchObject({ event: 'status', data: { running: false, logs: [] } })
    await ask(handler, 'POST', `${start}?models=chat`)
    const seen = new Set<string>()
    const lines: unknown[] = []
    for (let success: unknown = null; success !== true;) {
      const { event, data } = await reader.next()
      seen.add(event)
      if (event === 'log') lines.push(data['line'])
      else success = data['success_flag']
    }
    expect([...seen].sort()).toEqual(['log', 'status'])
    const { body } = await ask(handler, 'GET', `${base}/preload/status`)
    expect((body['logs'] as unknown[]).slice(0, lines.length)).toEqual(lines)
    expect(body).toMatchObject({ downloads: { chat: { status: 'completed', progress: 100 } }, progress: 100 })
    await reader.leave()
    expect(counts()).toEqual(before)
  })

  it('signed query strings stay out of the logs', async () => {
    await using bench = await startHttp()
    const { manager, origin } = bench
    origin.serve('/a.bin', {
      content: randomContent(1 * MiB),
      faults: [{ type: 'status', status: 503, times: 1 }],
    })
    const url = `${origin.url('/a.bin')}?sig=top-secret`
    const preloader = new Preloader({
      manager,
      catalog: new Catalog([{ key: 'a', name: 'A', url, mode: 'llm' }]),
    })
    const handler = createHandler({ manager, preloader })
    await ask(handler, 'POST', start)
    await withTimeout(preloader.finished(), 10_000, 'the preload')
    const { body } = await ask(handler, 'GET', `${base}/preload/status`)
    expect(body['success_flag']).toBe(true)
    expect(JSON.stringify(body['logs'])).not.toContain('top-secret')
    await preloader.close()
  })
})

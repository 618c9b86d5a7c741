import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClient, DownloadError, isDownloadError, type Client } from '../../src/client/index.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { json, modelUrl, paths, silence, startServer, text, wire, type Answer } from './server.js'

const success = (more: object) => json({ success: true, ...more })

async function serve(answers: Record<string, Answer>) {
  const server = await startServer(answers)
  return { server, client: createClient({ baseUrl: server.url, timeoutMs: 5_000 }) }
}

async function errorOf(work: Promise<unknown>): Promise<DownloadError> {
  const error: unknown = await withTimeout(
    work.then(
      () => null,
      (error: unknown) => error,
    ),
    5_000,
  )
  if (!(error instanceof DownloadError))
    throw new Error('It did not fail with a DownloadError.', { cause: error })
  return error
}

describe('asks as the contract says', () => {
  const download = wire()
  const calls: [string, (client: Client) => Promise<unknown>, object, unknown?][] = [
    [
      'download',
      (client) => client.download({ url: modelUrl, filename: 'a.gguf', mode: 'llm', size: 5, priority: 1 }),
      {
        method: 'POST',
        path: paths.download,
        body: JSON.stringify({ url: modelUrl, filename: 'a.gguf', mode: 'llm', size: 5, priority: 1 }),
      },
    ],
    [
      'status',
      (client) => client.status(`${modelUrl}?a=b&c=ü`),
      { path: paths.status, search: { url: `${modelUrl}?a=b&c=ü` } },
      download,
    ],
    ['list', (client) => client.list(), { path: paths.status, search: {} }],
    [
      'list, some',
      (client) => client.list({ state: 'paused', mode: 'llm', limit: 3, cursor: 'c' }),
      { path: paths.status, search: { state: 'paused', mode: 'llm', limit: '3', cursor: 'c' } },
    ],
    ...(['pause', 'resume', 'cancel', 'retry'] as const).map((verb): (typeof calls)[number] => [
      verb,
      (client) => client[verb](modelUrl),
      { method: 'POST', path: `${paths.download}/${verb}`, body: JSON.stringify({ url: modelUrl }) },
      download,
    ]),
    [
      'remove',
      (client) => client.remove(modelUrl),
      { method: 'DELETE', path: paths.download, search: { url: modelUrl, delete_file: 'false' } },
      undefined,
    ],
    [
      'remove with its file',
      (client) => client.remove(modelUrl, { deleteFile: true }),
      { method: 'DELETE', path: paths.download, search: { url: modelUrl, delete_file: 'true' } },
      undefined,
    ],
    [
      'modelsStatus',
      (client) => client.modelsStatus({ locale: 'zh-CN' }),
      { path: paths.models, language: 'zh-CN' },
    ],
    [
      'inspect',
      (client) => client.inspect('hf:a/b'),
      { path: '/api/models/inspect', search: { url: 'hf:a/b' } },
    ],
    [
      'inspect of some files',
      (client) => client.inspect('hf:a/b', { include: ['*.gguf'], exclude: [] }),
      { path: '/api/models/inspect', search: { url: 'hf:a/b', include: '*.gguf' } },
    ],
    [
      'search',
      (client) => client.search('a b', { source: 'ms', gguf: true, limit: 5 }),
      { path: '/api/models/search', search: { text: 'a b', source: 'ms', gguf: 'true', limit: '5' } },
    ],
    [
      'check',
      (client) => client.check('hf:a/b'),
      { path: '/api/models/check', search: { url: 'hf:a/b' } },
      { status: 'current' },
    ],
    [
      'outdated',
      (client) => client.outdated({ all: true }),
      { path: '/api/models/outdated', search: { all: 'true' } },
    ],
    ['outdated of all', (client) => client.outdated(), { path: '/api/models/outdated', search: {} }],
    [
      'update',
      (client) => client.update('hf:a/b'),
      { method: 'POST', path: '/api/models/update', body: JSON.stringify({ url: 'hf:a/b' }) },
      download,
    ],
    ['preload.status', (client) => client.preload.status(), { path: paths.preload }],
    [
      'preload.start',
      (client) => client.preload.start({ models: ['a', 'b'], outputDir: 'x', force: true }),
      {
        method: 'POST',
        path: '/api/v1/models/preload/start',
        body: JSON.stringify({ models: ['a', 'b'], output_dir: 'x', force: true }),
      },
    ],
    [
      'preload.start of all',
      (client) => client.preload.start(),
      { method: 'POST', path: '/api/v1/models/preload/start', body: JSON.stringify({ models: 'all' }) },
    ],
    [
      'preload.cancel',
      (client) => client.preload.cancel(),
      { method: 'POST', path: '/api/v1/models/preload/cancel' },
    ],
  ]

  it.each(calls)('%s', async (_, call, expected, ...results) => {
    const answer = { success: true, download, downloads: {}, check: { status: 'current' }, extra: 1 }
    const server = await startServer({})
    for (const path of Object.values(paths)) server.answers[path] = json(answer)
    for (const path of ['inspect', 'search', 'check', 'outdated', 'update'])
      server.answers[`/api/models/${path}`] = json(answer)
    for (const path of ['start', 'cancel']) server.answers[`/api/v1/models/preload/${path}`] = json(answer)
    for (const verb of ['pause', 'resume', 'cancel', 'retry'])
      server.answers[`${paths.download}/${verb}`] = json(answer)
    const result = await call(createClient({ baseUrl: `${server.url}//`, headers: { 'X-Mine': '1' } }))
    expect(result).toEqual(results.length > 0 ? results[0] : answer)
    const [asked] = server.asked
    expect({
      ...asked,
      search: Object.fromEntries(asked?.query ?? []),
      language: asked?.headers['accept-language'],
    }).toMatchObject({ method: 'GET', ...expected })
    expect(asked?.headers).toMatchObject({ accept: 'application/json', 'x-mine': '1' })
    if (asked?.method === 'POST') expect(asked.headers['content-type']).toBe('application/json')
  })

  it('below a path', async () => {
    const { server } = await serve({ [`/ml${paths.status}`]: success({ downloads: {} }) })
    await createClient({ baseUrl: new URL(`${server.url}/ml/`) }).list()
    expect(server.asked[0]?.path).toBe(`/ml${paths.status}`)
  })

  it('10,000 downloads, page by page', async () => {
    const urls = Array.from({ length: 10_000 }, (_, index) => `https://example.com/${index}.gguf`)
    const { server, client } = await serve({
      [paths.status]: (req, res, asked) => {
        const from = Number(asked.query.get('cursor') ?? 0)
        const to = from + Number(asked.query.get('limit') ?? 1_000)
        const downloads = Object.fromEntries(urls.slice(from, to).map((url) => [url, wire({ url })]))
        success({ downloads, next_cursor: to < urls.length ? String(to) : null })(req, res, asked)
      },
    })
    const got: string[] = []
    for await (const { downloads } of client.pages({ mode: 'llm' })) got.push(...Object.keys(downloads))
    expect(got).toEqual(urls)
    expect(server.asked).toHaveLength(10)
    expect(server.asked.every(({ query }) => query.get('mode') === 'llm')).toBe(true)
    got.length = 0
    for await (const { downloads } of client.pages({ limit: 7_000 })) got.push(...Object.keys(downloads))
    expect(got).toEqual(urls)
    // A caller that stops iterating sends no more requests.
    for await (const page of client.pages()) if (Object.keys(page.downloads).length > 0) break
    expect(server.asked).toHaveLength(13)
    // All of them unless the caller wants a page.
    const all = await client.list({ mode: 'llm' })
    expect(Object.keys(all.downloads)).toEqual(urls)
    expect(all.next_cursor).toBeUndefined()
    expect(server.asked).toHaveLength(23)
    expect(server.asked.at(-1)?.query.toString()).toBe('mode=llm&cursor=9000')
    expect((await client.list({ limit: 5 })).next_cursor).toBe('5')
    expect((await client.list({ cursor: '9998' })).next_cursor).toBeNull()
  })

  it('not for ever, when a page repeats', async () => {
    const { server, client } = await serve({ [paths.status]: success({ downloads: {}, next_cursor: '1' }) })
    const all = async () => {
      for await (const page of client.pages()) expect(page.downloads).toEqual({})
    }
    expect(await errorOf(all())).toMatchObject({ code: 'PROTOCOL_ERROR' })
    expect(server.asked).toHaveLength(2)
    expect(await errorOf(client.list())).toMatchObject({ code: 'PROTOCOL_ERROR' })
  })
})

describe('errors', () => {
  const problem = {
    success: false,
    type: 'about:blank',
    title: 'x',
    detail: 'What is wrong.',
    error: 'What is wrong.',
  }

  it('are the ones that the server names', async () => {
    const issues = [{ path: 'url', message: 'is missing' }]
    const { client } = await serve({
      [paths.download]: json({ ...problem, code: 'INVALID_OPTIONS', issues }, 400),
      [`${paths.download}/pause`]: json({ ...problem, code: 'INVALID_STATE' }, 409),
    })
    expect(await errorOf(client.download({ url: '' }))).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: 'What is wrong.',
      status: 400,
      retryable: false,
      issues,
    })
    const error = await errorOf(client.pause(modelUrl))
    expect(isDownloadError(error, 'INVALID_STATE')).toBe(true)
    expect(error).toMatchObject({ status: 409, issues: [], retryAfterMs: undefined })
  })

  it('say whether, and after how long, to ask again', async () => {
    const { client } = await serve({
      [paths.download]: json({ ...problem, code: 'QUEUE_FULL' }, 429, { 'retry-after': '7' }),
      [paths.status]: json({ ...problem, code: 'STORE_ERROR' }, 503, {
        'retry-after': new Date(Date.now() + 60_000).toUTCString(),
      }),
      [paths.models]: json({ ...problem, code: 'INTERNAL' }, 500, { 'retry-after': 'soon' }),
    })
    expect(await errorOf(client.download({ url: modelUrl }))).toMatchObject({
      code: 'QUEUE_FULL',
      retryable: true,
      retryAfterMs: 7_000,
    })
    const { retryAfterMs, retryable } = await errorOf(client.list())
    expect(retryable).toBe(true)
    expect(retryAfterMs).toBeGreaterThan(50_000)
    expect(retryAfterMs).toBeLessThanOrEqual(60_000)
    expect((await errorOf(client.modelsStatus())).retryAfterMs).toBeUndefined()
  })

  it.each<[string, Answer, object]>([
    ['401', text('no', 401), { code: 'ACCESS_DENIED', status: 401, retryable: false }],
    ['403', text('<h1>no</h1>', 403), { code: 'ACCESS_DENIED', status: 403, retryable: false }],
    ['404', text('no', 404), { code: 'NOT_FOUND', status: 404, retryable: false }],
    [
      '418',
      text('no', 418),
      { code: 'HTTP_ERROR', status: 418, message: 'The server answered with HTTP 418.' },
    ],
    ['429', text('no', 429), { code: 'HTTP_ERROR', status: 429, retryable: true }],
    ['502', text('no', 502), { code: 'HTTP_ERROR', status: 502, retryable: true }],
    ['501', text('no', 501), { code: 'HTTP_ERROR', status: 501, retryable: false }],
    ['an older dialect', json({ error: 'Too bad.' }, 500), { code: 'HTTP_ERROR', message: 'Too bad.' }],
    ['a code of tomorrow', json({ detail: 'So.', code: 'NEW' }, 409), { code: 'HTTP_ERROR', message: 'So.' }],
    ['a broken problem', text('{"code":', 400), { code: 'HTTP_ERROR', status: 400 }],
    ['null', json(null, 400), { code: 'HTTP_ERROR', status: 400 }],
    ['odd members', json({ detail: 1, code: {}, issues: 'x' }, 400), { code: 'HTTP_ERROR', issues: [] }],
    [
      'odd issues',
      json({ code: 'INVALID_OPTIONS', issues: [null, 1, {}, { path: 'a', message: 'b' }] }, 400),
      { code: 'INVALID_OPTIONS', issues: [{ path: 'a', message: 'b' }] },
    ],
    ['a page', text('<!doctype html>'), { code: 'PROTOCOL_ERROR', status: 200, retryable: false }],
    ['nothing', text(''), { code: 'PROTOCOL_ERROR', status: 200 }],
    ['JSON of somebody else', json({ ok: true }), { code: 'PROTOCOL_ERROR', status: 200 }],
  ])('of a server that says %s', async (_, answer, expected) => {
    const { client } = await serve({ [paths.status]: answer })
    expect(await errorOf(client.status(modelUrl))).toMatchObject(expected)
  })

  it.each<[string, Answer]>([
    ['hangs up', (_, res) => res.destroy()],
    [
      'hangs up in the middle',
      (_, res) => {
        res.writeHead(200, { 'content-length': 100 }).write('{"success":')
        setTimeout(() => res.destroy(), 50)
      },
    ],
  ])('of a server that %s', async (_, answer) => {
    const { client } = await serve({ [paths.status]: answer })
    const error = await errorOf(client.list())
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: true, status: undefined })
    expect(error.cause).toBeInstanceOf(Error)
  })

  it('of a server that is not there', async () => {
    const { server, client } = await serve({})
    await server.stop()
    expect(await errorOf(client.list())).toMatchObject({ code: 'CONNECT_FAILED', retryable: true })
  })

  it.each<[string, Answer]>([
    ['never answers', silence],
    ['never ends its answer', (_, res) => void res.writeHead(200).write('{')],
    ['never ends its error', (_, res) => void res.writeHead(500).write('{')],
  ])('of a server that %s', async (_, answer) => {
    const { server } = await serve({ [paths.status]: answer })
    const client = createClient({ baseUrl: server.url, timeoutMs: 200 })
    expect(await errorOf(client.list())).toMatchObject({ code: 'STALLED', retryable: true })
    await waitFor(() => server.asked[0]?.closed, { what: 'the connection to be closed' })
  })

  it('of headers that are not to be had, or take too long', async () => {
    const { server } = await serve({})
    const cause = new Error('signed out')
    const failing = createClient({
      baseUrl: server.url,
      headers: () => {
        throw cause
      },
    })
    expect(await errorOf(failing.list())).toMatchObject({ code: 'ACCESS_DENIED', cause })
    const slow = createClient({
      baseUrl: server.url,
      headers: () => new Promise(() => undefined),
      timeoutMs: 50,
    })
    expect(await errorOf(slow.list())).toMatchObject({ code: 'STALLED' })
    expect(server.asked).toEqual([])
  })

  it('of an abort, before and meanwhile', async () => {
    const { server, client } = await serve({ [paths.status]: silence })
    expect(await errorOf(client.list({}, { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'CANCELED',
    })
    expect(server.asked).toEqual([])
    const page = new AbortController()
    const error = errorOf(client.status(modelUrl, { signal: page.signal }))
    await waitFor(() => server.asked.length === 1)
    page.abort(new Error('enough'))
    expect(await error).toMatchObject({ code: 'CANCELED', cause: { message: 'enough' }, retryable: false })
    await waitFor(() => server.asked[0]?.closed, { what: 'the connection to be closed' })
  })
})

describe('options', () => {
  it.each([
    'ftp://x',
    'http://',
    'http://user:secret@host',
    'http://host/?a',
    'http://host/#a',
    'host',
    '//host',
    '/\\host',
    '/ml?a',
    '/ml#a',
    './ml',
  ])('baseUrl %j is refused', (baseUrl) => {
    expect(() => createClient({ baseUrl })).toThrow(
      expect.objectContaining({ code: 'INVALID_URL', message: expect.not.stringContaining('secret') }),
    )
  })

  it.each([
    ['', paths.status],
    ['/', paths.status],
    ['/ml/', `/ml${paths.status}`],
  ])('baseUrl %j is fine for a fetch that knows its page', async (baseUrl, expected) => {
    const asked: string[] = []
    const client = createClient({
      baseUrl,
      fetch: async (url) => {
        asked.push(url)
        return Response.json({ success: true, downloads: {} })
      },
    })
    await client.list()
    expect(asked).toEqual([expected])
  })

  it.each(['', '/', '/ml', '/ml/'])(
    'baseUrl %j is fine where a page is rendered, until a request',
    async (baseUrl) => {
      const client = createClient({ baseUrl })
      const refused = { code: 'INVALID_URL', retryable: false, message: expect.stringContaining('whole URL') }
      await expect(client.list()).rejects.toMatchObject(refused)
      await expect(client.followAll().next()).rejects.toMatchObject(refused)
    },
  )

  it('a page that appears after the client is used', async () => {
    const { server } = await serve({ [`/ml${paths.status}`]: success({ downloads: {} }) })
    const client = createClient({ baseUrl: '/ml' })
    vi.stubGlobal('location', new URL(server.url))
    const { fetch } = globalThis
    vi.stubGlobal('fetch', (path: string, init: RequestInit) => fetch(new URL(path, server.url), init))
    onTestFinished(() => {
      vi.unstubAllGlobals()
    })
    expect(await client.list()).toMatchObject({ downloads: {} })
  })

  it.each([0, -1, NaN])('timeoutMs %d is refused', (timeoutMs) => {
    expect(() => createClient({ baseUrl: 'http://host', timeoutMs })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    )
  })

  it('no timeout is more than a timer can count', async () => {
    const { server } = await serve({ [paths.status]: success({ downloads: {} }) })
    const client = createClient({ baseUrl: server.url, timeoutMs: Infinity })
    expect(await client.list()).toMatchObject({ downloads: {} })
  })
})

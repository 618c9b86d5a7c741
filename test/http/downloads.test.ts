/** What API.md promises about downloads, sentence by sentence. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KiB, MiB } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import type { WireDownload } from '../../src/http/schemas.js'
import { byUrl, openEvents, startHttp, untilHas } from './bench.js'

const content = randomContent(256 * KiB)
const slow = { content: randomContent(256 * MiB), bytesPerSecond: 256 * KiB }

describe('POST /api/models/download', () => {
  it('answers at once, in the words of the contract, and the file arrives', async () => {
    // Waiting for the server's response would take longer than a test may take.
    await using bench = await startHttp({ of: { tuning: { headersTimeoutMs: 600_000 } } })
    const { origin, directory } = bench
    origin.serve('/a.gguf', { content: randomContent(8), faults: [{ type: 'stallBeforeHeaders' }] })
    const url = origin.url('/a.gguf')
    const { status, headers, body } = await bench.post({ url })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(body).toEqual({ success: true, url, filename: 'a.gguf', mode: 'llm', message: 'Download started' })

    origin.serve('/b.bin', { content })
    const wanted = {
      url: origin.url('/b.bin'),
      mode: 'embed',
      sha256: content.sha256(),
      size: content.size,
      priority: 9,
    }
    expect((await bench.post(wanted)).body).toMatchObject({ filename: 'b.bin', mode: 'embed' })
    await bench.until(wanted.url, 'completed')
    expect(await listTree(directory)).toContain('embed/b.bin')
    expect(bench.manager.get(wanted.url)).toMatchObject({ priority: 9, verified: true })
  })

  it('takes the name given, the last segment, or a provisional one until the server names it', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    for (const path of ['/a%20b.bin', '/x.bin', '/named', '/plain']) origin.serve(path, { content })
    const told = { 'Content-Disposition': 'attachment; filename="told.bin"' }
    // Not before we have answered.
    origin.serve('/named', { content, headers: told, latencyMs: 500 })
    const nameOf = async (json: { url: string; filename?: string }) =>
      (await bench.post(json)).body['filename']
    expect(await nameOf({ url: origin.url('/x.bin'), filename: 'mine.bin' })).toBe('mine.bin')
    expect(await nameOf({ url: `${origin.url('/a%20b.bin')}?download=true` })).toBe('a b.bin')
    expect(await nameOf({ url: origin.url('/named') })).toBe('model.gguf')
    expect((await bench.until(origin.url('/named'), 'completed')).filename).toBe('told.bin')
    expect(await nameOf({ url: origin.url('/plain'), filename: 'other.bin' })).toBe('other.bin')
  })

  it('joins what is under way, also for two at once', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    origin.serve('/a.bin', slow)
    const url = origin.url('/a.bin')
    const answers = await Promise.all([bench.post({ url }), bench.post({ url }), bench.post({ url })])
    const messages = answers.map(({ body }) => body['message']).sort()
    const joined = 'Download already in progress'
    expect(messages).toEqual([joined, joined, 'Download started'])
    const { status, body } = await bench.post({ url })
    expect([status, body]).toEqual([
      200,
      { success: true, url, filename: 'a.bin', mode: 'llm', message: joined },
    ])
    expect(bench.manager.list()).toHaveLength(1)
  })

  it('refuses other options for a URL that is known with 409', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    origin.serve('/a.bin', slow)
    const url = origin.url('/a.bin')
    await bench.post({ url, sha256: 'a'.repeat(64) })
    for (const other of [{ filename: 'b.bin' }, { mode: 'embed' }, { sha256: 'b'.repeat(64) }]) {
      await bench.problem(409, 'CONFLICT', 'POST', '/api/models/download', {
        json: { url, sha256: 'a'.repeat(64), ...other },
      })
    }
    await bench.problem(409, 'CONFLICT', 'POST', '/api/models/download', {
      json: { url: `${url}?other`, filename: 'a.bin' },
    })
  })

  it('says that the file exists, and the first poll finds it at 100, though all slots are taken', async () => {
    await using bench = await startHttp({ of: { concurrency: 1 } })
    const { origin, directory } = bench
    origin.serve('/slow.bin', slow)
    origin.serve('/a.bin', { content })
    await bench.post({ url: origin.url('/slow.bin') })
    await mkdir(join(directory, 'llm'), { recursive: true })
    await writeFile(join(directory, 'llm', 'a.bin'), 'whatever')
    const url = origin.url('/a.bin')
    for (let time = 0; time < 2; time += 1) {
      expect((await bench.post({ url })).body).toMatchObject({
        success: true,
        message: 'File already exists',
      })
      expect(await bench.status(url)).toMatchObject({
        status: 'completed',
        progress: 100,
        downloaded: 8,
        total: 8,
      })
    }
    expect(origin.requests('/a.bin')).toEqual([])
  })

  it('does not call a file existing that is the wrong one', async () => {
    await using bench = await startHttp()
    const { origin, directory } = bench
    origin.serve('/a.bin', { content })
    await mkdir(join(directory, 'llm'), { recursive: true })
    await writeFile(join(directory, 'llm', 'a.bin'), 'whatever')
    const url = origin.url('/a.bin')
    expect((await bench.post({ url, size: content.size })).body['message']).toBe('Download started')
    expect(await bench.until(url, 'completed')).toMatchObject({ downloaded: content.size })
  })

  it('starts a failed one anew', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    const url = origin.url('/a.bin')
    await bench.post({ url })
    expect(await bench.until(url, 'failed')).toMatchObject({ status: 'failed', code: 'NOT_FOUND' })
    origin.serve('/a.bin', { content })
    expect((await bench.post({ url })).body['message']).toBe('Download started')
    await bench.until(url, 'completed')
  })

  it('marks what comes over HTTP, and lets nothing but the contract in', async () => {
    await using bench = await startHttp({ allowedHosts: ['example.com'] })
    const url = bench.origin.url('/a.bin')
    bench.origin.serve('/a.bin', { content })
    await bench.post({
      url,
      headers: { 'X-Secret': '1' },
      connections: 2,
      force: true,
      directory: '/etc',
      remote: false,
    })
    const record = bench.manager.get(url)?.record
    expect(record).toMatchObject({
      remote: { allowPrivateNetwork: false, allowedHosts: ['example.com'] },
      headers: {},
      connections: null,
      force: false,
      directory: null,
    })
    expect(await bench.until(url, 'failed')).toMatchObject({ code: 'SSRF_BLOCKED' })
    expect(bench.origin.totalConnections).toBe(0)
  })

  it('refuses more than may wait with 429, but not who joins', async () => {
    await using bench = await startHttp({ maxQueued: 2, of: { concurrency: 1 } })
    const { origin, manager } = bench
    for (const name of ['a', 'b', 'c', 'd']) origin.serve(`/${name}.bin`, slow)
    const post = (name: string) => bench.post({ url: origin.url(`/${name}.bin`) })
    await post('a')
    await waitFor(() => manager.waiting === 0)
    expect((await Promise.all([post('b'), post('c')])).map(({ status }) => status)).toEqual([200, 200])
    const { headers } = await bench.problem(429, 'QUEUE_FULL', 'POST', '/api/models/download', {
      json: { url: origin.url('/d.bin') },
    })
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await post('b')).status).toBe(200)
    await manager.cancel(origin.url('/b.bin'))
    expect((await post('d')).status).toBe(200)
  })

  it('refuses them also when all come at once', async () => {
    await using bench = await startHttp({ maxQueued: 3, of: { concurrency: 1 } })
    const answers = await Promise.all(
      Array.from({ length: 9 }, (_, index) => bench.post({ url: bench.origin.url(`/${index}.bin`) })),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(6)
  })
})

describe('GET /api/models/download/status', () => {
  it('tells one by its URL, with numbers that are numbers', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    origin.serve('/a.bin', slow)
    const url = `${origin.url('/a.bin')}?a=1&b=%2F+x#part`
    await bench.post({ url })
    const first = await bench.status(url)
    expect(first).toMatchObject({
      url,
      status: 'downloading',
      error: null,
      code: null,
      verified: false,
      sha256: null,
    })
    expect(Object.keys(first)).toEqual([
      'url',
      'filename',
      'mode',
      'status',
      'downloaded',
      'total',
      'progress',
      'error',
      'state',
      'code',
      'bytes_per_second',
      'eta_seconds',
      'connections',
      'sha256',
      'verified',
      'verification',
      'created_at',
      'started_at',
      'finished_at',
      'file_count',
      'files_completed',
      'files',
    ])
    for (const name of ['downloaded', 'total', 'progress', 'bytes_per_second', 'connections']) {
      expect(first, name).toHaveProperty(name)
      expect(Reflect.get(first, name), name).toBeTypeOf('number')
    }
    const moves = (download: WireDownload) => download.bytes_per_second > 0
    const moving = await untilHas(() => bench.status(url), moves, 'a speed')
    expect(moving).toMatchObject({ state: 'downloading', total: slow.content.size, finished_at: null })
    expect(moving.progress.toFixed(1)).toMatch(/^\d+\.\d$/)
    expect(moving.progress).toBeLessThan(100)
    expect(moving.eta_seconds).toBeGreaterThan(0)
    expect(moving.connections).toBeGreaterThan(0)
    expect(new Date(moving.started_at ?? '').toISOString()).toBe(moving.started_at)
  })

  it('is what JSON.stringify makes of a download, and of the list', async () => {
    await using bench = await startHttp()
    const { origin, manager } = bench
    const content = randomContent(64 * KiB)
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    const failing = origin.url('/missing.bin')
    await bench.post({ url })
    await bench.post({ url: failing })
    for (const each of [url, failing]) {
      await manager.get(each)?.finished.catch(() => undefined)
      expect(JSON.parse(JSON.stringify(manager.get(each)))).toEqual(await bench.status(each))
    }
    expect(JSON.parse(JSON.stringify(manager.list()))).toMatchObject([
      { url, state: 'completed', sha256: content.sha256(), error: null },
      { url: failing, state: 'failed', code: 'NOT_FOUND' },
    ])
  })

  it('says where a file lies, unless that is outside the folder of the manager', async () => {
    await using bench = await startHttp()
    const { origin, manager } = bench
    origin.serve('/a.bin', { content })
    origin.serve('/b.bin', { content })
    const [inside, outside] = [origin.url('/a.bin'), origin.url('/b.bin')]
    await bench.post({ url: inside })
    await manager.download({ url: outside, directory: tempDir('elsewhere') })
    const pathOf = async (url: string) =>
      (await bench.ask('GET', `/api/models/download/status${byUrl(url)}&with_path=true`)).body
    expect(await pathOf(inside)).toMatchObject({ path: join(manager.directory, 'llm', 'a.bin') })
    expect(await pathOf(outside)).toMatchObject({ path: null })
    expect(await bench.status(inside)).not.toHaveProperty('path')
  })

  it('has three values for status, whatever the state', async () => {
    await using bench = await startHttp({ of: { concurrency: 1 } })
    const { origin, manager } = bench
    origin.serve('/a.bin', { content: slow.content, bytesPerSecond: 64 * KiB })
    origin.serve('/b.bin', { content })
    const [a, b, c] = ['/a.bin', '/b.bin', '/c.bin'].map((path) => origin.url(path)) as [
      string,
      string,
      string,
    ]
    for (const url of [a, b, c]) await bench.post({ url })
    expect(await bench.status(b)).toMatchObject({
      status: 'downloading',
      state: 'queued',
      total: 0,
      progress: 0,
    })
    await manager.pause(b)
    expect(await bench.status(b)).toMatchObject({ status: 'downloading', state: 'paused' })
    await manager.cancel(a)
    expect(await bench.status(a)).toMatchObject({
      status: 'failed',
      state: 'canceled',
      error: 'canceled',
      code: 'CANCELED',
    })
    expect(await bench.until(c, 'failed')).toMatchObject({ status: 'failed', code: 'NOT_FOUND' })
    expect((await bench.status(c)).error).toMatch(/HTTP 404/)
    await manager.resume(b)
    const done = await bench.until(b, 'completed')
    expect(done).toMatchObject({
      status: 'completed',
      progress: 100,
      error: null,
      code: null,
      sha256: content.sha256(),
    })
    expect(done.finished_at).toMatch(/Z$/)
  })

  it('lists all as an object keyed by URL, filtered by state and mode', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    origin.serve('/a.bin', { content })
    origin.serve('/b.bin', { content })
    const [a, b, c] = ['/a.bin', '/b.bin', '/c.bin'].map((path) => origin.url(path)) as [
      string,
      string,
      string,
    ]
    expect((await bench.ask('GET', '/api/models/download/status')).body).toEqual({
      success: true,
      downloads: {},
    })
    await bench.post({ url: a })
    await bench.post({ url: b, mode: 'embed' })
    await bench.post({ url: c })
    await bench.manager.onIdle()
    const keys = async (query: string) => {
      const { body } = await bench.ask('GET', `/api/models/download/status${query}`)
      return Object.keys(body['downloads'] ?? {})
    }
    expect(await keys('')).toEqual([a, b, c])
    expect(await keys('?state=completed')).toEqual([a, b])
    expect(await keys('?state=completed&mode=embed')).toEqual([b])
    expect(await keys('?mode=rerank')).toEqual([])
    expect((await bench.ask('GET', '/api/models/download/status')).body).toMatchObject({
      downloads: { [a]: await bench.status(a) },
    })
    await bench.problem(400, 'INVALID_OPTIONS', 'GET', '/api/models/download/status?state=running')
  })

  it('says 404 of an unknown one', async () => {
    await using bench = await startHttp()
    await bench.problem(
      404,
      'UNKNOWN_DOWNLOAD',
      'GET',
      '/api/models/download/status?url=https%3A%2F%2Fx.test%2Fa',
    )
  })
})

describe('control', () => {
  it('moves, answers with the download, and can be repeated', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    origin.serve('/a.bin', slow)
    const url = origin.url('/a.bin')
    await bench.post({ url })
    await bench.until(url, 'downloading')
    const move = (name: string) => bench.ask('POST', `/api/models/download/${name}`, { json: { url } })
    for (const [name, states] of [
      ['pause', ['paused']],
      ['resume', ['queued', 'resolving', 'downloading']],
      ['cancel', ['canceled']],
      ['retry', ['queued', 'resolving', 'downloading']],
    ] as const) {
      for (let time = 0; time < 2; time += 1) {
        const { status, body } = await move(name)
        expect([name, status, body['success']]).toEqual([name, 200, true])
        expect(body['download']).toMatchObject({ url })
        expect(states).toContain(Reflect.get(Object(body['download']), 'state'))
      }
    }
  })

  it('changes priority and limit of one, which moves it in the queue, and is told to who follows', async () => {
    await using bench = await startHttp({ of: { concurrency: 1 } })
    const { origin, manager } = bench
    const [running, first, second] = ['/run.bin', '/first.bin', '/second.bin'].map((path) => {
      origin.serve(path, slow)
      return origin.url(path)
    }) as [string, string, string]
    for (const url of [running, first, second]) await bench.post({ url })
    await bench.until(running, 'downloading')
    const change = (json: object) => bench.ask('POST', '/api/models/download/settings', { json })
    const events = await openEvents(
      bench.handler,
      `/api/models/download/events?url=${encodeURIComponent(second)}`,
    )
    await events.next('snapshot')
    const { status, body } = await change({ url: second, priority: 5 })
    expect([status, body['download']]).toEqual([200, expect.objectContaining({ url: second, priority: 5 })])
    expect((await events.next('progress')).data).toMatchObject({ state: 'queued', priority: 5 })
    expect((await change({ url: running, max_bytes_per_second: 1e6 })).body['download']).toMatchObject({
      max_bytes_per_second: 1e6,
    })
    expect(manager.get(running)?.maxBytesPerSecond).toBe(1e6)
    expect((await change({ url: running, max_bytes_per_second: null })).body['download']).not.toHaveProperty(
      'max_bytes_per_second',
    )
    await manager.cancel(running)
    await waitFor(() => manager.get(second)?.state !== 'queued', { what: 'the more important one to start' })
    expect(manager.get(first)?.state).toBe('queued')
    for (const wrong of [{ priority: 0.5 }, { priority: 1e7 }, { max_bytes_per_second: 0 }])
      expect((await change({ url: first, ...wrong })).status).toBe(400)
    expect((await change({ url: 'https://unknown.test/a', priority: 1 })).body).toMatchObject({
      status: 404,
      code: 'UNKNOWN_DOWNLOAD',
    })
  })

  it('tells and changes the limits of all together', async () => {
    await using bench = await startHttp({ of: { concurrency: 2 } })
    const set = (json: object) => bench.ask('POST', '/api/models/queue', { json })
    const limits = { success: true, concurrency: 2, max_bytes_per_second: null, waiting: 0 }
    expect((await bench.ask('GET', '/api/models/queue')).body).toEqual(limits)
    expect((await set({ max_bytes_per_second: 2e6 })).body).toEqual({ ...limits, max_bytes_per_second: 2e6 })
    expect((await set({ concurrency: 5 })).body).toMatchObject({ concurrency: 5, max_bytes_per_second: 2e6 })
    expect([bench.manager.concurrency, bench.manager.maxBytesPerSecond]).toEqual([5, 2e6])
    expect((await set({ max_bytes_per_second: null })).body).toMatchObject({ max_bytes_per_second: null })
    for (const wrong of [{ concurrency: 0 }, { concurrency: 1001 }, { max_bytes_per_second: -1 }])
      expect((await set(wrong)).status).toBe(400)
  })

  it('says 409 of a move that the state forbids, and 404 of a URL that nobody knows', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    await bench.post({ url })
    await bench.until(url, 'completed')
    for (const name of ['pause', 'resume', 'cancel', 'retry']) {
      const path = `/api/models/download/${name}`
      await bench.problem(409, 'INVALID_STATE', 'POST', path, { json: { url } })
      await bench.problem(404, 'UNKNOWN_DOWNLOAD', 'POST', path, { json: { url: `${url}x` } })
      await bench.problem(400, 'INVALID_OPTIONS', 'POST', path, { json: {} })
    }
  })

  it('forgets, with the file or without, as often as asked', async () => {
    await using bench = await startHttp()
    const { origin, directory } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    const remove = (query: string) => bench.ask('DELETE', `/api/models/download${byUrl(url)}${query}`)
    for (const query of ['', '&delete_file=false', '&delete_file=true']) {
      await bench.post({ url })
      await bench.until(url, 'completed')
      for (let time = 0; time < 2; time += 1) {
        const { status, body } = await remove(query)
        expect([status, body]).toEqual([200, { success: true, url }])
      }
      expect(await listTree(directory)).toEqual(query.endsWith('true') ? ['llm/'] : ['llm/', 'llm/a.bin'])
      await bench.problem(404, 'UNKNOWN_DOWNLOAD', 'GET', `/api/models/download/status${byUrl(url)}`)
    }
    // The host application may have put a file anywhere, but callers delete only below the server's folder.
    const elsewhere = tempDir('elsewhere')
    await (
      await bench.manager.download({ url, directory: elsewhere })
    ).finished
    await bench.problem(403, 'ACCESS_DENIED', 'DELETE', `/api/models/download${byUrl(url)}&delete_file=true`)
    expect((await remove('')).status).toBe(200)
    expect(await listTree(elsewhere)).toEqual(['llm/', 'llm/a.bin'])
    await bench.problem(400, 'INVALID_OPTIONS', 'DELETE', '/api/models/download')
    await bench.problem(
      400,
      'INVALID_OPTIONS',
      'DELETE',
      `/api/models/download${byUrl(url)}&delete_file=perhaps`,
    )
  })
})

/** `GET /api/models/files` and `POST /api/models/verify`. */
import { createHash } from 'node:crypto'
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { VerifyQueue } from '../../src/http/stored-files.js'
import { randomContent } from '../support/content.js'
import { listTree, tempDir } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'
import { ask, local, requestOf, startHttp } from './bench.js'

const content = randomContent(64 * 1024)

const digest = (text: string) => createHash('sha256').update(text).digest('hex')

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

describe('GET /api/models/files', () => {
  it('lists downloads and other files, without paths, and page by page', async () => {
    await using bench = await startHttp()
    const { origin, directory, manager } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    await bench.post({ url, sha256: content.sha256() })
    await bench.until(url, 'completed')
    put(join(directory, 'embed', 'own.gguf'), 'whatever')
    const elsewhere = tempDir('elsewhere')
    await (
      await manager.download({ url: `${url}?2`, directory: elsewhere, filename: 'x.bin' })
    ).finished
    const { status, body } = await bench.ask('GET', '/api/models/files')
    expect(status).toBe(200)
    expect(body).toEqual({
      success: true,
      files: [
        {
          name: 'embed/own.gguf',
          url: null,
          mode: 'embed',
          layout: 'flat',
          revision: null,
          state: 'complete',
          finished: true,
          size: 8,
          total: null,
          sha256: null,
          verification: null,
          digest_known: false,
          modified_at: expect.stringMatching(/Z$/),
          file_count: null,
          files: null,
        },
        expect.objectContaining({
          name: 'llm/a.bin',
          url,
          mode: 'llm',
          state: 'complete',
          size: content.size,
          total: content.size,
          sha256: content.sha256(),
          verification: { algorithm: 'sha256', value: content.sha256(), from: 'caller' },
          digest_known: true,
        }),
      ],
    })
    expect(JSON.stringify(body)).not.toMatch(/elsewhere|\/tmp\//)
    expect((await manager.files()).map(({ path }) => path)).toContain(join(elsewhere, 'llm', 'x.bin'))

    const names: unknown[] = []
    let cursor = ''
    for (;;) {
      const page = (await bench.ask('GET', `/api/models/files?limit=1${cursor}`)).body as {
        files: { name: string }[]
        next_cursor: string | null
      }
      names.push(...page.files.map(({ name }) => name))
      if (page.next_cursor === null) break
      cursor = `&cursor=${page.next_cursor}`
    }
    expect(names).toEqual(['embed/own.gguf', 'llm/a.bin'])
    expect((await bench.ask('GET', '/api/models/files?mode=llm&state=complete')).body['files']).toHaveLength(
      1,
    )
    await bench.problem(404, 'NOT_FOUND', 'GET', '/api/models/files?name=no')
    await bench.problem(400, 'INVALID_OPTIONS', 'GET', '/api/models/files?cursor=x')
  })
})

describe('POST /api/models/verify', () => {
  it('finds what is damaged, and writes nothing', async () => {
    await using bench = await startHttp()
    const { origin, directory } = bench
    origin.serve('*', { content })
    const post = async (name: string) => {
      const url = origin.url(`/${name}`)
      await bench.post({ url, sha256: content.sha256() })
      await bench.until(url, 'completed')
      return url
    }
    const urls = [await post('damaged.bin'), await post('good.bin'), await post('short.bin')]
    const damaged = join(directory, 'llm', 'damaged.bin')
    writeFileSync(damaged, Buffer.alloc(content.size))
    writeFileSync(join(directory, 'llm', 'short.bin'), 'x')
    put(join(directory, 'llm', 'own.bin'), 'own')
    symlinkSync('/etc/passwd', join(directory, 'llm', 'link.bin'))
    const before = [await listTree(directory), statSync(damaged).mtimeMs]
    const { status, headers, body } = await bench.ask('POST', '/api/models/verify')
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8'])
    expect(body).toMatchObject({
      success: true,
      ok: false,
      counts: { ok: 1, damaged: 1, unknown: 1, 'size-differs': 1, missing: 0, unreadable: 0, changed: 0 },
    })
    const found = (body['files'] as { name: string; status: string }[]).map(({ name, status: of }) => [
      name,
      of,
    ])
    expect(found).toEqual([
      ['llm/damaged.bin', 'damaged'],
      ['llm/good.bin', 'ok'],
      ['llm/own.bin', 'unknown'],
      ['llm/short.bin', 'size-differs'],
    ])
    expect((body['files'] as { sha256: string }[])[2]?.sha256).toBe(digest('own'))
    const wanted = { algorithm: 'sha256', value: content.sha256(), from: 'caller' }
    expect(body['files']).toMatchObject([
      { compared_with: 'sha256', verification: wanted, expected_sha256: content.sha256() },
      { compared_with: 'sha256', verification: wanted },
      { compared_with: null, verification: null },
      { compared_with: null, verification: wanted },
    ])
    expect([await listTree(directory), statSync(damaged).mtimeMs]).toEqual(before)

    const client = createClient({
      baseUrl: 'http://localhost:8050',
      fetch: async (url, init) => await bench.handler(new Request(url, init), local),
    })
    expect(await client.verify({ names: [urls[1] ?? ''] })).toMatchObject({
      ok: true,
      files: [{ status: 'ok' }],
    })
    expect((await client.files({ mode: 'llm' })).files).toHaveLength(4)
    await expect(client.verify({ names: ['no'] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await bench.problem(400, 'INVALID_OPTIONS', 'POST', '/api/models/verify', { json: { names: [1] } })
  })

  it('needs the permission to manage, and refuses foreign pages', async () => {
    const asked: string[] = []
    await using bench = await startHttp({
      authorize: (action) => {
        asked.push(action)
        return action === 'downloads:read'
      },
    })
    expect((await bench.ask('GET', '/api/models/files')).status).toBe(200)
    await bench.problem(403, 'ACCESS_DENIED', 'POST', '/api/models/verify')
    expect(asked).toEqual(['downloads:read', 'downloads:manage'])
    await using open = await startHttp()
    await open.problem(403, 'ACCESS_DENIED', 'POST', '/api/models/verify', {
      headers: { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
    })
  })

  it('runs one check of a caller at a time, which ends when the caller leaves', async () => {
    await using bench = await startHttp()
    const { handler, directory } = bench
    put(join(directory, 'llm', 'big.bin'), 'x'.repeat(8 * 1024 * 1024))
    const first = await handler(requestOf('POST', '/api/models/verify'), local)
    await bench.problem(429, 'QUEUE_FULL', 'POST', '/api/models/verify')
    // Another caller is not affected by it.
    const other = { remoteAddress: '127.0.0.2' }
    const second = ask(handler, 'POST', '/api/models/verify', { context: other })
    await first.body?.cancel()
    expect((await withTimeout(second, 10_000, 'the other caller')).status).toBe(200)
    expect((await bench.ask('POST', '/api/models/verify')).body).toMatchObject({ ok: true })
    const nothing = { running: false, waiting: 0, checked: 0, files: 0, bytes: 0, total_bytes: 0 }
    expect((await bench.ask('GET', '/api/models/verify')).body).toEqual({ success: true, ...nothing })
  })
})

describe('the queue of checks', () => {
  const never = new AbortController().signal

  it('has room for a few, whoever they are', async () => {
    const queue = new VerifyQueue()
    let end: () => void = () => undefined
    const progress = { checked: 1, files: 2, bytes: 3, totalBytes: 4 }
    const running = queue.enter(null)(never, (onProgress) => {
      onProgress(progress)
      return new Promise<void>((resolve) => (end = resolve))
    })
    const left = new AbortController()
    const waiting = Array.from({ length: 8 }, () => queue.enter(null)(left.signal, async () => 'ran'))
    expect(() => queue.enter('10.0.0.1')).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }))
    await Promise.resolve()
    expect([queue.running, queue.waiting]).toEqual([progress, 8])
    left.abort()
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code: 'CANCELED' })
    // Who has left takes no room any more, though the first one is still running.
    const next = queue.enter('10.0.0.1')(never, async () => 'ran')
    expect(() => queue.enter('10.0.0.1')).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }))
    end()
    await running
    expect(await next).toBe('ran')
    expect([queue.running, queue.waiting]).toEqual([null, 0])
    expect(await queue.enter('10.0.0.1')(never, async () => 'again')).toBe('again')
  })
})

/** FAULTS rows 39 to 41: requests that are wrong. Nothing is created, nothing is asked of the network. */
import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { KiB } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { listTree } from '../support/temp.js'
import { startHttp, type HttpBench, type Sent } from './bench.js'

const path = '/api/models/download'
const good = 'https://example.test/a.gguf'

/** The same path on a host that the handler may not reach: no test asks the network. */
const blocked = (url: string) => `http://127.0.0.1:9${new URL(url).pathname}`

async function expectNothing(bench: HttpBench): Promise<void> {
  expect(bench.manager.list()).toEqual([])
  expect(await listTree(bench.directory)).toEqual([])
  expect(bench.origin.totalConnections).toBe(0)
}

/** What is refused, and the path of the first issue. */
async function refusedFor(bench: HttpBench, code: string, json: unknown): Promise<string> {
  const { body } = await bench.problem(400, code, 'POST', path, { json })
  const issues = body['issues'] as { path: string; message: string }[] | undefined
  expect(issues?.[0]?.message, JSON.stringify(json)).toMatch(/\S/)
  return issues?.[0]?.path ?? ''
}

describe('row 39: fields', () => {
  it('missing or mistyped ones are told with their path', async () => {
    await using bench = await startHttp()
    const cases: [json: unknown, path: string][] = [
      [{}, 'url'],
      [{ url: 5 }, 'url'],
      [{ url: null }, 'url'],
      [{ url: '' }, 'url'],
      [{ url: [good] }, 'url'],
      [{ url: `https://x.test/${'a'.repeat(17_000)}` }, 'url'],
      [{ url: good, filename: 5 }, 'filename'],
      [{ url: good, mode: {} }, 'mode'],
      [{ url: good, mode: 'unheard' }, 'mode'],
      [{ url: good, mode: '../up' }, 'mode'],
      [{ url: good, sha256: 'abc' }, 'sha256'],
      [{ url: good, sha256: 'g'.repeat(64) }, 'sha256'],
      [{ url: good, sha256: 'a'.repeat(65) }, 'sha256'],
      [{ url: good, size: -1 }, 'size'],
      [{ url: good, size: 1.5 }, 'size'],
      [{ url: good, size: '5' }, 'size'],
      [{ url: good, size: 2 ** 53 }, 'size'],
      [{ url: good, priority: 1_000_001 }, 'priority'],
      [{ url: good, priority: 0.5 }, 'priority'],
      [{ url: good, connections: 1e6 }, 'connections'],
      [{ url: good, connections: 0 }, 'connections'],
    ]
    for (const [json, where] of cases) {
      expect(await refusedFor(bench, 'INVALID_OPTIONS', json), JSON.stringify(json).slice(0, 80)).toBe(where)
    }
    for (const json of [[], 'text', 5, true]) {
      await bench.problem(400, 'INVALID_OPTIONS', 'POST', path, { json })
    }
    const { body } = await bench.problem(400, 'INVALID_OPTIONS', 'POST', path, {
      json: { url: 1, size: -1, mode: 2 },
    })
    expect(body['issues']).toHaveLength(3)
    await expectNothing(bench)
  })

  it('URLs that are none of ours are refused', async () => {
    await using bench = await startHttp()
    for (const url of [
      'nonsense',
      'ftp://example.test/a.gguf',
      'file:///etc/passwd',
      'data:,x',
      'https://',
      'https://example.test/a\0b.gguf',
      'https://example.test/a\tb.gguf',
      'https://example.test/a\nb.gguf',
      ' https://example.test/a.gguf',
      'https:\\\\example.test\\a.gguf',
      'https://user:secret-word@example.test/a.gguf',
      'https://user@example.test/a.gguf',
      'https://:secret-word@example.test/a.gguf',
    ]) {
      expect(await refusedFor(bench, 'INVALID_URL', { url }), url).toBe('url')
      const { body } = await bench.ask('POST', path, { json: { url } })
      expect(JSON.stringify(body)).not.toContain('secret-word')
    }
    await expectNothing(bench)
  })

  it('fields that nobody knows are ignored', async () => {
    await using bench = await startHttp()
    const url = bench.origin.url('/a.bin')
    bench.origin.serve('/a.bin', { content: randomContent(KiB) })
    const { status } = await bench.post({ url, save_path: '/x', __proto__x: 1, headers: 'no', remote: 5 })
    expect(status).toBe(200)
    await bench.until(url, 'completed')
  })

  it('whatever the body, the answer is JSON and no server error', async () => {
    await using bench = await startHttp()
    const junk = fc.oneof(
      fc.json(),
      fc.json().map((text) => `{"url":${text}}`),
      fc.string(),
      fc
        .record({ url: fc.webUrl().map(blocked), filename: fc.string(), size: fc.double() })
        .map((value) => JSON.stringify(value)),
    )
    await fc.assert(
      fc.asyncProperty(junk, async (text) => {
        const { status } = await bench.ask('POST', path, {
          text,
          headers: { 'Content-Type': 'application/json' },
        })
        expect([200, 400, 409]).toContain(status)
      }),
      { numRuns: 200 },
    )
  })
})

describe('row 40: bodies', () => {
  const asJson = { 'Content-Type': 'application/json' }
  const full = JSON.stringify({ url: good })

  it('what is not JSON is refused with 400', async () => {
    await using bench = await startHttp()
    for (const text of [
      '{',
      '{"url":',
      'url=x',
      '{"url":"a",}',
      '[[[[',
      '['.repeat(60_000),
      '\u0000',
      new Uint8Array([0x22, 0xff, 0x22]),
    ]) {
      const { body } = await bench.problem(400, 'INVALID_OPTIONS', 'POST', path, { text, headers: asJson })
      expect(body['detail']).toMatch(/not valid (JSON|UTF-8)/)
    }
    await expectNothing(bench)
  })

  it('more than 64 KiB are refused with 413, at the first byte too many', async () => {
    await using bench = await startHttp()
    const big = JSON.stringify({ url: good, padding: 'x'.repeat(1_000_000) })
    await bench.problem(413, 'INVALID_OPTIONS', 'POST', path, { text: big, headers: asJson })
    await bench.problem(413, 'INVALID_OPTIONS', 'POST', path, { text: big })
    await bench.problem(413, 'INVALID_OPTIONS', 'POST', path, {
      text: full,
      headers: { ...asJson, 'Content-Length': '65537' },
    })
    let sent = 0
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sent += 1024
        controller.enqueue(new Uint8Array(1024).fill(0x20))
      },
      cancel: () => {
        cancelled = true
      },
    })
    await bench.problem(413, 'INVALID_OPTIONS', 'POST', path, { text: endless, headers: asJson })
    expect([cancelled, sent < 100 * KiB]).toEqual([true, true])
    await expectNothing(bench)
  })

  it('exactly 64 KiB are fine', async () => {
    await using bench = await startHttp()
    const url = bench.origin.url('/a.bin')
    const start = JSON.stringify({ url, padding: '' })
    const text = `${start.slice(0, -2)}${'x'.repeat(65_536 - start.length)}"}`
    expect(text).toHaveLength(65_536)
    expect((await bench.ask('POST', path, { text, headers: asJson })).status).toBe(200)
    await bench.problem(413, 'INVALID_OPTIONS', 'POST', path, { text: `${text} `, headers: asJson })
  })

  it('what is not announced as JSON is refused with 415', async () => {
    await using bench = await startHttp()
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/jsonp',
      'json',
      '',
    ]) {
      const headers = { 'Content-Type': type }
      await bench.problem(415, 'INVALID_OPTIONS', 'POST', path, { text: full, headers })
    }
    for (const headers of [
      { 'Content-Type': 'application/json; charset=utf-16' },
      { ...asJson, 'Content-Encoding': 'gzip' },
    ]) {
      await bench.problem(415, 'INVALID_OPTIONS', 'POST', path, { text: full, headers })
    }
    await expectNothing(bench)
    const text = JSON.stringify({ url: bench.origin.url('/a.bin') })
    for (const type of [
      'application/json; charset=utf-8',
      'Application/JSON;charset="UTF-8"',
      'application/problem+json',
    ]) {
      expect((await bench.ask('POST', path, { text, headers: { 'Content-Type': type } })).status, type).toBe(
        200,
      )
    }
  })

  it('a body that ends too early is refused with 400', async () => {
    await using bench = await startHttp()
    const text = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        controller.error(new Error('gone'))
      },
    })
    await bench.problem(400, 'INVALID_OPTIONS', 'POST', path, { text, headers: asJson })
  })

  it('none at all lacks a url, whatever its type', async () => {
    await using bench = await startHttp()
    for (const headers of [{}, asJson, { 'Content-Type': 'text/plain' }]) {
      const { body } = await bench.problem(400, 'INVALID_OPTIONS', 'POST', path, { headers })
      expect(body['issues']).toMatchObject([{ path: 'url' }])
    }
  })

  it('one that the host has parsed is taken, and held to the same rules', async () => {
    await using bench = await startHttp()
    const url = bench.origin.url('/a.bin')
    const given = (body: unknown, headers: Record<string, string> = asJson): Sent => ({
      headers,
      context: { remoteAddress: '127.0.0.1', body },
    })
    for (const body of [{ url }, JSON.stringify({ url }), Buffer.from(JSON.stringify({ url }))]) {
      expect((await bench.ask('POST', path, given(body))).status).toBe(200)
    }
    const refusals: [status: number, sent: Sent][] = [
      [415, given({ url }, { 'Content-Type': 'application/x-www-form-urlencoded' })],
      [415, given({ url }, {})],
      [400, given({}, { 'Content-Type': 'application/x-www-form-urlencoded' })],
      [400, given(null)],
      [400, given('')],
      [400, given('{')],
      [400, given([url])],
      [413, given(' '.repeat(70_000))],
      [413, given(Buffer.alloc(70_000))],
    ]
    for (const [status, sent] of refusals) await bench.problem(status, 'INVALID_OPTIONS', 'POST', path, sent)
  })
})

describe('row 41: file names', () => {
  it.each([
    '',
    '.',
    '..',
    '../x.gguf',
    '/etc/passwd',
    'a/b.gguf',
    'a\\b.gguf',
    'C:\\x.gguf',
    'C:x.gguf',
    '\\\\server\\share\\x.gguf',
    'x.gguf:stream',
    'CON',
    'nul.gguf',
    'com1.bin',
    'x.gguf.',
    'x.gguf ',
    ' x.gguf',
    'a\u0000b.gguf',
    'a\u202efugg.exe',
    'a\nb.gguf',
    'x.gguf.part',
    '.model-downloader',
    'x'.repeat(256),
  ])('%j is refused', async (filename) => {
    await using bench = await startHttp()
    expect(await refusedFor(bench, 'UNSAFE_FILENAME', { url: good, filename })).toBe('filename')
    await expectNothing(bench)
  })

  it('those in the URL are refused too', async () => {
    await using bench = await startHttp()
    for (const name of [
      '..%2fx.gguf',
      '..%5cx.gguf',
      'a%00b.gguf',
      'con.gguf',
      'x%3astream.gguf',
      '%2e%2e%2fetc%2fpasswd',
    ]) {
      await refusedFor(bench, 'UNSAFE_FILENAME', { url: `https://example.test/${name}` })
    }
    await expectNothing(bench)
  })

  it('those that servers and redirects name end the download', async () => {
    await using bench = await startHttp()
    const { origin } = bench
    const content = randomContent(KiB)
    origin.serve('/told', {
      content,
      headers: { 'Content-Disposition': 'attachment; filename="../../x.gguf"' },
    })
    origin.serve('/moved', { content, redirect: '/..%2fx.gguf' })
    origin.serve('/..%2fx.gguf', { content })
    for (const name of ['/told', '/moved']) {
      const url = origin.url(name)
      await bench.post({ url })
      const failed = await bench.until(url, 'failed')
      expect(failed, name).toMatchObject({ code: 'UNSAFE_FILENAME', status: 'failed' })
    }
    expect(await listTree(bench.directory)).toEqual([])
  })
})

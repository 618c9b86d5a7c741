/** Who may call, and FAULTS row 45. */
import fc, { anyText } from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isLoopbackAddress, isLoopbackHost, parseHost } from '../../src/http/access.js'
import type { Action, RequestContext } from '../../src/http/handler.js'
import { ask, startHttp } from './bench.js'

const status = '/api/models/download/status'
const from = (remoteAddress: string | undefined, host?: string): RequestContext => ({
  remoteAddress,
  ...(host === undefined ? {} : { host }),
})

describe('without authorize', () => {
  it('callers on this machine are served', async () => {
    await using bench = await startHttp()
    for (const address of ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1']) {
      expect((await bench.ask('GET', status, { context: from(address) })).status, address).toBe(200)
    }
  })

  it('others are refused, and so is who cannot be seen', async () => {
    await using bench = await startHttp()
    for (const address of [
      undefined,
      '',
      '10.0.0.1',
      '192.168.1.5',
      '::',
      '::ffff:10.0.0.1',
      'fe80::1',
      'localhost',
      '2130706433',
    ]) {
      const context = from(address)
      for (const [method, path] of [
        ['GET', status],
        ['POST', '/api/models/download'],
        ['OPTIONS', status],
        ['PATCH', status],
        ['GET', '/api/models/openapi.json'],
        ['GET', '/api/models/download/events'],
        ['POST', '/api/v1/models/preload/start'],
      ] as const) {
        await bench.problem(403, 'ACCESS_DENIED', method, path, { context })
      }
    }
  })

  it('row 45: a foreign Host is refused', async () => {
    await using bench = await startHttp()
    for (const host of [
      'evil.example',
      'evil.example:8050',
      'localhost.evil.example',
      '127.0.0.1.nip.io',
      '10.0.0.1',
      '[::2]',
      'localhost:x',
      'a@localhost',
      '127.1',
      '0x7f000001',
      '2130706433',
      '',
      'localhost, evil.example',
    ]) {
      await bench.problem(403, 'ACCESS_DENIED', 'GET', status, { context: from('127.0.0.1', host) })
      if (host === '') continue
      const headers = { Host: host }
      await bench.problem(403, 'ACCESS_DENIED', 'GET', status, { headers })
    }
    for (const host of [
      'localhost',
      'LOCALHOST:8050',
      '127.0.0.1:1',
      '127.9.9.9',
      '[::1]',
      '[::1]:8050',
      '[::ffff:127.0.0.1]',
      'localhost:',
    ]) {
      expect((await bench.ask('GET', status, { context: from('127.0.0.1', host) })).status, host).toBe(200)
    }
    const foreign = new Request(`http://evil.example${status}`)
    expect((await bench.handler(foreign, from('127.0.0.1'))).status).toBe(403)
  })

  it('what a proxy on this machine passes on from elsewhere is refused', async () => {
    await using bench = await startHttp()
    for (const headers of [
      { 'X-Forwarded-For': '203.0.113.7' },
      { 'X-Forwarded-For': '127.0.0.1, 203.0.113.7' },
      { 'X-Real-IP': '203.0.113.7' },
      { Forwarded: 'for=203.0.113.7;proto=http' },
      { Forwarded: 'for="[2001:db8::17]:4711"' },
      { Forwarded: 'for=127.0.0.1, for=_hidden' },
    ]) {
      await bench.problem(403, 'ACCESS_DENIED', 'GET', status, { headers })
    }
  })
})

describe('with authorize', () => {
  it('it is asked for each request, with what the route needs, and rules alone', async () => {
    const asked: [Action, string, RequestContext][] = []
    await using bench = await startHttp({
      authorize: (action, request, context) => {
        asked.push([action, `${request.method} ${new URL(request.url).pathname}`, context])
        return true
      },
    })
    const context = { remoteAddress: '203.0.113.7', host: 'models.example', native: { user: 'me' } }
    const expected: [Action, string, string][] = [
      ['downloads:read', 'GET', status],
      ['downloads:read', 'HEAD', status],
      ['downloads:read', 'GET', '/api/models/openapi.json'],
      ['downloads:manage', 'POST', '/api/models/download'],
      ['downloads:manage', 'DELETE', '/api/models/download'],
      ['downloads:manage', 'POST', '/api/models/download/pause'],
      ['downloads:manage', 'POST', '/api/models/download/resume'],
      ['downloads:manage', 'POST', '/api/models/download/cancel'],
      ['downloads:manage', 'POST', '/api/models/download/retry'],
      ['downloads:read', 'GET', '/api/v1/models/status'],
      ['queue:manage', 'POST', '/api/v1/models/preload/start'],
      ['queue:manage', 'POST', '/api/v1/models/preload/cancel'],
      ['downloads:read', 'GET', '/api/v1/models/preload/status'],
      ['downloads:read', 'GET', '/api/v1/models/preload/events'],
    ]
    for (const [, method, path] of expected) {
      expect([401, 403]).not.toContain((await ask(bench.handler, method, path, { context })).status)
    }
    expect(asked.map(([action, what]) => `${action} ${what}`)).toEqual(
      expected.map(([action, method, path]) => `${action} ${method} ${path}`),
    )
    expect(asked[0]?.[2]).toEqual(context)
  })

  it('false is 403, and nobody known is 401 with a challenge', async () => {
    for (const [answer, code, challenge] of [
      [false, 403, null],
      [Promise.resolve(false), 403, null],
      ['unauthenticated', 401, 'Bearer'],
      [Promise.resolve('unauthenticated' as const), 401, 'Bearer'],
    ] as const) {
      await using bench = await startHttp({ authorize: () => answer })
      const { headers } = await bench.problem(code, 'ACCESS_DENIED', 'POST', '/api/models/download', {
        json: { url: 'https://x.test/a.gguf' },
      })
      expect(headers.get('www-authenticate')).toBe(challenge)
      expect(bench.manager.list()).toEqual([])
    }
  })

  it('anything that is no clear yes is a no, and so is a failure', async () => {
    for (const answer of [undefined, 1, 'true', {}, 'authenticated']) {
      // What a host without types may return.
      await using bench = await startHttp({ authorize: () => answer as never })
      await bench.problem(403, 'ACCESS_DENIED', 'GET', status)
    }
    await using bench = await startHttp({
      authorize: () => {
        throw new Error('the session store is down')
      },
    })
    const { body } = await bench.problem(500, 'INTERNAL', 'GET', status)
    expect(JSON.stringify(body)).not.toContain('session')
  })

  it('it is asked before the body is read', async () => {
    await using bench = await startHttp({ authorize: () => false })
    let pulled = 0
    const text = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          pulled += 1
          controller.enqueue(new Uint8Array(1))
        },
      },
      { highWaterMark: 0 },
    )
    await bench.problem(403, 'ACCESS_DENIED', 'POST', '/api/models/download', { text })
    expect(pulled).toBe(0)
  })
})

describe('pages of other sites', () => {
  const start = '/api/v1/models/preload/start'
  const refused = (headers: Record<string, string>) => ({ headers })

  it('can change nothing, not even with requests that need no preflight', async () => {
    await using bench = await startHttp()
    for (const headers of [
      { Origin: 'https://evil.example' },
      { Origin: 'null' },
      { Origin: 'http://localhost:9999' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site', Origin: 'http://localhost:9999' },
    ]) {
      await bench.problem(403, 'ACCESS_DENIED', 'POST', start, refused(headers))
    }
    for (const headers of [
      {},
      { Origin: 'http://localhost:8050' },
      { Origin: 'http://LOCALHOST:8050' },
      { 'Sec-Fetch-Site': 'same-origin', Origin: 'http://localhost:9999' },
      { 'Sec-Fetch-Site': 'none' },
    ]) {
      expect((await bench.ask('POST', start, { headers })).status).toBe(404)
    }
    expect((await bench.ask('GET', status, { headers: { Origin: 'https://evil.example' } })).status).toBe(200)
  })

  it('can when their origin is listed', async () => {
    await using bench = await startHttp({ cors: { origins: ['https://app.example'] } })
    const headers = { Origin: 'https://app.example', 'Sec-Fetch-Site': 'cross-site' }
    expect((await bench.ask('POST', start, { headers })).status).toBe(404)
    await bench.problem(403, 'ACCESS_DENIED', 'POST', start, {
      headers: { ...headers, Origin: 'https://other.example' },
    })
  })

  it('behind a proxy that changes Host, can with Fetch Metadata or the original host', async () => {
    await using bench = await startHttp({ authorize: () => true })
    const context = from('127.0.0.1', '127.0.0.1:8050')
    const headers = { Origin: 'https://app.example' }
    const own: Record<string, string>[] = [
      { ...headers, 'Sec-Fetch-Site': 'same-origin' },
      { ...headers, 'X-Forwarded-Host': 'app.example' },
      { Referer: 'https://app.example/page', 'X-Forwarded-Host': 'app.example' },
      { Origin: 'http://127.0.0.1:8050' },
      {},
    ]
    for (const given of own)
      expect((await bench.ask('POST', start, { headers: given, context })).status).toBe(404)
    const foreign: Record<string, string>[] = [
      headers,
      { Origin: 'null' },
      { Origin: 'null', 'X-Forwarded-Host': 'null' },
      { Origin: 'http://127.0.0.1:8051' },
      { Referer: 'https://evil.example/page' },
      { Origin: 'https://evil.example', Referer: 'http://127.0.0.1:8050/' },
    ]
    for (const given of foreign)
      await bench.problem(403, 'ACCESS_DENIED', 'POST', start, { headers: given, context })
    await bench.problem(403, 'ACCESS_DENIED', 'POST', start, {
      headers: { ...headers, 'Sec-Fetch-Site': 'cross-site' },
      context,
    })
  })
})

describe('a form without an origin', () => {
  const start = '/api/v1/models/preload/start'
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' }

  it('of a browser is refused, even if it is empty', async () => {
    await using bench = await startHttp()
    for (const sign of [{ Cookie: 'a=b' }, { 'User-Agent': 'Mozilla/5.0 (X11) Firefox/60.0' }]) {
      for (const type of [
        form,
        { 'Content-Type': 'text/plain;charset=UTF-8' },
        { 'Content-Type': 'multipart/form-data; boundary=x' },
      ])
        // prettier-ignore
        await bench.problem(415, 'INVALID_OPTIONS', 'POST', start, { headers: { ...sign, ...type } })
    }
    const signed = { Cookie: 'a=b', 'User-Agent': 'Mozilla/5.0' }
    for (const headers of [signed, { ...signed, 'Content-Type': 'application/json' }, form])
      expect((await bench.ask('POST', start, { headers })).status).toBe(404)
    await using listed = await startHttp({ cors: { origins: ['https://app.example'] } })
    const headers = { ...signed, ...form, Origin: 'https://app.example' }
    expect((await listed.ask('POST', start, { headers })).status).toBe(404)
  })
})

describe('a proxy on this machine', () => {
  it.each([
    ['Forwarded', 'for=127.0.0.1'],
    ['Forwarded', 'proto=https'],
    ['Forwarded', 'for=unknown'],
    ['Via', '1.1 proxy'],
    ['CF-Connecting-IP', '127.0.0.1'],
    ['CF-Ray', 'x'],
    ['X-Envoy-External-Address', '10.0.0.1'],
    ['X-Forwarded-For', '127.0.0.1'],
    ['X-Forwarded-For', ''],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded', '1'],
    ['X-Real-IP', '127.0.0.1'],
    ['True-Client-IP', '203.0.113.7'],
    ['Fastly-Client-IP', '203.0.113.7'],
    ['X-Original-Forwarded-For', '203.0.113.7'],
    ['X-Amzn-Trace-Id', 'Root=1'],
    ['X-Azure-ClientIP', '203.0.113.7'],
  ])('shows in %s: %s, and makes the caller one of elsewhere', async (name, value) => {
    await using bench = await startHttp()
    await bench.problem(403, 'ACCESS_DENIED', 'GET', status, { headers: { [name]: value } })
    await using open = await startHttp({ authorize: () => true })
    expect((await open.ask('GET', status, { headers: { [name]: value } })).status).toBe(200)
  })

  it('is not seen in what browsers and programs send themselves', async () => {
    await using bench = await startHttp()
    for (const name of [
      'X-Requested-With',
      'X-Request-Id',
      'X-Csrf-Token',
      'Traceparent',
      'Upgrade-Insecure-Requests',
    ])
      expect((await bench.ask('GET', status, { headers: { [name]: 'x' } })).status, name).toBe(200)
  })
})

describe('the Host field', () => {
  it('is taken apart as RFC 9110 says', () => {
    expect(parseHost('Example.COM:80')).toEqual({ name: 'example.com', port: 80 })
    expect(parseHost('[::1]:8050')).toEqual({ name: '::1', port: 8050 })
    expect(parseHost('host:')).toEqual({ name: 'host', port: null })
    for (const wrong of [
      '',
      ':80',
      'a:b',
      'a:99999',
      'a:123456',
      '[::1',
      '::1',
      '[::1%eth0]',
      '[zz]',
      'a/b',
      'a b',
      'a@b',
      'a#b',
      'ä.example',
      'a:80:80',
    ]) {
      expect(parseHost(wrong), wrong).toBeNull()
    }
  })

  const octet = fc.integer({ min: 0, max: 255 })
  const port = fc.option(fc.integer({ min: 0, max: 65_535 }))
  const withPort = (name: string, number: number | null) => (number === null ? name : `${name}:${number}`)

  it('of any 127.x.x.x is loopback, of any other address it is not', () => {
    fc.assert(
      fc.property(octet, octet, octet, octet, port, (a, b, c, d, number) => {
        const address = [a, b, c, d].join('.')
        expect(isLoopbackAddress(address)).toBe(a === 127)
        expect(isLoopbackAddress(`::ffff:${address}`)).toBe(a === 127)
        expect(isLoopbackHost(withPort(address, number))).toBe(a === 127)
      }),
    )
  })

  it('of any name but localhost is foreign', () => {
    fc.assert(
      fc.property(fc.domain(), port, (name, number) => {
        expect(isLoopbackHost(withPort(name, number))).toBe(false)
        expect(isLoopbackHost(withPort(`localhost.${name}`, number))).toBe(false)
        expect(isLoopbackHost(withPort(`${name}.localhost`, number))).toBe(false)
        expect(parseHost(withPort(name, number))).toEqual({ name: name.toLowerCase(), port: number })
      }),
    )
  })

  it('that passes is one that browsers would take to this machine, whatever it is', () => {
    fc.assert(
      fc.property(anyText({ maxLength: 30 }), (text) => {
        if (!isLoopbackHost(text)) return
        const { hostname } = new URL(`http://${text}`)
        expect(['localhost', '[::1]'].includes(hostname) || hostname.startsWith('127.')).toBe(true)
      }),
      { examples: [['localhost'], ['127.0.0.1'], ['[::1]:80'], ['LocalHost:'], ['127.1'], ['127.0.0.1.']] },
    )
  })
})

import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { CorsPolicy, normalOrigin } from '../../src/http/cors.js'
import { createHandler } from '../../src/http/handler.js'
import { RefusedOrigins } from '../../src/http/refused-origins.js'
import type { DownloadManager } from '../../src/manager/manager.js'
import { base, startHttp, type Sent } from './bench.js'

const status = '/api/models/download/status'
const app = 'https://app.example'
const preflight = (origin: string, more: Record<string, string> = {}): Sent => ({
  headers: { Origin: origin, 'Access-Control-Request-Method': 'POST', ...more },
})

/** What a browser looks at. */
function corsOf(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    [...headers].filter(([name]) => name.startsWith('access-control') || name === 'vary'),
  )
}

describe('without cors', () => {
  it('no other origin is allowed anything', async () => {
    await using bench = await startHttp()
    for (const [method, sent] of [
      ['GET', { headers: { Origin: app } }],
      ['OPTIONS', preflight(app)],
    ] as const) {
      expect(corsOf((await bench.ask(method, status, sent)).headers)).toEqual({})
    }
  })
})

describe('the log', () => {
  const linesOf = (manager: DownloadManager) => {
    const lines: string[] = []
    manager.on('log', ({ download, level, message }) => {
      if (download === undefined) lines.push(`${level}: ${message}`)
    })
    return lines
  }

  it('names each refused origin once, whatever its pages do, and no origin that may call', async () => {
    await using bench = await startHttp({ cors: { origins: [app] } })
    const lines = linesOf(bench.manager)
    for (const origin of ['http://localhost:5173', app, base, 'http://localhost:5173'])
      for (const [method, sent] of [
        ['GET', { headers: { Origin: origin } }],
        ['POST', { headers: { Origin: origin } }],
        ['OPTIONS', preflight(origin)],
      ] as const)
        await bench.ask(method, status, sent)
    await bench.ask('GET', status, {
      headers: { Origin: 'https://proxied.example', 'Sec-Fetch-Site': 'same-origin' },
    })
    expect(lines).toEqual([
      'warn: Web pages of http://localhost:5173 are refused; list the origin in `cors` to allow them.',
    ])
  })

  it('names the option of the command in the language of the host', async () => {
    for (const [locale, advice] of [
      ['en-US', 'to allow them, start the server with --cors https://a.example:8443'],
      [
        'zh-CN',
        '已拒绝来自 https://a.example:8443 的网页；如需放行，请在启动时加上 --cors https://a.example:8443',
      ],
    ] as const) {
      await using bench = await startHttp({ command: true, locale })
      const lines = linesOf(bench.manager)
      await bench.ask('GET', status, {
        headers: { Origin: 'https://a.example:8443', 'Accept-Language': 'fr' },
      })
      expect(lines).toEqual([expect.stringContaining(advice)])
    }
  })
})

describe('RefusedOrigins', () => {
  const voice = { locale: 'en-US', command: true } as const

  it('tells of everything that cannot be listed as one, and never repeats it', () => {
    const refused = new RefusedOrigins(voice)
    expect(refused.note('null')).toMatch(/without an origin of their own/)
    for (const origin of [
      'chrome-extension://abc',
      'http://a$(reboot)',
      'http://a;b',
      'x',
      '',
      `http://${'a'.repeat(400)}`,
    ])
      expect([origin, refused.note(origin)]).toEqual([origin, null])
    expect(refused.note('http://[::1]:5173')).toMatch(/--cors http:\/\/\[::1\]:5173$/)
  })

  it('is bounded, and says when it stops', () => {
    const refused = new RefusedOrigins(voice)
    const lines = Array.from({ length: 1_000 }, (_, n) => refused.note(`https://${n}.example`)).filter(
      (line) => line !== null,
    )
    expect(lines).toHaveLength(101)
    expect(lines.at(-1)).toMatch(/^Pages of further origins are refused, too/)
  })
})

describe('with a list of origins', () => {
  const options = { cors: { origins: [app, 'http://localhost:5173'] } }

  it('those are named in every answer, errors too', async () => {
    await using bench = await startHttp(options)
    const expected = {
      'access-control-allow-origin': app,
      'access-control-expose-headers': 'Allow, Retry-After, WWW-Authenticate',
      vary: 'Origin',
    }
    for (const [method, path, code] of [
      ['GET', status, 200],
      ['HEAD', status, 200],
      ['GET', '/api/nothing', 404],
      ['PUT', status, 405],
      ['POST', '/api/models/download', 400],
      ['GET', `${status}?url=x`, 404],
    ] as const) {
      const answer = await bench.ask(method, path, { headers: { Origin: app } })
      expect([path, answer.status, corsOf(answer.headers)]).toEqual([path, code, expected])
    }
    const stream = await bench.handler(
      new Request('http://localhost/api/models/download/events', { headers: { Origin: app } }),
      { remoteAddress: '127.0.0.1' },
    )
    expect(corsOf(stream.headers)).toEqual(expected)
    await stream.body?.cancel()
  })

  it('a refusal can be read by them as well', async () => {
    await using bench = await startHttp({ ...options, authorize: () => 'unauthenticated' })
    const { status: code, headers } = await bench.ask('GET', status, { headers: { Origin: app } })
    expect([code, headers.get('access-control-allow-origin')]).toEqual([401, app])
  })

  it('others are not, and caches are told that it depends', async () => {
    await using bench = await startHttp(options)
    for (const origin of [
      'https://evil.example',
      'http://app.example',
      'https://app.example:8443',
      'https://app.example.evil.example',
      'null',
      'https://app.example/',
    ]) {
      const { headers } = await bench.ask('GET', status, { headers: { Origin: origin } })
      expect(corsOf(headers), origin).toEqual({ vary: 'Origin' })
      expect(corsOf((await bench.ask('OPTIONS', status, preflight(origin))).headers), origin).toEqual({
        vary: 'Origin',
      })
    }
    expect(corsOf((await bench.ask('GET', status)).headers)).toEqual({ vary: 'Origin' })
  })

  it('a preflight is answered without asking authorize', async () => {
    await using bench = await startHttp({ ...options, authorize: () => false })
    const wanted = 'content-type, x-requested-with,authorization'
    const { status: code, headers } = await bench.ask('OPTIONS', '/api/models/download', {
      ...preflight(app, {
        'Access-Control-Request-Headers': wanted,
        'Access-Control-Request-Private-Network': 'true',
      }),
      context: { remoteAddress: '203.0.113.7' },
    })
    expect([code, corsOf(headers)]).toEqual([
      204,
      {
        'access-control-allow-headers': wanted,
        'access-control-allow-methods': 'POST, DELETE, OPTIONS',
        'access-control-allow-origin': app,
        'access-control-allow-private-network': 'true',
        'access-control-expose-headers': 'Allow, Retry-After, WWW-Authenticate',
        'access-control-max-age': '600',
        vary: 'Access-Control-Request-Method, Access-Control-Request-Headers, Origin',
      },
    ])
    const odd = await bench.ask(
      'OPTIONS',
      status,
      preflight(app, { 'Access-Control-Request-Headers': 'a b; c' }),
    )
    expect(odd.headers.has('access-control-allow-headers')).toBe(false)
  })

  it('credentials only when the host says so', async () => {
    await using bench = await startHttp({ cors: { ...options.cors, credentials: true } })
    for (const [method, sent] of [
      ['GET', { headers: { Origin: app } }],
      ['OPTIONS', preflight(app)],
    ] as const) {
      const { headers } = await bench.ask(method, status, sent)
      expect(headers.get('access-control-allow-credentials')).toBe('true')
    }
    const other = await bench.ask('GET', status, { headers: { Origin: 'https://evil.example' } })
    expect(corsOf(other.headers)).toEqual({ vary: 'Origin' })
  })
})

describe('with all origins', () => {
  it('every one may read', async () => {
    await using bench = await startHttp({ cors: { origins: '*' } })
    const { headers } = await bench.ask('GET', status, { headers: { Origin: 'https://any.example' } })
    expect(corsOf(headers)).toEqual({
      'access-control-allow-origin': '*',
      'access-control-expose-headers': 'Allow, Retry-After, WWW-Authenticate',
    })
    const answer = await bench.ask('OPTIONS', status, preflight('null'))
    expect(corsOf(answer.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD, OPTIONS',
    })
    expect(
      (
        await bench.ask('POST', '/api/v1/models/preload/start', {
          headers: { Origin: 'https://any.example' },
        })
      ).status,
    ).toBe(404)
  })
})

describe('origins', () => {
  it('that cannot match are refused when the handler is made', async () => {
    await using bench = await startHttp()
    const { manager } = bench
    for (const origin of [
      'app.example',
      'https://app.example/path',
      'https://app.example?x',
      'https://me@app.example',
      '',
      '*',
      'https://*.example',
      'file:///x',
      'data:,x',
    ]) {
      expect(() => createHandler({ manager, cors: { origins: [origin] } }), origin).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTIONS' }),
      )
    }
    // What a host without types may give.
    for (const cors of [{ origins: app }, true, {}, { origins: [5] }] as never[]) {
      expect(() => createHandler({ manager, cors })).toThrow(/cors/)
    }
    expect(() => createHandler({ manager, cors: { origins: '*', credentials: true } })).toThrow(/credentials/)
  })

  it('are compared as browsers write them', () => {
    expect(normalOrigin('HTTPS://App.Example:443/')).toBe(app)
    expect(normalOrigin('http://localhost:5173')).toBe('http://localhost:5173')
    expect(() => normalOrigin('null')).toThrow(/is not an origin/)
  })

  it('match themselves in every spelling, and nothing else', () => {
    const origin = fc
      .tuple(fc.constantFrom('http', 'https'), fc.domain(), fc.option(fc.integer({ min: 1, max: 65_535 })))
      .map(([scheme, host, port]) => `${scheme}://${host}${port === null ? '' : `:${port}`}`)
    fc.assert(
      fc.property(origin, origin, (one, other) => {
        const policy = new CorsPolicy({
          origins: [one.toUpperCase().replace(/^HTTPS?/, (text) => text.toLowerCase())],
        })
        expect(policy.allows(new URL(one).origin)).toBe(true)
        expect(policy.allows(new URL(other).origin)).toBe(new URL(one).origin === new URL(other).origin)
        expect(policy.allows(`${new URL(one).origin}.evil.example`)).toBe(false)
        expect(policy.allows('null')).toBe(false)
      }),
    )
  })
})

import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { bearer } from '../../src/cli/serve.js'
import { banner, isLoopback, serveSettings, type ServeOptions } from '../../src/cli/serve-settings.js'
import { UsageError } from '../../src/cli/checks/usage-error.js'

const given = (options: Partial<ServeOptions> = {}): ServeOptions => ({
  port: 8050,
  host: '127.0.0.1',
  directory: 'models',
  ...options,
})

describe('what serve was asked for', () => {
  it.each(['127.0.0.1', '127.8.9.10', 'localhost', 'LOCALHOST', '::1', '[::1]', '::ffff:127.0.0.1'])(
    '%s needs no token',
    (host) => {
      expect(serveSettings(given({ host }), {}).token).toBeNull()
    },
  )

  it.each(['0.0.0.0', '::', '[::]', '10.0.0.1', 'host.example', '127.1', '0x7f000001', 'localhost.example'])(
    '%s needs a token, from wherever',
    (host) => {
      expect(() => serveSettings(given({ host }), {})).toThrow(UsageError)
      expect(serveSettings(given({ host, token: 'a' }), {}).token).toBe('a')
      expect(serveSettings(given({ host }), { MODEL_DOWNLOADER_TOKEN: 'b' }).token).toBe('b')
    },
  )

  it('is never open to other machines without a token', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), fc.string()), (host) => {
        let settings
        try {
          settings = serveSettings(given({ host }), {})
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError)
          return
        }
        expect(isLoopback(settings.host)).toBe(true)
        expect(settings.host).not.toBe('')
      }),
    )
  })

  it('takes IPv6 with brackets and gives it without', () => {
    expect(serveSettings(given({ host: '[::1]' }), {}).host).toBe('::1')
  })

  it('normalises origins, and takes * for all of them', () => {
    expect(
      serveSettings(given({ cors: ['HTTPS://App.example:443', 'http://localhost:5173/'] }), {}).cors,
    ).toEqual({ origins: ['https://app.example', 'http://localhost:5173'] })
    expect(serveSettings(given({ cors: ['https://app.example', '*'] }), {}).cors).toEqual({ origins: '*' })
    expect(serveSettings(given(), {}).cors).toBeUndefined()
  })

  it.each(['host', 'host:1', '[::1]', '[::1]:80', '10.0.0.1:8080', 'modèles.example'])(
    'allows %s',
    (host) => {
      expect(serveSettings(given({ allowHost: [host] }), {}).allowedHosts).toEqual([host])
    },
  )

  it.each([
    '',
    ' ',
    'host:',
    'host:65536',
    'host:1:2',
    '::1',
    'http://host',
    'host/path',
    'me@host',
    '*',
    'a\nb',
  ])('does not allow %j', (host) => {
    expect(() => serveSettings(given({ allowHost: [host] }), {})).toThrow(/--allow-host/)
  })

  it('never repeats the token', () => {
    for (const token of ['hunter2 ', 'hunter2\n', 'hünter2']) {
      const attempt = () => serveSettings(given({ token }), {})
      expect(attempt).toThrow(/--token/)
      expect(attempt).not.toThrow(/h.nter2/)
    }
  })
})

describe('a bearer token', () => {
  const ask = (token: string, header: string | null) =>
    bearer(token)(
      'downloads:read',
      new Request('http://localhost', header === null ? {} : { headers: { authorization: header } }),
      { native: undefined },
    )

  it('lets in who has it and nobody else', () => {
    const token = fc.stringMatching(/^[\x21-\x7e]{1,40}$/)
    fc.assert(
      fc.property(token, token, (right, other) => {
        expect(ask(right, `Bearer ${right}`)).toBe(true)
        expect(ask(right, `bEARER   ${right}`)).toBe(true)
        expect(ask(right, `Bearer ${other}`)).toBe(other === right ? true : 'unauthenticated')
        expect(ask(right, right)).toBe('unauthenticated')
        expect(ask(right, `Basic ${right}`)).toBe('unauthenticated')
        expect(ask(right, null)).toBe('unauthenticated')
      }),
    )
  })
})

describe('the first words', () => {
  const facts = {
    host: '127.0.0.1',
    port: 0,
    url: 'http://127.0.0.1:4711',
    directory: '/srv/models',
    catalog: { file: '/srv/models.json', entries: [1] },
    token: 'hunter2',
    cors: { origins: ['https://app.example'] },
    allowedHosts: [],
    ui: true,
  }

  it('are the addresses, one a line, for a log', () => {
    expect(banner(false, facts)).toBe(
      'listening on http://127.0.0.1:4711\ndashboard at http://127.0.0.1:4711/api/models/ui\n',
    )
    expect(banner(false, { ...facts, ui: false })).toBe('listening on http://127.0.0.1:4711\n')
  })

  it('tell a person what matters, without the token', () => {
    const text = banner(true, facts)
    for (const part of [
      'http://127.0.0.1:4711/api/models/ui',
      '/srv/models',
      'models.json (1 model)',
      'token',
      'app.example',
    ])
      expect(text).toContain(part)
    expect(text).not.toContain('hunter2')
    const open = banner(true, { ...facts, token: null, catalog: null, cors: undefined, ui: false })
    expect(open).not.toContain('/ui')
    for (const part of ['on this machine only', '--catalog FILE', '--cors ORIGIN'])
      expect(open).toContain(part)
    expect(banner(true, { ...facts, cors: { origins: '*' } })).toContain('every origin')
  })
})

import { describe, expect, it } from 'vitest'
import { argumentsFor } from '../../../src/cli/exec/command.js'
import { parseCookieFile } from '../../../src/cli/secrets/cookie-file.js'
import { parseNetrc } from '../../../src/cli/secrets/netrc.js'
import { firstHop, followRedirect, headersOf } from '../../../src/net/redirects.js'
import fc, { anyText } from '../../support/properties.js'

describe('a netrc file', () => {
  it('has logins on one line or several, in quotes, with comments and macros between them', () => {
    const text = [
      '# machine commented.example login a password b',
      'machine One.example login me password p#w',
      'machine two.example',
      '\tlogin "my name"',
      '  account ignored password "a \\"b\\" \\\\ c"',
      'macdef upload',
      'machine macro.example login x password y',
      '',
      'default login anonymous password mail',
      'machine three.example login z password last',
      'machine nopassword.example login z',
    ].join('\r\n')
    expect(parseNetrc(text)).toEqual([
      { machine: 'one.example', login: 'me', password: 'p#w' },
      { machine: 'two.example', login: 'my name', password: 'a "b" \\ c' },
      { machine: 'three.example', login: 'z', password: 'last' },
    ])
  })

  it('gives no login away that it does not name a machine for', () => {
    fc.assert(
      fc.property(anyText({ maxLength: 40 }), (text) => {
        if (parseNetrc(text).length > 0) expect(text).toMatch(/machine/i)
        expect(parseNetrc(`default login a password b\n${text.replaceAll(/machine/gi, '')}`)).toEqual([])
      }),
    )
  })
})

describe('a cookie file', () => {
  const line = (...fields: string[]) => fields.join('\t')

  it('has a cookie per line, also those for http only', () => {
    const text = [
      '# Netscape HTTP Cookie File',
      line('.example.com', 'TRUE', '/', 'FALSE', '0', 'a', '1'),
      line('#HttpOnly_host.example.com', 'FALSE', '/dl', 'TRUE', '2000', 'b', ''),
      line('old.example.com', 'FALSE', '/', 'FALSE', '999', 'gone', 'x'),
      line('co.uk', 'TRUE', '/', 'FALSE', '0', 'wide', 'x'),
      line('x.example.com', 'FALSE', '/', 'FALSE', '0', '__Secure-c', 'x'),
      'nonsense',
      line('h.example.com', 'FALSE', '/', 'FALSE', '0', 'bad', 'a\u0001b'),
    ].join('\r\n')
    expect(parseCookieFile(text, 1000)).toEqual({
      badLine: 6,
      cookies: [
        { name: 'a', value: '1', domain: 'example.com', hostOnly: false, path: '/', secure: false },
        { name: 'b', value: '', domain: 'host.example.com', hostOnly: true, path: '/dl', secure: true },
        { name: 'wide', value: 'x', domain: 'co.uk', hostOnly: true, path: '/', secure: false },
      ],
    })
  })
})

describe('secrets for hosts', () => {
  const cookie = { name: 'c', value: '1', domain: 'example.com', hostOnly: false, path: '/', secure: false }
  const secrets = {
    netrc: [
      { machine: 'one.example.com', login: 'me', password: 'pw' },
      { machine: 'one.example.com', login: 'other', password: 'pw2' },
    ],
    cookies: [cookie, { ...cookie, name: 's', secure: true }, { ...cookie, name: 'p', path: '/private' }],
  }
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
  const sent = (url: string, headers = {}) => headersOf(firstHop(new URL(url), headers, secrets))
  const redirected = (from: string, to: string) => {
    const head = { status: 302, headers: { location: to } }
    return headersOf(followRedirect(firstHop(new URL(from), {}, secrets), head, 5, 0))
  }

  it.each([
    ['http://one.example.com/x', { authorization: basic('me:pw'), cookie: 'c=1' }],
    ['http://other@one.example.com/x', { authorization: basic('other:pw2'), cookie: 'c=1' }],
    ['http://other:own@one.example.com/x', { authorization: basic('other:own'), cookie: 'c=1' }],
    ['http://stranger@one.example.com/x', { authorization: basic('stranger:'), cookie: 'c=1' }],
    ['https://two.example.com/private/x', { cookie: 'c=1; s=1; p=1' }],
    ['https://notexample.com/x', {}],
    ['https://one.example.com.evil.test/x', {}],
  ])('%s', (url, headers) => {
    expect(sent(url)).toEqual(headers)
  })

  it('give way to the headers of the caller', () => {
    expect(sent('http://one.example.com/x', { Authorization: 'Bearer t', Cookie: 'c=own; d=2' })).toEqual({
      Authorization: 'Bearer t',
      cookie: 'd=2; c=1',
    })
  })

  it('follow a redirect only where they belong', () => {
    const from = 'https://one.example.com/x'
    expect(redirected(from, '/y')).toEqual({ authorization: basic('me:pw'), cookie: 'c=1; s=1' })
    expect(redirected(from, 'https://cdn.example.com/y')).toEqual({ cookie: 'c=1; s=1' })
    expect(redirected(from, 'https://one.example.com:8443/y')).toEqual({ cookie: 'c=1; s=1' })
    expect(redirected(from, 'https://evil.test/y')).toEqual({})
    expect(redirected('https://evil.test/x', from)).toEqual({ cookie: 'c=1; s=1' })
  })
})

describe('the arguments of the command', () => {
  const file = { url: 'u', path: '/m/$(x) {}.gguf', size: 1, sha256: null, existed: false }

  it('have the path in place of {}, or last', () => {
    expect(argumentsFor([], file)).toEqual([file.path])
    expect(argumentsFor(['-v'], file)).toEqual(['-v', file.path])
    expect(argumentsFor(['--in={}', '{}', '-v'], file)).toEqual([`--in=${file.path}`, file.path, '-v'])
  })
})

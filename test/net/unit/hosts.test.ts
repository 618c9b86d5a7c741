/** Names and allowed hosts in the policy for remote callers. */
import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  judgeHost,
  judgeUrl,
  parseAllowedHost,
  publicOnly,
  type RemoteGrant,
} from '../../../src/net/address-policy.js'

const allowing = (...allowedHosts: string[]): RemoteGrant => ({ allowPrivateNetwork: false, allowedHosts })

describe('a name', () => {
  it.each([
    ...['localhost', 'LOCALHOST', 'localhost.', 'a.localhost', 'a.b.localhost.', 'localhost.localdomain'],
    ...[
      'ip6-localhost',
      'ip6-loopback',
      'printer.local',
      'metadata.google.internal',
      'a.home.arpa',
      'internal',
    ],
  ])('%s means this machine or this site', (name) => {
    expect(judgeHost(publicOnly, name, 80)).toBe('refuse')
  })

  it.each([
    ...[
      'example.com',
      'huggingface.co',
      'cdn-lfs.hf.co',
      'www.modelscope.cn',
      'registry.ollama.ai',
      'github.com.',
    ],
    ...[
      'localhost.example.com',
      'mylocalhost',
      'local.example',
      'notinternal',
      '127.0.0.1.nip.io',
      'xn--fsqu00a.com',
    ],
  ])('%s is an ordinary one: its addresses decide', (name) => {
    expect(judgeHost(publicOnly, name, 443)).toBe('check')
  })
})

describe('allowed hosts', () => {
  it.each([
    ['intranet', 'http://intranet/'],
    ['intranet', 'https://intranet:8443/'],
    ['Intranet', 'http://INTRANET/'],
    ['intranet:80', 'http://intranet/'],
    ['intranet:443', 'https://intranet/'],
    ['intranet:8080', 'http://intranet:8080/'],
    ['127.0.0.1', 'http://127.0.0.1:9/'],
    ['127.0.0.1', 'http://0x7f.1/'],
    ['0x7f.1:80', 'http://127.0.0.1/'],
    ['localhost', 'http://localhost:9/'],
    ['[::1]', 'http://[::1]:9/'],
    ['[::1]:9', 'http://[0:0:0:0:0:0:0:1]:9/'],
    ['b\u00fccher.example', 'http://xn--bcher-kva.example/'],
  ])('%s lets %s through', (entry, url) => {
    expect(judgeUrl(allowing('other', entry), new URL(url))).toBe('open')
  })

  it.each([
    ['127.0.0.1', 'http://127.0.0.2/'],
    ['127.0.0.1:80', 'http://127.0.0.1:81/'],
    ['127.0.0.1:80', 'https://127.0.0.1/'],
    ['127.0.0.1:443', 'http://127.0.0.1/'],
    ['localhost', 'http://127.0.0.1/'],
    ['127.0.0.1', 'http://localhost/'],
    ['localhost', 'http://a.localhost/'],
    ['localhost', 'http://localhost./'],
    ['127.0.0.1', 'http://[::ffff:127.0.0.1]/'],
    ['0', 'http://127.0.0.1/'],
    ['*', 'http://127.0.0.1/'],
    ['http://127.0.0.1', 'http://127.0.0.1/'],
    ['user@127.0.0.1', 'http://127.0.0.1/'],
    ['127.0.0.1/', 'http://127.0.0.1/'],
    ['127.0.0.1:', 'http://127.0.0.1/'],
    ['', 'http://127.0.0.1/'],
  ])('%j does not let %s through', (entry, url) => {
    expect(judgeUrl(allowing(entry), new URL(url))).toBe('refuse')
  })

  it('are none by default', () => {
    expect(publicOnly).toEqual({ allowPrivateNetwork: false, allowedHosts: [] })
  })

  it('say nothing about names beside them', () => {
    expect(judgeUrl(allowing('intranet'), new URL('http://intranet.example.com/'))).toBe('check')
    expect(judgeUrl(allowing('example.com'), new URL('http://example.com.evil.test/'))).toBe('check')
  })

  it.each([
    '',
    '*',
    '*.a',
    'a:',
    'a:x',
    'a:65536',
    '::1',
    '[::1',
    '[x]',
    'a/b',
    'a b',
    'u@a',
    'a?b',
    'a#b',
    'a\\b',
  ])('cannot be %j', (entry) => {
    expect(parseAllowedHost(entry)).toBeNull()
  })

  it('are read as URLs spell them', () => {
    expect(parseAllowedHost('Host.Example:8080')).toEqual({ host: 'host.example', port: 8080 })
    expect(parseAllowedHost('[0::1]:80')).toEqual({ host: '::1', port: 80 })
    expect(parseAllowedHost('0x7f.1')).toEqual({ host: '127.0.0.1', port: null })
    expect(parseAllowedHost('a:65535')).toEqual({ host: 'a', port: 65_535 })
    expect(parseAllowedHost('a:0')).toEqual({ host: 'a', port: 0 })
  })

  it('that are garbage exempt nothing and throw nothing', () => {
    fc.assert(
      fc.property(fc.string(), (entry) => {
        const url = new URL('http://127.0.0.1/')
        const allowed = parseAllowedHost(entry)
        const meant = allowed?.host === '127.0.0.1' && (allowed.port ?? 80) === 80
        expect(judgeUrl(allowing(entry), url)).toBe(meant ? 'open' : 'refuse')
      }),
    )
  })
})

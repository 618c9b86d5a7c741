import { describe, expect, it } from 'vitest'
import { isExcluded, proxyFor } from '../../../src/net/proxies.js'
import { parseProxy } from '../../../src/net/proxy-address.js'
import fc, { anyText } from '../../support/properties.js'
import { failure } from '../../support/failure.js'

const proxy = (protocol: string, host: string, port: number, user?: string, password = '') => ({
  protocol,
  host,
  port,
  credentials: user === undefined ? null : { user, password },
})

describe('parseProxy', () => {
  it.each([
    ['http://host:3128', proxy('http', 'host', 3128)],
    ['http://host', proxy('http', 'host', 80)],
    ['http://host/', proxy('http', 'host', 80)],
    ['https://host', proxy('https', 'host', 443)],
    ['https://host:80', proxy('https', 'host', 80)],
    ['socks5://host', proxy('socks5', 'host', 1080)],
    ['socks5://host:80/', proxy('socks5', 'host', 80)],
    ['SOCKS5H://Host:9', proxy('socks5h', 'host', 9)],
    ['socks://host', proxy('socks5', 'host', 1080)],
    ['SOCKS://host', proxy('socks5', 'host', 1080)],
    ['socks5://me:80@host', proxy('socks5', 'host', 1080, 'me', '80')],
    ['socks4://host', proxy('socks4', 'host', 1080)],
    ['socks4a://host', proxy('socks4a', 'host', 1080)],
    [' host:1 ', proxy('http', 'host', 1)],
    ['[::1]:3128', proxy('http', '::1', 3128)],
    ['http://me:p%40ss@host:1', proxy('http', 'host', 1, 'me', 'p@ss')],
    ['http://me@host:1', proxy('http', 'host', 1, 'me')],
    ['http://:word@host:1', proxy('http', 'host', 1, '', 'word')],
    ['socks5h://me:word@host', proxy('socks5h', 'host', 1080, 'me', 'word')],
    ['me:word@host:1', proxy('http', 'host', 1, 'me', 'word')],
    // A raw percent sign, an escape that is none, and text that is not ASCII.
    ['http://me:100%@host:1', proxy('http', 'host', 1, 'me', '100%')],
    ['http://me:5%zz%41@host:1', proxy('http', 'host', 1, 'me', '5%zzA')],
    ['http://me:pä%C3%A4@host:1', proxy('http', 'host', 1, 'me', 'pää')],
  ])('%s', (address, expected) => {
    expect(parseProxy(address)).toEqual(expected)
  })

  it.each([
    '',
    'http://',
    'ftp://host:1',
    'http://[::1',
    'a b:1',
    'http://host:65536',
    'http://host/path',
    'http://host?a',
    'http://host#a',
    'constructor://host',
    'socks6://host',
    'file:///etc/passwd',
  ])('refuses %j', (address) => {
    expect(parseProxy(address)).toBeNull()
  })

  it('never throws, and finds user and password whatever they are', () => {
    fc.assert(
      fc.property(anyText(), (text) => {
        parseProxy(text)
      }),
    )
    fc.assert(
      fc.property(anyText({ minLength: 1 }), anyText(), (user, password) => {
        const address = `http://${encodeURIComponent(user)}:${encodeURIComponent(password)}@host:1`
        expect(parseProxy(address)?.credentials).toEqual({ user, password })
      }),
    )
  })
})

describe('isExcluded', () => {
  it.each([
    ['*', 'http://anything/', true],
    ['a, *', 'http://anything/', true],
    ['', 'http://host/', false],
    ['host', 'http://host/', true],
    ['HOST', 'http://host/', true],
    ['host', 'http://HOST.:80/', true],
    ['host.', 'http://host/', true],
    ['example.com', 'http://a.example.com/', true],
    ['.example.com', 'http://a.example.com/', true],
    ['.example.com', 'http://example.com/', true],
    ['*.example.com', 'http://a.b.example.com/', true],
    ['example.com', 'http://notexample.com/', false],
    ['example.com', 'http://example.com.evil/', false],
    ['a;example.com b', 'http://example.com/', true],
    ['a;example.com b', 'http://b/', true],
    ['a\n\tb', 'http://b/', true],
    ['host:8080', 'http://host:8080/', true],
    ['host:8080', 'http://host/', false],
    ['host:443', 'https://host/', true],
    ['host:80', 'https://host/', false],
    ['10.0.0.0/8', 'http://10.1.2.3/', true],
    ['10.0.0.0/8', 'http://11.1.2.3/', false],
    ['10.0.0.0/8', 'http://10.example/', false],
    ['0.0.0.0/0', 'http://8.8.8.8:81/', true],
    ['fd00::/8', 'http://[fd12::1]/', true],
    ['[fd00::]/8', 'http://[fd12::1]/', true],
    ['10.0.0.0/8', 'http://[::ffff:10.0.0.1]/', true],
    ['::1', 'http://[::1]:81/', true],
    ['[::1]', 'http://[::1]/', true],
    ['[::1]:81', 'http://[::1]:81/', true],
    ['[::1]:81', 'http://[::1]:82/', false],
    ['0:0:0:0:0:0:0:1', 'http://[::1]/', true],
    ['127.0.0.1', 'http://127.1/', true],
    ['0.1', 'http://127.0.0.1/', false],
    ['192.168.*', 'http://192.168.3.4/', true],
    ['192.168.*', 'http://192.169.3.4/', false],
    ['gpu-*.lan', 'http://gpu-7.lan/', true],
    ['gpu-*.lan', 'http://gpu-.lanx/', false],
    ['a*a', 'http://a/', false],
    ['gpu-*-*.lan', 'http://gpu-7-a.lan/', true],
    ['gpu-*-*.lan', 'http://gpu-7.lan/', false],
    ['*pu*', 'http://gpu-7/', true],
    ['*pu*', 'http://gu-7/', false],
    ['a*b*c', 'http://abc/', true],
    ['a*bc*c', 'http://abc/', false],
    ['a*b*b*c', 'http://abc/', false],
    ['ab*ba', 'http://aba/', false],
    ['ab*ba', 'http://abba/', true],
    ['.', 'http://a../', false],
    ['host:', 'http://host/', false],
    ['a:b:c', 'http://a/', false],
    ['fd00::/8', 'http://10.1.2.3/', false],
    ['10.0.0.0/8', 'http://[fd12::1]/', false],
    ['socks5h://host/', 'http://host/', true],
    ['host/8', 'http://host/', true],
    [' , ;; ', 'http://host/', false],
    ['1http://host', 'http://1host/', false],
    ['g.cafe/8', 'http://g.cafe/', true],
    ['host/a/b', 'http://host/', true],
    ['10.0.0.0/8x', 'http://10.0.0.0/', true],
    ['10.0.0.0/8x', 'http://10.0.0.1/', false],
    ['example.com', 'http://[::1]/', false],
    ['*', 'http://[::1]/', true],
    ['<local>', 'http://127.0.0.1/', false],
    ['<local>', 'http://[::1]/', false],
    ['<local>', 'http://models/', true],
    ['<local>', 'http://models.lan/', false],
    ['http://host:80/', 'http://host/', true],
    [', ;;', 'http://host/', false],
  ])('%j for %s: %s', (list, url, expected) => {
    expect(isExcluded(new URL(url), list)).toBe(expected)
  })

  it('refuses a range that is none', () => {
    expect(failure(() => isExcluded(new URL('http://10.0.0.1/'), '10.0.0.0/33'))).toMatchObject({
      code: 'CONNECT_FAILED',
      retryable: false,
      message: 'A range in NO_PROXY is not valid.',
    })
  })

  it('takes any text', () => {
    const url = new URL('http://models.example/')
    fc.assert(
      fc.property(anyText(), (list) => {
        try {
          isExcluded(url, list)
        } catch (error) {
          expect(error).toMatchObject({ code: 'CONNECT_FAILED' })
        }
      }),
    )
  })
})

describe('proxyFor', () => {
  const plain = new URL('http://host/')
  const secure = new URL('https://host/')
  const at = (url: URL, env: Record<string, string>) => proxyFor(url, true, env)?.host ?? null

  it('reads the variable of the protocol, else the one for all', () => {
    const env = { HTTP_PROXY: 'p', HTTPS_PROXY: 's', ALL_PROXY: 'a' }
    expect(at(plain, env)).toBe('p')
    expect(at(secure, env)).toBe('s')
    expect(at(secure, { HTTP_PROXY: 'p', ALL_PROXY: 'a' })).toBe('a')
    expect(at(secure, { HTTP_PROXY: 'p' })).toBeNull()
    expect(at(plain, { HTTPS_PROXY: 's' })).toBeNull()
    expect(at(plain, { all_proxy: 'socks5h://a' })).toBe('a')
    expect(at(plain, {})).toBeNull()
    expect(at(secure, { https_proxy: 's', all_proxy: 'a' })).toBe('s')
    expect(at(plain, { all_proxy: 'small', ALL_PROXY: 'big' })).toBe('small')
  })

  it('prefers lower case, and takes an empty one for none', () => {
    expect(at(plain, { HTTP_PROXY: 'big', http_proxy: 'small' })).toBe('small')
    expect(at(plain, { HTTP_PROXY: 'big', http_proxy: ' ' })).toBe('big')
    expect(at(plain, { HTTP_PROXY: '', ALL_PROXY: '' })).toBeNull()
    // As in curl, an empty no_proxy excludes nothing, whatever NO_PROXY says.
    expect(at(plain, { HTTP_PROXY: 'p', no_proxy: '', NO_PROXY: '*' })).toBe('p')
  })

  it('uses the one that is given, except for what NO_PROXY excludes', () => {
    expect(proxyFor(plain, 'socks5://given', { HTTP_PROXY: 'p' })?.host).toBe('given')
    expect(proxyFor(plain, 'socks5://given', { NO_PROXY: 'host' })).toBeNull()
    expect(proxyFor(plain, false, { HTTP_PROXY: 'p' })).toBeNull()
  })

  it.each([
    [
      { HTTP_PROXY: 'ftp://me:secret@x' },
      true,
      'The proxy address in the environment variable HTTP_PROXY is not valid.',
    ],
    [
      { all_proxy: 'http://me:secret@' },
      true,
      'The proxy address in the environment variable all_proxy is not valid.',
    ],
    [{}, 'http://me:secret@', 'The proxy address in the option proxy is not valid.'],
  ])('names what cannot be used, and not its value: %j', (env, setting, message) => {
    const error = failure(() => proxyFor(plain, setting, env))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: false, message })
  })
})

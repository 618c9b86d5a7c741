import { describe, expect, it } from 'vitest'
import fc from '../../support/properties.js'
import { cookieHeader, withCookies } from '../../../src/net/cookies.js'

const now = Date.UTC(2030, 0, 1)

/** What is sent to `to` after `from` has set these cookies. */
function sent(from: string, lines: string[], to: string, given: string | null = null): string | null {
  return cookieHeader(withCookies([], lines, new URL(from), now), new URL(to), given)
}

describe('a cookie that a redirect sets', () => {
  it.each([
    ['a=b', 'https://host/x', 'https://host/y', 'a=b'],
    ['a=b=c; HttpOnly; SameSite=Lax', 'https://host/x', 'https://host/y', 'a=b=c'],
    ['a=', 'https://host/x', 'https://host/y', 'a='],
    ['a=b', 'https://host/x/y', 'https://host/x/z/1', 'a=b'],
    ['a=b', 'https://host/x/y', 'https://host/z', null],
    ['a=b; Path=/', 'https://host/x/y', 'https://host/z', 'a=b'],
    ['a=b; Path=/x', 'https://host/', 'https://host/x', 'a=b'],
    ['a=b; Path=/x', 'https://host/', 'https://host/xy', null],
    ['a=b', 'http://host/', 'https://host/', 'a=b'],
    ['a=b', 'https://host:444/', 'https://host/', 'a=b'],
    ['a=b; Secure', 'https://host/', 'http://host/', null],
    ['a=b; Secure', 'http://host/', 'https://host/', null],
    ['a=b', 'https://host/', 'https://other/', null],
    ['a=b', 'https://host.example/', 'https://cdn.host.example/', null],
    ['a=b; Domain=host.example', 'https://www.host.example/', 'https://cdn.host.example/', 'a=b'],
    ['a=b; Domain=.Host.Example', 'https://www.host.example/', 'https://host.example/', 'a=b'],
    ['a=b; Domain=example', 'https://host.example/', 'https://other.example/', null],
    ['a=b; Domain=other.example', 'https://host.example/', 'https://other.example/', null],
    ['a=b; Domain=0.1', 'https://127.0.0.1/', 'https://10.0.0.1/', null],
    ['a=b; Max-Age=0', 'https://host/', 'https://host/', null],
    ['a=b; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'https://host/', 'https://host/', 'a=b'],
    ['a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'https://host/', 'https://host/', null],
    ['a=b; Expires=Thu, 01 Jan 2060 00:00:00 GMT', 'https://host/', 'https://host/', 'a=b'],
    ['__Secure-a=b', 'https://host/', 'https://host/', null],
    ['__Host-a=b; Secure; Path=/', 'https://host/x', 'https://host/', '__Host-a=b'],
    ['__Host-a=b; Secure; Path=/; Domain=a.host', 'https://a.host/x', 'https://a.host/', null],
    ['nothing', 'https://host/', 'https://host/', null],
    ['=b', 'https://host/', 'https://host/', null],
    ['a=b\r\nX-Evil: 1', 'https://host/', 'https://host/', null],
    [`a=${'b'.repeat(4_094)}`, 'https://host/', 'https://host/', `a=${'b'.repeat(4_094)}`],
    [`a=${'b'.repeat(4_095)}`, 'https://host/', 'https://host/', null],
    ['a=\u00e9\tb', 'https://host/', 'https://host/', 'a=\u00e9\tb'],
    ['a=\u007f', 'https://host/', 'https://host/', null],
    ['a=模', 'https://host/', 'https://host/', null],
    [' a = b ; PATH = / ', 'https://host/x/y', 'https://host/z', 'a=b'],
    [' =b', 'https://host/', 'https://host/', null],
    ['a=b; Path=y', 'https://host/x/z', 'https://host/x/w', 'a=b'],
    ['a=b; Path=y', 'https://host/x/z', 'https://host/y', null],
    ['a=b; Path=/x/', 'https://host/', 'https://host/x/1', 'a=b'],
    ['a=b; Path=/x/', 'https://host/', 'https://host/x', null],
    ['a=b; Path=/x=1', 'https://host/', 'https://host/x=1', 'a=b'],
    ['a=b; Path=/x=1', 'https://host/', 'https://host/x', null],
    ['a=b; SECURE', 'https://host/', 'https://host/', 'a=b'],
    ['a=b; Domain=www.host.example', 'https://www.host.example/', 'https://a.www.host.example/', 'a=b'],
    ['a=b; Domain=host', 'https://host/', 'https://host/', 'a=b'],
    ['a=b; Domain=a..b', 'https://host/', 'https://host/', null],
    ['a=b; Domain=host.example', 'https://1.host.example/', 'https://host.example/', 'a=b'],
    ['a=b; Domain=host.ex1', 'https://www.host.ex1/', 'https://host.ex1/', 'a=b'],
    ['a=b; Domain=st.example', 'https://host.example/', 'https://host.example/', null],
    ['a=b; Max-Age=-1', 'https://host/', 'https://host/', null],
    ['a=b; Max-Age=1', 'https://host/', 'https://host/', 'a=b'],
    ['a=b; Max-Age=0x', 'https://host/', 'https://host/', 'a=b'],
    ['a=b; Max-Age=x0', 'https://host/', 'https://host/', 'a=b'],
    ['a=b; Max-Age=x1; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'https://host/', 'https://host/', null],
    ['a=b; Max-Age=1x; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'https://host/', 'https://host/', null],
    ['a=b; Max-Age=00', 'https://host/', 'https://host/', null],
    ['a=b; Expires=Tue, 01 Jan 2030 00:00:00 GMT', 'https://host/', 'https://host/', null],
    ['a=b; Expires=Tue, 01 Jan 2030 00:00:01 GMT', 'https://host/', 'https://host/', 'a=b'],
    ['a=b; Expires=never', 'https://host/', 'https://host/', 'a=b'],
    ['__Secure-a=b; Secure', 'https://host/', 'https://host/', '__Secure-a=b'],
    ['a__Secure-=b', 'https://host/', 'https://host/', 'a__Secure-=b'],
    ['__Host-a=b; Path=/', 'https://host/', 'https://host/', null],
    ['__Host-a=b; Secure; Path=/x', 'https://host/x', 'https://host/x', null],
    ['a__Host-=b; Path=/x', 'https://host/x', 'https://host/x', 'a__Host-=b'],
  ])('%s from %s is sent to %s: %j', (line, from, to, expected) => {
    expect(sent(from, [line], to)).toBe(expected)
  })

  it('replaces one of the same name, also of the caller', () => {
    expect(sent('https://host/', ['a=1', 'b=2', 'a=3'], 'https://host/', 'a=0; c=4')).toBe('c=4; b=2; a=3')
    expect(sent('https://host/', ['a=1', 'a=; Max-Age=0'], 'https://host/', 'a=0')).toBe('a=0')
  })

  it('is told apart from one of the same name by its path and by its domain', () => {
    const at = 'https://www.host.example/x/y'
    expect(sent(at, ['a=1; Path=/', 'a=2'], at)).toBe('a=1; a=2')
    expect(sent(at, ['a=1', 'a=2; Domain=host.example'], at)).toBe('a=1; a=2')
  })

  it('is added to those of the caller', () => {
    const to = 'https://host/'
    expect(sent(to, ['a=1'], to, ' a =0 ;; c = 4;flag')).toBe('c = 4; flag; a=1')
    expect(sent(to, ['a=1'], 'https://other/', 'a=0')).toBe('a=0')
    expect(sent(to, ['ab=1'], to, 'ab=0; ac=2')).toBe('ac=2; ab=1')
    expect(sent(to, [], to, ' ; ')).toBeNull()
    expect(sent(to, ['a=1', 'bad', 'b=2'], to)).toBe('a=1; b=2')
  })

  it('is one of the last fifty', () => {
    const lines = Array.from({ length: 60 }, (_, index) => `c${index}=1`)
    const all = sent('https://host/', lines, 'https://host/')?.split('; ')
    expect(all).toHaveLength(50)
    expect(all?.[0]).toBe('c10=1')
  })

  it('never leaves its site, nor its line', () => {
    const hosts = fc.constantFrom('host', 'a.example.org', 'b.example.org', 'example.org', 'evil.org')
    const lines = fc.array(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.string(), hosts).map(([value, domain]) => `a=${value}; Domain=${domain}`),
      ),
    )
    fc.assert(
      fc.property(hosts, hosts, lines, (from, to, list) => {
        const header = sent(`https://${from}/`, list, `https://${to}/`)
        if (header === null) return
        expect(header).toMatch(/^[\t\x20-\x7e\x80-\xff]+$/)
        const site = (host: string) => host.split('.').slice(-2).join('.')
        expect(site(to)).toBe(site(from))
      }),
    )
  })
})

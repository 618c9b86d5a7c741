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
    [`a=${'b'.repeat(5_000)}`, 'https://host/', 'https://host/', null],
  ])('%s from %s is sent to %s: %j', (line, from, to, expected) => {
    expect(sent(from, [line], to)).toBe(expected)
  })

  it('replaces one of the same name, also of the caller', () => {
    expect(sent('https://host/', ['a=1', 'b=2', 'a=3'], 'https://host/', 'a=0; c=4')).toBe('c=4; b=2; a=3')
    expect(sent('https://host/', ['a=1', 'a=; Max-Age=0'], 'https://host/', 'a=0')).toBe('a=0')
  })

  it('is one of few', () => {
    const lines = Array.from({ length: 60 }, (_, index) => `c${index}=1`)
    expect(sent('https://host/', lines, 'https://host/')?.split('; ')).toHaveLength(50)
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

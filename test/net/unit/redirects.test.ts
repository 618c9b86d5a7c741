import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import {
  firstHop,
  followRedirect,
  headersOf,
  isRedirect,
  nextHop,
  type Hop,
} from '../../../src/net/redirects.js'
import { failure } from '../../support/failure.js'

const secrets = { Authorization: 'Bearer token', Cookie: 'a=b', 'X-Api-Key': 'key' }
const from = (url: string, count = 0): Hop => ({ url: new URL(url), headers: secrets, count })
const start = from('https://host/dir/model')

const code = (run: () => unknown) => failure(run).code

describe('isRedirect', () => {
  it.each([301, 302, 303, 307, 308])('%d', (status) => {
    expect(isRedirect(status)).toBe(true)
  })

  it.each([200, 206, 300, 304, 305, 306, 400])('not %d', (status) => {
    expect(isRedirect(status)).toBe(false)
  })
})

describe('nextHop', () => {
  it.each([
    ['/other', 'https://host/other'],
    ['other?x=1', 'https://host/dir/other?x=1'],
    ['https://host/a#part', 'https://host/a'],
    ['//host/a', 'https://host/a'],
    ['https://HOST:443/a', 'https://host/a'],
  ])('stays on the origin with %s and keeps the headers', (location, url) => {
    const hop = nextHop(start, location, 10)
    expect(hop.url.href).toBe(url)
    expect(hop.headers).toEqual(secrets)
    expect(hop.count).toBe(1)
  })

  it.each([
    ['another host', 'https://other/a'],
    ['a host below', 'https://sub.host/a'],
    ['another port', 'https://host:8443/a'],
    ['a host of the network path form', '//other/a'],
  ])('drops every header on %s', (_, location) => {
    expect(nextHop(start, location, 10).headers).toEqual({})
  })

  it.each(['http://host/b', '/b', 'http://HOST:80/b'])(
    'follows http → %s and keeps the headers',
    (location) => {
      expect(nextHop(from('http://host/a'), location, 10)).toEqual({
        url: new URL('http://host/b'),
        headers: secrets,
        count: 1,
      })
    },
  )

  it('follows http to another host without the headers', () => {
    const hop = nextHop(from('http://host/a'), 'http://other/b', 10)
    expect(hop).toEqual({ url: new URL('http://other/b'), headers: {}, count: 1 })
  })

  it('drops the headers from http to https of the same host, which is another origin', () => {
    expect(nextHop(from('http://host/a'), 'https://host/a', 10).headers).toEqual({})
  })

  it('does not give the headers back when the way leads home again', () => {
    const away = nextHop(start, 'https://other/a', 10)
    const back = nextHop(away, 'https://host/dir/model', 10)
    expect(back.headers).toEqual({})
    expect(back.count).toBe(2)
  })

  it.each(['http://host/a', 'http://other/a', 'HTTP://host/a'])('refuses https → %s', (location) => {
    expect(code(() => nextHop(start, location, 10))).toBe('REDIRECT_BLOCKED')
  })

  it.each(['ftp://host/a', 'file:///etc/passwd', 'data:,x', 'javascript:alert(1)', 'mailto:a@b'])(
    'refuses the scheme of %s',
    (location) => {
      expect(code(() => nextHop(start, location, 10))).toBe('REDIRECT_BLOCKED')
    },
  )

  it.each([null, 'https://', 'https://[', 'https://host:99999/'])('refuses the location %j', (location) => {
    expect(code(() => nextHop(start, location, 10))).toBe('PROTOCOL_ERROR')
  })

  it.each([
    ['too many redirects', 10, '/a', 'TOO_MANY_REDIRECTS', false, 'more than 10 times'],
    ['no location', 0, null, 'PROTOCOL_ERROR', true, 'without a Location'],
    ['an invalid location', 0, 'https://[', 'PROTOCOL_ERROR', true, 'an invalid address'],
    ['another scheme', 0, 'ftp://host/a', 'REDIRECT_BLOCKED', false, 'a ftp: address'],
    ['a downgrade', 0, 'http://host/a', 'REDIRECT_BLOCKED', false, 'from https to http'],
  ])('says of %s whether another attempt may help', (_, count, location, expected, retryable, text) => {
    const error = failure(() => nextHop(from('https://host/a', count), location, 10))
    expect(error).toMatchObject({ code: expected, retryable })
    expect(error.message).toContain(text)
  })

  it.each(['', ' ', '\t'])('ends at once with the empty location %j', (location) => {
    const error = failure(() => nextHop(start, location, 10))
    expect(error).toMatchObject({
      code: 'PROTOCOL_ERROR',
      retryable: false,
      message: 'The server sent a redirect with an empty Location header.',
    })
  })

  it.each([
    // As bytes of UTF-8 and of Latin-1, which is how a header is read.
    ['/m\u00c3\u00b6del/\u00e6\u00a8\u00a1?q=\u00c3\u00b6', 'https://host/m%C3%B6del/%E6%A8%A1?q=%C3%B6'],
    ['/m\u00f6del?q=\u00f6', 'https://host/m%F6del?q=%F6'],
    ['/m%C3%B6del a', 'https://host/m%C3%B6del%20a'],
    ['https://b\u00c3\u00bccher.example/a', 'https://xn--bcher-kva.example/a'],
    ['/模', 'https://host/%E6%A8%A1'],
    ['/模\u00f6', 'https://host/%E6%A8%A1%C3%B6'],
  ])('understands the location %j', (location, url) => {
    expect(nextHop(start, location, 10).url.href).toBe(url)
  })

  it('keeps what the parser said about an invalid location', () => {
    expect(failure(() => nextHop(start, 'https://[', 10)).cause).toBeInstanceOf(TypeError)
  })

  it('follows as many as allowed, and no more', () => {
    let hop: Hop = start
    for (let n = 0; n < 10; n += 1) hop = nextHop(hop, `/${n}`, 10)
    expect(code(() => nextHop(hop, '/again', 10))).toBe('TOO_MANY_REDIRECTS')
    expect(code(() => nextHop(start, '/a', 0))).toBe('TOO_MANY_REDIRECTS')
  })

  it('never sends headers to another origin, nor anything from https to http, on any way', () => {
    const places = ['https://host', 'https://other', 'http://host', 'https://host:444', 'http://other:81']
    const locations = fc.array(fc.constantFrom(...places.map((place) => `${place}/a`), '/b', 'c'), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(fc.constantFrom(...places), locations, (origin, way) => {
        let hop = from(`${origin}/start`)
        for (const location of way) {
          try {
            const next = nextHop(hop, location, 10)
            if (hop.url.protocol === 'https:') expect(next.url.protocol).toBe('https:')
            hop = next
          } catch (error) {
            expect(error).toBeInstanceOf(DownloadError)
            return
          }
          if (hop.url.origin !== origin) expect(hop.headers).toEqual({})
        }
      }),
    )
  })
})

describe('followRedirect', () => {
  const head = (headers: Record<string, string | string[]>) => ({ status: 302, headers })

  it('sends back the cookies that redirects have set, on the same site', () => {
    const one = followRedirect(
      { ...start, headers: { 'X-Api-Key': 'key', COOKIE: 'mine=1' } },
      head({ location: '/b', 'set-cookie': ['a=1; Path=/', 'b=2; Path=/'] }),
      10,
      0,
    )
    expect(headersOf(one)).toEqual({ 'X-Api-Key': 'key', cookie: 'mine=1; a=1; b=2' })
    const two = followRedirect(one, head({ location: 'https://other/c', 'set-cookie': 'c=3' }), 10, 0)
    expect(headersOf(two)).toEqual({})
    const three = followRedirect(two, head({ location: 'https://host/d' }), 10, 0)
    // The third was set by the host of the second request, which is that of the first.
    expect(headersOf(three)).toEqual({ cookie: 'a=1; b=2; c=3' })
  })

  it('leaves the headers alone where no cookie was set', () => {
    expect(followRedirect(start, head({ location: '/b' }), 10, 0)).toEqual(nextHop(start, '/b', 10))
    expect(headersOf(start)).toBe(start.headers)
  })

  it('takes a location that is stated twice, but not two of them', () => {
    expect(followRedirect(start, head({ location: ['/b', '/b'] }), 10, 0).url.pathname).toBe('/b')
    expect(failure(() => followRedirect(start, head({ location: ['/b', '/c'] }), 10, 0))).toMatchObject({
      code: 'PROTOCOL_ERROR',
      message: 'The server redirects to several addresses at once.',
    })
    expect(code(() => followRedirect(start, head({}), 10, 0))).toBe('PROTOCOL_ERROR')
  })
})

describe('firstHop', () => {
  const basic = (credentials: string) => `Basic ${Buffer.from(credentials).toString('base64')}`

  it('adds no authorization to a URL without userinfo', () => {
    const headers = { 'X-A': '1' }
    expect(firstHop(new URL('https://host/a'), headers).headers).toEqual(headers)
    expect(firstHop(new URL('https://@host/a'), headers).headers).toEqual(headers)
  })

  it('leaves URL and headers alone', () => {
    const hop = firstHop(new URL('https://host/a?b=c'), secrets)
    expect(hop).toEqual({ url: new URL('https://host/a?b=c'), headers: secrets, count: 0 })
  })

  it.each([
    ['https://me:pw@host/a', 'me:pw'],
    ['https://me@host/a', 'me:'],
    ['https://:pw@host/a', ':pw'],
    ['https://m%C3%BC:p%40%3Aw@host/a', 'mü:p@:w'],
    ['https://100%:50%25@host/a', '100%:50%'],
    ['https://%FF:x@host/a', '%FF:x'],
  ])('makes Basic authorization of %s', (url, credentials) => {
    const hop = firstHop(new URL(url), { 'X-A': '1' })
    expect(hop.headers).toEqual({ 'X-A': '1', authorization: basic(credentials) })
    expect(hop.url.href).toBe('https://host/a')
  })

  it('prefers the header that the caller sent', () => {
    const hop = firstHop(new URL('https://me:pw@host/a'), secrets)
    expect(hop.headers).toEqual(secrets)
    expect(hop.url.href).toBe('https://host/a')
  })

  it('does not change the URL that it was given', () => {
    const url = new URL('https://me:pw@host/a')
    firstHop(url, {})
    expect(url.username).toBe('me')
  })
})

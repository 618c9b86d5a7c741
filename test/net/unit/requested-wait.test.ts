import { describe, expect, it } from 'vitest'
import { requestedWaitMs } from '../../../src/net/requested-wait.js'
import type { ResponseHead } from '../../../src/net/exchange.js'
import fc from '../../support/properties.js'

const wallNow = Date.UTC(2030, 5, 15, 12)
const date = 'Sat, 15 Jun 2030 12:00:00 GMT'

const wait = (headers: ResponseHead['headers'], status = 429) => requestedWaitMs({ status, headers }, wallNow)

describe('requestedWaitMs', () => {
  it.each<[string, ResponseHead['headers'], number]>([
    ['Retry-After', { 'retry-after': '7' }, 7_000],
    ['Retry-After before RateLimit', { 'retry-after': '7', ratelimit: '"api";r=0;t=55' }, 7_000],
    ['Retry-After: 0 before RateLimit', { 'retry-after': '0', ratelimit: '"api";r=0;t=55' }, 0],
    [
      'a malformed Retry-After after RateLimit',
      { 'retry-after': 'soon', ratelimit: '"api";r=0;t=55' },
      55_000,
    ],
    ['RateLimit', { ratelimit: '"api";r=0;t=55' }, 55_000],
    ['its parameters in another order', { ratelimit: '"api";t=55;r=0' }, 55_000],
    ['its parameters with blanks', { ratelimit: ' "api" ; r=0 ; t=55 ' }, 55_000],
    ['further parameters', { ratelimit: '"api";q=100;w=60;r=0;t=55;pk=:cHNk:' }, 55_000],
    ['a limit without quotes', { ratelimit: 'api;r=0;t=55' }, 55_000],
    ['a limit without what is left', { ratelimit: '"api";t=55' }, 55_000],
    ['the limit that is used up, of two', { ratelimit: '"minute";r=0;t=55, "day";r=900;t=80000' }, 55_000],
    ['the same in two lines', { ratelimit: ['"day";r=900;t=80000', '"minute";r=0;t=55'] }, 55_000],
    ['the same in the other order', { ratelimit: ['"minute";r=0;t=55', '"day";r=900;t=80000'] }, 55_000],
    [
      'the longest of several that are used up',
      { ratelimit: '"a";r=0;t=5,"b";r=0;t=60,"c";r=0;t=9' },
      60_000,
    ],
    ['a limit whose name holds separators', { ratelimit: '"a,b;t=9\\"";r=0;t=55' }, 55_000],
    ['an older RateLimit', { ratelimit: 'limit=100, remaining=0, reset=50' }, 50_000],
    ['the same with a window', { ratelimit: 'limit=100;w=60, remaining=0, reset=50' }, 50_000],
    ['the same with semicolons', { ratelimit: 'limit=100; remaining=0; reset=50' }, 50_000],
    ['the same with blanks', { ratelimit: 'limit = 100 , remaining = 0 , reset = 50' }, 50_000],
    ['the same in another order', { ratelimit: 'reset=50, remaining=0, limit=100' }, 50_000],
    [
      'RateLimit-Reset',
      { 'ratelimit-limit': '9', 'ratelimit-remaining': '0', 'ratelimit-reset': '50' },
      50_000,
    ],
    ['RateLimit-Reset alone', { 'ratelimit-reset': '50' }, 50_000],
    [
      'RateLimit-Reset beside a RateLimit that says nothing',
      { ratelimit: 'x', 'ratelimit-reset': '50' },
      50_000,
    ],
    ['X-RateLimit-Reset', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '50' }, 50_000],
    ['X-Rate-Limit-Reset', { 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': '50' }, 50_000],
    ['a part of a second', { 'ratelimit-reset': '0.25' }, 250],
    ['a date in seconds', { 'ratelimit-reset': String(wallNow / 1000 + 30) }, 30_000],
    ['a date in milliseconds', { 'x-ratelimit-reset': String(wallNow + 30_000) }, 30_000],
    ['a date of HTTP', { 'ratelimit-reset': 'Sat, 15 Jun 2030 12:00:30 GMT' }, 30_000],
    ['a date of ISO 8601', { 'ratelimit-reset': '2030-06-15T12:00:30Z' }, 30_000],
    ['a date in quotes', { 'ratelimit-reset': '"2030-06-15T12:00:30Z"' }, 30_000],
    [
      'a date by the time of the server',
      { date: 'Sat, 15 Jun 2030 12:00:20 GMT', 'ratelimit-reset': '2030-06-15T12:00:30Z' },
      10_000,
    ],
  ])('takes %s', (_name, headers, expected) => {
    expect(wait(headers)).toBe(expected)
    expect(wait({ date, ...headers }, 503)).toBe(expected)
  })

  it.each<[string, ResponseHead['headers']]>([
    ['nothing', {}],
    ['two of Retry-After', { 'retry-after': ['7', '8'] }],
    ['a limit that is not used up', { ratelimit: '"api";r=499;t=250' }],
    ['an older one that is not', { ratelimit: 'limit=500, remaining=499, reset=250' }],
    ['a single one that is not', { 'ratelimit-remaining': '499', 'ratelimit-reset': '250' }],
    ['a limit that does not say until when', { ratelimit: '"api";r=0' }],
    ['a window that ends now', { ratelimit: '"api";r=0;t=0' }],
    ['a date in the past', { 'ratelimit-reset': String(wallNow / 1000 - 30) }],
    ['the first date in seconds', { 'ratelimit-reset': '1000000000' }],
    ['the first date in milliseconds', { 'ratelimit-reset': '1000000000000' }],
    ['words before a date', { 'ratelimit-reset': 'until Sat, 15 Jun 2030 12:00:30 GMT' }],
    ['a negative wait', { ratelimit: '"api";r=0;t=-5' }],
    ['words', { ratelimit: '"api";r=0;t=soon', 'ratelimit-reset': 'soon' }],
    ['a quote that does not end', { ratelimit: '"api;r=0;t=55' }],
    ['what only describes the limits', { 'ratelimit-policy': '"api";q=100;w=60', 'ratelimit-limit': '100' }],
  ])('makes no wait of %s', (_name, headers) => {
    expect(wait(headers)).toBeNull()
  })

  it.each([200, 206, 404, 416, 500, 502, 504])('takes limits for no wait with status %i', (status) => {
    for (const text of ['"api";r=499;t=250', '"api";r=0;t=250', 'limit=9, remaining=0, reset=250'])
      expect(wait({ ratelimit: text, 'x-ratelimit-reset': '250' }, status)).toBeNull()
    expect(wait({ 'retry-after': '9' }, status)).toBe(9_000)
  })

  it('finds the longest wait among any limits', () => {
    const limit = fc.record({ name: fc.stringMatching(/^[ -~]{0,12}$/), r: fc.nat(2), t: fc.nat(100_000) })
    fc.assert(
      fc.property(fc.array(limit, { minLength: 1, maxLength: 8 }), (limits) => {
        const quoted = (name: string) => `"${name.replace(/["\\]/g, '\\$&')}"`
        const text = limits.map(({ name, r, t }) => `${quoted(name)};r=${r};t=${t}`).join(', ')
        const longest = Math.max(0, ...limits.filter(({ r }) => r === 0).map(({ t }) => t))
        expect(wait({ ratelimit: text })).toBe(longest === 0 ? null : longest * 1000)
      }),
    )
  })

  it('never throws, and is a wait of whole milliseconds or none', () => {
    const part = fc.constantFrom(
      '"',
      ';',
      ',',
      '=',
      'r',
      't',
      '0',
      '9',
      '\\',
      ' ',
      'reset',
      'remaining',
      '-',
      '.',
    )
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const text = parts.join('')
        const ms = wait({ ratelimit: text, 'ratelimit-reset': text })
        expect(ms === null || (Number.isSafeInteger(ms) && ms > 0)).toBe(true)
      }),
    )
  })
})

import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import { hasStrongValidator, strongEtag, type Identity } from '../../../src/engine/part/identity.js'
import { identityOf, judge, type Expectation } from '../../../src/engine/fetch/response-rules.js'
import { parseContentRange } from '../../../src/net/content-range.js'
import type { ResponseHead } from '../../../src/net/exchange.js'

const date = 'Mon, 15 Jan 2024 12:00:00 GMT'
const modified = 'Mon, 01 Jan 2024 00:00:00 GMT'

describe('judge, for any response to any request', () => {
  const count = fc.nat(20)
  const tag = fc.constantFrom('"a"', '"b"', 'W/"a"', 'a', '')
  const when = fc.constantFrom(date, modified, 'never', '')
  const identities: fc.Arbitrary<Identity> = fc.record({
    total: fc.option(count),
    etag: fc.option(fc.constantFrom('"a"', '"b"', 'W/"a"')),
    lastModified: fc.option(fc.constantFrom(date, modified)),
    lastModifiedStrong: fc.boolean(),
  })
  const expectations: fc.Arbitrary<Expectation> = fc.record({
    start: count,
    end: fc.option(fc.nat(40)),
    identity: fc.option(identities),
    digestKnown: fc.boolean(),
    size: fc.option(count),
  })
  const noise = fc.string({ maxLength: 8 })
  const value = (likely: fc.Arbitrary<string>) =>
    fc.oneof(
      { weight: 6, arbitrary: likely },
      { weight: 1, arbitrary: noise },
      { weight: 1, arbitrary: fc.array(fc.oneof(likely, noise), { maxLength: 3 }) },
    )
  const range = fc
    .tuple(count, count, fc.option(fc.nat(40)))
    .map(([a, b, c]) => `bytes ${a}-${b}/${c ?? '*'}`)
  const answers: fc.Arbitrary<ResponseHead> = fc.record({
    status: fc.oneof(fc.constantFrom(200, 206, 416), fc.integer({ min: 200, max: 599 })),
    headers: fc.record(
      {
        'content-range': value(range),
        'content-length': value(count.map(String)),
        'content-encoding': value(fc.constantFrom('identity', 'gzip', '')),
        'content-type': value(fc.constantFrom('multipart/byteranges', 'text/html')),
        'transfer-encoding': value(fc.constant('chunked')),
        etag: value(tag),
        'last-modified': value(when),
        date: value(when),
      },
      { requiredKeys: [] },
    ),
  })
  const runs = { numRuns: 3000 }

  it('always gives a verdict, with an error of ours where there is one', () => {
    fc.assert(
      fc.property(expectations, answers, (expected, head) => {
        const verdict = judge(expected, head)
        if ('error' in verdict) expect(isDownloadError(verdict.error)).toBe(true)
        if (verdict.kind === 'retry') expect(verdict.error.retryable).toBe(true)
        if (verdict.kind === 'expired') expect(expected.identity).not.toBeNull()
      }),
      runs,
    )
  })

  it('never takes a body that begins elsewhere, or of another size', () => {
    fc.assert(
      fc.property(expectations, answers, (expected, head) => {
        const verdict = judge(expected, head)
        if (verdict.kind !== 'accept') return
        if (head.status === 206) {
          const stated = parseContentRange(head.headers['content-range'])
          expect(stated?.start).toBe(expected.start)
          expect(stated).toHaveProperty('end', verdict.bodyEnd)
        } else {
          expect(head.status).toBe(200)
          expect(expected.start).toBe(0)
        }
        const size = verdict.identity.total
        if (expected.size !== null && size !== null && expected.identity === null)
          expect(size).toBe(expected.size)
        const before = expected.identity?.total ?? null
        if (before !== null) expect(size).toBe(before)
      }),
      runs,
    )
  })

  it('never takes an encoded or multipart body', () => {
    fc.assert(
      fc.property(expectations, answers, (expected, head) => {
        const { kind } = judge(expected, head)
        if (kind !== 'accept' && kind !== 'whole') return
        const encodings = [head.headers['content-encoding'] ?? []].flat().flatMap((line) => line.split(','))
        for (const encoding of encodings) expect(['', 'identity']).toContain(encoding.trim().toLowerCase())
        if (head.status === 206) expect(String(head.headers['content-type'])).not.toMatch(/^multipart/i)
      }),
      runs,
    )
  })

  it('is never sure of a version that its strong validators contradict', () => {
    fc.assert(
      fc.property(expectations, answers, (expected, head) => {
        const verdict = judge({ ...expected, digestKnown: false }, head)
        if (verdict.kind !== 'accept' || expected.identity === null) return
        const seen = strongEtag(identityOf(head, null))
        const before = strongEtag(expected.identity)
        if (seen !== null && before !== null) expect(seen).toBe(before)
        if (verdict.sure) expect(hasStrongValidator(expected.identity)).toBe(true)
      }),
      runs,
    )
  })
})

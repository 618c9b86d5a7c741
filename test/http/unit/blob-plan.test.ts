import { describe, expect, it } from 'vitest'
import { planBlob, rangeOf } from '../../../src/http/peers/blob-plan.js'
import fc from '../../support/properties.js'

const sha256 = 'a'.repeat(64)
const etag = `"${sha256}"`
const none = { range: null, ifRange: null, ifNoneMatch: null }

describe('a request for a file by its digest', () => {
  it('gets all of it without a range, with the digest as its validator', () => {
    expect(planBlob(none, { sha256, size: 10 })).toMatchObject({
      status: 200,
      start: 0,
      end: 10,
      headers: { ETag: etag, 'Content-Length': '10', 'Accept-Ranges': 'bytes' },
    })
    expect(planBlob(none, { sha256, size: 0 })).toMatchObject({ status: 200, start: 0, end: 0 })
  })

  it.each([
    ['bytes=0-', 0, 10],
    ['bytes=3-5', 3, 6],
    ['bytes=3-3', 3, 4],
    ['bytes=3-99', 3, 10],
    ['BYTES= 9-9999999999999999999999 ', 9, 10],
    ['bytes=-4', 6, 10],
    ['bytes=-99', 0, 10],
  ])('gets the range %s', (range, start, end) => {
    const plan = planBlob({ ...none, range }, { sha256, size: 10 })
    expect(plan).toMatchObject({ status: 206, start, end })
    expect(plan.headers).toMatchObject({
      'Content-Range': `bytes ${start}-${end - 1}/10`,
      'Content-Length': String(end - start),
    })
  })

  it.each(['bytes=10-', 'bytes=99-100', 'bytes=-0', 'bytes=99999999999999999999-'])(
    'is told the size if nothing is in the range %s',
    (range) => {
      const plan = planBlob({ ...none, range }, { sha256, size: 10 })
      expect(plan).toMatchObject({ status: 416, headers: { 'Content-Range': 'bytes */10' } })
    },
  )

  it.each(['bytes=5-3', 'bytes=-', 'bytes=1-2,4-5', 'bytes 1-2', 'lines=1-2', 'bytes=a-b', ''])(
    'gets all of it if the range is not understood: %j',
    (range) => {
      expect(planBlob({ ...none, range }, { sha256, size: 10 })).toMatchObject({ status: 200, end: 10 })
    },
  )

  it('gets a range only of the version that it has', () => {
    const range = 'bytes=3-5'
    expect(planBlob({ ...none, range, ifRange: etag }, { sha256, size: 10 }).status).toBe(206)
    for (const ifRange of ['"other"', `W/${etag}`, 'Mon, 01 Jan 2024 00:00:00 GMT'])
      expect(planBlob({ ...none, range, ifRange }, { sha256, size: 10 }).status).toBe(200)
  })

  it('gets nothing if it has the version', () => {
    for (const ifNoneMatch of [etag, `W/${etag}`, `"x", ${etag}`, '*'])
      expect(planBlob({ ...none, ifNoneMatch }, { sha256, size: 10 }).status).toBe(304)
    expect(planBlob({ ...none, ifNoneMatch: '"x"' }, { sha256, size: 10 }).status).toBe(200)
  })

  it('is never answered with bytes that the file has not, whatever it asks for', () => {
    const digits = fc.oneof(
      fc.constant(''),
      fc.nat(50).map(String),
      fc.bigInt({ min: 0n, max: 2n ** 80n }).map(String),
    )
    fc.assert(
      fc.property(digits, digits, fc.nat(40), (first, last, size) => {
        const found = rangeOf(`bytes=${first}-${last}`, size)
        if (found === null || found === 'all') return
        expect(found.start).toBeGreaterThanOrEqual(0)
        expect(found.end).toBeGreaterThan(found.start)
        expect(found.end).toBeLessThanOrEqual(size)
      }),
    )
  })
})

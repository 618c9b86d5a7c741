import { describe, expect, it } from 'vitest'
import fc from '../../support/properties.js'
import { HeadReader, maxHeaderBytes, mendHead } from '../../../src/net/response-heads.js'
import { cpuMs } from '../../support/cost.js'

const mend = (head: string) => mendHead(Buffer.from(head, 'latin1')).toString('latin1')

describe('mendHead', () => {
  it.each([
    ['HTTP/1.1 200 OK\nA: 1\nB: 2\n\n', 'HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n'],
    ['HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n\t3\r\n\r\n', 'HTTP/1.1 200 OK\r\nA: 1 2 3\r\n\r\n'],
    ['HTTP/1.1 200 OK\r\nA : 1\r\n\r\n', 'HTTP/1.1 200 OK\r\nA: 1\r\n\r\n'],
    [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\ncontent-length:5\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\n\r\n',
    ],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5,5 , 5\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    [
      'HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    ],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: Identity\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    ],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\tidentity\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n'],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
    ['HTTP/1.1 200 \u00e4\nA: \u00e4\n\n', 'HTTP/1.1 200 \u00e4\r\nA: \u00e4\r\n\r\n'],
  ])('%j', (head, mended) => {
    expect(mend(head)).toBe(mended)
    expect(mend(mended)).toBe(mended)
  })

  it.each([
    'HTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
    'HTTP/1.1 200 OK\r\nno colon here\r\n\r\n',
  ])('leaves %j as it is', (head) => {
    const bytes = Buffer.from(head, 'latin1')
    expect(mendHead(bytes)).toBe(bytes)
  })
})

/** Feeds a reader with pieces; returns all bytes that it passes on, and how many heads it saw. */
function read(pieces: readonly Buffer[]): { bytes: Buffer; heads: number } {
  const reader = new HeadReader()
  const out: Buffer[] = []
  let heads = 0
  let isReading = true
  for (const piece of pieces) {
    let rest = piece
    while (isReading && rest.length > 0) {
      const taken = reader.take(rest)
      if (taken === null) {
        rest = Buffer.alloc(0)
        break
      }
      heads += 1
      out.push(taken.head)
      rest = taken.rest
      reader.reset()
      isReading = !taken.isFinal
    }
    out.push(Buffer.from(rest))
  }
  if (isReading) out.push(reader.collected)
  return { bytes: Buffer.concat(out), heads }
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  let at = 0
  for (const size of sizes) {
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return [...pieces, bytes.subarray(at)]
}

describe('HeadReader', () => {
  it('gives the same bytes however they arrive, and leaves the body alone', () => {
    const heads = fc.constantFrom(
      'HTTP/1.1 200 OK\r\nA: 1\r\n\r\n',
      'HTTP/1.1 200 OK\nA: 1\n 2\n\n',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
      '\r\nHTTP/1.0 404 Not found\n\r\n',
    )
    const sizes = fc.array(fc.nat({ max: 20 }), { maxLength: 10 })
    fc.assert(
      fc.property(heads, fc.uint8Array(), sizes, (head, body, pieces) => {
        const bytes = Buffer.concat([Buffer.from(head), body])
        const whole = read([bytes])
        expect(read(cut(bytes, pieces))).toEqual(whole)
        expect(whole.bytes.subarray(whole.bytes.length - body.length).equals(body)).toBe(true)
        expect(whole.heads).toBe(head.includes('100 Continue') ? 2 : 1)
      }),
    )
  })

  it('passes on what is not HTTP as it came', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.array(fc.nat({ max: 9 })), (bytes, pieces) => {
        if (Buffer.from(bytes).toString('latin1').trimStart().startsWith('H')) return
        expect(read(cut(Buffer.from(bytes), pieces)).bytes.equals(bytes)).toBe(true)
      }),
    )
  })

  it('gives up on a head that is too long, in linear time', async () => {
    const long = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nA: '), Buffer.alloc(maxHeaderBytes, 'x')])
    const cost = await cpuMs(() => {
      expect(read(cut(long, Array<number>(long.length).fill(1))).bytes.equals(long)).toBe(true)
    })
    expect(cost).toBeLessThan(2_000)
  })
})

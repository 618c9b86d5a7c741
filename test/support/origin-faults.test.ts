import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { randomContent } from './content.js'
import { defaultEtag, startOrigin, type Fault, type FaultKind, type Origin } from './origin.js'
import { dechunk, rawGet, type RawRequest, type RawResponse } from './raw-client.js'

const content = randomContent(300_000, 'faults')
const whole = content.slice(0, content.size)

let origin: Origin
beforeEach(async () => {
  origin = await startOrigin()
})
afterEach(async () => {
  await origin.close()
})

/** What `Range: bytes=1000-1999` gets when this is wrong. */
async function suffer(fault: Fault, request: RawRequest = {}): Promise<RawResponse> {
  origin.serve('/file', { content, faults: [fault] })
  const response = await rawGet(origin.url('/file'), { headers: { Range: 'bytes=1000-1999' }, ...request })
  expect(origin.requests('/file').map((entry) => entry.fault)).toContain(fault.type)
  return response
}

const all: RawRequest = { headers: {} }
const part = (start: number, end: number) => whole.subarray(start, end)

describe('faults in the answer to a range', () => {
  it('ignoreRange', async () => {
    const response = await suffer({ type: 'ignoreRange' })
    expect([response.status, response.header('content-range')]).toEqual([200, undefined])
    expect(response.body.equals(whole)).toBe(true)
  })

  it('wrongOffset', async () => {
    const honest = await suffer({ type: 'wrongOffset', shift: 24 })
    expect(honest.header('content-range')).toBe('bytes 1024-2023/300000')
    expect(honest.body.equals(part(1024, 2024))).toBe(true)
    const silent = await suffer({ type: 'wrongOffset', shift: -1, silent: true })
    expect(silent.header('content-range')).toBe('bytes 1000-1999/300000')
    expect(silent.body.equals(part(999, 1999))).toBe(true)
  })

  it('wrongTotal', async () => {
    const { headers, body } = await suffer({ type: 'wrongTotal', total: '*' })
    expect(headers).toContainEqual(['content-range', 'bytes 1000-1999/*'])
    expect(body.equals(part(1000, 2000))).toBe(true)
  })

  it('wrongEnd', async () => {
    const short = await suffer({ type: 'wrongEnd', shift: -400 })
    expect(short.header('content-range')).toBe('bytes 1000-1599/300000')
    expect(short.body.equals(part(1000, 1600))).toBe(true)
    const lie = await suffer({ type: 'wrongEnd', shift: 5, headerOnly: true })
    expect(lie.header('content-range')).toBe('bytes 1000-2004/300000')
    expect(lie.body).toHaveLength(1000)
  })

  it('multipartRanges', async () => {
    const { status, header, body } = await suffer({ type: 'multipartRanges' })
    expect([status, header('content-range')]).toEqual([206, undefined])
    expect(header('content-type')).toMatch(/^multipart\/byteranges; boundary=/)
    expect(header('content-length')).toBe(String(body.length))
    expect(body.includes(part(1000, 2000))).toBe(true)
    expect(body.toString('latin1')).toContain('Content-Range: bytes 1000-1999/300000\r\n')
  })
})

describe('faults that end the body early', () => {
  it('truncate', async () => {
    const { header, body, end } = await suffer({ type: 'truncate', afterBytes: 600 })
    expect([header('content-length'), end]).toEqual(['1000', 'FIN'])
    expect(body.equals(part(1000, 1600))).toBe(true)
  })

  it.each([0, 600, 1000])('reset after %i bytes', async (afterBytes) => {
    const { body, end } = await suffer({ type: 'reset', afterBytes })
    expect(end).toBe('ECONNRESET')
    expect(body.equals(part(1000, 1000 + afterBytes))).toBe(true)
  })

  it('reset through TLS', async () => {
    await using secure = await startOrigin({ tls: true })
    secure.serve('/file', { content, faults: [{ type: 'reset', afterBytes: 600 }] })
    const { body, end } = await rawGet(secure.url('/file'))
    expect([end, body.length]).toEqual(['ECONNRESET', 600])
  })

  it('chunkedCut', async () => {
    const fin = await suffer({ type: 'chunkedCut', afterBytes: 600 })
    expect(dechunk(fin.body)).toEqual({ data: part(1000, 1600), complete: false })
    expect([fin.header('transfer-encoding'), fin.end]).toEqual(['chunked', 'FIN'])
    expect((await suffer({ type: 'chunkedCut', afterBytes: 600, reset: true })).end).toBe('ECONNRESET')
    const nearly = await suffer({ type: 'chunkedCut', afterBytes: Infinity })
    expect(dechunk(nearly.body)).toEqual({ data: part(1000, 2000), complete: false })
  })

  it('closeDelimited', async () => {
    const complete = await suffer({ type: 'closeDelimited' }, all)
    expect(complete.header('content-length') ?? complete.header('transfer-encoding')).toBeUndefined()
    expect(complete.header('connection')).toBe('close')
    expect(complete.body.equals(whole)).toBe(true)
    expect((await suffer({ type: 'closeDelimited', afterBytes: 600 }, all)).body).toHaveLength(600)
    const reset = await suffer({ type: 'closeDelimited', afterBytes: 600, reset: true }, all)
    expect([reset.body.length, reset.end]).toEqual([600, 'ECONNRESET'])
  })

  it('hangUp', async () => {
    const fin = await suffer({ type: 'hangUp' })
    expect([fin.bytes.length, fin.end]).toEqual([0, 'FIN'])
    expect((await suffer({ type: 'hangUp', reset: true })).end).toBe('ECONNRESET')
  })
})

describe('faults in time', () => {
  it('stallBeforeHeaders', async () => {
    const silent = await suffer({ type: 'stallBeforeHeaders' }, { listenMs: 150 })
    expect([silent.bytes.length, silent.end]).toEqual([0, 'open'])
    const late = await suffer({ type: 'stallBeforeHeaders', forMs: 150 })
    expect(late.body).toHaveLength(1000)
    expect(late.tookMs).toBeGreaterThan(140)
  })

  it('stallBody', async () => {
    const silent = await suffer({ type: 'stallBody', afterBytes: 600 }, { listenMs: 150, ...all })
    expect([silent.body.length, silent.end]).toEqual([600, 'open'])
    await origin.waitForRequest(({ outcome }) => outcome === 'aborted')
    const late = await suffer({ type: 'stallBody', afterBytes: 600, forMs: 150 })
    expect(late.body.equals(part(1000, 2000))).toBe(true)
    expect(late.tookMs).toBeGreaterThan(140)
  })

  it('trickle', async () => {
    const { body, end } = await suffer(
      { type: 'trickle', bytesPerSecond: 100, afterBytes: 600 },
      { ...all, listenMs: 400 },
    )
    expect(end).toBe('open')
    expect(body.length).toBeGreaterThan(601)
    expect(body.length).toBeLessThan(670)
    expect(body.equals(part(0, body.length))).toBe(true)
  })
})

describe('faults in the head', () => {
  it('status', async () => {
    const retryAfter = new Date('2031-01-01T00:00:00Z')
    const response = await suffer({
      type: 'status',
      status: 503,
      retryAfter,
      headers: { 'X-A': 'b' },
      body: 'no',
    })
    expect([response.status, response.body.toString()]).toEqual([503, 'no'])
    expect([response.header('x-a'), response.header('retry-after')]).toEqual([
      'b',
      'Wed, 01 Jan 2031 00:00:00 GMT',
    ])
    expect((await suffer({ type: 'status', status: 429, retryAfter: 2 })).header('retry-after')).toBe('2')
  })

  it('htmlPage', async () => {
    const { status, header, body } = await suffer({ type: 'htmlPage' })
    expect([status, header('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(body.toString()).toMatch(/^<!DOCTYPE html>/)
  })

  it('contentEncoding', async () => {
    const packed = await suffer({ type: 'contentEncoding' })
    expect(packed.header('content-encoding')).toBe('gzip')
    expect(gunzipSync(packed.body).equals(part(1000, 2000))).toBe(true)
    const plain = await suffer({ type: 'contentEncoding', plain: true })
    expect(plain.header('content-encoding')).toBe('gzip')
    expect(plain.body.equals(part(1000, 2000))).toBe(true)
  })

  const etag = defaultEtag(content)
  it.each<[FaultKind, string[], string[]]>([
    [{ type: 'conflictingLengths' }, ['1000', '1001'], [etag]],
    [{ type: 'conflictingLengths', chunked: true }, ['1000', 'chunked'], [etag]],
    [{ type: 'negativeLength' }, ['-1'], [etag]],
    [{ type: 'hugeLength' }, ['99999999999999999999999'], [etag]],
    [{ type: 'duplicateHeader', name: 'ETag', value: '"b"' }, ['1000'], [etag, '"b"']],
    [{ type: 'headers', headers: { etag: null } }, ['1000'], []],
    [{ type: 'headers', headers: { ETag: ['"1"', '"2"'] } }, ['1000'], ['"1"', '"2"']],
  ])('%o', async (fault, lengths, etags) => {
    const { headers } = await suffer(fault)
    const values = (pattern: RegExp) =>
      headers.filter(([name]) => pattern.test(name)).map(([, value]) => value)
    expect(values(/^(?:content-length|transfer-encoding)$/)).toEqual(lengths)
    expect(values(/^etag$/)).toEqual(etags)
  })

  it('headerFlood', async () => {
    const { bytes, body } = await suffer({ type: 'headerFlood', bytes: 500_000 })
    expect(bytes.length).toBeGreaterThan(500_000)
    expect(body.equals(part(1000, 2000))).toBe(true)
  })

  it('garbage', async () => {
    const { status, bytes, end } = await suffer({ type: 'garbage', bytes: 'SSH-2.0-x\r\n' })
    expect([status, bytes.toString(), end]).toEqual([0, 'SSH-2.0-x\r\n', 'FIN'])
    expect((await suffer({ type: 'garbage' })).status).toBe(0)
  })
})

describe('faults in the bytes', () => {
  it('extraBytes', async () => {
    const { header, body } = await suffer({ type: 'extraBytes', count: 50 })
    expect(header('content-length')).toBe('1000')
    expect(body).toHaveLength(1050)
    expect(body.subarray(0, 1000).equals(part(1000, 2000))).toBe(true)
  })

  it('flipByte', async () => {
    const { header, body } = await suffer({ type: 'flipByte', at: 1500 })
    expect(header('etag')).toBe(defaultEtag(content))
    const wrong = [...body.keys()].filter((at) => body[at] !== whole[1000 + at])
    expect(wrong).toEqual([500])
    expect((await suffer({ type: 'flipByte', at: 2500 })).body.equals(part(1000, 2000))).toBe(true)
  })

  it('swapContent', async () => {
    const next = randomContent(300_000, 'next')
    const fault: Fault = { type: 'swapContent', content: next, after: 1 }
    origin.serve('/file', { content, etag: '"old"', faults: [fault] })
    const headers = { Range: 'bytes=5-9', 'If-Range': '"old"' }
    const [first, second, third] = [
      await rawGet(origin.url('/file'), { headers }),
      await rawGet(origin.url('/file'), { headers }),
      await rawGet(origin.url('/file'), { headers: { Range: 'bytes=5-9' } }),
    ]
    expect([first.status, first.header('etag')]).toEqual([206, '"old"'])
    expect([second.status, second.header('etag')]).toEqual([200, defaultEtag(next)])
    expect(third.body.equals(next.slice(5, 10))).toBe(true)
    expect(origin.requests().map((request) => request.fault)).toEqual([null, 'swapContent', null])
  })

  it('raw', async () => {
    const { status, end } = await suffer({
      type: 'raw',
      handle: (socket) => void socket.end('HTTP/1.1 299 Odd\r\n\r\n'),
    })
    expect([status, end]).toEqual([299, 'FIN'])
  })
})

describe('which fault a request gets', () => {
  const status = async (range = 'bytes=0-9') => {
    return (await rawGet(origin.url('/file'), { headers: { Range: range } })).status
  }

  it('is the first of the list that applies, by times, after and when', async () => {
    origin.serve('/file', {
      content,
      faults: [
        { type: 'status', status: 500, times: 1 },
        { type: 'status', status: 502, when: ({ range }) => range?.start === 7 },
        { type: 'status', status: 503, after: 3, times: 1 },
      ],
    })
    expect(await status()).toBe(500)
    expect(await status()).toBe(206)
    expect(await status('bytes=7-')).toBe(502)
    expect(await status('bytes=7-')).toBe(502)
    expect(await status()).toBe(503)
    expect(await status()).toBe(206)
  })

  it('can be picked by a function, and starts over with a new resource', async () => {
    const faults = ({ nth }: { nth: number }): Fault | undefined =>
      nth === 2 ? { type: 'status', status: 500 } : undefined
    origin.serve('/file', { content, faults })
    expect([await status(), await status(), await status()]).toEqual([206, 500, 206])
    origin.serve('/file', { content, faults })
    expect([await status(), await status()]).toEqual([206, 500])
  })
})

import { Agent, get } from 'node:http'
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  ggufContent,
  patchedContent,
  randomContent,
  safetensorsContent,
  sparseContent,
  textContent,
} from './content.js'
import { defaultEtag, startOrigin, type Origin } from './origin.js'
import { dechunk, rawExchange, rawGet } from './raw-client.js'
import { waitFor } from './wait.js'

const content = randomContent(300_000, 'origin test')
const whole = content.slice(0, content.size)
const etag = defaultEtag(content)

let origin: Origin
beforeEach(async () => {
  origin = await startOrigin()
  origin.serve('/file', { content })
})
afterEach(async () => {
  await origin.close()
})

const ask = (range: string, more: Record<string, string> = {}) =>
  rawGet(origin.url('/file'), { headers: { Range: range, ...more } })

describe('content', () => {
  it('is the same in one piece and in any pieces', () => {
    const big = randomContent(5_000_000, 7)
    const pieces: Buffer[] = []
    for (let at = 0; at < big.size; at += 77_777) pieces.push(big.slice(at, at + 77_777))
    const joined = Buffer.concat(pieces)
    expect(joined.equals(big.slice(0, big.size))).toBe(true)
    expect(big.sha256()).toBe(createHash('sha256').update(joined).digest('hex'))
    expect(big.slice(4_999_990, 6_000_000)).toHaveLength(10)
  })

  it('differs by seed, by place and when shifted', () => {
    const big = randomContent(8_000_000, 1)
    expect(big.sha256()).toBe(randomContent(8_000_000, 1).sha256())
    expect(big.sha256()).not.toBe(randomContent(8_000_000, 2).sha256())
    const blocks = new Set<string>()
    for (let at = 0; at < big.size; at += 65_536) blocks.add(big.slice(at, at + 32).toString('hex'))
    expect(blocks.size).toBe(Math.ceil(big.size / 65_536))
  })

  it('reaches beyond 2^32 where little is marked', () => {
    const at = 2 ** 32 + 5
    const sparse = sparseContent(5 * 2 ** 30, [{ at, data: 'mark' }])
    expect(sparse.slice(at - 1, at + 5).toString('latin1')).toBe('\0mark\0')
    expect(() => patchedContent(content, [{ at: 299_999, data: 'ab' }])).toThrow(RangeError)
  })

  it('has the headers of model files', () => {
    const gguf = ggufContent(1_000)
    expect(gguf.slice(0, 8).toString('latin1')).toBe('GGUF\x03\0\0\0')
    const tensors = safetensorsContent(1_000)
    const length = Number(tensors.slice(0, 8).readBigUInt64LE(0))
    const header: unknown = JSON.parse(tensors.slice(8, 8 + length).toString())
    expect(header).toMatchObject({ weight: { dtype: 'U8', data_offsets: [0, 1_000 - 8 - length] } })
  })
})

describe('ranges', () => {
  it('serves the whole file with everything that a static server says', async () => {
    const response = await rawGet(origin.url('/file?x=1'))
    expect(response.status).toBe(200)
    expect(response.body.equals(whole)).toBe(true)
    expect(response.header('content-length')).toBe('300000')
    expect(response.header('etag')).toBe(etag)
    expect(response.header('accept-ranges')).toBe('bytes')
    expect(response.header('last-modified')).toBe('Mon, 01 Jan 2024 00:00:00 GMT')
    expect(response.end).toBe('FIN')
  })

  it.each([
    ['bytes=0-', 0, 300_000],
    ['bytes=10-19', 10, 20],
    ['bytes=299999-', 299_999, 300_000],
    ['bytes=5-999999', 5, 300_000],
    ['bytes=-7', 299_993, 300_000],
    ['bytes=-999999', 0, 300_000],
  ])('serves %s', async (range, start, end) => {
    const response = await ask(range)
    expect(response.status).toBe(206)
    expect(response.header('content-range')).toBe(`bytes ${start}-${end - 1}/300000`)
    expect(response.header('content-length')).toBe(String(end - start))
    expect(response.body.equals(whole.subarray(start, end))).toBe(true)
  })

  it.each(['bytes=300000-', 'bytes=-0', 'bytes=5-4', 'bytes=x-'])('refuses %s', async (range) => {
    const response = await ask(range)
    expect(response.status).toBe(416)
    expect(response.header('content-range')).toBe('bytes */300000')
  })

  it.each(['items=0-1', 'bytes=0-1,5-6'])('takes no notice of %s', async (range) => {
    expect((await ask(range)).status).toBe(200)
  })

  it('has no range of an empty file', async () => {
    origin.serve('/file', { content: textContent('') })
    expect((await ask('bytes=0-')).header('content-range')).toBe('bytes */0')
    expect((await rawGet(origin.url('/file'))).header('content-length')).toBe('0')
  })

  it('honours If-Range with a strong tag or date only', async () => {
    const date = 'Mon, 01 Jan 2024 00:00:00 GMT'
    const status = async (value: string) => (await ask('bytes=1-2', { 'If-Range': value })).status
    expect(await status(etag)).toBe(206)
    expect(await status('"other"')).toBe(200)
    expect(await status(date)).toBe(206)
    expect(await status('Mon, 01 Jan 2024 00:00:01 GMT')).toBe(200)
    origin.serve('/file', { content, etag: 'W/"a"', lastModified: new Date(date), date: new Date(date) })
    expect(await status('W/"a"')).toBe(200)
    expect(await status(date)).toBe(200)
  })

  it('can do without', async () => {
    origin.serve('/file', { content, ranges: false })
    const response = await ask('bytes=1-2')
    expect(response.status).toBe(200)
    expect(response.header('accept-ranges')).toBeUndefined()
  })
})

describe('resources', () => {
  it('answers HEAD with the head alone, and 404 where nothing is', async () => {
    const response = await rawGet(origin.url('/file'), { method: 'HEAD' })
    expect(response.header('content-length')).toBe('300000')
    expect(response.body).toHaveLength(0)
    expect((await rawGet(origin.url('/none'))).status).toBe(404)
    expect(origin.requests().map(({ status, headOnly }) => [status, headOnly])).toEqual([
      [200, true],
      [404, false],
    ])
  })

  it('sends chunked and close-delimited bodies', async () => {
    origin.serve('/file', { content, contentLength: false, chunkBytes: 70_000 })
    const chunked = await rawGet(origin.url('/file'))
    expect(chunked.header('transfer-encoding')).toBe('chunked')
    const { data, complete } = dechunk(chunked.body)
    expect(complete && data.equals(whole)).toBe(true)
    origin.serve('/file', { content, contentLength: false, close: true })
    const closed = await rawGet(origin.url('/file'), { headers: { Connection: 'keep-alive' } })
    expect(closed.header('content-length') ?? closed.header('transfer-encoding')).toBeUndefined()
    expect(closed.body.equals(whole)).toBe(true)
  })

  it('redirects, asks who one is, and refuses what does not fit', async () => {
    origin.serve('/to', {
      redirect: (request) => `/file?${request.query.get('q') ?? ''}`,
      redirectStatus: 307,
    })
    const moved = await rawGet(origin.url('/to?q=a'))
    expect([moved.status, moved.header('location')]).toEqual([307, '/file?a'])
    origin.serve('/file', {
      content,
      auth: 'Bearer t',
      requires: (request) => (request.query.has('expired') ? 403 : undefined),
    })
    const status = async (path: string, headers: Record<string, string>) =>
      (await rawGet(origin.url(path), { headers })).status
    expect(await status('/file', {})).toBe(401)
    expect(await status('/file', { Authorization: 'Bearer t' })).toBe(200)
    expect(await status('/file?expired', { Authorization: 'Bearer t' })).toBe(403)
  })

  it('is made per request where a function says so, also for every path', async () => {
    origin.serve('*', (request) => ({
      content: textContent(request.path),
      headers: { 'X-N': String(request.nth) },
    }))
    expect((await rawGet(origin.url('/a'))).body.toString()).toBe('/a')
    expect((await rawGet(origin.url('/b'))).header('x-n')).toBe('2')
  })

  it('keeps to a speed', async () => {
    origin.serve('/file', { content, bytesPerSecond: 600_000 })
    const { tookMs, body } = await rawGet(origin.url('/file'))
    expect(body).toHaveLength(300_000)
    expect(tookMs).toBeGreaterThan(450)
  })

  it('waits before it answers', async () => {
    origin.serve('/file', { content, latencyMs: 200 })
    expect((await rawGet(origin.url('/file'))).tookMs).toBeGreaterThan(190)
  })

  it('refuses more connections than it may have', async () => {
    origin.serve('/file', {
      content,
      bytesPerSecond: 300_000,
      maxConnections: { count: 2, status: 429, retryAfter: 1 },
    })
    const responses = await Promise.all([1, 2, 3].map(() => rawGet(origin.url('/file'))))
    expect(responses.map((response) => response.status).sort()).toEqual([200, 200, 429])
    expect(responses.find((response) => response.status === 429)?.header('retry-after')).toBe('1')
  })
})

describe('connections', () => {
  it('are kept for further requests, and log which was which', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const fetchOnce = () =>
      new Promise<number>((resolve, reject) => {
        get(origin.url('/file'), { agent, headers: { range: 'bytes=0-99' } }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0))
        }).on('error', reject)
      })
    expect([await fetchOnce(), await fetchOnce()]).toEqual([206, 206])
    agent.destroy()
    expect(origin.totalConnections).toBe(1)
    const [first, second] = origin.requests('/file')
    expect(first).toMatchObject({ n: 1, nth: 1, connection: 1, bytesSent: 100, range: { start: 0, end: 99 } })
    expect(second).toMatchObject({ n: 2, nth: 2, connection: 1, outcome: 'done', fault: null })
    expect(origin.bytesSent('/file')).toBe(200)
  })

  it('take requests in pieces, with bodies, and refuse garbage', async () => {
    origin.serve('/post', { content: textContent('ok') })
    await rawGet(origin.url('/post'), { method: 'POST', body: 'hello' })
    expect(origin.requests('/post')[0]?.body.toString()).toBe('hello')
    expect((await rawExchange(origin, 'what?\r\n\r\n')).status).toBe(400)
  })

  it('are ended when idle', async () => {
    await using impatient = await startOrigin({ keepAliveTimeoutMs: 100 })
    const { end, tookMs } = await rawGet(impatient.url('/'), { headers: { Connection: 'keep-alive' } })
    expect(end).toBe('FIN')
    expect(tookMs).toBeGreaterThan(90)
  })

  it.each([
    [false, false, 'FIN'],
    [true, false, 'ECONNRESET'],
    [false, true, 'FIN'],
    [true, true, 'ECONNRESET'],
  ])('are cut: reset %s, TLS %s', async (reset, tls, end) => {
    await using victim = await startOrigin({ tls })
    victim.serve('/file', { content, bytesPerSecond: 100_000 })
    const response = rawGet(victim.url('/file'))
    await victim.waitForBytes('/file', 10_000)
    expect(victim.openConnections).toBe(1)
    victim.destroyConnections({ reset })
    expect((await response).end).toBe(end)
    const request = await victim.waitForRequest(({ outcome }) => outcome === 'aborted')
    expect(request.bytesSent).toBeLessThan(300_000)
    await waitFor(() => victim.openConnections === 0)
  })

  it.each([false, true])('wait while it pauses: TLS %s', async (tls) => {
    await using slow = await startOrigin({ tls })
    slow.serve('/file', { content })
    slow.pause()
    const response = rawGet(slow.url('/file'))
    await waitFor(() => slow.openConnections === 1)
    expect((await rawGet(slow.url('/file'), { listenMs: 100 })).end).toBe('open')
    expect(slow.requests()).toEqual([])
    slow.resume()
    expect((await response).body.equals(whole)).toBe(true)
  })

  it('are refused while it does not listen, at the same port', async () => {
    const { port } = origin
    origin.stopListening()
    expect((await rawGet(origin.url('/file'))).end).toBe('ECONNREFUSED')
    await origin.listenAgain()
    expect(origin.port).toBe(port)
    expect((await rawGet(origin.url('/file'))).status).toBe(200)
  })

  it('are hung up on right after accepting', async () => {
    origin.hangUpOnAccept(1, { reset: true })
    expect((await rawGet(origin.url('/file'))).end).toMatch(/ECONNRESET|EPIPE/)
    expect((await rawGet(origin.url('/file'))).status).toBe(200)
  })

  it('speak TLS and IPv6', async () => {
    // The IPv6 address is tested separately: Node 22.23 does not match IPv6 addresses of a certificate.
    for (const options of [{ tls: true }, { host: '::1' }] as const) {
      await using one = await startOrigin(options)
      one.serve('/file', { content })
      expect((await rawGet(one.url('/file'))).body.equals(whole)).toBe(true)
    }
    await using expired = await startOrigin({ tls: 'expired' })
    expect((await rawGet(expired.url('/'))).end).toBe('CERT_HAS_EXPIRED')
    await using other = await startOrigin({ tls: 'otherHost' })
    expect((await rawGet(other.url('/'))).end).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  it('end when it closes, whatever they do', async () => {
    origin.serve('/stall', { content, faults: [{ type: 'stallBody', afterBytes: 10 }] })
    const stalled = rawGet(origin.url('/stall'))
    await origin.waitForBytes('/stall', 10)
    origin.pause()
    const held = rawGet(origin.url('/file'))
    await waitFor(() => origin.openConnections === 2)
    await origin.close()
    expect([(await stalled).end, (await held).status]).toEqual(['FIN', 0])
  })
})

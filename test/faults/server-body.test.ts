/**
 * FAULTS rows 5, 17, 18 and 19: bodies that are too long, too slow or encoded, and responses that are not
 * HTTP.
 */
import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { bufferContent, randomContent } from '../support/content.js'
import { defaultEtag, type Fault, type OriginRequest } from '../support/origin.js'
import { waitFor } from '../support/wait.js'
import { fastTuning, KiB, MiB } from './harness.js'
import { comebacks, ending, failure, keepBytes, listen, openScene, rangesOf, success } from './scene.js'

const content = randomContent(1 * MiB, 'body')
const path = '/file.bin'
const name = 'file.bin'
const { maxAttempts } = fastTuning
const segment = (request: OriginRequest) => request.range !== null && request.range.start > 0

describe('row 5: body longer than announced', () => {
  it.each([
    ['from a server without ranges', { ranges: false }],
    ['on the first probe', { ranges: true }],
  ])('%s: stops at the length, and the socket is not used again', async (_, { ranges }) => {
    const scene = await openScene({ connections: 1 })
    const manager = scene.manager()
    const faults: Fault[] = [{ type: 'extraBytes', count: 50_000 }]
    scene.origin.serve(path, { content, ranges, faults })
    scene.origin.serve('/next.bin', { content })
    expect(success(await scene.fetch(path, {}, manager)).size).toBe(content.size)
    expect(success(await scene.fetch('/next.bin', {}, manager)).sha256).toBe(content.sha256())
    const [first, next] = scene.origin.requests()
    expect(next?.connection).not.toBe(first?.connection)
    await scene.expectFile(name, content, ['next.bin'])
  })

  it('on every segment: no surplus byte gets into the file', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'extraBytes', count: 5_000 }] })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it.each(comebacks)('on a resume, %s', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content, faults: [{ type: 'extraBytes', count: 5_000 }] })
    expect(success(await resume()).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it('a second response smuggled in behind the first is nobody’s answer', async () => {
    const scene = await openScene({ connections: 1 })
    const manager = scene.manager()
    const forged = randomContent(5_000, 'forged')
    const handle = (socket: Socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.size}\r\n\r\n`)
      const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${forged.size}\r\n\r\n`)
      socket.write(Buffer.concat([content.slice(0, content.size), head, forged.slice(0, forged.size)]))
    }
    scene.origin.serve(path, { faults: [{ type: 'raw', handle }] })
    scene.origin.serve('/next.bin', { content })
    success(await scene.fetch(path, {}, manager))
    expect(success(await scene.fetch('/next.bin', {}, manager)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content, ['next.bin'])
  })

  it('a chunked 206 that never ends: stops where its Content-Range does', async () => {
    const scene = await openScene()
    const handle = (socket: Socket) => {
      const range = `bytes 0-${content.size - 1}/${content.size}`
      socket.write(
        `HTTP/1.1 206 Partial Content\r\nETag: ${defaultEtag(content)}\r\nContent-Range: ${range}\r\n`,
      )
      socket.write(`Transfer-Encoding: chunked\r\n\r\n${content.size.toString(16)}\r\n`)
      socket.write(content.slice(0, content.size))
      const timer = setInterval(() => socket.write('\r\n400\r\n' + 'x'.repeat(KiB)), 10)
      socket.once('close', () => {
        clearInterval(timer)
      })
    }
    const begun: Fault = { type: 'raw', handle, when: ({ range }) => range?.start === 0 }
    scene.origin.serve(path, { content, faults: [begun] })
    expect(success(await scene.fetch(path, { connections: 1 })).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })
})

describe('row 17: silence', () => {
  it('before the headers, once: that connection starts over', async () => {
    const scene = await openScene({ tuning: { headersTimeoutMs: 200 } })
    scene.origin.serve(path, { content, faults: [{ type: 'stallBeforeHeaders', times: 1 }] })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.retries).toEqual(['STALLED'])
    await scene.expectFile(name, content)
  })

  it('before the headers, always: STALLED after maxAttempts, N', async () => {
    const scene = await openScene({ tuning: { headersTimeoutMs: 200 } })
    scene.origin.serve(path, { content, faults: [{ type: 'stallBeforeHeaders' }] })
    expect(failure(await scene.fetch(path), 'STALLED').retryable).toBe(true)
    expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
    await waitFor(() => scene.origin.openConnections === 0, { what: 'the connections to be closed' })
    await scene.expectNothing()
  })

  it('before the headers, shorter than the timeout: no fault', async () => {
    const scene = await openScene({ tuning: { headersTimeoutMs: 2_000 } })
    scene.origin.serve(path, { content, faults: [{ type: 'stallBeforeHeaders', forMs: 300, times: 1 }] })
    const end = await scene.fetch(path)
    success(end)
    expect(end.told.retries).toEqual([])
  })

  it('in the body, once: goes on from the last byte', async () => {
    const scene = await openScene({ connections: 1 })
    scene.origin.serve(path, { content, faults: [{ type: 'stallBody', afterBytes: 100_000, times: 1 }] })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(end.told.retries).toEqual(['STALLED'])
    expect(rangesOf(scene.origin, path)).toEqual(['none', `100000-${content.size - 1}`])
    await scene.expectFile(name, content)
  })

  it('in the body, in the end for good: STALLED after maxAttempts, K', async () => {
    const scene = await openScene({ connections: 1 })
    const dry: Fault = { type: 'stallBody', afterBytes: 0 }
    scene.origin.serve(path, { content, faults: [{ ...dry, afterBytes: 100_000, times: 1 }, dry] })
    failure(await scene.fetch(path), 'STALLED')
    expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
    expect(await scene.expectKept(name, content)).toBe(100_000)
  })

  it('of one segment: the others go on, and only its rest is asked for again', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'stallBody', afterBytes: 50_000, when: segment, times: 1 }]
    scene.origin.serve(path, { content, bytesPerSecond: 2 * MiB, faults })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    const silent = scene.origin.requests(path).find(({ fault }) => fault !== null)
    const starts = scene.origin.requests(path).map(({ range }) => range?.start)
    expect(starts.some((start) => start === silent!.range!.start + 50_000)).toBe(true)
    await scene.expectFile(name, content)
  })

  it.each(comebacks)('on a resume, %s: K, and it goes on later', async (how) => {
    const scene = await openScene({ tuning: { headersTimeoutMs: 150 } })
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content, faults: [{ type: 'stallBeforeHeaders' }] })
    const end = await resume()
    failure(end, 'STALLED')
    expect(await scene.expectKept(name, content)).toBe(300_000)
    scene.origin.serve(path, { content })
    await end.download.retry()
    expect(success(await ending(end.download, end.told)).fetchedBytes).toBe(content.size - 300_000)
    await scene.expectFile(name, content)
  })

  it('next to nothing, a byte now and then: that connection starts over', async () => {
    const tuning = { bodyTimeoutMs: 10_000, lowSpeedBytesPerSecond: 10_000, lowSpeedTimeMs: 300 }
    const scene = await openScene({ connections: 1, tuning })
    const faults: Fault[] = [{ type: 'trickle', bytesPerSecond: 100, afterBytes: 100_000, times: 2 }]
    scene.origin.serve(path, { content, faults })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(end.told.retries).toEqual(['STALLED', 'STALLED'])
    await scene.expectFile(name, content)
  })

  it('a byte now and then, for ever: STALLED after maxAttempts, K', async () => {
    const tuning = { bodyTimeoutMs: 10_000, lowSpeedBytesPerSecond: 10_000, lowSpeedTimeMs: 200 }
    const scene = await openScene({ connections: 1, tuning })
    scene.origin.serve(path, { content, faults: [{ type: 'trickle', bytesPerSecond: 100, afterBytes: 0 }] })
    const end = await scene.fetch(path)
    failure(end, 'STALLED')
    expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
    await scene.expectKept(name, content)
  })

  it('our own limit is no silence of the server', async () => {
    const tuning = { bodyTimeoutMs: 100, lowSpeedBytesPerSecond: 1 * MiB, lowSpeedTimeMs: 100 }
    const scene = await openScene({ connections: 1, tuning })
    const small = randomContent(300 * KiB, 'limited')
    scene.origin.serve(path, { content: small })
    const end = await scene.fetch(path, { maxBytesPerSecond: 300 * KiB })
    success(end)
    expect(end.told.retries).toEqual([])
    await scene.expectFile(name, small)
  })

  it('a pause during the silence is quick', async () => {
    const scene = await openScene({ tuning: { headersTimeoutMs: 600_000 } })
    const manager = scene.manager()
    const told = listen(manager)
    scene.origin.serve(path, { content, faults: [{ type: 'stallBeforeHeaders', times: 1 }] })
    const download = await manager.download({ url: scene.origin.url(path) })
    await scene.origin.waitForRequest()
    // Ten minutes are longer than any test may take.
    await download.pause()
    await scene.expectNothing()
    await download.resume()
    success(await ending(download, told))
    await scene.expectFile(name, content)
  })
})

describe('rows 18 and 55: Content-Encoding although identity was asked', () => {
  it('a mere claim of gzip: PROTOCOL_ERROR, nothing decoded, N', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'contentEncoding', plain: true }] })
    failure(await scene.fetch(path), 'PROTOCOL_ERROR')
    // Asked again once, and told that it is not gzip twice.
    expect(scene.origin.requests(path)).toHaveLength(3)
    expect(
      scene.origin.requests(path).every(({ headers }) => headers['accept-encoding'] === 'identity'),
    ).toBe(true)
    await scene.expectNothing()
  })

  const small = randomContent(200 * KiB, 'coded')
  it.each(['gzip', 'br', 'deflate', 'deflate-raw', 'gzip, br'])(
    '%s, always: asked again once, then decoded as one stream',
    async (coding) => {
      const scene = await openScene()
      scene.origin.serve(path, { content: small, faults: [{ type: 'contentEncoding', coding }] })
      const end = await scene.fetch(path, { sha256: small.sha256(), size: small.size })
      expect(success(end)).toMatchObject({ size: small.size, verified: true })
      expect(scene.origin.requests(path)).toHaveLength(2)
      await scene.expectFile(name, small)
    },
  )

  it.each([{ ranges: false }, { ranges: false, contentLength: false }])(
    'of unknown size and digest, %o: decoded',
    async (resource) => {
      const scene = await openScene()
      scene.origin.serve(path, { content: small, ...resource, faults: [{ type: 'contentEncoding' }] })
      expect(success(await scene.fetch(path)).sha256).toBe(small.sha256())
      await scene.expectFile(name, small)
    },
  )

  it('cut off: decoded again from the start', async () => {
    const scene = await openScene()
    const cut: Fault = {
      type: 'raw',
      handle: (socket) => {
        const body = gzipSync(small.slice(0, small.size)).subarray(0, 100_000)
        socket.end(
          Buffer.concat([
            Buffer.from(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n`),
            body,
          ]),
        )
      },
      times: 3,
    }
    scene.origin.serve(path, { content: small, faults: [cut, { type: 'contentEncoding' }] })
    const end = await scene.fetch(path)
    expect(success(end).sha256).toBe(small.sha256())
    expect(end.told.restarts.length).toBeGreaterThan(0)
    await scene.expectFile(name, small)
  })

  it('paused while it is decoded: nothing is kept, and the next run begins anew', async () => {
    const scene = await openScene()
    scene.origin.serve(path, {
      content: small,
      bytesPerSecond: 200 * KiB,
      faults: [{ type: 'contentEncoding' }],
    })
    const manager = scene.manager()
    const told = listen(manager)
    const download = await manager.download({ url: scene.origin.url(path) })
    await waitFor(() => download.current.downloaded > 0, { what: 'decoded bytes' })
    await download.pause()
    await scene.expectNothing()
    scene.origin.serve(path, { content: small, faults: [{ type: 'contentEncoding' }] })
    await download.resume()
    expect(success(await ending(download, told)).sha256).toBe(small.sha256())
    await scene.expectFile(name, small)
  })

  it('more than the expected size: CONTENT_MISMATCH', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content: small, faults: [{ type: 'contentEncoding' }] })
    failure(await scene.fetch(path, { size: 1_000 }), 'CONTENT_MISMATCH')
    await scene.expectDropped(name)
  })

  it.each(['aws-chunked', 'UTF-8', 'none', 'binary', '8bit', 'identity, identity'])(
    'of %s, which is no coding: ignored, ranges as usual',
    async (coding) => {
      const scene = await openScene()
      scene.origin.serve(path, { content, faults: [{ type: 'contentEncoding', coding, plain: true }] })
      expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
      expect(scene.origin.requests(path).length).toBeGreaterThan(1)
      await scene.expectFile(name, content)
    },
  )

  it('of an archive that is encoded itself: ignored', async () => {
    const scene = await openScene()
    const archive = bufferContent(gzipSync(small.slice(0, small.size)))
    scene.origin.serve('/a.tar.gz', {
      content: archive,
      faults: [{ type: 'contentEncoding', coding: 'x-gzip', plain: true }],
    })
    expect(success(await scene.fetch('/a.tar.gz')).sha256).toBe(archive.sha256())
    await scene.expectFile('a.tar.gz', archive)
  })

  it.each([
    ['on the first probe', (request: OriginRequest) => request.nth === 1],
    ['on a segment', segment],
  ])('once, %s: asked again, success', async (_, when) => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'contentEncoding', when, times: 1 }]
    scene.origin.serve(path, { content, bytesPerSecond: 8 * MiB, faults })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it.each(comebacks)('on a resume, %s: PROTOCOL_ERROR, K', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content, faults: [{ type: 'contentEncoding' }] })
    failure(await resume(), 'PROTOCOL_ERROR')
    expect(await scene.expectKept(name, content)).toBe(300_000)
  })
})

describe('row 60: what curl understands', () => {
  const answer = (head: string, body: Buffer): Fault => ({
    type: 'raw',
    handle: (socket) => void socket.end(Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), body])),
  })
  const chunked = (body: Buffer) =>
    Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])
  const bytes = content.slice(0, content.size)
  const plain = `HTTP/1.1 200 OK\r\nContent-Length: ${content.size}`
  const gzip = (coding: string) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\nETag: "1"`

  it.each([
    ['100 that nobody waits for', answer(`HTTP/1.1 100 Continue\r\n\r\n${plain}`, bytes)],
    [
      'several provisional heads',
      answer(`${'HTTP/1.1 102 Processing\r\nA: b\r\n\r\n'.repeat(30)}${plain}`, bytes),
    ],
    ['the transfer coding identity', answer(`${plain}\r\nTransfer-Encoding: identity`, bytes)],
    ['a transfer coding besides chunks', answer(gzip('gzip, chunked'), chunked(gzipSync(bytes)))],
    [
      'a transfer coding on a line of its own',
      answer(gzip('gzip\r\nTransfer-Encoding: chunked'), chunked(gzipSync(bytes))),
    ],
  ])('%s: success', async (_, fault) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [fault] })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it('a transfer coding that is none: PROTOCOL_ERROR after two requests, N', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [answer(gzip('rot13, chunked'), chunked(bytes))] })
    failure(await scene.fetch(path), 'PROTOCOL_ERROR')
    expect(scene.origin.requests(path)).toHaveLength(2)
    await scene.expectNothing()
  })

  it('a coded body that is not what it says: PROTOCOL_ERROR soon, N', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'contentEncoding', plain: true }] })
    const { message } = failure(await scene.fetch(path), 'PROTOCOL_ERROR')
    expect(message).toContain('not encoded as')
    expect(scene.origin.requests(path).length).toBeLessThanOrEqual(4)
    await scene.expectNothing()
  })
})

describe('row 19: answers that are no HTTP', () => {
  const broken: [string, Fault][] = [
    ['two lengths', { type: 'conflictingLengths' }],
    ['a length beside chunks', { type: 'conflictingLengths', chunked: true }],
    ['a negative length', { type: 'negativeLength' }],
    ['a huge length', { type: 'hugeLength' }],
    ['a length past 2^53', { type: 'hugeLength', value: '9007199254740993' }],
    ['a length in words', { type: 'headers', headers: { 'Content-Length': 'many' } }],
    ['a flood of headers', { type: 'headerFlood', bytes: 300_000 }],
    ['garbage', { type: 'garbage' }],
    ['a very long line of garbage', { type: 'garbage', bytes: Buffer.alloc(300_000, 'x') }],
    ['another protocol', { type: 'garbage', bytes: 'SSH-2.0-OpenSSH_9.9\r\n' }],
    ['a header without a colon', { type: 'garbage', bytes: 'HTTP/1.1 200 OK\r\nno colon here\r\n\r\n' }],
    ['a status that is none', { type: 'garbage', bytes: 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi' }],
  ]

  it.each(broken)('%s, always: PROTOCOL_ERROR after two requests, N', async (_, fault) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, ranges: false, faults: [fault] })
    failure(await scene.fetch(path), 'PROTOCOL_ERROR')
    expect(scene.origin.requests(path)).toHaveLength(2)
    await scene.expectNothing()
  })

  it.each(broken)('%s, on one segment: asked again, success', async (_, fault) => {
    const scene = await openScene()
    scene.origin.serve(path, {
      content,
      bytesPerSecond: 8 * MiB,
      faults: [{ ...fault, when: segment, times: 1 }],
    })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it.each(broken)('%s, on a resume: PROTOCOL_ERROR, K', async (_, fault) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, 'a new manager', 300_000)
    scene.origin.serve(path, { content, faults: [fault] })
    failure(await resume(), 'PROTOCOL_ERROR')
    expect(await scene.expectKept(name, content)).toBe(300_000)
  })
})

describe('row 60: what curl understands', () => {
  const body = content.slice(0, 5_000)
  const lines: [string, string][] = [
    ['lines that end with LF alone', `HTTP/1.1 200 OK\nContent-Length: 5000\n\n`],
    ['LF and CRLF mixed', `HTTP/1.1 200 OK\r\nContent-Length: 5000\n\r\n`],
    ['a folded header', `HTTP/1.1 200 OK\r\nX-Note: one\r\n two\r\n\tthree\r\nContent-Length: 5000\r\n\r\n`],
    ['a folded length', `HTTP/1.1 200 OK\r\nContent-Length:\r\n 5000\r\n\r\n`],
    ['equal lengths', `HTTP/1.1 200 OK\r\nContent-Length: 5000\r\ncontent-length: 5000\r\n\r\n`],
    ['equal lengths in a list', `HTTP/1.1 200 OK\r\nContent-Length: 5000, 5000\r\n\r\n`],
    ['a space before the colon', `HTTP/1.1 200 OK\r\nContent-Length : 5000\r\n\r\n`],
    [
      'a provisional head',
      `HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 5000\n\n`,
    ],
    ['an empty line before the head', `\r\nHTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n`],
    [
      '40 kB of headers',
      `HTTP/1.1 200 OK\r\n${`X-Fill: ${'x'.repeat(1000)}\r\n`.repeat(40)}Content-Length: 5000\r\n\r\n`,
    ],
    ['status 203', `HTTP/1.1 203 Non-Authoritative Information\r\nContent-Length: 5000\r\n\r\n`],
    ['no reason', `HTTP/1.1 200\r\nContent-Length: 5000\r\n\r\n`],
  ]

  it.each(lines)('%s: success', async (_, head) => {
    const scene = await openScene()
    const answer = Buffer.concat([Buffer.from(head), body])
    // In two pieces, which don't end where lines do; the connection stays open for the next request.
    const handle = async (socket: Socket) => {
      socket.write(answer.subarray(0, 30))
      await new Promise((resolve) => setImmediate(resolve))
      socket.write(answer.subarray(30))
    }
    scene.origin.serve(path, { faults: [{ type: 'raw', handle }] })
    success(await scene.fetch(path))
    await scene.expectFile(name, bufferContent(body))
  })

  it('bodies that look like heads stay as they are, also on a connection that is used again', async () => {
    const scene = await openScene({ connections: 1 })
    const manager = scene.manager()
    const tricky = bufferContent(Buffer.from('HTTP/1.1 200 OK\nContent-Length: 1\n\nx'.repeat(2_000)))
    scene.origin.serve('*', { content: tricky, ranges: false })
    for (const one of ['/a.bin', '/b.bin']) success(await scene.fetch(one, {}, manager))
    await scene.expectFile('a.bin', tricky, ['b.bin'])
    await scene.expectFile('b.bin', tricky, ['a.bin'])
  })
})

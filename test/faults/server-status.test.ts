/** FAULTS rows 13, 14, 15 and 16: what statuses and redirects make of a download. */
import type { Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { randomContent } from '../support/content.js'
import { startOrigin, type Fault, type OriginRequest } from '../support/origin.js'
import { runCli } from '../support/process.js'
import { caPath } from '../support/certificate.js'
import { expectInvariant, fastTuning, MiB } from './harness.js'
import { comebacks, ending, failure, keepBytes, listen, openScene, rangesOf, success } from './scene.js'

const content = randomContent(1 * MiB, 'status')
const path = '/file.bin'
const name = 'file.bin'
const { maxAttempts } = fastTuning
/** How many connections a download has here. */
const connections = 4
/** Longer than any test may take, in milliseconds. */
const never = 600_000
const segment = (request: OriginRequest) => request.range !== null && request.range.start > 0
const errorBody = '{"error":"this must never get into a file"}'

describe('row 13: it will not work', () => {
  // Some servers answer with one of these to any range, so the complete file is requested once as well.
  const both = ['0-', 'none']
  const bounded = '0-67108863'
  const final: [number, string, string[]][] = [
    [404, 'NOT_FOUND', both],
    [410, 'NOT_FOUND', ['0-']],
    [400, 'HTTP_ERROR', [...both, bounded]],
    [401, 'ACCESS_DENIED', ['0-']],
    [403, 'ACCESS_DENIED', both],
    [405, 'HTTP_ERROR', [...both, bounded]],
    [451, 'HTTP_ERROR', ['0-']],
    [501, 'HTTP_ERROR', [...both, bounded]],
    [204, 'HTTP_ERROR', ['0-']],
    [304, 'HTTP_ERROR', ['0-']],
  ]

  it.each(final)('%i: %s, no retry, N', async (status, code, ranges) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'status', status, body: errorBody }] })
    const end = await scene.fetch(path)
    expect(end.error).toMatchObject({ code, status, retryable: false })
    expect(end.told.retries).toEqual([])
    expect(rangesOf(scene.origin, path)).toEqual(ranges)
    await scene.expectNothing()
  })

  it.each([400, 404, 410])('%i once on a segment while others work: success', async (status) => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'status', status, body: errorBody, when: segment, times: 1 }]
    scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it.each([
    [400, 'HTTP_ERROR'],
    [404, 'NOT_FOUND'],
  ] as const)('%i after the first request: %s, K, and no storm of requests', async (status, code) => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'status', status, body: errorBody, when: ({ nth }) => nth > 1 }]
    scene.origin.serve(path, { content, faults })
    failure(await scene.fetch(path), code)
    expect(scene.origin.requests(path).length).toBeLessThan(20)
    await scene.expectKept(name, content)
  })

  it.each(comebacks)('404 on a resume, %s: NOT_FOUND, K: no error body at the offset', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 404, body: errorBody }] })
    failure(await resume(), 'NOT_FOUND')
    expect(scene.origin.requests(path).length).toBeLessThan(5)
    expect(await scene.expectKept(name, content)).toBe(300_000)
  })
})

describe('row 14: Retry-After', () => {
  it.each([429, 503])('%i with seconds: waits that long, then success', async (status) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'status', status, retryAfter: 1, times: 1 }] })
    const end = await scene.fetch(path)
    success(end)
    const [first, second] = scene.origin.requests(path)
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(990)
    expect(end.told.delaysMs).toEqual([1_000])
    await scene.expectFile(name, content)
  })

  it('503 with a date: waits until then', async () => {
    const scene = await openScene()
    const retryAfter = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1_000)
    // The server's own clock decides: one second before that date.
    const date = new Date(retryAfter.getTime() - 1_000)
    scene.origin.serve(path, {
      content,
      date,
      faults: [{ type: 'status', status: 503, retryAfter, times: 1 }],
    })
    const end = await scene.fetch(path)
    success(end)
    expect(end.told.delaysMs).toEqual([1_000])
    const [first, second] = scene.origin.requests(path)
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(990)
    await scene.expectFile(name, content)
  })

  it('holds for the whole host: another download from it waits too', async () => {
    const scene = await openScene()
    const manager = scene.manager()
    scene.origin.serve('/other.bin', { content })
    const faults: Fault[] = [{ type: 'status', status: 429, retryAfter: 1, times: 1 }]
    scene.origin.serve(path, { content, faults })
    const told = listen(manager)
    const first = await manager.download({ url: scene.origin.url(path) })
    await expect.poll(() => told.retries).toEqual(['HTTP_ERROR'])
    const [refused] = scene.origin.requests(path)
    const second = await manager.download({ url: scene.origin.url('/other.bin') })
    await Promise.all([first.finished, second.finished])
    const [asked] = scene.origin.requests('/other.bin')
    expect(asked!.at - refused!.at).toBeGreaterThanOrEqual(990)
    await scene.expectFile(name, content, ['other.bin'])
  })

  it('holds for no other host: a download from there is done before it is over', async () => {
    const scene = await openScene()
    const manager = scene.manager()
    const other = await startOrigin()
    onTestFinished(() => other.close())
    other.serve('/other.bin', { content })
    // Ten minutes, which no test waits for.
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 429, retryAfter: 600 }] })
    const told = listen(manager)
    const first = await manager.download({ url: scene.origin.url(path) })
    await expect.poll(() => told.retries).toEqual(['HTTP_ERROR'])
    await (
      await manager.download({ url: other.url('/other.bin') })
    ).finished
    expect(scene.origin.requests(path)).toHaveLength(1)
    first.finished.catch(() => undefined)
    await first.cancel()
    await scene.expectFile('other.bin', content)
  })

  it('on an extra segment: what runs goes on, nothing new is asked for until then', async () => {
    const scene = await openScene({ tuning: { headersTimeoutMs: never } })
    // It comes when all connections are in use, so that no request can be on its way at the same time.
    const refusal: Fault = {
      type: 'raw',
      when: segment,
      times: 1,
      handle: async (socket) => {
        await scene.origin.waitForRequest(({ nth }) => nth === connections)
        socket.end('HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      },
    }
    scene.origin.serve(path, { content, bytesPerSecond: 1 * MiB, faults: [refusal] })
    success(await scene.fetch(path))
    const requests = scene.origin.requests(path)
    const refused = requests.find(({ fault }) => fault === 'raw')!
    const [during, after] = [requests.slice(0, connections), requests.slice(connections)]
    expect(after.length).toBeGreaterThan(0)
    for (const { at } of after) expect(at - refused.endedAt!).toBeGreaterThanOrEqual(990)
    expect(during.filter(({ outcome }) => outcome === 'done')).toHaveLength(connections - 1)
    await scene.expectFile(name, content)
  })

  it.each(comebacks)('on a resume, %s: waits, then goes on', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 503, retryAfter: 1, times: 1 }] })
    expect(success(await resume()).fetchedBytes).toBe(content.size - 300_000)
    const [first, second] = scene.origin.requests(path)
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(990)
    await scene.expectFile(name, content)
  })

  it('longer than maxRetryAfterMs: HTTP_ERROR at once, says how long, and bars nobody else', async () => {
    const scene = await openScene({ tuning: { maxRetryAfterMs: 5_000 } })
    const manager = scene.manager()
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 503, retryAfter: 3600 }] })
    scene.origin.serve('/other.bin', { content })
    const error = failure(await scene.fetch(path, {}, manager), 'HTTP_ERROR')
    expect(error).toMatchObject({ status: 503, retryAfterMs: 3_600_000, retryable: true })
    expect(scene.origin.requests(path)).toHaveLength(1)
    await scene.expectNothing()
    success(await scene.fetch('/other.bin', {}, manager))
  })

  it.each(['soon', '-5', '1.5', ''])('%j is no Retry-After: backoff as usual', async (retryAfter) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 503, retryAfter, times: 1 }] })
    const end = await scene.fetch(path)
    success(end)
    expect(end.told.delaysMs).toHaveLength(1)
    expect(end.told.delaysMs[0]).toBeLessThanOrEqual(fastTuning.maxDelayMs)
  })

  it('always 429 with Retry-After 0: the budget holds all the same', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 429, retryAfter: 0 }] })
    expect(failure(await scene.fetch(path), 'HTTP_ERROR').status).toBe(429)
    expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
    await scene.expectNothing()
  })

  it('a pause during the wait does not wait for its end', async () => {
    const scene = await openScene()
    const manager = scene.manager()
    const told = listen(manager)
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 503, retryAfter: 600 }] })
    const download = await manager.download({ url: scene.origin.url(path) })
    await expect.poll(() => told.retries).toEqual(['HTTP_ERROR'])
    await download.pause()
    expect(download.state).toBe('paused')
    expect(scene.origin.requests(path)).toHaveLength(1)
    await scene.expectNothing()
  })

  it('holds after a pause during the wait', async () => {
    const scene = await openScene()
    const manager = scene.manager()
    const told = listen(manager)
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 503, retryAfter: 1, times: 1 }] })
    const download = await manager.download({ url: scene.origin.url(path) })
    await expect.poll(() => told.retries).toEqual(['HTTP_ERROR'])
    await download.pause()
    await download.resume()
    success(await ending(download, told))
    const [first, second] = scene.origin.requests(path)
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(990)
    await scene.expectFile(name, content)
  })
})

describe('row 15: it may work later', () => {
  const passing = [500, 502, 503, 504, 408, 425, 429]

  it.each(passing)('%i a few times: backoff, success', async (status) => {
    const scene = await openScene({ tuning: { minDelayMs: 8, maxDelayMs: 20 } })
    const manager = scene.manager()
    const delays: number[] = []
    manager.on('retrying', ({ attempt, delayMs }) => {
      expect(delays.push(delayMs)).toBe(attempt)
    })
    const faults: Fault[] = [{ type: 'status', status, body: errorBody, times: maxAttempts - 1 }]
    scene.origin.serve(path, { content, faults })
    const end = await scene.fetch(path, {}, manager)
    expect(success(end).sha256).toBe(content.sha256())
    expect(end.told.retries).toEqual(Array(maxAttempts - 1).fill('HTTP_ERROR'))
    const ceilings = [8, 16, 20]
    expect(delays.every((delay, index) => delay >= 0 && delay <= ceilings[index]!)).toBe(true)
    await scene.expectFile(name, content)
  })

  it.each(passing)('%i always: HTTP_ERROR after maxAttempts requests, N', async (status) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ type: 'status', status, body: errorBody }] })
    expect(failure(await scene.fetch(path), 'HTTP_ERROR')).toMatchObject({ status, retryable: true })
    expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
    await scene.expectNothing()
  })

  it('the budget is what maxAttempts says', async () => {
    const scene = await openScene({ tuning: { maxAttempts: 1 } })
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 500 }] })
    failure(await scene.fetch(path), 'HTTP_ERROR')
    expect(scene.origin.requests(path)).toHaveLength(1)
  })

  it('on segments while others work: fewer connections, success', async () => {
    const scene = await openScene({ connections: 8 })
    scene.origin.serve(path, { content, bytesPerSecond: 2 * MiB, maxConnections: 2 })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(end.told.restarts).toEqual([])
    await scene.expectFile(name, content)
  })

  it('after the first request: HTTP_ERROR, K: no error body at the offset', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ type: 'status', status: 500, body: errorBody, when: ({ nth }) => nth > 1 }]
    scene.origin.serve(path, { content, faults })
    failure(await scene.fetch(path), 'HTTP_ERROR')
    await scene.expectKept(name, content)
  })

  it.each(comebacks)('always on a resume, %s: HTTP_ERROR, K: no error body at the offset', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { content, faults: [{ type: 'status', status: 500, body: errorBody }] })
    failure(await resume(), 'HTTP_ERROR')
    expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
    expect(await scene.expectKept(name, content)).toBe(300_000)
  })
})

describe('row 50: further connections are refused while one works', () => {
  const refusals = [400, 401, 402, 403, 404, 410, 416, 451]
  const onlyOne = (status: number) => ({ content, maxConnections: { count: 1, status } })

  it.each(refusals)('with %i: fewer connections, success', async (status) => {
    const scene = await openScene()
    scene.origin.serve(path, { ...onlyOne(status), bytesPerSecond: 4 * MiB })
    const end = await scene.fetch(path)
    expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    expect(end.told.restarts).toEqual([])
    expect(scene.origin.requests(path).length).toBeLessThan(12)
    await scene.expectFile(name, content)
  })

  it('on a resume: fewer connections, success', async () => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, 'a new manager', 300_000)
    scene.origin.serve(path, onlyOne(403))
    expect(success(await resume()).fetchedBytes).toBe(content.size - 300_000)
    await scene.expectFile(name, content)
  })

  it('the connection that works ends, and the next one is refused as well: asks for a new address', async () => {
    const scene = await openScene({ connections: 2 })
    // The first address is good for one request.
    scene.origin.serve(path, { redirect: ({ nth }) => `/signed?key=${nth}` })
    let uses = 0
    const requires = ({ query }: OriginRequest) => {
      return query.get('key') !== '1' || (uses += 1) === 1 ? undefined : 404
    }
    scene.origin.serve('/signed', { content, bytesPerSecond: 4 * MiB, requires })
    const end = await scene.fetch(path)
    expect(success(end).fetchedBytes).toBe(content.size)
    expect(scene.origin.requests(path)).toHaveLength(2)
    await scene.expectFile(name, content)
  })
})

describe('row 16: redirects', () => {
  it.each([301, 302, 303, 307, 308])('%i is followed', async (redirectStatus) => {
    const scene = await openScene()
    scene.origin.serve(path, { redirect: '../elsewhere/file.bin', redirectStatus })
    scene.origin.serve('/elsewhere/file.bin', { content })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it('a loop: TOO_MANY_REDIRECTS after 10, no retry, N', async () => {
    const scene = await openScene()
    scene.origin.serve('/a.bin', { redirect: '/b.bin' })
    scene.origin.serve('/b.bin', { redirect: '/a.bin' })
    const error = failure(await scene.fetch('/a.bin'), 'TOO_MANY_REDIRECTS')
    expect(error.retryable).toBe(false)
    expect(scene.origin.requests()).toHaveLength(11)
    await scene.expectNothing()
  })

  it('ten are followed, eleven are not', async () => {
    const scene = await openScene()
    for (let left = 11; left > 0; left -= 1)
      scene.origin.serve(`/${left}.bin`, { redirect: `/${left - 1}.bin` })
    scene.origin.serve('/0.bin', { content })
    success(await scene.fetch('/10.bin'))
    await scene.expectFile('10.bin', content)
    failure(await scene.fetch('/11.bin'), 'TOO_MANY_REDIRECTS')
    await scene.expectFile('10.bin', content)
  })

  it.each([
    'ftp://127.0.0.1/file.bin',
    'file:///etc/passwd',
    'data:text/plain,hello',
    'javascript:alert(1)',
    'ws://127.0.0.1/file.bin',
  ])('to %s: REDIRECT_BLOCKED, no retry, N', async (redirect) => {
    const scene = await openScene()
    scene.origin.serve(path, { redirect })
    expect(failure(await scene.fetch(path), 'REDIRECT_BLOCKED').retryable).toBe(false)
    expect(scene.origin.requests()).toHaveLength(1)
    await scene.expectNothing()
  })

  it('from https to http: REDIRECT_BLOCKED, the other server hears nothing, N', async () => {
    const scene = await openScene()
    const secure = await startOrigin({ tls: true })
    onTestFinished(() => secure.close())
    scene.origin.serve(path, { content })
    secure.serve(path, { redirect: scene.origin.url(path) })
    const { code, stdout } = await runCli(['get', secure.url(path), '-d', scene.directory, '--json'], {
      env: { NODE_EXTRA_CA_CERTS: caPath },
    })
    expect(code).toBe(1)
    expect(stdout).toContain('"code":"REDIRECT_BLOCKED"')
    expect(secure.requests()).toHaveLength(1)
    expect(scene.origin.totalConnections).toBe(0)
    await expectInvariant(scene.directory, name, 'N')
  })

  it.each(['no Location', 'an invalid Location'])(
    'with %s: PROTOCOL_ERROR after two requests, N',
    async (what) => {
      const scene = await openScene()
      const headers = what === 'no Location' ? {} : { Location: 'http://[nowhere' }
      scene.origin.serve(path, { content, faults: [{ type: 'status', status: 302, headers }] })
      failure(await scene.fetch(path), 'PROTOCOL_ERROR')
      expect(scene.origin.requests(path)).toHaveLength(2)
      await scene.expectNothing()
    },
  )

  it('with an empty Location: PROTOCOL_ERROR at once, N', async () => {
    const scene = await openScene()
    scene.origin.serve(path, {
      content,
      faults: [{ type: 'status', status: 302, headers: { Location: '' } }],
    })
    expect(failure(await scene.fetch(path), 'PROTOCOL_ERROR').retryable).toBe(false)
    expect(scene.origin.requests(path)).toHaveLength(1)
    await scene.expectNothing()
  })

  it.each([
    ['UTF-8', Buffer.from('/möde l.bin'), '/m%C3%B6de%20l.bin'],
    ['Latin-1', Buffer.from('/möde l.bin', 'latin1'), '/m%F6de%20l.bin'],
  ])('row 57: with raw %s in Location: followed', async (_, location, target) => {
    const scene = await openScene()
    const head = ['HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ', location, '\r\n\r\n']
    const handle = (socket: Socket) => {
      socket.end(Buffer.concat(head.map((part) => Buffer.from(part))))
    }
    scene.origin.serve(path, { faults: [{ type: 'raw', handle }] })
    scene.origin.serve(target, { content })
    expect(success(await scene.fetch(path)).sha256).toBe(content.sha256())
    await scene.expectFile(name, content)
  })

  it('row 57: with a cookie that must come back: followed, for all segments, and forgotten afterwards', async () => {
    const scene = await openScene()
    const manager = scene.manager()
    const isKnown = ({ headers }: OriginRequest) => headers['cookie']?.includes('seen=1') === true
    scene.origin.serve(path, (request) =>
      isKnown(request)
        ? { content, bytesPerSecond: 4 * MiB }
        : { redirect: path, headers: { 'Set-Cookie': 'seen=1; Path=/' } },
    )
    expect(success(await scene.fetch(path, { headers: { Cookie: 'mine=2' } }, manager)).sha256).toBe(
      content.sha256(),
    )
    const [first, ...others] = scene.origin.requests(path)
    expect(first?.headers['cookie']).toBe('mine=2')
    expect(new Set(others.map(({ headers }) => headers['cookie']))).toEqual(new Set(['mine=2; seen=1']))
    expect(others.length).toBeGreaterThan(1)
    success(await scene.fetch(path, { force: true }, manager))
    expect(scene.origin.requests(path)[others.length + 1]?.headers['cookie']).toBe('mine=2')
    await scene.expectFile(name, content)
  })

  it('segments go straight to where the first one was led', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { redirect: '/elsewhere.bin' })
    scene.origin.serve('/elsewhere.bin', { content, bytesPerSecond: 4 * MiB })
    success(await scene.fetch(path))
    expect(scene.origin.requests(path)).toHaveLength(1)
    expect(scene.origin.requests('/elsewhere.bin').length).toBeGreaterThan(1)
    await scene.expectFile(name, content)
  })

  it.each(comebacks)('a loop on a resume, %s: TOO_MANY_REDIRECTS, K', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { redirect: path })
    failure(await resume(), 'TOO_MANY_REDIRECTS')
    expect(rangesOf(scene.origin, path)).toHaveLength(11)
    expect(await scene.expectKept(name, content)).toBe(300_000)
  })

  it.each(comebacks)('to the same file elsewhere on a resume, %s: goes on there', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, how, 300_000)
    scene.origin.serve(path, { redirect: '/moved.bin' })
    scene.origin.serve('/moved.bin', { content })
    expect(success(await resume()).fetchedBytes).toBe(content.size - 300_000)
    await scene.expectFile(name, content)
  })
})

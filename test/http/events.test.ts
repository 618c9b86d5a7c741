/** The events of downloads, over the handler. */
import { describe, expect, it } from 'vitest'
import { KiB, MiB } from '../faults/harness.js'
import { names as ofDownloads } from '../manager/events.js'
import { randomContent } from '../support/content.js'
import { byUrl, openEvents, requestOf, startHttp, local, type HttpBench } from './bench.js'

const path = '/api/models/download/events'
const content = randomContent(256 * KiB)
const names = [...ofDownloads, 'log'] as const
const listeners = ({ manager }: HttpBench) => names.map((name) => manager.listenerCount(name))
const none = names.map(() => 0)

describe('GET /api/models/download/events', () => {
  it('has the headers that keep proxies from holding it back', async () => {
    await using bench = await startHttp()
    const { response, ...reader } = await openEvents(bench.handler, path)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
    expect(reader).toBeDefined()
  })

  it('tells a life from the first state to the last', async () => {
    await using bench = await startHttp()
    const { origin, handler } = bench
    origin.serve('/a.bin', {
      content,
      bytesPerSecond: 1 * MiB,
      faults: [{ type: 'status', status: 503, times: 1 }],
    })
    const url = origin.url('/a.bin')
    const reader = await openEvents(handler, path)
    expect(await reader.next()).toMatchObject({ event: 'snapshot', data: { downloads: {} } })
    await bench.post({ url })
    const events: string[] = []
    let last: Record<string, unknown> = {}
    let received = 0
    while (last['state'] !== 'completed') {
      const { event, data } = await reader.next()
      expect(data['url']).toBe(url)
      if (event === 'progress') {
        expect(data['downloaded']).toBeGreaterThanOrEqual(received)
        received = Number(data['downloaded'])
      }
      if (event === 'log') expect(Object.keys(data)).toEqual(['url', 'at', 'level', 'message'])
      if (event === 'state') last = data
      events.push(event === 'state' ? `state ${String(data['state'])}` : event)
    }
    expect(events.filter((event) => event.startsWith('state'))).toEqual([
      'state queued',
      'state resolving',
      'state downloading',
      'state verifying',
      'state completed',
    ])
    expect(events).toContain('log')
    expect(events.indexOf('progress')).toBeGreaterThan(events.indexOf('state downloading'))
    expect(events.at(-2)).toBe('progress')
    expect(last).toEqual(await bench.status(url))
    expect(received).toBe(content.size)

    await bench.manager.remove(url)
    expect(await reader.next()).toMatchObject({ event: 'removed', data: { url, state: 'completed' } })
    await reader.leave()
  })

  it('tells of pause, resume, cancel and failure', async () => {
    await using bench = await startHttp()
    const { origin, handler, manager } = bench
    origin.serve('/a.bin', { content: randomContent(256 * MiB), bytesPerSecond: 256 * KiB })
    const url = origin.url('/a.bin')
    const reader = await openEvents(handler, path)
    await bench.post({ url })
    await bench.until(url, 'downloading')
    await manager.pause(url)
    await manager.resume(url)
    await manager.cancel(url)
    await bench.post({ url: origin.url('/missing.bin') })
    const states: unknown[] = []
    while (states.at(-1) !== 'failed') states.push((await reader.next('state')).data['state'])
    expect(states.slice(0, 4)).toEqual(['queued', 'resolving', 'downloading', 'paused'])
    expect(states.filter((state) => state === 'canceled')).toHaveLength(1)
    expect(states.slice(states.indexOf('canceled') + 1)).toEqual(['queued', 'resolving', 'failed'])
    await reader.leave()
  })

  it('of one URL: its snapshot, its events, and 404 when it is unknown', async () => {
    await using bench = await startHttp()
    const { origin, handler } = bench
    origin.serve('/a.bin', { content, bytesPerSecond: 512 * KiB })
    const [a, b] = [origin.url('/a.bin'), origin.url('/b.bin')]
    await bench.problem(404, 'UNKNOWN_DOWNLOAD', 'GET', path + byUrl(a))
    await bench.post({ url: a })
    const reader = await openEvents(handler, path + byUrl(a))
    expect(await reader.next()).toMatchObject({ event: 'snapshot', data: { url: a, filename: 'a.bin' } })
    await bench.post({ url: b })
    let state: unknown
    while (state !== 'completed') {
      const { data } = await reader.next()
      expect(data['url']).toBe(a)
      state = data['state']
    }
    await reader.leave()
  })

  it('goes on after Last-Event-ID', async () => {
    await using bench = await startHttp()
    const { origin, handler, manager } = bench
    const url = origin.url('/a.bin')
    origin.serve('/a.bin', { content })
    const watcher = await openEvents(handler, path)
    await watcher.next()
    const first = await openEvents(handler, path)
    const { id } = await first.next('snapshot')
    await first.leave()
    await bench.post({ url })
    await bench.until(url, 'completed')
    await manager.remove(url)
    const again = await openEvents(handler, path, { headers: { 'Last-Event-ID': id } })
    expect(await again.next()).toMatchObject({ event: 'state', data: { state: 'queued' } })
    expect(await again.next('removed')).toMatchObject({ data: { url } })
    await again.leave()
    await watcher.leave()
  })

  it('keeps signed query strings out of logs', async () => {
    await using bench = await startHttp()
    const { origin, handler } = bench
    origin.serve('/a.bin', { content, faults: [{ type: 'status', status: 503, times: 1 }] })
    const url = `${origin.url('/a.bin')}?X-Amz-Signature=top-secret`
    const reader = await openEvents(handler, path)
    await bench.post({ url })
    bench.manager.emit('log', {
      download: bench.manager.get(url)!,
      level: 'warn',
      message: `What of ${url}?`,
    })
    bench.manager.emit('log', { level: 'warn', message: 'The house is on fire.' })
    const logs: unknown[] = []
    for (let state: unknown; state !== 'completed';) {
      const { event, data } = await reader.next()
      if (event === 'log') logs.push(data['message'])
      state = data['state']
    }
    expect(logs.length).toBeGreaterThan(1)
    expect(logs.join()).not.toMatch(/top-secret|fire/)
    await reader.leave()
  })
})

describe('who leaves', () => {
  it('leaves no listener behind, however it leaves', async () => {
    await using bench = await startHttp()
    const { handler, origin } = bench
    // The routes themselves remember the last messages.
    const usual = listeners(bench)
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    await bench.post({ url })
    expect(listeners(bench)).toEqual(usual)
    const connection = new AbortController()
    const one = await openEvents(handler, path)
    const two = await openEvents(handler, path + byUrl(url), { signal: connection.signal })
    await one.next()
    expect(bench.manager.listenerCount('progress')).toBe(1)
    await one.leave()
    connection.abort()
    await expect(two.next('never')).rejects.toThrow()
    expect(listeners(bench)).toEqual(usual)
  })

  it('close() ends streams, refuses new ones, and lets the rest go on', async () => {
    await using bench = await startHttp()
    const { handler } = bench
    const reader = await openEvents(handler, path)
    await reader.next()
    handler.close()
    handler.close()
    await expect(reader.next()).rejects.toThrow('has ended')
    expect(listeners(bench)).toEqual(none)
    await bench.problem(503, 'CLOSED', 'GET', path)
    expect((await handler(requestOf('GET', '/api/models/download/status'), local)).status).toBe(200)
  })
})

/** Which paths and methods exist, and what happens when the server itself has a problem. */
import { describe, expect, it } from 'vitest'
import { KiB } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { byUrl, startHttp } from './bench.js'

const path = '/api/models/download'
const good = 'https://example.test/a.gguf'

describe('paths and methods', () => {
  it('405 names what is possible', async () => {
    await using bench = await startHttp()
    const allowed = async (method: string, where: string) => {
      const { headers } = await bench.problem(405, 'INVALID_OPTIONS', method, where)
      return headers.get('allow')
    }
    expect(await allowed('GET', path)).toBe('POST, DELETE, OPTIONS')
    expect(await allowed('PUT', path)).toBe('POST, DELETE, OPTIONS')
    expect(await allowed('POST', `${path}/status`)).toBe('GET, HEAD, OPTIONS')
    expect(await allowed('GET', `${path}/pause`)).toBe('POST, OPTIONS')
    expect(await allowed('DELETE', '/api/v1/models/status')).toBe('GET, HEAD, OPTIONS')
    const { status, headers } = await bench.ask('OPTIONS', path)
    expect([status, headers.get('allow')]).toEqual([204, 'POST, DELETE, OPTIONS'])
    const head = await bench.handler(new Request(`http://localhost${path}/pause`, { method: 'HEAD' }), {
      remoteAddress: '::1',
    })
    expect([head.status, await head.text()]).toEqual([405, ''])
  })

  it('HEAD answers as GET does, less the body', async () => {
    await using bench = await startHttp()
    const where = `${path}/status${byUrl('https://x.test/')}`
    for (const [query, status] of [
      [`${path}/status`, 200],
      [where, 404],
      [`${path}/events`, 200],
    ] as const) {
      const head = await bench.handler(new Request(`http://localhost${query}`, { method: 'HEAD' }), {
        remoteAddress: '127.0.0.1',
      })
      expect([query, head.status, await head.text()]).toEqual([query, status, ''])
    }
    expect(bench.manager.listenerCount('progress')).toBe(0)
  })

  it('only our own paths are ours, and others are 404', async () => {
    await using bench = await startHttp({ basePath: '/ml/' })
    const { handler } = bench
    for (const ours of [
      '/ml/api/models/download',
      '/ml/api/models/openapi.json',
      '/ml/api/v1/models/preload/start',
    ]) {
      expect(handler.owns(ours), ours).toBe(true)
    }
    for (const other of [
      '/',
      '/ml',
      '/api/models/download',
      '/ml/api/models',
      '/ml/api/models/download/',
      '/mlx/api/models/download',
    ]) {
      expect(handler.owns(other), other).toBe(false)
      await bench.problem(404, 'NOT_FOUND', 'GET', other)
    }
    expect((await bench.ask('GET', '/ml/api/models/download/status')).status).toBe(200)
    const { body } = await bench.ask('GET', '/ml/api/models/openapi.json')
    expect(body['servers']).toEqual([{ url: '/ml' }])
  })
})

describe('trouble', () => {
  it('a closed manager is 503, and what it knows can still be read', async () => {
    await using bench = await startHttp()
    await bench.manager.close()
    const { headers } = await bench.problem(503, 'CLOSED', 'POST', path, { json: { url: good } })
    expect(headers.get('retry-after')).toMatch(/^\d+$/)
    expect((await bench.ask('GET', `${path}/status`)).status).toBe(200)
  })

  it('a store that is down is 503, and says nothing of where it lies', async () => {
    const store = {
      load: () => Promise.reject(new Error('EIO at /tmp/secret/place')),
      save: () => Promise.resolve(),
      remove: () => Promise.resolve(),
    }
    await using bench = await startHttp({ of: { store } })
    await bench.problem(503, 'STORE_ERROR', 'POST', path, { json: { url: good } })
    await bench.problem(503, 'STORE_ERROR', 'GET', `${path}/status`)
  })

  it('what nobody foresaw is 500 without a word of it, and the host hears of it', async () => {
    await using bench = await startHttp()
    const lines: string[] = []
    bench.manager.on('log', ({ message }) => lines.push(message))
    bench.manager.list = () => {
      throw new TypeError('secret at /tmp/x https://h.test/?sig=abc')
    }
    const { body } = await bench.problem(500, 'INTERNAL', 'GET', `${path}/status`)
    Reflect.deleteProperty(bench.manager, 'list')
    expect(body['detail']).not.toContain('secret')
    expect(lines).toEqual([expect.stringContaining('secret')])
    expect(lines.join()).not.toContain('abc')
  })

  it('signed query strings stay out of errors, not out of the identity', async () => {
    await using bench = await startHttp()
    bench.origin.serve('/a.bin', { content: randomContent(KiB), faults: [{ type: 'status', status: 403 }] })
    const url = `${bench.origin.url('/a.bin')}?X-Amz-Signature=top-secret`
    const started = await bench.post({ url })
    expect(started.body['url']).toBe(url)
    const failed = await bench.until(url, 'failed')
    expect(failed.url).toBe(url)
    expect(failed.error).not.toContain('top-secret')
    const { body } = await bench.problem(404, 'UNKNOWN_DOWNLOAD', 'GET', `${path}/status${byUrl(`${url}2`)}`)
    expect(JSON.stringify(body)).not.toContain('top-secret')
  })
})

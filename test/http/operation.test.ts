/** Probes and metrics: what those who run the server ask. */
import { expect, it } from 'vitest'
import { Catalog, createHandler, Preloader } from '../../src/index.js'
import { KiB } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { ask, problem, startHttp } from './bench.js'

const remote = { context: { remoteAddress: '203.0.113.5', host: 'models.example' } }

it('probes answer everybody, and only if they are wanted', async () => {
  await using bench = await startHttp()
  const { manager, handler } = bench
  await problem(handler, 404, 'NOT_FOUND', 'GET', '/healthz')
  expect(handler.owns('/readyz')).toBe(false)

  const probed = createHandler({ manager, probes: true, basePath: '/ml' })
  expect(probed.owns('/ml/healthz')).toBe(true)
  expect(probed.owns('/healthz')).toBe(false)
  const health = await ask(probed, 'GET', '/ml/healthz', remote)
  expect(health).toMatchObject({ status: 200, body: { success: true, status: 'ok' } })
  await manager.ready
  const ready = await ask(probed, 'GET', '/ml/readyz', remote)
  expect(ready.headers.get('cache-control')).toBe('no-store')
  expect(ready).toMatchObject({
    status: 200,
    body: { ready: true, checks: { store: true, engine: true, models: null } },
  })
  expect(await ask(probed, 'HEAD', '/ml/readyz', remote)).toMatchObject({ status: 200, body: {} })
  const refused = await problem(probed, 405, 'INVALID_OPTIONS', 'POST', '/ml/healthz', remote)
  expect(refused.headers.get('allow')).toBe('GET, HEAD')
  await problem(probed, 404, 'NOT_FOUND', 'GET', '/ml/metrics')

  await manager.close()
  expect(await ask(probed, 'GET', '/ml/readyz')).toMatchObject({
    status: 503,
    body: { success: false, ready: false },
  })
  expect((await ask(probed, 'GET', '/ml/healthz')).status).toBe(200)
})

it('readiness can depend on the required models of the catalog', async () => {
  await using bench = await startHttp()
  const { manager, origin } = bench
  origin.serve('/a.bin', { content: randomContent(KiB) })
  const catalog = new Catalog([
    { key: 'a', name: 'A', url: origin.url('/a.bin'), mode: 'llm' },
    { key: 'b', name: 'B', url: origin.url('/b.bin'), mode: 'llm', required: false },
  ])
  await using preloader = new Preloader({ manager, catalog })
  const handler = createHandler({ manager, preloader, probes: { whenPreloaded: true } })
  await preloader.ready
  const checks = { store: true, engine: true, models: { ready: 0, required: 1 } }
  expect(await ask(handler, 'GET', '/readyz')).toMatchObject({ status: 503, body: { ready: false, checks } })
  await preloader.start()
  await preloader.finished()
  const again = createHandler({ manager, preloader, probes: { whenPreloaded: true } })
  expect((await ask(again, 'GET', '/readyz')).status).toBe(200)
  expect(() => createHandler({ manager, probes: { whenPreloaded: true } })).toThrow('needs a preloader')
})

it('metrics are for those who may read the downloads', async () => {
  await using bench = await startHttp()
  const { manager } = bench
  const metrics = { contentType: 'text/plain; version=0.0.4', metrics: () => Promise.resolve('up 1\n') }
  const open = createHandler({ manager, metrics })
  const read = async (handler = open, sent = {}) => {
    const request = new Request('http://localhost:8050/metrics', sent)
    const response = await handler(request, { remoteAddress: '127.0.0.1' })
    return [response.status, response.headers.get('content-type'), await response.text()]
  }
  expect(await read()).toEqual([200, metrics.contentType, 'up 1\n'])
  await problem(open, 403, 'ACCESS_DENIED', 'GET', '/metrics', remote)
  const guarded = createHandler({
    manager,
    metrics,
    authorize: (action, { headers }) => headers.get('x-key') === action || 'unauthenticated',
  })
  await problem(guarded, 401, 'ACCESS_DENIED', 'GET', '/metrics', remote)
  expect((await read(guarded, { headers: { 'X-Key': 'downloads:read' } }))[0]).toBe(200)
  const broken = createHandler({
    manager,
    metrics: { ...metrics, metrics: () => Promise.reject(new Error('x')) },
  })
  await problem(broken, 500, 'INTERNAL', 'GET', '/metrics')
  // @ts-expect-error -- what a caller in JavaScript may pass
  expect(() => createHandler({ manager, metrics: {} })).toThrow('prom-client')
})

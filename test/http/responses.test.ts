/** What a real run answers, held against the schemas that the client and the OpenAPI document are made of. */
import { expect, it } from 'vitest'
import { Catalog, Fleet, huggingFace, MemoryFleetStore, Preloader } from '../../src/index.js'
import { components } from '../../src/http/route.js'
import { createHandler } from '../../src/http/handler.js'
import type { ComponentName } from '../../src/http/route.js'
import { routes } from '../../src/http/routes.js'
import { KiB, MiB } from '../faults/harness.js'
import { randomContent, textContent } from '../support/content.js'
import { ggufModel, llamaMetadata } from '../support/gguf.js'
import { startOrigin } from '../support/origin.js'
import { waitFor } from '../support/wait.js'
import { ask, byUrl, openEvents, startHttp, type Sent } from './bench.js'

it('every answer of every route is what its schema says, and no more', async () => {
  await using hub = await startOrigin()
  hub.serve('/api/models', { content: textContent('[{"id":"a/b","downloads":1}]') })
  const sources = [huggingFace({ endpoint: hub.origin, token: null })]
  await using bench = await startHttp({ of: { concurrency: 2, sources } })
  const { origin, manager } = bench
  const content = randomContent(64 * KiB)
  for (const name of ['a', 'b']) origin.serve(`/${name}.bin`, { content })
  origin.serve('/slow.bin', { content: randomContent(256 * MiB), bytesPerSecond: 256 * KiB })
  const [a, slow, missing] = ['/a.bin', '/slow.bin', '/missing.bin'].map((path) => origin.url(path)) as [
    string,
    string,
    string,
  ]
  const catalog = new Catalog([{ key: 'b', name: 'B', url: origin.url('/b.bin'), mode: 'llm' }])
  await using preloader = new Preloader({ manager, catalog })
  const allowedHosts = [origin, hub].map(({ port }) => `127.0.0.1:${port}`)
  const fleet = new Fleet({ manager, preloader, store: new MemoryFleetStore(), node: 'one' })
  const handler = createHandler({ manager, preloader, fleet, allowedHosts })
  const seen = new Set<string>()

  /** Asks, and holds the answer against its schema; no member may be there that it does not name. */
  const check = async (method: string, path: string, sent: Sent = {}) => {
    const { status, body } = await ask(handler, method, path, sent)
    const route = routes.find((each) => each.method === method && each.path === path.split('?')[0])
    if (route === undefined) throw new Error(`No route: ${method} ${path}`)
    expect([200, 401, 403, 500, 503, ...route.errors], `${method} ${path}`).toContain(status)
    if (status !== 200) {
      expect(components.Problem.strict().parse(body)).toEqual(body)
      return
    }
    seen.add(`${method} ${route.path}`)
    if (route.answer === 'event stream' || route.answer === 'openapi' || route.answer === 'page') return
    expect(components[route.answer].parse(body), `${method} ${path}`).toEqual(body)
  }
  const json = (url: string) => ({ json: { url } })
  const post = (path: string, sent?: Sent) => check('POST', `/api/models/download${path}`, sent)

  await check('GET', '/api/v1/models/preload/status')
  await check('GET', '/api/models/permissions')
  await post('', json(slow))
  await bench.until(slow, 'downloading')
  await post('', json(slow))
  await post('', json(a))
  await post('', json(missing))
  await bench.until(missing, 'failed')
  await bench.until(a, 'completed')
  await post('', json(a))
  await check('GET', '/api/models/download/status')
  await check('GET', '/api/models/download/status?limit=1')
  for (const url of [slow, a, missing, 'https://x.test/unknown']) {
    await check('GET', `/api/models/download/status${byUrl(url)}`)
    await check('GET', `/api/models/download/status${byUrl(url)}&with_log=true`)
    for (const name of ['pause', 'resume', 'cancel', 'retry', 'settings']) await post(`/${name}`, json(url))
  }
  origin.serve('/model.gguf', { content: ggufModel(20_000, { metadata: llamaMetadata }) })
  await check('GET', `/api/models/inspect${byUrl(origin.url('/model.gguf'))}`)
  await check('GET', '/api/models/search?text=anything&gguf=true')
  for (const url of [slow, a]) {
    await check('GET', `/api/models/check${byUrl(url)}`)
    await check('POST', '/api/models/update', json(url))
  }
  await check('GET', '/api/models/outdated?all=true')
  await check('GET', '/api/models/queue')
  await check('POST', '/api/models/queue', { json: {} })
  await check('GET', '/api/models/openapi.json')
  await check('GET', '/api/models/disk')
  await check('GET', '/api/models/files')
  await check('POST', '/api/models/verify', { json: {} })
  await check('GET', '/api/models/verify')
  await check('POST', '/api/models/pin', json(a))
  await check('GET', '/api/v1/models/fleet/status')
  await check('POST', '/api/v1/models/fleet/stop', { json: {} })
  await check('GET', '/api/models/cluster')
  await check('GET', '/api/v1/models/status')
  await check('POST', '/api/v1/models/preload/start')
  await check('POST', '/api/v1/models/preload/start')
  await check('GET', '/api/v1/models/preload/status')
  await waitFor(() => !preloader.status().running)
  await check('GET', '/api/v1/models/preload/status')
  await check('POST', '/api/v1/models/preload/cancel')
  await check('GET', '/api/v1/models/status')

  const reader = await openEvents(handler, '/api/models/download/events')
  const expectEvent = async (name: string, component: ComponentName) => {
    const { data } = await reader.next(name)
    expect(components[component].parse(data), name).toEqual(data)
  }
  await expectEvent('snapshot', 'Snapshot')
  await manager.remove(a)
  await expectEvent('removed', 'Download')
  await post('', json(a))
  await expectEvent('state', 'Download')
  manager.emit('log', { download: manager.get(a)!, level: 'info', message: 'A line.' })
  await expectEvent('progress', 'Download')
  await reader.leave()
  const logs = await openEvents(handler, '/api/models/download/events')
  await logs.next('snapshot')
  manager.emit('log', { download: manager.get(a)!, level: 'info', message: 'A line.' })
  expect(components.Log.parse((await logs.next('log')).data)).toMatchObject({ message: 'A line.' })
  await logs.leave()
  await check('DELETE', `/api/models/download${byUrl(a)}`)

  const status = await openEvents(handler, '/api/v1/models/preload/events')
  const first = await status.next('status')
  expect(components.PreloadStatus.parse(first.data)).toEqual(first.data)
  await status.leave()
  const told = routes
    .filter(({ answer }) => answer !== 'event stream' && answer !== 'page')
    // It takes Redis, and is held against its schema in test/cluster/operation.test.ts.
    .filter(({ answer }) => answer !== 'ClusterStatus')
    .map(({ method, path }) => `${method} ${path}`)
  expect([...seen].sort()).toEqual(told.sort())
  handler.close()
  await fleet.close()
})

import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { registerMetrics } from '../../../src/observe/metrics.js'
import { Scene } from './scene.js'

const secret = 'https://user:pass@models.example/a.gguf?X-Amz-Signature=secret'

function watch() {
  const scene = new Scene()
  const registry = new Registry()
  const metrics = registerMetrics(scene.manager, { registry })
  /** The values of a metric, by their labels. */
  const read = async (name: string) => {
    const { values } = (await registry.getSingleMetric(`model_downloader_${name}`)?.get()) ?? { values: [] }
    return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(' '), value]))
  }
  return { scene, registry, metrics, read }
}

describe('the metrics', () => {
  it('count known downloads by state, those that wait, and the speed of those that run', async () => {
    const { scene, read } = watch()
    scene.add({ state: 'completed' })
    scene.add({ state: 'completed' })
    const running = scene.add({ state: 'downloading' })
    running.note(0, { downloaded: 0, total: 1_000, connections: 3 })
    running.note(1_000, { downloaded: 500, total: 1_000, connections: 3 })
    scene.waiting = 4
    expect(await read('downloads')).toMatchObject({ completed: 2, downloading: 1, queued: 0, failed: 0 })
    expect(await read('connections')).toEqual({ '': 3 })
    expect((await read('bytes_per_second'))['']).toBeGreaterThan(0)
    expect(await read('queue_depth')).toEqual({ '': 4 })
  })

  it('count outcomes by code, and keep each code from the start', async () => {
    const { scene, read } = watch()
    const download = scene.add({ url: secret })
    const error = new DownloadError('STALLED', 'm')
    scene.emit('retrying', { download, error, attempt: 1, delayMs: 5 })
    scene.emit('failed', { download, error: new DownloadError('NOT_FOUND', 'm') })
    scene.complete(download)
    scene.complete(download, { existed: true })
    scene.complete(download, { existed: true, adoptedFrom: '/other/cache' })
    scene.emit('canceled', { download })
    expect(await read('retries_total')).toMatchObject({ STALLED: 1, NOT_FOUND: 0 })
    expect(await read('failures_total')).toMatchObject({ STALLED: 0, NOT_FOUND: 1 })
    expect(await read('completed_total')).toEqual({ fetched: 1, existed: 1, adopted: 1 })
    expect(await read('canceled_total')).toEqual({ '': 1 })
  })

  it('measure the wait for a slot, and verifying', async () => {
    const { scene, read } = watch()
    const download = scene.add()
    scene.emit('queued', { download })
    scene.clock.advance(2_000)
    scene.emit('started', { download })
    scene.emit('verifying', { download })
    // The next file of a group.
    scene.emit('downloading', { download })
    scene.clock.advance(60_000)
    scene.emit('verifying', { download })
    scene.clock.advance(3_000)
    scene.complete(download)
    const sumOf = async (name: string) => {
      const values = await read(name)
      return [values['5'], values['1']]
    }
    expect(await sumOf('queue_wait_seconds')).toEqual([1, 0])
    expect(await sumOf('verification_seconds')).toEqual([1, 0])
  })

  it('do not take a pause for a wait, and count what waited before them from now on', async () => {
    const scene = new Scene()
    const waits = scene.add({ state: 'queued' })
    const registry = new Registry()
    registerMetrics(scene.manager, { registry })
    scene.clock.advance(2_000)
    scene.emit('paused', { download: waits })
    scene.clock.advance(50_000)
    scene.emit('queued', { download: waits })
    scene.emit('started', { download: waits })
    expect(await registry.metrics()).toContain('model_downloader_queue_wait_seconds_sum 0\n')
  })

  it('count what the engine received, also after it was started anew', async () => {
    const { scene, registry, read } = watch()
    const report = (receivedBytes: number, max: number) => () =>
      Promise.resolve({
        thread: 'worker' as const,
        loopDelay: { mean: 0.001, p99: 0.002, max },
        receivedBytes,
      })
    expect(await read('received_bytes_total')).toEqual({ '': 0 })
    scene.report = report(100, 0.5)
    expect(await registry.metrics()).toContain('model_downloader_received_bytes_total 100\n')
    expect(await read('engine_event_loop_delay_seconds')).toEqual({ mean: 0.001, p99: 0.002, max: 0.5 })
    scene.report = report(40, 0.1)
    expect(await read('received_bytes_total')).toEqual({ '': 140 })
    scene.report = () => Promise.reject(new Error('It does not respond.'))
    expect(await read('received_bytes_total')).toEqual({ '': 140 })
    expect(await read('engine_event_loop_delay_seconds')).toEqual({})
  })

  it('wait no longer than a second for an engine that is stuck', async () => {
    const { scene, registry } = watch()
    scene.report = () => new Promise(() => undefined)
    const text = registry.metrics()
    await scene.clock.advanceAsync(1_000)
    expect(await text).toContain('model_downloader_queue_depth 0')
  })

  it('count what happens in a cluster', async () => {
    const { scene, registry } = watch()
    const download = scene.add()
    scene.emit('takenOver', { download, from: 'node-2' })
    scene.emit('leaseLost', { download })
    scene.emit('writeFenced', { download })
    const text = await registry.metrics()
    for (const name of ['takeovers', 'lost_leases', 'fenced_writes'])
      expect(text).toContain(`model_downloader_${name}_total 1\n`)
  })

  it('leave what another instance does to that one', async () => {
    const { scene, read, registry } = watch()
    const [own, other] = [scene.add({ state: 'downloading' }), scene.add({ state: 'downloading' })]
    for (const download of [own, other]) {
      download.note(0, { downloaded: 0, total: 1_000, connections: 3 })
      scene.emit('queued', { download })
    }
    scene.cluster = { isEcho: true, runsHere: (download) => download === own }
    scene.emit('started', { download: other })
    scene.emit('verifying', { download: other })
    scene.complete(other)
    scene.emit('failed', { download: other, error: new DownloadError('NOT_FOUND', 'm') })
    scene.emit('canceled', { download: other })
    expect(await read('connections')).toEqual({ '': 3 })
    expect(await read('downloads')).toMatchObject({ downloading: 2 })
    expect(await read('completed_total')).toMatchObject({ fetched: 0 })
    expect(await read('failures_total')).toMatchObject({ NOT_FOUND: 0 })
    const text = await registry.metrics()
    for (const line of ['canceled_total', 'queue_wait_seconds_count', 'verification_seconds_count'])
      expect(text).toContain(`model_downloader_${line} 0\n`)
    scene.cluster.isEcho = false
    scene.emit('started', { download: own })
    scene.complete(own)
    expect(await read('completed_total')).toMatchObject({ fetched: 1 })
    expect(await registry.metrics()).toContain('model_downloader_queue_wait_seconds_count 1\n')
  })

  it('name no download, address or path, and have a bounded number of series', async () => {
    const { scene, registry } = watch()
    for (let count = 0; count < 50; count += 1) {
      const download = scene.add({ url: `${secret}&n=${count}`, directory: '/outside' })
      scene.emit('failed', { download, error: new DownloadError('HTTP_ERROR', `GET ${secret} failed`) })
    }
    const text = await registry.metrics()
    expect(text).not.toMatch(/secret|models\.example|outside|node-2|gguf/)
    expect(text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length).toBeLessThan(150)
  })

  it('go away, and can be registered again; twice at once is refused', async () => {
    const { scene, registry, metrics } = watch()
    expect(() => registerMetrics(scene.manager, { registry })).toThrow('already been registered')
    metrics.close()
    metrics.close()
    expect(await registry.metrics()).not.toContain('model_downloader')
    expect(scene.eventNames()).toEqual([])
    registerMetrics(scene.manager, { registry, prefix: 'models_' })
    expect(await registry.metrics()).toContain('models_queue_depth 0')
  })
})

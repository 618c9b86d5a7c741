import { context, type ContextManager, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { traceDownloads } from '../../../src/observe/tracing.js'
import { Scene } from './scene.js'

function watch() {
  const scene = new Scene()
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const tracing = traceDownloads(scene.manager, { tracer: provider.getTracer('test') })
  const spans = () => exporter.getFinishedSpans()
  return { scene, tracing, spans }
}

it('a download is a root span with a child for each of its parts', () => {
  const { scene, spans } = watch()
  const download = scene.add({ url: 'https://u:p@models.example/a.gguf?sig=secret', mode: 'llm' })
  scene.emit('queued', { download })
  scene.clock.advance(250)
  scene.emit('started', { download })
  scene.emit('downloading', { download })
  const error = new DownloadError('STALLED', 'silence of /somewhere/else')
  scene.emit('retrying', { download, error, attempt: 1, delayMs: 500 })
  scene.emit('verifying', { download })
  scene.complete(download)
  expect(spans().map(({ name }) => name)).toEqual([
    'download.resolve',
    'download.transfer',
    'download.verify',
    'download',
  ])
  const [first, , , root] = spans()
  expect(root?.parentSpanContext).toBeUndefined()
  expect(first?.parentSpanContext?.spanId).toBe(root?.spanContext().spanId)
  expect(root?.attributes).toEqual({
    'model_downloader.id': download.record.id,
    'model_downloader.url': 'https://models.example/a.gguf?…',
    'model_downloader.mode': 'llm',
    'model_downloader.filename': '0.gguf',
    'model_downloader.queue_wait_ms': 250,
    'model_downloader.size': 7,
    'model_downloader.fetched_bytes': 7,
    'model_downloader.existed': false,
    'model_downloader.verified': true,
    'model_downloader.outcome': 'completed',
    'model_downloader.retries': 1,
  })
  expect(root?.events.map(({ name, attributes }) => [name, attributes?.['error.type']])).toEqual([
    ['retry', 'STALLED'],
  ])
  const all = JSON.stringify(
    spans().map(({ name, attributes, events, status }) => [name, attributes, events, status]),
  )
  expect(all).not.toMatch(/secret|u:p|somewhere/)
})

it('a failure has its code, and neither message nor path', () => {
  const { scene, spans } = watch()
  const download = scene.add()
  scene.emit('started', { download })
  scene.emit('failed', { download, error: new DownloadError('DISK_IO', 'EIO: write /secret/place') })
  for (const { status, attributes } of spans()) {
    expect(status).toEqual({ code: SpanStatusCode.ERROR, message: 'DISK_IO' })
    expect(attributes['error.type']).toBe('DISK_IO')
  }
  expect(spans()).toHaveLength(2)
})

it('links the span in which it was asked for', () => {
  const { scene, spans } = watch()
  const caller = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1 }
  const download = scene.add()
  let active = trace.setSpanContext(ROOT_CONTEXT, caller)
  const unused = () => {
    throw new Error('not used')
  }
  const contexts: ContextManager = {
    active: () => active,
    with: unused,
    bind: unused,
    enable: () => contexts,
    disable: () => contexts,
  }
  context.setGlobalContextManager(contexts)
  scene.emit('queued', { download })
  active = ROOT_CONTEXT
  scene.emit('started', { download })
  context.disable()
  scene.emit('canceled', { download })
  const root = spans().at(-1)
  expect(root?.links.map((link) => link.context.spanId)).toEqual([caller.spanId])
  expect(root?.spanContext().traceId).not.toBe(caller.traceId)
  expect(root?.attributes['model_downloader.outcome']).toBe('canceled')
})

it.each([
  ['paused', 'paused'],
  ['queued', 'queued'],
  ['removed', 'stopped'],
] as const)('%s ends the span', (event, outcome) => {
  const { scene, spans } = watch()
  const download = scene.add()
  scene.emit('started', { download })
  scene.emit(event, { download })
  expect(spans().at(-1)?.attributes['model_downloader.outcome']).toBe(outcome)
  // An event of a download that does not run makes no span.
  scene.emit('verifying', { download })
  expect(spans()).toHaveLength(2)
})

it('ends open spans when the manager or the tracing is closed, and listens no longer', () => {
  for (const how of ['manager', 'tracing']) {
    const { scene, tracing, spans } = watch()
    const download = scene.add()
    scene.emit('started', { download })
    for (const event of ['takenOver', 'leaseLost', 'writeFenced'] as const)
      scene.emit(event, { download, from: null })
    if (how === 'manager') scene.closing.abort()
    tracing.close()
    expect(spans().at(-1)?.attributes['model_downloader.outcome']).toBe('stopped')
    expect(
      spans()
        .at(-1)
        ?.events.map(({ name }) => name),
    ).toEqual(['takenOver', 'leaseLost', 'writeFenced'])
    expect(scene.eventNames()).toEqual([])
  }
})

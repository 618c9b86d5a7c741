/** Ten thousand known downloads, which come in pages. */
import { expect, it } from 'vitest'
import { createHandler } from '../../src/http/handler.js'
import { newRecord } from '../../src/download/request.js'
import { downloadOptionsSchema } from '../../src/download/options.js'
import type { DownloadRecord } from '../../src/index.js'
import { makeManager } from '../faults/harness.js'
import { cpuMs } from '../support/cost.js'
import { tempDir } from '../support/temp.js'
import type { WireDownload } from '../../src/http/schemas.js'
import { ask, byUrl, openEvents } from './bench.js'

const count = 10_000
const urlOf = (index: number) =>
  `https://models.example.com/some/organisation/model-${index}.gguf?download=true`

function record(index: number): DownloadRecord {
  const place = {
    directory: null,
    layout: 'flat' as const,
    mode: 'llm',
    filename: `model-${index}.gguf`,
    named: true,
    sequence: index,
  }
  const made = newRecord(downloadOptionsSchema.parse({ url: urlOf(index) }), place)
  const times = {
    startedAt: made.createdAt,
    finishedAt: made.createdAt,
    downloaded: 5_000_000_000,
    total: 5_000_000_000,
  }
  if (index % 3 === 0)
    return { ...made, ...times, state: 'completed', resultSha256: 'a'.repeat(64), verified: true }
  if (index % 3 === 1) return { ...made, state: 'paused' }
  const error = { code: 'HTTP_ERROR' as const, message: 'The server answered HTTP 500.', retryable: true }
  return { ...made, ...times, state: 'failed', error }
}

it('the list answers within 100 ms, one within 5 ms, and a page and a stream are quick too', async () => {
  const records = Array.from({ length: count }, (_, index) => record(index))
  const store = {
    load: () => Promise.resolve({ records, problems: [] }),
    save: () => Promise.resolve(),
    remove: () => Promise.resolve(),
  }
  const manager = makeManager(tempDir('scale'), { store, defaultMode: 'llm' })
  const handler = createHandler({ manager })
  await manager.ready
  const path = '/api/models/download/status'
  const all: string[] = []
  for (let cursor: unknown = ''; cursor !== null;) {
    const query = typeof cursor === 'string' && cursor !== '' ? `?cursor=${cursor}` : ''
    const { body } = await ask(handler, 'GET', `${path}${query}`)
    const urls = Object.keys(Object(body['downloads']) as object)
    expect(urls).toHaveLength(1_000)
    all.push(...urls)
    cursor = body['next_cursor']
  }
  expect(all).toEqual(records.map(({ url }) => url))

  // Without parsing the answer, which is the caller's work.
  const get = async (query: string) => {
    const response = await handler(new Request(`http://localhost${path}${query}`), {
      remoteAddress: '127.0.0.1',
    })
    return (await response.arrayBuffer()).byteLength
  }
  expect(await cpuMs(() => get('?limit=10000'), 9)).toBeLessThan(100)
  expect(await cpuMs(() => get(''), 9)).toBeLessThan(50)
  expect(await cpuMs(() => get(byUrl(urlOf(7_777))), 99)).toBeLessThan(5)
  expect(await cpuMs(() => get('?limit=100&state=failed'), 9)).toBeLessThan(50)
  const stream = await cpuMs(async () => {
    const reader = await openEvents(handler, '/api/models/download/events')
    await reader.next('snapshot')
    await reader.leave()
  }, 5)
  expect(stream).toBeLessThan(100)
  // Its pages are the list.
  const reader = await openEvents(handler, '/api/models/download/events')
  let snapshot: Record<string, WireDownload> = {}
  for (let next: unknown = ''; next !== null;) {
    const { data } = await reader.next(next === '' ? 'snapshot' : 'snapshot_page')
    snapshot = { ...snapshot, ...Object(data['downloads']) }
    next = data['next_cursor']
  }
  expect(Object.keys(snapshot)).toEqual(all)
  await reader.leave()
  handler.close()
  await manager.close()
})

/**
 * The fast path for the status of one download returns the same as the regular one, which handles everything
 * else.
 */
import { expect, it } from 'vitest'
import { createHandler } from '../../src/http/handler.js'
import type { RawRequest } from '../../src/http/status-fast-path.js'
import { DownloadManager } from '../../src/index.js'
import { tempDir } from '../support/temp.js'

const path = '/api/models/download/status'
const url = 'http://127.0.0.1:9/model.gguf'
const local = { remoteAddress: '127.0.0.1', host: 'localhost:8050' }
const raw = (change: Partial<RawRequest> = {}): RawRequest => ({
  method: 'GET',
  target: `${path}?url=${encodeURIComponent(url)}`,
  headers: { host: local.host },
  context: local,
  ...change,
})

async function open(): Promise<DownloadManager> {
  const manager = new DownloadManager({ directory: tempDir('fast-path'), store: 'memory', worker: false })
  await manager.download({ url })
  await manager.pause(url)
  return manager
}

it('says what the long way says', async () => {
  await using manager = await open()
  const handler = createHandler({ manager })
  const long = await handler(new Request(`http://localhost:8050${raw().target ?? ''}`), local)
  expect(long.status).toBe(200)
  expect(handler.fastPath?.(raw())).toEqual(await long.json())
})

it.each<[string, Partial<RawRequest>]>([
  ['another method', { method: 'DELETE' }],
  ['the list', { target: path }],
  ['a second parameter', { target: `${path}?url=${encodeURIComponent(url)}&state=paused` }],
  ['an unknown URL', { target: `${path}?url=http%3A%2F%2Fexample.com%2F` }],
  ['another path', { target: `/x/..${path}?url=${encodeURIComponent(url)}` }],
  ['a body', { headers: { host: local.host, 'content-length': '2' } }],
  ['a caller from elsewhere', { context: { ...local, remoteAddress: '192.0.2.1' } }],
  ['a foreign host name', { context: { ...local, host: 'evil.example' } }],
  ['a caller behind a proxy', { headers: { host: local.host, 'x-forwarded-for': '192.0.2.1' } }],
])('leaves %s to the long way', async (_what, change) => {
  await using manager = await open()
  expect(createHandler({ manager }).fastPath?.(raw(change))).toBeNull()
})

it('is not there where every request has to be looked at as a whole', async () => {
  await using manager = await open()
  expect(createHandler({ manager, authorize: () => true }).fastPath).toBeNull()
  expect(createHandler({ manager, cors: { origins: '*' } }).fastPath).toBeNull()
})

import { describe, expect, it } from 'vitest'
import { createClient, type DownloadsChange } from '../../src/client/index.js'
import type { PreloadStatus } from '../../src/http/schemas.js'
import { withTimeout } from '../support/wait.js'
import { collect, serve } from './following.js'
import { completed, event, inTurn, json, modelUrl, paths, startServer, stream, wire } from './server.js'

const other = wire({ url: 'https://example.com/other.gguf', filename: 'other.gguf' })

/** The first `count` values of an endless iteration. */
async function take<T>(values: AsyncGenerator<T, void, void>, count: number): Promise<T[]> {
  const got: T[] = []
  const all = async () => {
    for await (const value of values) if (got.push(value) === count) return
  }
  await withTimeout(all(), 10_000, `${count} values`)
  return got
}

const list = (...downloads: ReturnType<typeof wire>[]) =>
  json({
    success: true,
    downloads: Object.fromEntries(downloads.map((download) => [download.url, download])),
    next_cursor: null,
  })

describe('followAll', () => {
  it('gives a snapshot, what changes, and a snapshot again after a restart', async () => {
    const downloads = { [modelUrl]: wire(), [other.url]: other }
    const { server, client } = await serve({
      [paths.events]: inTurn(
        stream(
          [
            event('snapshot', { downloads }, '1'),
            event('log', { url: null, at: '', level: 'info', message: 'x' }, '2'),
            event('state', completed, '3'),
            event('removed', other, '4'),
          ],
          'end',
        ),
        stream([event('snapshot', { downloads: { [modelUrl]: completed } }, '1')]),
      ),
    })
    const expected: DownloadsChange[] = [
      { type: 'snapshot', downloads },
      { type: 'changed', download: completed },
      { type: 'removed', download: other },
      { type: 'snapshot', downloads: { [modelUrl]: completed } },
    ]
    expect(await take(client.followAll(), 4)).toEqual(expected)
    expect(server.to(paths.events).map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '4'])
    expect(server.to(paths.events)[0]?.query.has('url')).toBe(false)
  })

  it('puts the pages of a snapshot together, with what changed between them', async () => {
    const third = wire({ url: 'https://example.com/third.gguf' })
    const { client } = await serve({
      [paths.events]: stream([
        event('snapshot', { downloads: { [modelUrl]: wire() }, next_cursor: 's0' }),
        event('state', completed),
        event('state', third),
        event('snapshot_page', { downloads: { [other.url]: other }, next_cursor: 's1' }),
        event('removed', other),
        event('snapshot_page', { downloads: { [third.url]: third }, next_cursor: null }, '7'),
        event('snapshot_page', { downloads: { [other.url]: other }, next_cursor: null }),
        event('removed', third, '8'),
      ]),
    })
    const got = await take(client.followAll(), 2)
    expect(got).toEqual([
      { type: 'snapshot', downloads: { [modelUrl]: completed, [third.url]: third } },
      { type: 'removed', download: third },
    ])
  })

  it('polls where there is no stream, and tells what is other than before', async () => {
    const { client } = await serve({
      [paths.status]: inTurn(
        list(wire(), other),
        list(wire(), other),
        list(completed),
        list(completed, other),
      ),
    })
    expect(await take(client.followAll({ pollIntervalMs: 10 }), 4)).toEqual([
      { type: 'snapshot', downloads: { [modelUrl]: wire(), [other.url]: other } },
      { type: 'removed', download: other },
      { type: 'changed', download: completed },
      { type: 'changed', download: other },
    ])
  })

  it('polls after an event that is garbled, from the start', async () => {
    const { client } = await serve({
      [paths.events]: stream([event('snapshot', { downloads: {} }), event('snapshot', {})]),
      [paths.status]: list(completed),
    })
    expect(await take(client.followAll({ pollIntervalMs: 10 }), 2)).toEqual([
      { type: 'snapshot', downloads: {} },
      { type: 'snapshot', downloads: { [modelUrl]: completed } },
    ])
  })

  it('takes 10,000 downloads, in one snapshot or in pages', async () => {
    const all = Array.from({ length: 10_000 }, (_, index) => wire({ url: `https://example.com/${index}` }))
    const downloads = Object.fromEntries(all.map((download) => [download.url, download]))
    const streaming = await serve({ [paths.events]: stream([event('snapshot', { downloads })]) })
    expect(await take(streaming.client.followAll(), 1)).toEqual([{ type: 'snapshot', downloads }])

    const polling = await serve({
      [paths.status]: (req, res, asked) => {
        const from = Number(asked.query.get('cursor') ?? 0)
        const page = all.slice(from, from + Number(asked.query.get('limit')))
        const next = from + page.length
        json({
          success: true,
          downloads: Object.fromEntries(page.map((download) => [download.url, download])),
          next_cursor: next < all.length ? String(next) : null,
        })(req, res, asked)
      },
    })
    expect(await take(polling.client.followAll(), 1)).toEqual([{ type: 'snapshot', downloads }])
    expect(polling.server.asked.length).toBeGreaterThan(2)
  })
})

describe('preload.follow', () => {
  const running: PreloadStatus = {
    success: true,
    running: true,
    started_at: '2026-01-01T00:00:00.000Z',
    finished_at: null,
    success_flag: null,
    return_code: null,
    error: null,
    output_dir: 'models',
    logs: ['begin'],
    current: 'llm',
    completed: 0,
    total: 2,
    progress: 0,
    downloads: {},
  }
  const done: PreloadStatus = {
    ...running,
    running: false,
    success_flag: true,
    return_code: 0,
    logs: ['end'],
  }

  it('gives the status with its log as it grows, and ends with the preload', async () => {
    const { client } = await serve({
      [paths.preloadEvents]: stream([
        event('log', { line: 'before there is a status' }),
        event('status', running),
        event('log', { line: 'one' }),
        event('log', { line: 'two' }),
        event('status', done),
      ]),
    })
    const { values, error } = await collect(client.preload.follow())
    expect(error).toBeNull()
    expect(values).toEqual([
      running,
      { ...running, logs: ['begin', 'one'] },
      { ...running, logs: ['begin', 'one', 'two'] },
      done,
    ])
  })

  it('keeps the last 500 lines', async () => {
    const logs = Array.from({ length: 500 }, (_, index) => String(index))
    const { client } = await serve({
      [paths.preloadEvents]: stream([event('status', { ...running, logs }), event('log', { line: '500' })]),
    })
    const [, second] = await take(client.preload.follow(), 2)
    expect(second?.logs).toHaveLength(500)
    expect(second?.logs.at(-1)).toBe('500')
    expect(second?.logs[0]).toBe('1')
  })

  it('polls where there is no stream', async () => {
    const { client } = await serve({ [paths.preload]: inTurn(json(running), json(running), json(done)) })
    const { values, error } = await collect(client.preload.follow({ pollIntervalMs: 10 }))
    expect(error).toBeNull()
    expect(values).toEqual([running, done])
  })

  it('stays for the next one when it is endless', async () => {
    const { client } = await serve({
      [paths.preloadEvents]: stream([event('status', done), event('status', running), event('status', done)]),
    })
    expect(await take(client.preload.follow({ endless: true }), 3)).toEqual([done, running, done])
  })

  it('ends at once when nothing runs', async () => {
    const server = await startServer({ [paths.preload]: json(done) })
    const { values } = await collect(createClient({ baseUrl: server.url }).preload.follow())
    expect(values).toEqual([done])
  })
})

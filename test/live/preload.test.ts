import { describe, expect, it } from 'vitest'
import type { ModelsStatus, PreloadStatus } from '../../src/client/index.js'
import { livePreload } from '../../src/live/index.js'
import { event, inTurn, json, paths, wire } from '../client/server.js'
import { waitFor } from '../support/wait.js'
import { faucet, idle, serve, watch } from './watching.js'

const running: PreloadStatus = {
  ...idle,
  ...{ running: true, logs: ['begin'], current: 'chat', completed: 0, total: 1, progress: 0 },
  downloads: { chat: wire() },
}
const done: PreloadStatus = { ...running, running: false, completed: 1, logs: ['begin', 'end'] }

const modelsOf = (ready: boolean): ModelsStatus => ({
  success: true,
  models: { chat: { ready, name: 'Chat', cache_hint: 'models', message: '' } },
  catalog: [],
  any_ready: ready,
  any_missing: !ready,
  first_use_tip: '',
  timestamp: '2026-01-01T00:00:00.000Z',
})
const isReady = ({ models }: { models: ModelsStatus | null }) => models?.any_ready === true

describe('livePreload', () => {
  it('shows one that was started elsewhere, its log, and the models that came by it', async () => {
    const { answer, write } = faucet(event('status', idle))
    const { server, client } = await serve({
      [paths.preloadEvents]: answer,
      [paths.models]: inTurn(json(modelsOf(false)), json(modelsOf(false)), json(modelsOf(true))),
    })
    const store = livePreload(client)
    expect(store.getSnapshot()).toMatchObject({ preload: null, models: null, loaded: false })
    using watcher = watch(store)
    using another = watch(livePreload(client))
    await watcher.until(({ models }) => models !== null)
    write(event('status', running) + event('log', { line: 'more' }))
    await watcher.until(({ preload }) => preload?.logs.join() === 'begin,more')
    write(event('status', done))
    const end = await watcher.until(isReady)
    expect(end).toMatchObject({ preload: done, connection: 'live', error: null, loaded: true })
    await another.until(isReady)
    // When it is idle, starts and is done, but not for each line.
    expect(server.to(paths.models)).toHaveLength(3)
    expect(server.to(paths.preloadEvents)).toHaveLength(1)
    watcher[Symbol.dispose]()
    another[Symbol.dispose]()
    await waitFor(() => server.to(paths.preloadEvents)[0]?.closed, { what: 'the end of the connection' })
  })

  it('says that the server has no catalog', async () => {
    const { client } = await serve({})
    using watcher = watch(livePreload(client))
    expect(await watcher.until(({ error }) => error !== null)).toMatchObject({
      ...{ connection: 'offline', error: { code: 'NOT_FOUND' }, loaded: false },
    })
  })

  it('starts and cancels it, and says what was wrong', async () => {
    const started = { success: true, message: '', output_dir: '', models: [], force: false, started_at: '' }
    const { server, client } = await serve({
      '/api/v1/models/preload/start': inTurn(
        json(started),
        json({ success: false, code: 'CONFLICT', detail: 'It runs.' }, 409),
      ),
      '/api/v1/models/preload/cancel': json(idle),
    })
    const store = livePreload(client)
    expect(await store.actions.start({ models: ['chat'], force: true })).toBe(true)
    expect(await store.actions.start()).toBe(false)
    expect(store.getSnapshot().error).toMatchObject({ code: 'CONFLICT' })
    expect(await store.actions.cancel()).toBe(true)
    expect(store.getSnapshot().error).toBeNull()
    expect(server.asked.map(({ body }) => JSON.parse(body) as unknown)).toEqual([
      { models: ['chat'], force: true },
      { models: 'all' },
      {},
    ])
  })
})

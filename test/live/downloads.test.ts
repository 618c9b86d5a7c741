import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { WireDownload } from '../../src/client/index.js'
import { liveDownload, liveDownloads } from '../../src/live/index.js'
import { at, completed, event, inTurn, json, modelUrl, paths, stream, wire } from '../client/server.js'
import { waitFor } from '../support/wait.js'
import { faucet, serve, snapshotOf, watch } from './watching.js'

const other = wire({ url: 'https://example.com/other.gguf', filename: 'other.gguf' })
const live = ({ connection }: { connection: string }) => connection === 'live'
const loaded = ({ loaded }: { loaded: boolean }) => loaded

describe('what it shows', () => {
  it('is empty and idle until somebody watches; watching alone connects', async () => {
    const { server, client } = await serve({ [paths.events]: stream([snapshotOf(wire(), other)]) })
    const store = liveDownloads(client)
    const before = store.getSnapshot()
    expect(before).toEqual({
      ...{ downloads: [], byUrl: new Map(), connection: 'idle', error: null, loaded: false },
    })
    expect(store.getServerSnapshot()).toBe(before)
    expect(server.asked).toEqual([])
    using watcher = watch(store)
    expect(store.getSnapshot().connection).toBe('connecting')
    const now = await watcher.until(loaded)
    expect(now).toMatchObject({ connection: 'live', error: null, downloads: [wire(), other] })
    expect(store.getSnapshot()).toBe(now)
    expect(store.getServerSnapshot()).toBe(before)
  })

  it('follows what changes; what does not stays the same object', async () => {
    const { answer, write } = faucet(snapshotOf(wire(), other))
    const { client } = await serve({ [paths.events]: answer })
    const store = liveDownloads(client)
    using watcher = watch(store)
    const first = await watcher.until(loaded)
    write(event('progress', at(50)))
    const second = await watcher.until(({ byUrl }) => byUrl.get(modelUrl)?.progress === 50)
    expect(second.downloads[1]).toBe(first.downloads[1])
    expect(first.downloads[0]).toEqual(wire())
    write(event('removed', other))
    const third = await watcher.until(({ downloads }) => downloads.length === 1)
    expect(third.downloads[0]).toBe(second.downloads[0])
  })

  it('one download: its own changes only, and the URL may change', async () => {
    const { answer, write } = faucet(snapshotOf(wire(), other))
    const { server, client } = await serve({ [paths.events]: answer })
    let url = modelUrl
    const store = liveDownload(client, () => url)
    using watcher = watch(store)
    expect((await watcher.until(loaded)).download).toEqual(wire())
    await watcher.until(live)
    const before = watcher.seen.length
    write(event('progress', { ...other, progress: 1 }))
    using all = watch(liveDownloads(client))
    await all.until(({ byUrl }) => byUrl.get(other.url)?.progress === 1)
    expect(watcher.seen).toHaveLength(before)
    url = other.url
    expect(store.getSnapshot().download?.progress).toBe(1)
    url = 'https://example.com/unknown.gguf'
    expect(store.getSnapshot()).toMatchObject({ download: null, loaded: true })
    expect(store.getSnapshot()).toBe(store.getSnapshot())
    expect(server.to(paths.events)).toHaveLength(1)
  })

  it('200 downloads that all change often are told a few times, at once', async () => {
    const many = Array.from({ length: 200 }, (_, index) => wire({ url: `https://example.com/${index}` }))
    const rounds = 30
    const burst = (progress: number) => many.map((each) => event('progress', { ...each, progress })).join('')
    const { client } = await serve({
      [paths.events]: stream([
        snapshotOf(...many),
        ...Array.from({ length: rounds }, (_, index) => burst(index + 1)),
      ]),
    })
    using watcher = watch(liveDownloads(client))
    const one = watch(liveDownload(client, 'https://example.com/7'))
    const isLast = ({ progress }: WireDownload) => progress === rounds
    await watcher.until(({ downloads }) => downloads.length === 200 && downloads.every(isLast))
    // 6,000 events within much less than 6,000 frames.
    expect(watcher.seen.length).toBeLessThan(600)
    for (const { downloads } of watcher.seen.filter(loaded)) expect(downloads).toHaveLength(200)
    expect(one.seen.length).toBeLessThanOrEqual(watcher.seen.length)
    one[Symbol.dispose]()
  })

  it('a watcher that throws keeps nothing from the others', async () => {
    const { client } = await serve({ [paths.events]: stream([snapshotOf(wire())]) })
    const thrown: unknown[] = []
    const onError = (error: unknown) => thrown.push(error)
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException').on('uncaughtException', onError)
    try {
      const store = liveDownloads(client)
      let told = 0
      const end = store.subscribe(() => {
        told++
        throw new Error('A bug of the page.')
      })
      using watcher = watch(store)
      await watcher.until(loaded)
      end()
      // Each is thrown again a moment later: all must have been before the listeners of the runner are back.
      await waitFor(() => told > 0 && thrown.length === told)
      expect(thrown[0]).toMatchObject({ message: 'A bug of the page.' })
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    }
  })
})

describe('its connection', () => {
  it('is one, however many watch, and ends a little after the last', async () => {
    const { server, client } = await serve({ [paths.events]: stream([snapshotOf(wire())]) })
    const lists = Array.from({ length: 25 }, () => liveDownloads(client))
    const rows = lists.map(() => liveDownload(client, modelUrl))
    const watchers = [...lists.map((each) => watch(each)), ...rows.map((each) => watch(each))]
    await waitFor(() => [...lists, ...rows].every((each) => each.getSnapshot().loaded))
    expect(server.asked).toHaveLength(1)
    for (const watcher of watchers.slice(1)) watcher[Symbol.dispose]()
    await sleep(1_200)
    expect(server.asked[0]?.closed).toBe(false)
    watchers[0]?.[Symbol.dispose]()
    expect(server.asked[0]?.closed).toBe(false)
    await waitFor(() => server.asked[0]?.closed, { what: 'the end of the connection' })
    expect(lists[0]?.getSnapshot()).toMatchObject({ connection: 'idle', loaded: true })
    expect(server.asked).toHaveLength(1)
  })

  it('outlives a part that is drawn anew', async () => {
    const { server, client } = await serve({ [paths.events]: stream([snapshotOf(wire())]) })
    const store = liveDownloads(client)
    for (let times = 0; times < 5; times++) watch(store)[Symbol.dispose]()
    using watcher = watch(store)
    await watcher.until(loaded)
    expect(server.asked).toHaveLength(1)
  })

  it('a function that watches twice is called until both have ended', async () => {
    const { answer, write } = faucet(snapshotOf(wire(), other))
    const { client } = await serve({ [paths.events]: answer })
    const store = liveDownloads(client)
    let calls = 0
    const onChange = () => {
      calls++
    }
    const ends = [store.subscribe(onChange), store.subscribe(onChange)]
    await waitFor(() => store.getSnapshot().loaded)
    ends[0]?.()
    ends[0]?.()
    const before = calls
    write(event('progress', at(50)))
    await waitFor(() => calls > before)
    ends[1]?.()
  })

  it('polls where there is no stream, and says so', async () => {
    const list = (...downloads: WireDownload[]) =>
      json({
        success: true,
        downloads: Object.fromEntries(downloads.map((each) => [each.url, each])),
        next_cursor: null,
      })
    const { client } = await serve({ [paths.status]: inTurn(list(wire(), other), list(completed)) })
    const store = liveDownloads(client)
    using watcher = watch(store)
    const first = await watcher.until(loaded)
    expect(first).toMatchObject({ connection: 'polling', downloads: [wire(), other] })
    const second = await watcher.until(({ downloads }) => downloads.length === 1)
    expect(second).toMatchObject({ connection: 'polling', downloads: [completed] })
  })

  it('goes on after a restart: nothing is lost, what was removed disappears', async () => {
    const { server, client } = await serve({
      [paths.events]: inTurn(
        stream([snapshotOf(wire(), other)]),
        stream([snapshotOf(at(70), wire({ url: 'https://example.com/new.gguf' }))]),
      ),
    })
    const store = liveDownloads(client)
    using watcher = watch(store)
    await watcher.until(loaded)
    await server.stop()
    await watcher.until(({ connection }) => connection === 'connecting')
    const down = await watcher.until(({ connection }) => connection === 'offline')
    expect(down).toMatchObject({ error: { code: 'CONNECT_FAILED' }, downloads: [wire(), other] })
    await server.start()
    const up = await watcher.until(live)
    expect(up).toMatchObject({ error: null })
    await watcher.until(({ byUrl }) => byUrl.has('https://example.com/new.gguf') && !byUrl.has(other.url))
  })

  it('tries on after following was given up', async () => {
    const { server, client } = await serve({ [paths.events]: stream([snapshotOf(wire())]) })
    await server.stop()
    const store = liveDownloads(client)
    using watcher = watch(store)
    await watcher.until(({ connection }) => connection === 'offline')
    // The client gives up after three failures if a server has never responded.
    await sleep(3_500)
    expect(store.getSnapshot()).toMatchObject({ connection: 'offline', error: { code: 'CONNECT_FAILED' } })
    await server.start()
    await watcher.until(loaded)
    expect(store.getSnapshot()).toMatchObject({ connection: 'live', error: null, downloads: [wire()] })
  })

  it('shows why it may not, and tries again at once when asked to', async () => {
    const { server, client } = await serve({
      [paths.events]: inTurn(
        json({ success: false, code: 'ACCESS_DENIED', detail: 'Who are you?' }, 401),
        stream([snapshotOf(wire())]),
      ),
    })
    const store = liveDownload(client, modelUrl)
    using watcher = watch(store)
    const denied = await watcher.until(({ error }) => error !== null)
    expect(denied).toMatchObject({
      ...{ connection: 'offline', loaded: false, download: null },
      error: { code: 'ACCESS_DENIED', status: 401, message: 'Who are you?' },
    })
    expect(server.asked).toHaveLength(1)
    store.refresh()
    expect(await watcher.until(loaded)).toMatchObject({ connection: 'live', error: null, download: wire() })
    expect(server.asked).toHaveLength(2)
  })

  it('an idle store that is told to refresh stays idle', async () => {
    const { server, client } = await serve({ [paths.events]: stream([snapshotOf(wire())]) })
    const store = liveDownloads(client)
    store.refresh()
    await sleep(50)
    expect(store.getSnapshot().connection).toBe('idle')
    expect(server.asked).toEqual([])
  })
})

describe('what it does', () => {
  const controlled = json({ success: true, download: wire() })
  const refused = json({ success: false, code: 'INVALID_STATE', detail: 'It is completed.' }, 409)

  it('asks the server, and says whether it worked', async () => {
    const { server, client } = await serve({
      [paths.events]: stream([snapshotOf(wire())]),
      [paths.download]: json({ success: true, url: modelUrl, filename: '', mode: null, message: '' }),
      ...Object.fromEntries(
        ['pause', 'resume', 'cancel', 'retry'].map((verb) => [`${paths.download}/${verb}`, controlled]),
      ),
    })
    const { actions } = liveDownload(client, modelUrl)
    expect(await actions.start({ mode: 'embed' })).toBe(true)
    for (const verb of ['pause', 'resume', 'cancel', 'retry'] as const)
      expect(await actions[verb]()).toBe(true)
    expect(await actions.remove({ deleteFile: true })).toBe(true)
    const all = liveDownloads(client).actions
    expect(await all.start({ url: other.url })).toBe(true)
    for (const verb of ['pause', 'resume', 'cancel', 'retry'] as const)
      expect(await all[verb](other.url)).toBe(true)
    expect(await all.remove(other.url)).toBe(true)
    const asked = server.asked.map(({ method, path, body, query }) => {
      const verb = path.slice(paths.download.length)
      return [method + verb, body === '' ? Object.fromEntries(query) : (JSON.parse(body) as unknown)]
    })
    expect(asked).toEqual([
      ['POST', { url: modelUrl, mode: 'embed' }],
      ...['pause', 'resume', 'cancel', 'retry'].map((verb) => [`POST/${verb}`, { url: modelUrl }]),
      ['DELETE', { url: modelUrl, delete_file: 'true' }],
      ['POST', { url: other.url }],
      ...['pause', 'resume', 'cancel', 'retry'].map((verb) => [`POST/${verb}`, { url: other.url }]),
      ['DELETE', { url: other.url, delete_file: 'false' }],
    ])
  })

  it('shows a failure where it was asked for, until the next try', async () => {
    const { client } = await serve({
      [paths.events]: stream([snapshotOf(wire())]),
      [`${paths.download}/pause`]: inTurn(refused, refused, controlled),
    })
    const [store, neighbour] = [liveDownload(client, modelUrl), liveDownload(client, modelUrl)]
    using watcher = watch(store)
    await watcher.until(live)
    expect(await store.actions.pause()).toBe(false)
    expect(store.getSnapshot()).toMatchObject({ connection: 'live', error: { code: 'INVALID_STATE' } })
    expect(watcher.seen.at(-1)).toBe(store.getSnapshot())
    expect(neighbour.getSnapshot().error).toBeNull()
    store.refresh()
    expect(store.getSnapshot().error).toBeNull()
    expect(await store.actions.pause()).toBe(false)
    expect(store.getSnapshot().error).not.toBeNull()
    expect(await store.actions.pause()).toBe(true)
    expect(store.getSnapshot().error).toBeNull()
  })
})

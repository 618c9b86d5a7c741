import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { waitFor } from '../support/wait.js'
import { collect, progress, progressOf, serve, snapshot, end } from './following.js'
import { completed, event, inTurn, json, modelUrl, paths, startServer, stream, text, wire } from './server.js'

afterEach(() => {
  vi.useRealTimers()
})

describe('a stream', () => {
  it('gives the present, each change, and ends with the last state', async () => {
    const { server, client } = await serve({
      [paths.events]: stream([
        snapshot(10),
        ': ping\n\n',
        event('log', { url: modelUrl, at: '', level: 'info', message: 'x' }),
        progress(20),
        end,
        progress(30),
      ]),
    })
    const { values, error } = await collect(client.follow(modelUrl))
    expect(error).toBeNull()
    expect(progressOf(values)).toEqual([10, 20, 100])
    expect(values.at(-1)?.state).toBe('completed')
    const [asked] = server.to(paths.events)
    expect(asked?.query.get('url')).toBe(modelUrl)
    expect(asked?.headers).toMatchObject({ accept: 'text/event-stream' })
    expect(asked?.headers).not.toHaveProperty('last-event-id')
    await waitFor(() => asked?.closed, { what: 'the stream to be closed' })
    expect(server.asked).toHaveLength(1)
  })

  it.each(['failed', 'canceled'] as const)('ends with %s without throwing', async (state) => {
    const { client } = await serve({
      [paths.events]: stream([snapshot(10), event('state', wire({ state, status: 'failed', error: state }))]),
    })
    const { values, error } = await collect(client.follow(modelUrl))
    expect(error).toBeNull()
    expect(values.map(({ state }) => state)).toEqual(['downloading', state])
  })

  it('of a settled download gives just that', async () => {
    const { client } = await serve({ [paths.events]: stream([event('snapshot', completed)]) })
    expect((await collect(client.follow(modelUrl))).values).toEqual([completed])
  })

  it('that breaks off is asked for again, from where it was', async () => {
    const { server, client } = await serve({
      [paths.events]: inTurn(
        stream([snapshot(10, 'a-1'), progress(20, 'a-2')], 'reset'),
        stream([progress(30, 'a-3')], 'end'),
        stream([], 'end'),
        stream([end]),
      ),
    })
    const { values, error } = await collect(client.follow(modelUrl))
    expect(error).toBeNull()
    expect(progressOf(values)).toEqual([10, 20, 30, 100])
    const ids = server.to(paths.events).map(({ headers }) => headers['last-event-id'])
    expect(ids).toEqual([undefined, 'a-2', 'a-3', 'a-3'])
  })

  it('does not give the same twice when a fresh snapshot comes', async () => {
    const { client } = await serve({
      [paths.events]: inTurn(stream([snapshot(10)], 'end'), stream([snapshot(10), progress(20), end])),
    })
    expect(progressOf((await collect(client.follow(modelUrl))).values)).toEqual([10, 20, 100])
  })

  it('survives a server that is killed and comes back later', async () => {
    const { server, client } = await serve({
      [paths.events]: inTurn(stream([snapshot(10)]), stream([snapshot(40), end])),
    })
    const values: number[] = []
    for await (const { progress } of client.follow(modelUrl)) {
      values.push(progress)
      if (progress !== 10) continue
      await server.stop()
      // Long enough for more than one failed attempt.
      setTimeout(() => void server.start(), 500)
    }
    expect(values).toEqual([10, 40, 100])
  })

  it('survives errors of what stands before the server', async () => {
    const { client } = await serve({
      [paths.events]: inTurn(
        stream([snapshot(10)], 'end'),
        text('<h1>Bad gateway</h1>', 502),
        json({ success: false, detail: 'Starting.', code: 'CLOSED' }, 503, { 'retry-after': '0' }),
        stream([end]),
      ),
    })
    const { values, error } = await collect(client.follow(modelUrl))
    expect(error).toBeNull()
    expect(progressOf(values)).toEqual([10, 100])
  })

  it('may break off as often as it likes while there is news', async () => {
    const { client } = await serve({
      [paths.events]: inTurn(
        ...[10, 20, 30, 40].map((percent) => stream([snapshot(percent)], 'end')),
        stream([end]),
      ),
    })
    const { values, error } = await collect(client.follow(modelUrl, { maxFailures: 2 }))
    expect(error).toBeNull()
    expect(progressOf(values)).toEqual([10, 20, 30, 40, 100])
  })

  it('may break off without news when it was open for long', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    let asked = 0
    const open = async () => {
      asked += 1
      const pieces = asked < 5 ? ['retry: 10\n\n: ping\n\n'] : [end]
      // With no room for more, each pull is a read: the second one comes when the first bytes are taken.
      const body = new ReadableStream(
        {
          pull: (controller) => {
            const piece = pieces.shift()
            if (piece !== undefined) controller.enqueue(new TextEncoder().encode(piece))
            else {
              vi.advanceTimersByTime(11_000)
              controller.close()
            }
          },
        },
        { highWaterMark: 0 },
      )
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    }
    const client = createClient({ baseUrl: 'http://server.invalid', fetch: open })
    const { values, error } = await collect(client.follow(modelUrl, { maxFailures: 2 }))
    expect(error).toBeNull()
    expect(progressOf(values)).toEqual([100])
    expect(asked).toBe(5)
  })

  it('may have ids that fit into no header', async () => {
    const { server, client } = await serve({
      [paths.events]: inTurn(stream([snapshot(10, '模型')], 'end'), stream([end])),
    })
    expect((await collect(client.follow(modelUrl))).error).toBeNull()
    expect(server.to(paths.events)[1]?.headers).not.toHaveProperty('last-event-id')
  })

  it('that falls silent is asked for again', async () => {
    const { server, client } = await serve({
      [paths.events]: inTurn(stream([snapshot(10)]), stream([end])),
    })
    const { values } = await collect(client.follow(modelUrl, { idleMs: 150 }))
    expect(progressOf(values)).toEqual([10, 100])
    expect(server.to(paths.events).map(({ closed }) => closed)[0]).toBe(true)
  })

  it('waits as long as the server asks', async () => {
    const { server, client } = await serve({
      [paths.events]: inTurn(
        json({ success: false, detail: 'Full.' }, 503, { 'retry-after': '1' }),
        stream([end]),
      ),
    })
    await collect(client.follow(modelUrl))
    const [first, second] = server.to(paths.events)
    expect(second!.at - first!.at).toBeGreaterThan(950)
  })
})

it('headers are made anew each time', async () => {
  let tokens = 0
  const server = await startServer({
    [paths.events]: inTurn(stream([snapshot(10)], 'end'), stream([], 'end'), stream([end])),
  })
  const headers = async () => {
    tokens += 1
    if (tokens === 2) throw new Error('the token can not be had right now')
    return { authorization: `Bearer ${tokens}` }
  }
  const client = createClient({ baseUrl: server.url, headers })
  const { error } = await collect(client.follow(modelUrl))
  expect(error).toBeNull()
  const sent = server.to(paths.events).map((asked) => asked.headers.authorization)
  expect(sent).toEqual(['Bearer 1', 'Bearer 3', 'Bearer 4'])
})

it('a slow reader is no silent server', async () => {
  const { server, client } = await serve({ [paths.events]: stream([snapshot(10), end]) })
  for await (const { progress } of client.follow(modelUrl, { idleMs: 50 })) {
    if (progress === 10) await new Promise((resolve) => setTimeout(resolve, 300))
  }
  expect(server.to(paths.events)).toHaveLength(1)
})

it('reads characters that are cut apart', async () => {
  const name = 'модель-模型-🎈.gguf'
  const bytes = Buffer.from(event('snapshot', { ...completed, filename: name }))
  const { client } = await serve({
    [paths.events]: (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.socket?.setNoDelay(true)
      let index = 0
      const next = () => {
        if (index < bytes.length) res.write(bytes.subarray(index, ++index), () => setImmediate(next))
      }
      next()
    },
  })
  expect((await collect(client.follow(modelUrl))).values[0]?.filename).toBe(name)
})

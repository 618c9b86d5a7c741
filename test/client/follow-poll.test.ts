import { describe, expect, it } from 'vitest'
import { collect, progressOf, serve, snapshot, end } from './following.js'
import {
  at,
  completed,
  inTurn,
  json,
  modelUrl,
  paths,
  silence,
  statusOf,
  stream,
  text,
  type Answer,
} from './server.js'

describe('without a stream it polls', () => {
  const poll: Answer = inTurn(statusOf(at(10)), statusOf(at(10)), statusOf(at(20)), statusOf(completed))

  it.each<[string, Answer]>([
    ['404', text('no', 404)],
    ['405', text('no', 405)],
    ['406', text('no', 406)],
    ['501', text('no', 501)],
    ['204', text('', 204)],
    ['a page', text('<!doctype html>')],
    ['JSON', json({ success: true })],
    ['a proxy that holds all back', silence],
    [
      'an event without an end',
      (_, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${'x'.repeat(17 * 2 ** 20)}`)
      },
    ],
    [
      'a proxy that holds the body back',
      (_, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      },
    ],
  ])('for %s', async (_, events) => {
    const { server, client } = await serve({ [paths.events]: events, [paths.status]: poll })
    const following = client.follow(modelUrl, { pollIntervalMs: 50, firstByteMs: 200 })
    const { values, error } = await collect(following)
    expect(error).toBeNull()
    // Unchanged states are not reported.
    expect(progressOf(values)).toEqual([10, 20, 100])
    expect(server.to(paths.events)).toHaveLength(1)
    // The server learns of it from its own socket, a little later.
    await expect.poll(() => server.to(paths.events)[0]?.closed).toBe(true)
    const asked = server.to(paths.status)
    expect(asked).toHaveLength(4)
    expect(asked[0]?.query.get('url')).toBe(modelUrl)
    expect(asked[3]!.at - asked[0]!.at).toBeGreaterThanOrEqual(3 * 45)
  })

  it('once a second', async () => {
    const { server, client } = await serve({
      [paths.status]: inTurn(statusOf(at(10)), statusOf(at(20)), statusOf(completed)),
    })
    await collect(client.follow(modelUrl))
    const times = server.to(paths.status).map(({ at }) => at)
    expect(times[1]! - times[0]!).toBeGreaterThan(950)
    expect(times[2]! - times[1]!).toBeGreaterThan(950)
  })

  it.each([
    ['no JSON', 'event: progress\ndata: {"url"\n\n'],
    ['no object', 'event: progress\ndata: 7\n\n'],
    ['something else', 'event: progress\ndata: {"a":1}\n\n'],
  ])('after an event that is %s', async (_, garbled) => {
    const { server, client } = await serve({
      [paths.events]: stream([snapshot(10), garbled, end]),
      [paths.status]: inTurn(statusOf(at(60)), statusOf(completed)),
    })
    const { values, error } = await collect(client.follow(modelUrl, { pollIntervalMs: 10 }))
    expect(error).toBeNull()
    expect(progressOf(values)).toEqual([10, 60, 100])
    expect(server.to(paths.events)[0]?.closed).toBe(true)
  })

  it('and survives a restart then, too', async () => {
    const { server, client } = await serve({
      [paths.status]: inTurn(
        statusOf(at(10)),
        text('starting', 503),
        text('no backend', 404),
        statusOf(completed),
      ),
    })
    const values: number[] = []
    for await (const { progress } of client.follow(modelUrl, { pollIntervalMs: 10 })) {
      values.push(progress)
      if (progress !== 10) continue
      await server.stop()
      setTimeout(() => void server.start(), 100)
    }
    expect(values).toEqual([10, 100])
  })

  it('and says what is wrong with an answer that is none of ours', async () => {
    for (const answer of [
      text('<!doctype html>'),
      text('{'),
      json(null),
      json([1]),
      json({ download: {} }),
    ]) {
      const { client } = await serve({ [paths.status]: answer })
      const { error } = await collect(client.follow(modelUrl))
      expect(error).toMatchObject({ code: 'PROTOCOL_ERROR', retryable: false, status: 200 })
    }
  })
})

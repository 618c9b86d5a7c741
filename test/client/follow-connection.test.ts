/** How following reports the connection to the server. */
import { expect, it } from 'vitest'
import type { FollowConnection } from '../../src/client/index.js'
import type { DownloadError } from '../../src/errors.js'
import { collect, end, progress, serve, snapshot } from './following.js'
import { at, completed, inTurn, json, modelUrl, paths, statusOf, stream } from './server.js'

/** Follows to the end, and records what is reported, each with the error's code. */
async function told(client: Awaited<ReturnType<typeof serve>>['client']) {
  const told: string[] = []
  const onConnection = (connection: FollowConnection, error: DownloadError | null) =>
    told.push(error === null ? connection : `${connection}: ${error.code}`)
  const { error } = await collect(client.follow(modelUrl, { onConnection, pollIntervalMs: 10 }))
  return { told, error }
}

it('a stream is live, also before its first event', async () => {
  const { client } = await serve({ [paths.events]: stream([snapshot(10), progress(20), end]) })
  expect(await told(client)).toEqual({ told: ['live'], error: null })
})

it('a stream that breaks off is asked for again; when that fails the server is offline', async () => {
  const unavailable = json({ success: false, detail: 'Later.' }, 503)
  const { client } = await serve({
    [paths.events]: inTurn(
      stream([snapshot(10)], 'end'),
      stream([snapshot(20)], 'end'),
      unavailable,
      unavailable,
      stream([end]),
    ),
  })
  expect((await told(client)).told).toEqual([
    ...['live', 'connecting', 'live', 'connecting', 'offline: HTTP_ERROR', 'live'],
  ])
})

it('polling is said with the first answer, and what breaks it too', async () => {
  const unavailable = json({ success: false, detail: 'Later.' }, 503)
  const { client } = await serve({
    [paths.status]: inTurn(statusOf(at(10)), unavailable, unavailable, statusOf(completed)),
  })
  expect((await told(client)).told).toEqual(['polling', 'connecting', 'offline: HTTP_ERROR', 'polling'])
})

it('a server that never answered is offline at once', async () => {
  const { server, client } = await serve({})
  await server.stop()
  const { told: all, error } = await told(client)
  expect(all).toEqual(['offline: CONNECT_FAILED'])
  expect(error).toMatchObject({ code: 'CONNECT_FAILED' })
})

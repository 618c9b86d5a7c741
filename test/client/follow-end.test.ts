import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { collect, end, progress, progressOf, serve, snapshot } from './following.js'
import {
  at,
  completed,
  event,
  inTurn,
  json,
  modelUrl,
  paths,
  statusOf,
  stream,
  text,
  wire,
  type Answer,
} from './server.js'

describe('it leaves at once', () => {
  const open: Record<string, Answer> = { [paths.events]: stream([snapshot(10)]) }

  it('on break', async () => {
    const { server, client } = await serve(open)
    for await (const value of client.follow(modelUrl)) {
      expect(value.progress).toBe(10)
      break
    }
    await waitFor(() => server.to(paths.events)[0]?.closed, { what: 'the stream to be closed' })
  })

  it('on return(), while a value is awaited', async () => {
    const { server, client } = await serve(open)
    const values = client.follow(modelUrl)
    await values.next()
    const next = values.next()
    expect(await withTimeout(values.return(), 1_000)).toEqual({ done: true, value: undefined })
    expect(await withTimeout(next, 1_000)).toEqual({ done: true, value: undefined })
    await waitFor(() => server.to(paths.events)[0]?.closed, { what: 'the stream to be closed' })
  })

  it('on an abort while a value is awaited', async () => {
    const { server, client } = await serve(open)
    const page = new AbortController()
    const values = client.follow(modelUrl, { signal: page.signal })
    await values.next()
    const next = values.next()
    page.abort(new Error('gone'))
    await expect(withTimeout(next, 1_000)).rejects.toMatchObject({
      code: 'CANCELED',
      cause: { message: 'gone' },
    })
    expect(await values.next()).toEqual({ done: true, value: undefined })
    await waitFor(() => server.to(paths.events)[0]?.closed, { what: 'the stream to be closed' })
  })

  it('on an abort while nobody awaits anything', async () => {
    const { server, client } = await serve({ [paths.events]: stream([snapshot(10), progress(20)]) })
    const page = new AbortController()
    const values = client.follow(modelUrl, { signal: page.signal })
    await values.next()
    page.abort()
    await waitFor(() => server.to(paths.events)[0]?.closed, { what: 'the stream to be closed' })
    await expect(values.next()).rejects.toMatchObject({ code: 'CANCELED' })
  })

  it('on an abort between two requests', async () => {
    const { server, client } = await serve({ [paths.status]: statusOf(at(10)) })
    const page = new AbortController()
    const values = client.follow(modelUrl, { signal: page.signal, pollIntervalMs: 60_000 })
    await values.next()
    const next = values.next()
    page.abort()
    await expect(withTimeout(next, 1_000)).rejects.toMatchObject({ code: 'CANCELED' })
    expect(server.to(paths.status)).toHaveLength(1)
  })

  it('on an abort between two attempts', async () => {
    const { client } = await serve({ [paths.events]: text('later', 503) })
    const page = new AbortController()
    const next = client.follow(modelUrl, { signal: page.signal }).next()
    setTimeout(() => {
      page.abort()
    }, 100)
    await expect(withTimeout(next, 2_000)).rejects.toMatchObject({ code: 'CANCELED' })
  })

  it('and asks nothing when it was aborted before, or never begun', async () => {
    const { server, client } = await serve(open)
    const { values, error } = await collect(client.follow(modelUrl, { signal: AbortSignal.abort() }))
    expect(values).toEqual([])
    expect(error).toMatchObject({ code: 'CANCELED' })
    await client.follow(modelUrl).return()
    expect(server.asked).toEqual([])
  })

  it('also from a body that does not heed its signal', async () => {
    let left = false
    const client = createClient({
      baseUrl: 'http://server.invalid',
      fetch: async () =>
        new Response(
          new ReadableStream({
            start: (controller) => {
              controller.enqueue(new TextEncoder().encode(snapshot(10)))
            },
            cancel: () => {
              left = true
            },
          }),
          { headers: { 'content-type': 'text/event-stream' } },
        ),
    })
    for await (const { progress } of client.follow(modelUrl)) if (progress === 10) break
    expect(left).toBe(true)
  })

  it('also from an answer that comes after it', async () => {
    let left = false
    let answer: (response: Response) => void = () => undefined
    const client = createClient({
      baseUrl: 'http://server.invalid',
      fetch: () => new Promise((resolve) => (answer = resolve)),
    })
    const values = client.follow(modelUrl)
    const next = values.next()
    await withTimeout(values.return(), 1_000)
    await next
    const body = new ReadableStream({
      cancel: () => {
        left = true
      },
    })
    answer(new Response(body, { headers: { 'content-type': 'text/event-stream' } }))
    await waitFor(() => left, { what: 'the late body to be canceled' })
  })

  it('and leaves nothing on the caller’s signal', async () => {
    const { client } = await serve({
      [paths.events]: stream([snapshot(10), end]),
      [paths.status]: statusOf(completed),
    })
    const { signal } = new AbortController()
    await client.status(modelUrl, { signal })
    await collect(client.follow(modelUrl, { signal }))
    for await (const { progress } of client.follow(modelUrl, { signal })) if (progress === 10) break
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('it gives up', () => {
  it('soon when nobody was ever there', async () => {
    const { server, client } = await serve({})
    await server.stop()
    const { error } = await collect(client.follow(modelUrl, { pollIntervalMs: 100 }))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: true })
  })

  it('after maxFailures in a row', async () => {
    const { server, client } = await serve({
      [paths.events]: inTurn(stream([snapshot(10)], 'end'), text('later', 503)),
    })
    const { values, error } = await collect(client.follow(modelUrl, { maxFailures: 4 }))
    expect(progressOf(values)).toEqual([10])
    expect(error).toMatchObject({ code: 'HTTP_ERROR', status: 503 })
    // The one that broke off was the first failure.
    expect(server.to(paths.events)).toHaveLength(4)
  })

  it.each([
    [401, 'ACCESS_DENIED'],
    [403, 'ACCESS_DENIED'],
    [400, 'HTTP_ERROR'],
  ])('at once for %i', async (status, code) => {
    const { server, client } = await serve({ [paths.events]: text('no', status) })
    const { error } = await collect(client.follow(modelUrl))
    expect(error).toMatchObject({ code, status })
    expect(server.asked).toHaveLength(1)
  })

  it('when the server knows no such download', async () => {
    const unknown = json({ success: false, detail: 'Not known.', code: 'UNKNOWN_DOWNLOAD' }, 404)
    const { client } = await serve({
      [paths.events]: inTurn(stream([snapshot(10)], 'end'), unknown),
      [paths.status]: unknown,
    })
    const { values, error } = await collect(client.follow(modelUrl))
    expect(progressOf(values)).toEqual([10])
    expect(error).toMatchObject({ code: 'UNKNOWN_DOWNLOAD', message: 'Not known.', status: 404 })
  })

  it('when the download is removed', async () => {
    const { client } = await serve({
      [paths.events]: stream([snapshot(10), event('removed', at(10))]),
    })
    const { error } = await collect(client.follow(modelUrl))
    expect(error).toMatchObject({ code: 'UNKNOWN_DOWNLOAD' })
  })

  it('but not when it was settled just before it was removed', async () => {
    const canceled = wire({ state: 'canceled', status: 'failed', error: 'canceled' })
    const { client } = await serve({
      [paths.events]: stream([snapshot(10), event('state', canceled), event('removed', canceled)]),
    })
    const { values, error } = await collect(client.follow(modelUrl))
    expect(error).toBeNull()
    expect(values.at(-1)).toEqual(canceled)
  })

  it('when fetch never answers and heeds no signal', async () => {
    const client = createClient({
      baseUrl: 'http://server.invalid',
      fetch: () => new Promise(() => undefined),
      timeoutMs: 50,
    })
    const { error } = await collect(
      client.follow(modelUrl, { firstByteMs: 50, maxFailures: 2, pollIntervalMs: 50 }),
    )
    expect(error).toMatchObject({ code: 'STALLED', retryable: true })
  })
})

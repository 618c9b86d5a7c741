import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { connect, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { listen, sendResponse } from '../../src/http/node.js'
import { rawGet } from '../support/raw-client.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { connectionsOf, fake, get, portOf, serve, serveWith, settled } from './serving.js'

/** A body that ends only when canceled, and says when that was. */
function endless(size: number): {
  body: ReadableStream<Uint8Array>
  pulled: () => number
  canceled: Promise<void>
} {
  let pulled = 0
  let tell: () => void
  const canceled = new Promise<void>((resolve) => {
    tell = resolve
  })
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulled += size
        controller.enqueue(new Uint8Array(size))
      },
      cancel() {
        tell()
      },
    },
    { highWaterMark: 0 },
  )
  return { body, pulled: () => pulled, canceled }
}

describe('the signal of a request', () => {
  it('is aborted when the client leaves, and not by a finished answer', async () => {
    const signals: AbortSignal[] = []
    const { url } = await serveWith(async (request) => {
      signals.push(request.signal)
      if (new URL(request.url).pathname === '/wait') await once(request.signal, 'abort')
      return new Response('fine')
    })
    await (await fetch(url)).text()
    const leaving = new AbortController()
    const left = fetch(`${url}/wait`, { signal: leaving.signal }).catch(() => 'left')
    await waitFor(() => signals.length === 2)
    expect(signals[1]?.aborted).toBe(false)
    leaving.abort()
    expect(await left).toBe('left')
    await waitFor(() => signals[1]?.aborted)
    expect(signals[0]?.aborted).toBe(false)
  })
})

describe('sendResponse', () => {
  it('sends status, headers, all cookies and the body', async () => {
    const headers = new Headers({ 'X-A': 'b', 'Content-Type': 'text/x' })
    headers.append('set-cookie', 'a=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT')
    headers.append('set-cookie', 'b=2')
    const { url } = await serveWith(() => new Response('body', { status: 418, headers }))
    const response = await rawGet(url)
    expect(response.status).toBe(418)
    expect(response.header('x-a')).toBe('b')
    expect(response.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value)).toEqual([
      'a=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT',
      'b=2',
    ])
    expect(await (await fetch(url)).text()).toBe('body')
  })

  it('adds to what the host has set', async () => {
    const { url } = await serve((_req, res) => {
      res.setHeader('Vary', 'Origin, Accept')
      res.setHeader('Set-Cookie', 'host=1')
      res.setHeader('X-Host', 'kept')
      res.setHeader('Cache-Control', 'public')
      const headers = { vary: 'accept, Accept-Language', 'set-cookie': 'ours=1', 'cache-control': 'no-store' }
      void sendResponse(res, new Response('x', { headers }))
    })
    const response = await rawGet(url)
    expect(response.header('vary')).toBe('Origin, Accept, Accept-Language')
    expect(response.headers.filter(([name]) => name === 'set-cookie')).toHaveLength(2)
    expect(response.header('x-host')).toBe('kept')
    expect(response.header('cache-control')).toBe('no-store')
  })

  it('sends no body to HEAD, and ends one that there is', async () => {
    const { body, canceled } = endless(10)
    const { url } = await serveWith(() => new Response(body, { headers: { 'content-length': '1000' } }))
    const response = await rawGet(url, { method: 'HEAD' })
    expect(response).toMatchObject({ status: 200, end: 'FIN' })
    expect(response.header('content-length')).toBe('1000')
    expect(response.body.length).toBe(0)
    await withTimeout(canceled, 5_000)
  })

  it('sends the head before the first byte of the body is there', async () => {
    const { url } = await serveWith(
      () => new Response(new ReadableStream({ pull: () => new Promise(() => 0) })),
    )
    const response = await withTimeout(fetch(url), 5_000, 'the head')
    await response.body?.cancel()
  })

  it('goes at the pace of the client, and lets go when it leaves while the writer waits', async () => {
    const { body, pulled, canceled } = endless(64 * 1024)
    let response: ServerResponse | undefined
    const { server } = await serve((_req, res) => {
      response = res
      void sendResponse(res, new Response(body))
    })
    const socket = connect(portOf(server), '127.0.0.1')
    socket.pause()
    socket.write(get('/'))
    await waitFor(() => response?.writableNeedDrain)
    const before = await settled(pulled)
    expect(before).toBeLessThan(32 * 1024 * 1024)
    socket.destroy()
    await withTimeout(canceled, 2_000, 'the body to be canceled')
    await waitFor(() => listenersOf(response) === 0)
    expect(pulled()).toBe(before)
  })

  it('cuts the connection when the body fails', async () => {
    const { url } = await serveWith(() => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(Buffer.from('part'))
        },
        pull() {
          throw new Error('broken')
        },
      })
      return new Response(body)
    })
    const response = await fetch(url)
    await expect(response.text()).rejects.toThrow()
  })

  it('answers 500 for a handler that fails, without its words', async () => {
    const { url } = await serveWith(() => {
      throw new Error('secret')
    })
    const response = await fetch(url)
    expect(response.status).toBe(500)
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    const text = await response.text()
    expect(text).not.toContain('secret')
    expect(JSON.parse(text)).toMatchObject({ success: false, status: 500, code: 'INTERNAL' })
  })

  it('leaves a response alone that the host has begun', async () => {
    const { body, canceled } = endless(10)
    const { url } = await serve((_req, res) => {
      res.write('host')
      void sendResponse(res, new Response(body, { status: 500 })).then(() => res.end())
    })
    const response = await fetch(url)
    expect([response.status, await response.text()]).toEqual([200, 'host'])
    await withTimeout(canceled, 5_000)
  })

  it('holds nothing of two hundred event streams whose clients left', async () => {
    const responses: ServerResponse[] = []
    let open = 0
    const { server } = await serve((req, res) => {
      responses.push(res)
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          open += 1
          controller.enqueue(Buffer.from('event: snapshot\n\n'))
        },
        cancel() {
          open -= 1
        },
      })
      const handler = fake(() => new Response(body, { headers: { 'content-type': 'text/event-stream' } }))
      listen(handler, req, res)
    })
    const sockets = Array.from({ length: 200 }, () => connect(portOf(server), '127.0.0.1'))
    await withTimeout(
      Promise.all(
        sockets.map(async (socket) => {
          socket.on('error', () => undefined)
          socket.write(get('/ours'))
          while (!String((await once(socket, 'data'))[0]).includes('snapshot'));
        }),
      ),
      10_000,
      'the first events',
    )
    expect(open).toBe(200)
    for (const [index, socket] of sockets.entries()) {
      if (index % 2 === 0) socket.destroy()
      else socket.resetAndDestroy()
    }
    await waitFor(() => open === 0, { what: 'all streams to be canceled' })
    await waitFor(async () => (await connectionsOf(server)) === 0)
    expect(responses.reduce((sum, response) => sum + listenersOf(response), 0)).toBe(0)
  })
})

describe('listen', () => {
  it('hands on what is not ours, and answers it when there is nobody to', async () => {
    const handler = fake(
      (request) => new Response('handler', { status: request.url.endsWith('/ours') ? 200 : 404 }),
    )
    const { url } = await serve((req, res) => {
      listen(handler, req, res, () => res.end('host'))
    })
    expect(await (await fetch(`${url}/ours`)).text()).toBe('handler')
    expect(await (await fetch(`${url}/other`)).text()).toBe('host')
    const { url: alone } = await serve((req, res) => {
      listen(handler, req, res)
    })
    expect((await fetch(`${alone}/other`)).status).toBe(404)
  })
})

describe('over HTTP/2', () => {
  it('bridges requests, answers and leaving', async () => {
    const stream = endless(16 * 1024)
    let signal: AbortSignal | undefined
    const handler = fake(async (request, { host }) => {
      if (request.method === 'POST')
        return Response.json({ url: request.url, host, text: await request.text() })
      signal = request.signal
      return new Response(stream.body)
    })
    const server = createHttp2Server((req, res) => {
      // The compatibility API is made to stand in for these, though its types don't say so.
      listen(handler, req as unknown as IncomingMessage, res as unknown as ServerResponse)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo // not a pipe
    const client = connectHttp2(`http://127.0.0.1:${port}`)
    const post = client.request({ ':method': 'POST', ':path': '/ours?x=1' })
    post.end('content')
    const chunks = await withTimeout(post.toArray() as Promise<Buffer[]>, 5_000)
    expect(JSON.parse(Buffer.concat(chunks).toString())).toEqual({
      url: `http://127.0.0.1:${port}/ours?x=1`,
      host: `127.0.0.1:${port}`,
      text: 'content',
    })
    const open = client.request({ ':path': '/ours' })
    await once(open, 'response')
    const before = await settled(stream.pulled)
    open.close()
    await withTimeout(stream.canceled, 5_000, 'the body to be canceled')
    expect(before).toBeLessThan(32 * 1024 * 1024)
    expect(signal?.aborted).toBe(true)
    client.destroy()
    const closed = once(server, 'close')
    server.close()
    await withTimeout(closed, 5_000)
  })
})

/** Listeners that the bridge has put on a response; Node's own are taken off. */
function listenersOf(response: ServerResponse | undefined): number {
  if (response === undefined) throw new Error('There was no response.')
  return (['drain', 'error'] as const).reduce((sum, event) => sum + response.listenerCount(event), 0)
}

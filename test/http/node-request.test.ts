import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { RequestContext } from '../../src/http/access.js'
import { answer, isOurs, sendResponse } from '../../src/http/node.js'
import { rawExchange } from '../support/raw-client.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { connectionsOf, fake, get, portOf, serve, serveWith, settled, type Answer } from './serving.js'

/** What a request looks like on the handler's side. */
async function seen(text: string): Promise<{ request: Request; context: RequestContext }> {
  let found: { request: Request; context: RequestContext } | undefined
  const { server } = await serveWith((request, context) => {
    found = { request, context }
    return new Response(null, { status: 204 })
  })
  await rawExchange({ port: portOf(server) }, text)
  if (found === undefined) throw new Error('The handler was not asked.')
  return found
}

describe('toRequest', () => {
  it('makes an absolute URL of Host, path and query', async () => {
    const { request, context } = await seen(get('/ours/a%20b?x=1&y=%2F#z'))
    expect(request.url).toBe('http://localhost:1/ours/a%20b?x=1&y=%2F#z')
    expect(context).toMatchObject({ remoteAddress: '127.0.0.1', host: 'localhost:1' })
    expect(context.native).toBeDefined()
    expect(context.body).toBeUndefined()
  })

  it('keeps the header fields, repeated ones too', async () => {
    const { request } = await seen(
      get('/', 'X-One: a', 'X-One: b', 'Cookie: a=1', 'Cookie: b=2', 'X-Latin: \xe9'),
    )
    expect(request.headers.get('x-one')).toBe('a, b')
    expect(request.headers.get('cookie')).toBe('a=1; b=2')
    expect(request.headers.get('host')).toBe('localhost:1')
  })

  it.each([
    'a b',
    'user@localhost',
    'localhost/x',
    'local host:1',
    '[::1',
    'localhost:x',
    '127.0.0.1:99999',
    'a,b',
  ])('leaves it to the handler to judge the host "%s"', async (host) => {
    const { request, context } = await seen(
      `GET /ours HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    )
    expect(context.host).toBe(host)
    expect(['host.invalid', host]).toContain(new URL(request.url).hostname)
    expect(new URL(request.url).pathname).toBe('/ours')
  })

  it('takes two Host fields for no name', async () => {
    const { context } = await seen(
      'GET / HTTP/1.1\r\nHost: localhost\r\nhost: other\r\nConnection: close\r\n\r\n',
    )
    expect(context.host).toBe('localhost, other')
  })

  it('does without Host, as HTTP/1.0 may', async () => {
    const { request, context } = await seen('GET /ours HTTP/1.0\r\n\r\n')
    expect(request.url).toBe('http://host.invalid/ours')
    expect(context.host).toBeUndefined()
  })

  it('believes the authority of an absolute target', async () => {
    const { request, context } = await seen(get('http://other:2/ours?x'))
    expect(request.url).toBe('http://other:2/ours?x')
    expect(context.host).toBe('other:2')
  })

  it('does not take the path for a host', async () => {
    const { request } = await seen(get('//evil.example/ours'))
    expect(request.url).toBe('http://localhost:1//evil.example/ours')
  })

  it.each(['/x/../ours', '/./ours', '/x/%2e%2e/ours', '/x/..\\ours', '\\ours'])(
    'does not turn %s into a path of ours',
    async (target) => {
      const handler = fake(() => new Response())
      expect(isOurs(handler, target)).toBe(false)
      const { request } = await seen(get(target)).catch(() => ({ request: new Request('http://x/') }))
      expect(new URL(request.url).pathname).toBe('/')
    },
  )

  it('carries methods that a Request refuses under another name', async () => {
    expect((await seen(get('/ours').replace('GET', 'TRACE'))).request.method).toBe('X-TRACE')
    expect((await seen(get('/ours').replace('GET', 'PATCH'))).request.method).toBe('PATCH')
  })

  it('ignores the body of a GET', async () => {
    const { request } = await seen(get('/', 'Content-Length: 2') + '{}')
    expect(request.body).toBeNull()
  })

  it('has no body where none was sent', async () => {
    const { request } = await seen(get('/').replace('GET', 'POST'))
    expect(request.body).toBeNull()
  })
})

describe('the body of a request', () => {
  const echo: Answer = async (request, context) =>
    Response.json({ text: await request.text(), parsed: context.body ?? null })

  async function post(url: string, body: string): Promise<unknown> {
    return (await fetch(url, { method: 'POST', body })).json()
  }

  it('is streamed', async () => {
    const { url } = await serveWith(echo)
    const large = 'x'.repeat(300_000)
    expect(await post(url, large)).toEqual({ text: large, parsed: null })
    expect(await post(url, '')).toEqual({ text: '', parsed: null })
  })

  it('is what the host parsed, once it was read', async () => {
    const { url } = await serveWith(echo, (req) => {
      Object.assign(req, { body: parsed })
      return {}
    })
    // Nobody has read it, so `body` is what a parser left that had nothing to do.
    let parsed: unknown = {}
    expect(await post(url, 'plain')).toEqual({ text: 'plain', parsed: null })
    parsed = 'unread'
    expect(await post(url, 'plain')).toEqual({ text: 'plain', parsed: null })
  })

  it.each([{ a: 1 }, [], undefined, 'as text', Buffer.from('as bytes')])(
    'read and parsed as %j',
    async (parsed) => {
      const expected = { text: '', parsed: JSON.parse(JSON.stringify(parsed ?? null)) }
      const { url } = await serve((req, res) => {
        const body = async () => {
          await req.toArray()
          Object.assign(req, { body: parsed })
          await sendResponse(res, await answer(fake(echo), req, res))
        }
        void body()
      })
      expect(await post(url, '{"raw":true}')).toEqual(expected)
      expect(await post(url, '')).toEqual(expected)
    },
  )

  it('comes from the stream that a hook of the host made', async () => {
    const { url } = await serveWith(echo, (req) => {
      req.resume()
      return { stream: Readable.from([Buffer.from('made '), 'by a hook']) }
    })
    expect(await post(url, 'original')).toEqual({ text: 'made by a hook', parsed: null })
  })

  it('that breaks off is an error for who reads it, and no other', async () => {
    let tell: (outcome: unknown) => void
    const outcome = new Promise<unknown>((resolve) => {
      tell = resolve
    })
    const { server, url } = await serveWith(async (request) => {
      tell(await request.text().catch((error: unknown) => error))
      return new Response(null, { status: 204 })
    })
    const socket = connect(portOf(server), '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf')
    await waitFor(async () => (await connectionsOf(server)) === 1)
    await new Promise((resolve) => setImmediate(resolve))
    socket.destroy()
    expect(await withTimeout(outcome, 5_000)).toBeInstanceOf(Error)
    await waitFor(async () => (await connectionsOf(server)) === 0)
    expect((await fetch(url)).status).toBe(204)
  })

  /** Answers 413 after the first piece, as a handler with a limit does. */
  const refuse: Answer = async (request) => {
    const reader = request.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    return new Response('too large', { status: 413 })
  }
  const ignore: Answer = () => new Response('not now', { status: 413 })

  it.each([
    ['given up', refuse],
    ['never looked at', ignore],
  ])('may be %s: the answer arrives and the connection goes on', async (_what, respond) => {
    const { server, url } = await serveWith(respond)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ask = () =>
      new Promise<number | undefined>((resolve, reject) => {
        const req = httpRequest(
          url,
          { method: 'POST', agent, headers: { 'content-length': 1_000_000 } },
          (res) => {
            res.resume().once('end', () => {
              resolve(res.statusCode)
            })
          },
        )
        req.once('error', reject).end(Buffer.alloc(1_000_000))
      })
    for (let i = 0; i < 3; i++) expect(await withTimeout(ask(), 5_000)).toBe(413)
    expect(await connectionsOf(server)).toBe(1)
    agent.destroy()
  })

  it.each([
    ['given up', refuse],
    ['never looked at', ignore],
  ])('%s on a connection that ends: the answer arrives all the same', async (_what, respond) => {
    const { url } = await serveWith(respond)
    for (let i = 0; i < 10; i++) expect(await withTimeout(sendInPieces(url, 2_000_000), 5_000)).toBe(413)
  })

  it('that goes on after its answer does not keep the next request of its connection', async () => {
    const { server } = await serveWith(refuse)
    const socket = connect(portOf(server), '127.0.0.1')
    let text = ''
    socket.on('data', (data: Buffer) => {
      text += data.toString()
    })
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n'
    socket.write(head + 'x'.repeat(100_000))
    await waitFor(() => text.includes('too large'))
    socket.write('x'.repeat(300_000) + head)
    socket.write('x'.repeat(400_000))
    await waitFor(() => text.split('too large').length === 3, { what: 'the second answer' })
    socket.destroy()
  })

  it('is taken no faster than it is read', async () => {
    let open: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const { server } = await serveWith(async (request) => {
      const reader = request.body?.getReader()
      await reader?.read()
      await gate
      await reader?.cancel()
      return new Response('too large', { status: 413 })
    })
    const received = once(server, 'connection') as Promise<[Socket]>
    const socket = connect(portOf(server), '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n')
    socket.write(Buffer.alloc(50_000_000))
    const [peer] = await received
    const taken = await settled(() => peer.bytesRead)
    expect(taken).toBeLessThan(1_000_000)
    open()
    socket.destroy()
  })

  it('without end does not keep the answer', async () => {
    const { server } = await serveWith(refuse)
    const socket = connect(portOf(server), '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    const timer = setInterval(() => socket.write('5\r\nhello\r\n'), 20)
    const [data] = (await withTimeout(once(socket, 'data'), 5_000, 'the answer')) as [Buffer]
    clearInterval(timer)
    expect(data.toString()).toMatch(/^HTTP\/1\.1 413 /)
    socket.destroy()
  })
})

/** Posts a body as programs do, one piece after the other, on a connection of its own; the status of the answer. */
async function sendInPieces(url: string, size: number): Promise<number | undefined> {
  const headers = { 'content-length': size, connection: 'close' }
  const request = httpRequest(url, { method: 'POST', agent: false, headers })
  const piece = Buffer.alloc(64 * 1024)
  let left = size
  const write = () => {
    if (left === 0) request.end()
    else {
      request.write(piece.subarray(0, left))
      left -= Math.min(left, piece.length)
      setImmediate(write)
    }
  }
  return await new Promise((resolve, reject) => {
    request.once('error', reject).once('response', (response) => {
      response.resume().once('error', reject)
      response.once('end', () => {
        resolve(response.statusCode)
      })
    })
    write()
  })
}

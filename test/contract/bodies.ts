import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { rawExchange } from '../support/raw-client.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { expectProblem, type Scene } from './scene.js'
import type { Subject } from './suite.js'

const path = '/api/models/download'
const limit = 64 * 1024

/** Invalid requests, and what happens to their connections. */
export function bodyTests({ open, traits }: Subject): void {
  describe('a request that is wrong', () => {
    it('in its fields is 400, with every problem', async () => {
      await using scene = await open()
      for (const json of [{}, { url: 7 }, [], { url: 'x', size: -1, sha256: 'zz' }]) {
        const problem = expectProblem(await scene.call('POST', path, { json }), 400, 'INVALID_OPTIONS')
        expect(problem['issues']).toEqual(
          expect.arrayContaining([{ path: expect.any(String), message: expect.any(String) }]),
        )
      }
      const unsafe = await scene.start(scene.origin.url('/a.gguf'), { filename: '../../etc/passwd' })
      expectProblem(unsafe, 400, 'UNSAFE_FILENAME')
      expectProblem(await scene.start('ftp://example.com/a.gguf'), 400, 'INVALID_URL')
      expectProblem(await scene.call('POST', `${path}/pause`, { json: {} }), 400, 'INVALID_OPTIONS')
      expect(scene.manager.list()).toEqual([])
    })

    it('in its JSON is 400, in its type 415', async () => {
      await using scene = await open()
      const send = (type: string, body: string) =>
        scene.call('POST', path, { body, headers: { 'Content-Type': type } })
      expectProblem(await send('application/json', '{"url":'), 400)
      expectProblem(await send('text/plain', '{"url":"http://example.com/"}'), 415)
      expectProblem(await send('application/x-www-form-urlencoded', 'url=http%3A%2F%2Fexample.com%2F'), 415)
      expectProblem(await send('multipart/form-data; boundary=x', '--x--'), 415)
      expect(scene.manager.list()).toEqual([])
    })

    it('in its method is 405 and says which are allowed', async () => {
      await using scene = await open()
      const allowed: Record<string, string[]> = {
        [path]: ['POST', 'DELETE', 'OPTIONS'],
        [`${path}/status`]: ['GET', 'HEAD', 'OPTIONS'],
        [`${path}/pause`]: ['POST', 'OPTIONS'],
        '/api/v1/models/preload/start': ['POST', 'OPTIONS'],
      }
      for (const [route, methods] of Object.entries(allowed)) {
        for (const method of ['PUT', 'PATCH']) {
          const answer = await scene.call(method, route)
          expectProblem(answer, 405)
          expect(new Set(answer.headers.get('allow')?.split(', '))).toEqual(new Set(methods))
        }
      }
    })

    it('in its size is 413: announced, or found out while it streams', async () => {
      await using scene = await open()
      const big = JSON.stringify({ url: `http://example.com/${'x'.repeat(1_000_000)}` })
      const headers = { 'Content-Type': 'application/json' }
      expectProblem(await scene.call('POST', path, { body: big, headers }), 413)
      const [status, sent] = await streamUntilAnswered(scene)
      expect(status).toBe(413)
      expect(sent).toBeGreaterThan(limit)
      const padding = ' '.repeat(limit - 30)
      expectProblem(await scene.call('POST', path, { body: `${padding}{}`, headers }), 400)
      expect(scene.manager.list()).toEqual([])
    })

    it('does not spoil its connection', async () => {
      await using scene = await open()
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const send = (method: string, route: string, body: string, type = 'application/json') =>
        new Promise<number | undefined>((resolve, reject) => {
          const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) }
          const request = httpRequest(scene.url(route), { method, agent, headers }, (response) => {
            response.resume().once('end', () => {
              resolve(response.statusCode)
            })
          })
          request.once('error', reject).end(body)
        })
      const asked = [
        await send('POST', path, '{"url":'),
        await send('POST', path, 'x'.repeat(200_000)),
        await send('PUT', path, 'x'.repeat(200_000)),
        // The host's own parser decides about this one.
        await send('POST', `${path}/nonsense`, 'x'.repeat(200_000), 'application/octet-stream'),
        await send('GET', `${path}/status`, ''),
      ]
      expect(asked).toEqual([400, 413, 405, 404, 200])
      expect(await scene.connections()).toBe(1)
      agent.destroy()
    })

    it('that breaks off in its body leaves nothing behind', async () => {
      await using scene = await open()
      const sockets = Array.from({ length: 20 }, () => connect(scene.port, '127.0.0.1'))
      for (const socket of sockets) {
        socket.on('error', () => undefined)
        socket.write(
          `POST ${scene.path}${path} HTTP/1.1\r\nHost: 127.0.0.1:${scene.port}\r\n` +
            'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"url":',
        )
      }
      await waitFor(async () => (await scene.connections()) === 20)
      for (const [index, socket] of sockets.entries()) {
        if (index % 2 === 0) socket.destroy()
        else socket.resetAndDestroy()
      }
      await waitFor(async () => (await scene.connections()) === 0)
      expect((await scene.call('GET', `${path}/status`)).body).toEqual({ success: true, downloads: {} })
    })
  })

  describe('HEAD', () => {
    it('is answered as GET is, without a body', async () => {
      await using scene = await open()
      const route = `${path}/status`
      const get = await scene.call('GET', route)
      const head = await rawExchange(
        { port: scene.port },
        `HEAD ${scene.path}${route} HTTP/1.1\r\nHost: 127.0.0.1:${scene.port}\r\nConnection: close\r\n\r\n`,
      )
      expect(head).toMatchObject({ status: 200, end: 'FIN' })
      expect(head.body.length).toBe(0)
      expect(head.header('content-type')).toBe(get.headers.get('content-type'))
      const events = await fetch(scene.url(`${path}/events`), { method: 'HEAD' })
      expect([events.status, await events.text()]).toEqual([200, ''])
      expect(scene.listeners).toBe(0)
      const unknown = await fetch(scene.url(route, { url: 'http://x/' }), { method: 'HEAD' })
      expect([unknown.status, await unknown.text()]).toEqual([404, ''])
    })
  })

  if (traits.parsesBodies)
    describe('a body that the host has parsed', () => {
      it('is taken as it is', async () => {
        await using scene = await open({ parsesBodies: true })
        const url = scene.serve('/parsed.gguf')
        expect(await scene.start(url)).toMatchObject({
          status: 200,
          body: { success: true, filename: 'parsed.gguf' },
        })
        await scene.until(url, 'completed')
        expectProblem(await scene.call('POST', path, { json: { url: 7 } }), 400, 'INVALID_OPTIONS')
        expectProblem(await scene.call('POST', path, { json: {} }), 400, 'INVALID_OPTIONS')
      })

      it('does not open a way around the type', async () => {
        await using scene = await open({ parsesBodies: true })
        const headers = { 'Content-Type': 'text/plain' }
        const body = JSON.stringify({ url: scene.origin.url('/x.gguf') })
        expectProblem(await scene.call('POST', path, { body, headers }), 415)
        expect(scene.manager.list()).toEqual([])
      })
    })
}

/** Sends a body without end, piece by piece, until there is an answer; its status, and the bytes sent. */
async function streamUntilAnswered(scene: Scene): Promise<[status: number, sent: number]> {
  const socket = connect(scene.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(
    `POST ${scene.path}${path} HTTP/1.1\r\nHost: 127.0.0.1:${scene.port}\r\n` +
      'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
  )
  const answered = once(socket, 'data') as Promise<[Buffer]>
  const piece = ' '.repeat(16 * 1024)
  let sent = 0
  const timer = setInterval(() => {
    sent += piece.length
    socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`)
  }, 5)
  try {
    const [data] = await withTimeout(answered, 10_000, 'an answer to an endless body')
    return [Number(/^HTTP\/1\.1 (\d{3})/.exec(data.toString())?.[1]), sent]
  } finally {
    clearInterval(timer)
    socket.destroy()
  }
}

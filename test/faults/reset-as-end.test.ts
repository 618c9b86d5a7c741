import { createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import type { Exchange } from '../../src/net/exchange.js'
import { HttpClient } from '../../src/net/http.js'
import { caPem, certificate } from '../support/certificate.js'
import { withTimeout } from '../support/wait.js'

const http = new HttpClient({ connectTimeoutMs: 5_000, ca: [caPem] })
afterAll(() => http.close())

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()))
})

const parts = 4
const part = Buffer.alloc(64_000, 'x')

/** Answers with a body that ends with the connection; says so, and then ends it. */
async function startServer(tls: boolean, how: 'reset' | 'end') {
  let tcp: Socket | null = null
  let told = () => undefined as void
  const ended = new Promise<void>((resolve) => (told = resolve))
  const answer = (socket: Socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      void (async () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        for (let sent = 0; sent < parts; sent += 1) {
          await new Promise((resolve) => socket.write(part, resolve))
        }
        // All data has now reached the client's kernel, or is in transit to it.
        setTimeout(() => {
          if (how === 'reset') tcp?.resetAndDestroy()
          else socket.end()
          setTimeout(told, 20)
        }, 20)
      })()
    })
  }
  const server = tls ? createTlsServer(certificate(), answer) : createServer(answer)
  server.on('connection', (socket: Socket) => (tcp = socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { url: new URL(`${tls ? 'https' : 'http'}://localhost:${port}/`), ended }
}

/** Reads a little, waits for the end of the connection, then reads the rest. */
async function read({ url, ended }: Awaited<ReturnType<typeof startServer>>) {
  let bytes = 0
  let held = false
  const how = await withTimeout(
    new Promise<string>((resolve) => {
      const exchange: Exchange = http.exchange(
        { url, headers: {}, proxy: false },
        {
          onSent: () => undefined,
          onHead: () => undefined,
          onData: (chunk) => {
            bytes += chunk.length
            if (held) return
            held = true
            exchange.pause()
            void ended.then(() => {
              exchange.resume()
            })
          },
          onEnd: () => {
            resolve('end')
          },
          onError: ({ code }) => {
            resolve(code)
          },
        },
      )
    }),
    10_000,
    'the end of the exchange',
  )
  return { how, bytes }
}

describe.each([
  ['plain', false],
  ['TLS', true],
])('row 7: a body without length over %s ends while we hold back', (_, tls) => {
  it('by RST, behind bytes that nobody has read yet: TRUNCATED, though libuv calls it an end', async () => {
    const { how } = await read(await startServer(tls, 'reset'))
    expect(how).toBe('TRUNCATED')
  })

  it('by FIN: the end', async () => {
    expect(await read(await startServer(tls, 'end'))).toEqual({ how: 'end', bytes: parts * part.length })
  })
})

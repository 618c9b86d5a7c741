import { once } from 'node:events'
import {
  connect,
  createServer as createTcpServer,
  Server as NetServer,
  type AddressInfo,
  type Socket,
} from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ApiServer, type ServerTimes } from '../../src/cli/server.js'
import type { Handler } from '../../src/http/handler.js'
import { withTimeout } from '../support/wait.js'

const servers: ApiServer[] = []

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close(0)))
})

/** Long enough that only the bound under test can be what ends a connection. */
const long = { headersMs: 60_000, requestMs: 60_000, keepAliveMs: 60_000, silenceMs: 60_000, checkMs: 20 }

async function start(times: ServerTimes, respond: (request: Request) => Promise<Response>): Promise<URL> {
  const server = new ApiServer({ ...long, ...times })
  servers.push(server)
  await server.listen('127.0.0.1', 0)
  const handler: Handler = Object.assign(respond, { owns: () => true, close: () => undefined })
  server.attach(handler)
  return new URL(server.url)
}

const ok = async (): Promise<Response> => new Response('fine')

/** Connects, says something, and resolves with what came back when the connection has ended. */
async function say(url: URL, text: string): Promise<string> {
  const socket: Socket = connect(Number(url.port), url.hostname)
  let heard = ''
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString())).on('error', () => undefined)
  if (text !== '') socket.write(text)
  try {
    await withTimeout(once(socket, 'close'), 5_000, 'the connection to end')
  } finally {
    socket.destroy()
  }
  return heard
}

describe('clients that are slow', () => {
  it.each([
    ['says nothing', ''],
    ['never ends its head', 'GET / HTTP/1.1\r\nHost: localhost\r\n'],
  ])('one that %s is cut', async (_, text) => {
    const url = await start({ headersMs: 100 }, ok)
    const heard = await say(url, text)
    expect(heard).toMatch(/^(?:HTTP\/1\.1 408 |$)/)
  })

  it('one that never ends its body is cut', async () => {
    const url = await start(
      { headersMs: 100, requestMs: 200 },
      async (request) => new Response(await request.text()),
    )
    await say(url, 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc')
  })

  it('one that has no further request is let go', async () => {
    const url = await start({ keepAliveMs: 100 }, ok)
    const heard = await say(url, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(heard).toMatch(/^HTTP\/1\.1 200 [^]*fine/)
  })

  it('one on which nothing moves is cut', async () => {
    const url = await start({ silenceMs: 200 }, () => new Promise(() => undefined))
    await say(url, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  })
})

describe('closing', () => {
  it('waits for answers under way, but not for what comes after them on the same connection', async () => {
    let answer: (response: Response) => void = () => undefined
    let asked: () => void = () => undefined
    const arrived = new Promise<void>((resolve) => (asked = resolve))
    const url = await start({}, () => {
      asked()
      return new Promise((resolve) => (answer = resolve))
    })
    const heard = say(url, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await arrived
    const closed = servers[0]?.close(60_000)
    answer(new Response('in time'))
    expect(await heard).toContain('in time')
    await withTimeout(closed ?? Promise.reject(new Error('no server')), 5_000, 'the server to close')
  })

  it('cuts what takes longer than the time it is given', async () => {
    let asked: () => void = () => undefined
    const arrived = new Promise<void>((resolve) => (asked = resolve))
    const url = await start({}, () => {
      asked()
      return new Promise(() => undefined)
    })
    const heard = say(url, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await arrived
    await withTimeout(servers[0]?.close(100) ?? Promise.resolve(), 5_000, 'the server to close')
    expect(await heard).toBe('')
  })

  it('waits for no connection that a client keeps for its next request', async () => {
    const url = await start({}, ok)
    const socket = connect(Number(url.port), url.hostname)
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await withTimeout(once(socket, 'data'), 5_000, 'the answer')
    // Ten minutes are longer than any test may take.
    await Promise.all([once(socket, 'close'), servers[0]?.close(600_000)])
  })

  it('is harmless twice, and before it listens', async () => {
    const server = new ApiServer()
    await server.close(0)
    await server.listen('127.0.0.1', 0)
    await Promise.all([server.close(0), server.close(0)])
  })
})

describe('listening', () => {
  it('names its address', async () => {
    const server = new ApiServer()
    servers.push(server)
    expect(server.url).toBe('')
    await server.listen('127.0.0.1', 0)
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  })

  const ask = async (host: string, port: number) => await (await fetch(`http://${host}:${port}/`)).text()
  const hasIPv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === '::1'),
  )

  it('means both loopback addresses by localhost, with the same free port', async () => {
    const server = new ApiServer(long)
    servers.push(server)
    await server.listen('LOCALHOST', 0)
    const { port, hostname } = new URL(server.url)
    expect(hostname).toBe('127.0.0.1')
    // A request that comes before the handler is answered, too.
    const early = ask('127.0.0.1', Number(port))
    server.attach(Object.assign(ok, { owns: () => true, close: () => undefined }))
    expect(await early).toBe('fine')
    if (hasIPv6) expect(await ask('[::1]', Number(port))).toBe('fine')
    await server.close(0)
    for (const host of ['127.0.0.1', '[::1]']) await expect(ask(host, Number(port))).rejects.toThrow()
  })

  it('listens on one address alone when it is named', async () => {
    const server = new ApiServer(long)
    servers.push(server)
    await server.listen('127.0.0.1', 0)
    server.attach(Object.assign(ok, { owns: () => true, close: () => undefined }))
    await expect(ask('[::1]', Number(new URL(server.url).port))).rejects.toThrow()
  })

  it.skipIf(!hasIPv6)(
    'does not share a port with another program on the other loopback address',
    async () => {
      const other = createTcpServer().listen({ host: '::1', port: 0, ipv6Only: true })
      await once(other, 'listening')
      const { port } = other.address() as AddressInfo // only a pipe has another kind
      try {
        const server = new ApiServer()
        await expect(server.listen('localhost', port)).rejects.toThrow(/^\[::1\]:\d+ is already in use/)
        // The other address is free again.
        const free = createTcpServer().listen(port, '127.0.0.1')
        await once(free, 'listening')
        free.close()
      } finally {
        other.close()
      }
    },
  )

  it.each([
    ['::1', 'EADDRNOTAVAIL', '127.0.0.1'],
    ['::1', 'EAFNOSUPPORT', '127.0.0.1'],
    ['127.0.0.1', 'EADDRNOTAVAIL', '[::1]'],
  ])('goes on without %s where the machine lacks it (%s)', async (lacking, code, host) => {
    // The type of a descriptor's value is `any`.
    const original = Object.getOwnPropertyDescriptor(NetServer.prototype, 'listen')?.value as (
      ...args: unknown[]
    ) => NetServer
    const listen = vi.spyOn(NetServer.prototype, 'listen').mockImplementation(function (
      this: NetServer,
      ...args
    ) {
      const [, address]: readonly unknown[] = args
      if (address !== lacking) return original.apply(this, args)
      process.nextTick(() => this.emit('error', Object.assign(new Error(code), { code })))
      return this
    })
    try {
      const server = new ApiServer(long)
      servers.push(server)
      if (host === '[::1]' && !hasIPv6) return
      await server.listen('localhost', 0)
      expect(new URL(server.url).hostname).toBe(host)
    } finally {
      listen.mockRestore()
    }
  })

  it('says why it cannot', async () => {
    const other = createTcpServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo // only a pipe has another kind
    try {
      await expect(new ApiServer().listen('127.0.0.1', port)).rejects.toThrow(/already in use/)
      await expect(new ApiServer().listen('192.0.2.1', 0)).rejects.toThrow(/not an address of this machine/)
    } finally {
      other.close()
    }
  })
})

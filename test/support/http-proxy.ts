/** An HTTP forward proxy on loopback with CONNECT tunnels and absolute-form requests, for tests of proxy settings. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Options of the proxy. */
export interface HttpProxyOptions {
  /** The exact `Proxy-Authorization` header that is required. Other requests get 407. */
  auth?: string
  /** Where all requests are sent, so that any host name can be requested. Default: the requested host. */
  target?: { host: string; port: number }
}

/** A request that the proxy received. */
export interface ProxyRequest {
  method: string
  /** `host:port` for CONNECT, otherwise the absolute URL. */
  target: string
  headers: IncomingMessage['headers']
}

/** A running proxy. */
export interface HttpProxy {
  port: number
  /** The value for `HTTP_PROXY` and `HTTPS_PROXY`. */
  url: string
  /** The requests so far, oldest first. */
  requests: ProxyRequest[]
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a proxy. Close it: `await using`, or `close()`. */
export async function startHttpProxy({ auth, target }: HttpProxyOptions = {}): Promise<HttpProxy> {
  const requests: ProxyRequest[] = []
  const sockets = new Set<Duplex>()
  const note = ({ method = '', url = '', headers }: IncomingMessage): boolean => {
    requests.push({ method, target: url, headers })
    return auth === undefined || headers['proxy-authorization'] === auth
  }

  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (!note(request)) {
      response.writeHead(407, { 'Proxy-Authenticate': 'Basic' }).end('who are you?\n')
      return
    }
    const url = new URL(request.url ?? '')
    const headers = { ...request.headers }
    delete headers['proxy-authorization']
    delete headers['proxy-connection']
    const onward = httpRequest(
      {
        host: target?.host ?? url.hostname.replace(/^\[|\]$/g, ''),
        port: target?.port ?? (url.port || 80),
        method: request.method,
        path: url.pathname + url.search,
        headers,
        agent: false,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        answer.pipe(response)
        answer.on('error', () => response.destroy())
      },
    )
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })

  server.on('connect', (request: IncomingMessage, client: Duplex, first: Buffer) => {
    if (!note(request)) {
      client.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n',
      )
      return
    }
    const url = new URL(`http://${request.url ?? ''}`)
    const onward = connect(target?.port ?? Number(url.port || 443), target?.host ?? url.hostname)
    sockets.add(onward)
    onward.on('close', () => {
      sockets.delete(onward)
      client.destroy()
    })
    onward.on('connect', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      onward.write(first)
      onward.pipe(client)
      client.pipe(onward)
    })
    for (const socket of [client, onward]) socket.on('error', () => client.destroy())
    client.on('close', () => onward.destroy())
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  // Only pipes have another kind of address.
  const { port } = server.address() as AddressInfo
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve())
    })
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return { port, url: `http://127.0.0.1:${port}`, requests, close, [Symbol.asyncDispose]: close }
}

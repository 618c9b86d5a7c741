/** What the tests of the HTTP layer share: servers on loopback, and checks of their connections. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach } from 'vitest'
import type { RequestContext } from '../../src/http/access.js'
import type { Handler } from '../../src/http/handler.js'
import { answer, sendResponse, type BridgeOptions } from '../../src/http/node.js'
import { waitFor, withTimeout } from '../support/wait.js'

const servers = new Set<Server>()

afterEach(async () => {
  await Promise.all([...servers].map((server) => closeServer(server)))
})

/** Listens on a free port of 127.0.0.1; closed after the test. */
export async function serve(target: RequestListener | Server): Promise<{ server: Server; url: string }> {
  const server = typeof target === 'function' ? createServer(target) : target
  servers.add(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${portOf(server)}` }
}

/** The port of a server that listens. */
export function portOf(server: Server): number {
  // Only a pipe has another kind of address.
  return (server.address() as AddressInfo).port
}

/** Ends a server with all its connections. */
export async function closeServer(server: Server): Promise<void> {
  servers.delete(server)
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await withTimeout(closed, 5_000, 'the server to close')
}

/** Connections that a server holds. */
export async function connectionsOf(server: Server): Promise<number> {
  return await new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}

/** What a fake handler does. */
export type Answer = (request: Request, context: RequestContext) => Response | Promise<Response>

/** A handler whose paths begin with `/ours`. */
export function fake(respond: Answer): Handler {
  return Object.assign(async (request: Request, context: RequestContext = {}) => respond(request, context), {
    owns: (path: string) => path.startsWith('/ours'),
    close: () => undefined,
  })
}

/** A server that asks a fake handler. */
export const serveWith = (respond: Answer, options?: (req: IncomingMessage) => BridgeOptions) =>
  serve((req, res) => {
    void answer(fake(respond), req, res, options?.(req)).then((response) => sendResponse(res, response))
  })

/** A request as it goes over the wire, its connection to be closed. */
export const get = (target: string, ...lines: string[]) =>
  `GET ${target} HTTP/1.1\r\n${['Host: localhost:1', ...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`

/** A number once it has stopped growing. */
export async function settled(read: () => number): Promise<number> {
  let last = -1
  let same = 0
  return await waitFor(() => {
    same = read() === last ? same + 1 : 0
    last = read()
    return same > 10 ? last : 0
  })
}

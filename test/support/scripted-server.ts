/** A TCP server on loopback that answers each request with bytes that a test has chosen. */
import { createServer, type Server, type Socket } from 'node:net'
import { listenOnOwnPort } from './ports.js'

/** What the server does with one request. */
export interface Script {
  /** Sent one after the other, each in a turn of the event loop of its own. */
  pieces: readonly Buffer[]
  /** What happens to the connection afterwards. */
  then: 'keep' | 'end' | 'reset'
}

/** Listens on a free loopback port. Close it: `await using`. */
export async function startScriptedServer(): Promise<ScriptedServer> {
  const server = createServer()
  return new ScriptedServer(server, await listenOnOwnPort(server))
}

/** See {@link startScriptedServer}. */
export class ScriptedServer {
  /** Number of connections so far. */
  connections = 0
  /** The requests, as they came. */
  readonly requests: string[] = []
  readonly #server: Server
  readonly #open = new Set<Socket>()
  readonly #scripts = new Map<string, Script>()
  readonly url: URL

  constructor(server: Server, port: number) {
    this.#server = server
    this.url = new URL(`http://127.0.0.1:${port}/`)
    server.on('connection', (socket) => {
      this.connections += 1
      this.#open.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => this.#open.delete(socket))
      let received = ''
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1')
        for (let end = received.indexOf('\r\n\r\n'); end !== -1; end = received.indexOf('\r\n\r\n')) {
          const request = received.slice(0, end)
          received = received.slice(end + 4)
          this.requests.push(request)
          void this.#answer(socket, this.#scripts.get(request.split(' ')[1] ?? ''))
        }
      })
    })
  }

  /** Sets the answer to requests of a path. */
  answer(path: string, script: Script): URL {
    this.#scripts.set(path, script)
    return new URL(path, this.url)
  }

  async #answer(socket: Socket, script: Script | undefined): Promise<void> {
    for (const piece of script?.pieces ?? []) {
      await new Promise<void>((resolve) => socket.write(piece, () => setImmediate(resolve)))
    }
    if (script?.then === 'end') socket.end()
    else if (script?.then !== 'keep') socket.resetAndDestroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

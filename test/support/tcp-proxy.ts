/** A TCP proxy on loopback whose connections can be delayed, stalled or cut. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { beforeResetMs, clientsTurn } from './origin-connection.js'
import { withTimeout } from './wait.js'
import { listenOnOwnPort } from './ports.js'

type Mode = 'forward' | 'cut' | 'refuse'

interface Link {
  client: Socket
  target: Socket
}

/** Listens on a free loopback port and forwards to `targetPort`. Close it: `await using`, or `close()`. */
export async function startTcpProxy(targetPort: number, targetHost = '127.0.0.1'): Promise<TcpProxy> {
  const server = createServer()
  return new TcpProxy(server, await listenOnOwnPort(server), targetPort, targetHost)
}

/** See {@link startTcpProxy}. */
export class TcpProxy {
  /** Number of bytes forwarded from clients to the target. */
  bytesUp = 0
  /** Number of bytes forwarded from the target to clients. */
  bytesDown = 0
  /** Number of connections so far. */
  totalConnections = 0
  #mode: Mode = 'forward'
  #delayMs = 0
  readonly #links = new Set<Link>()
  readonly #timers = new Set<NodeJS.Timeout>()

  constructor(
    readonly server: Server,
    /** The port for clients, on 127.0.0.1. */
    readonly port: number,
    targetPort: number,
    targetHost: string,
  ) {
    server.on('connection', (client) => {
      this.totalConnections += 1
      client.on('error', () => undefined)
      if (this.#mode === 'refuse') {
        client.resetAndDestroy()
        return
      }
      const target = connect(targetPort, targetHost)
      target.on('error', () => {
        if (this.#mode !== 'cut') client.resetAndDestroy()
      })
      const link = { client, target }
      this.#links.add(link)
      for (const socket of [client, target]) socket.setNoDelay(true)
      this.#forward(client, target, (bytes) => (this.bytesUp += bytes))
      this.#forward(target, client, (bytes) => (this.bytesDown += bytes))
      client.once('close', () => {
        this.#links.delete(link)
        target.destroy()
      })
    })
  }

  /** Number of open connections. */
  get openConnections(): number {
    return this.#links.size
  }

  /** Delays all data in both directions by this time, in milliseconds. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** Stops forwarding everything, including the end of connections, without notice. New connections hang too. */
  cut(): void {
    this.#mode = 'cut'
    for (const { client, target } of this.#links) for (const socket of [client, target]) socket.pause()
  }

  /** Resets new connections immediately with RST. Open ones continue. */
  refuse(): void {
    this.#mode = 'refuse'
  }

  /** Stops forwarding on the open connections, and resets them with RST 50 ms later. */
  resetAll(): void {
    for (const { client, target } of [...this.#links]) {
      for (const socket of [client, target]) socket.pause().removeAllListeners('drain')
      this.#after(beforeResetMs, () => {
        void clientsTurn().then(() => {
          for (const socket of [client, target]) socket.resetAndDestroy()
        })
      })
    }
  }

  /** Returns to normal: forwards data that was held, accepts connections, and removes the delay. */
  restore(): void {
    this.#mode = 'forward'
    this.#delayMs = 0
    for (const { client, target } of this.#links) {
      for (const socket of [client, target]) if (!socket.destroyed) socket.resume()
    }
  }

  /** Stops the proxy and cuts all connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => resolve())
    })
    for (const timer of this.#timers) clearTimeout(timer)
    for (const { client, target } of this.#links) for (const socket of [client, target]) socket.destroy()
    await withTimeout(closed, 1_000, 'the TCP proxy to close')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #forward(from: Socket, to: Socket, count: (bytes: number) => void): void {
    from.on('data', (data) => {
      this.#later(() => {
        if (to.destroyed) return
        count(data.length)
        if (!to.write(data)) from.pause()
      })
      // Data that was read before the cut is forwarded; later data stays in the kernel.
      if (this.#mode === 'cut') from.pause()
    })
    to.on('drain', () => {
      if (this.#mode !== 'cut') from.resume()
    })
    from.on('end', () => this.#later(() => to.end()))
    if (this.#mode === 'cut') from.pause()
  }

  #later(action: () => void): void {
    if (this.#delayMs === 0) action()
    else this.#after(this.#delayMs, action)
  }

  #after(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      action()
    }, ms)
    this.#timers.add(timer)
  }
}

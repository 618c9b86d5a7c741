/** The HTTP server of `serve`: plain `node:http`, with limits for slow, silent and numerous clients. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { errnoOf } from '../disk/errors.js'
import type { Handler } from '../http/handler.js'
import { listen } from '../http/node.js'
import { systemClock } from '../util/clock.js'
import { texts } from './language.js'

/** Time limits of an {@link ApiServer}, in milliseconds. */
export interface ServerTimes {
  /**
   * Time to receive the header section of a request, from the start of the connection or the end of the
   * previous response. Default 10,000.
   */
  headersMs?: number
  /** Time to receive the complete request; its body may have at most 64 KiB. Default 30,000. */
  requestMs?: number
  /**
   * How long an idle connection is kept open for the next request. Longer than the 60 s of common proxies.
   * Default 75,000.
   */
  keepAliveMs?: number
  /**
   * A connection without any traffic for this time is closed. Event streams send data every 15 s. Default
   * 120,000.
   */
  silenceMs?: number
  /** How often `headersMs` and `requestMs` are checked. Default 1,000. */
  checkMs?: number
}

/** Maximum number of connections to all addresses together. */
const maxConnections = 1_000

/** How often a closing server looks for idle connections, in milliseconds. */
const sweepMs = 50

/** How often a free port is chosen again because it is taken on the other loopback address. */
const maxPortAttempts = 10

/** The loopback addresses. Browsers and programs take either of them for `localhost`. */
const loopbacks = ['127.0.0.1', '::1'] as const

/** Errors of an address that this machine does not have, such as `::1` where IPv6 is switched off. */
const absent: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EPROTONOSUPPORT', 'EINVAL'])

/** HTTP server that passes requests to a handler and closes within a given time. */
export class ApiServer {
  readonly #times: ServerTimes
  /** One for each address, and the same port for all. */
  #servers: Server[] = []
  #handler: Handler | null = null
  /** Requests that arrived before there was a handler. */
  #early: [IncomingMessage, ServerResponse][] = []

  constructor(times: ServerTimes = {}) {
    this.#times = times
  }

  /**
   * Starts to listen.
   *
   * @param host - address or host name. `localhost` means both loopback addresses, or the one that this machine has.
   * @param port - 0 for a free one, which is the same on both addresses.
   * @throws Error with a human-readable message when the server can't listen.
   */
  async listen(host: string, port: number): Promise<void> {
    const hosts = host.toLowerCase() === 'localhost' ? loopbacks : [host]
    for (let attempt = 1; ; attempt++) {
      const taken = await this.#listenOn(hosts, port)
      if (taken === null) break
      if (port !== 0 || attempt === maxPortAttempts) throw taken
    }
    for (const server of this.#servers) {
      // More connections could use up the file descriptors that downloads need.
      server.maxConnections = Math.floor(maxConnections / this.#servers.length)
      // An error such as EMFILE for a new connection must not affect the existing ones.
      server.on('error', () => undefined)
    }
  }

  /**
   * Listens on all of the addresses, or on none.
   *
   * @returns why it is impossible, if the port is in use on one of them; null if all went well.
   * @throws Error for other reasons.
   */
  async #listenOn(hosts: readonly string[], port: number): Promise<Error | null> {
    let missing: Error | null = null
    for (const host of hosts) {
      const server = this.#create()
      const wanted = portOf(this.#servers[0]) ?? port
      server.listen(wanted, host)
      try {
        await once(server, 'listening')
        this.#servers.push(server)
      } catch (error) {
        const reason = new Error(whyNot(error, host, wanted), { cause: error })
        if (hosts.length > 1 && absent.has(errnoOf(error) ?? '')) {
          missing = reason
          continue
        }
        await this.#discard()
        if (errnoOf(error) === 'EADDRINUSE') return reason
        throw reason
      }
    }
    if (this.#servers.length === 0 && missing !== null) throw missing
    return null
  }

  #create(): Server {
    const times = this.#times
    const server = createServer({
      headersTimeout: times.headersMs ?? 10_000,
      requestTimeout: times.requestMs ?? 30_000,
      keepAliveTimeout: times.keepAliveMs ?? 75_000,
      connectionsCheckingInterval: times.checkMs ?? 1_000,
    })
    server.timeout = times.silenceMs ?? 120_000
    server.on('request', (req, res) => {
      if (this.#handler === null) this.#early.push([req, res])
      else listen(this.#handler, req, res)
    })
    return server
  }

  async #discard(): Promise<void> {
    const servers = this.#servers
    this.#servers = []
    await Promise.all(
      servers.map(async (server) => {
        const closed = once(server, 'close')
        server.close()
        server.closeAllConnections()
        await closed
      }),
    )
  }

  /** Starts to answer requests, including those that have arrived since {@link listen}. */
  attach(handler: Handler): void {
    this.#handler = handler
    for (const [req, res] of this.#early.splice(0)) listen(handler, req, res)
  }

  /** URL of the server, such as `http://127.0.0.1:8050`. */
  get url(): string {
    const address = this.#servers[0]?.address() ?? null
    if (address === null || typeof address === 'string') return ''
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
    return `http://${host}:${address.port}`
  }

  /**
   * Stops accepting connections, ends the event streams, lets pending responses finish for `graceMs`, and
   * then closes the remaining connections.
   */
  async close(graceMs: number): Promise<void> {
    this.#handler?.close()
    const servers = this.#servers.filter((server) => server.listening)
    if (servers.length === 0) return
    const closed = Promise.all(servers.map((server) => once(server, 'close')))
    for (const server of servers) server.close()
    // `close()` closes connections that are idle now, but not those whose response ends later.
    const idle = systemClock.interval(() => {
      for (const server of servers) server.closeIdleConnections()
    }, sweepMs)
    const overdue = systemClock.timer(() => {
      for (const server of servers) server.closeAllConnections()
    }, graceMs)
    await closed
    idle.cancel()
    overdue.cancel()
  }
}

function portOf(server: Server | undefined): number | null {
  const address = server?.address() ?? null
  return address === null || typeof address === 'string' ? null : address.port
}

/** Human-readable reason why the server can't listen. */
function whyNot(error: unknown, host: string, port: number): string {
  const place = `${host.includes(':') ? `[${host}]` : host}:${port}`
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return texts().inUse(place)
    case 'EACCES':
      return texts().notAllowedToListen(place)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return texts().notAnAddress(host)
    default:
      return texts().cannotListen(place, error instanceof Error ? error.message : String(error))
  }
}

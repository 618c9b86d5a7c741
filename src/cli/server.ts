/** The HTTP server of `serve`: plain `node:http`, with limits for slow, silent and numerous clients. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { errnoOf } from '../disk/errors.js'
import type { Handler } from '../http/handler.js'
import { listen } from '../http/node.js'
import { systemClock } from '../util/clock.js'

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

/** More connections could use up the file descriptors that downloads need. */
const maxConnections = 1_000

/** How often a closing server looks for idle connections, in milliseconds. */
const sweepMs = 50

/** HTTP server that passes requests to a handler and closes within a given time. */
export class ApiServer {
  readonly #server: Server
  #handler: Handler | null = null

  constructor(times: ServerTimes = {}) {
    this.#server = createServer({
      headersTimeout: times.headersMs ?? 10_000,
      requestTimeout: times.requestMs ?? 30_000,
      keepAliveTimeout: times.keepAliveMs ?? 75_000,
      connectionsCheckingInterval: times.checkMs ?? 1_000,
    })
    this.#server.timeout = times.silenceMs ?? 120_000
    this.#server.maxConnections = maxConnections
  }

  /**
   * Starts to listen.
   *
   * @throws Error with a human-readable message when the server can't listen.
   */
  async listen(host: string, port: number): Promise<void> {
    this.#server.listen(port, host)
    try {
      await once(this.#server, 'listening')
    } catch (error) {
      throw new Error(whyNot(error, host, port), { cause: error })
    }
    // An error such as EMFILE for a new connection must not affect the existing ones.
    this.#server.on('error', () => undefined)
  }

  /** Starts to answer requests. Must be called in the same tick in which {@link listen} resolves. */
  attach(handler: Handler): void {
    this.#handler = handler
    this.#server.on('request', (req, res) => {
      listen(handler, req, res)
    })
  }

  /** URL of the server, such as `http://127.0.0.1:8050`. */
  get url(): string {
    const address = this.#server.address()
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
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    // `close()` closes connections that are idle now, but not those whose response ends later.
    const idle = systemClock.interval(() => {
      this.#server.closeIdleConnections()
    }, sweepMs)
    const overdue = systemClock.timer(() => {
      this.#server.closeAllConnections()
    }, graceMs)
    await closed
    idle.cancel()
    overdue.cancel()
  }
}

/** Human-readable reason why the server can't listen. */
function whyNot(error: unknown, host: string, port: number): string {
  const place = `${host.includes(':') ? `[${host}]` : host}:${port}`
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return `${place} is already in use, perhaps by another \`serve\`. Choose another port with --port; 0 picks a free one.`
    case 'EACCES':
      return `This user is not allowed to listen on ${place}. Ports from 1024 on need no special permission.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} is not an address of this machine. Choose another one with --host.`
    default:
      return `Listening on ${place} failed: ${error instanceof Error ? error.message : String(error)}`
  }
}

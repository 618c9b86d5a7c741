/** The HTTP server of `serve`: plain `node:http`, with bounds for clients that are slow, silent or many. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { errnoOf } from '../disk/errors.js'
import type { Handler } from '../http/handler.js'
import { listen } from '../http/node.js'

/** Bounds of an {@link ApiServer}, in milliseconds. */
export interface ServerTimes {
  /** From the connection, or the last answer's end, to the last byte of a request's head. Default 10,000. */
  headersMs?: number
  /** To the last byte of its body, which is 64 KiB at most. Default 30,000. */
  requestMs?: number
  /** How long a connection is kept for the next request: longer than proxies keep theirs (60 s). Default 75,000. */
  keepAliveMs?: number
  /** A connection on which nothing moves is cut; event streams send something every 15 s. Default 120,000. */
  silenceMs?: number
  /** How often the first two are looked at. Default 1,000. */
  checkMs?: number
}

/** More than that would take the file descriptors that downloads need. */
const maxConnections = 1_000

/** How often a server that closes looks for connections that are done. */
const sweepMs = 50

/** Listens, asks a handler, and closes within a given time. */
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
   * Begins to listen.
   *
   * @throws Error with a sentence for people when it can't.
   */
  async listen(host: string, port: number): Promise<void> {
    this.#server.listen(port, host)
    try {
      await once(this.#server, 'listening')
    } catch (error) {
      throw new Error(whyNot(error, host, port), { cause: error })
    }
    // Such as EMFILE when a connection comes in: those that are there go on.
    this.#server.on('error', () => undefined)
  }

  /** Answers requests from now on: to be called in the same turn in which {@link listen} resolves. */
  attach(handler: Handler): void {
    this.#handler = handler
    this.#server.on('request', (req, res) => {
      listen(handler, req, res)
    })
  }

  /** Where it listens: `http://127.0.0.1:8050`. */
  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') return ''
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
    return `http://${host}:${address.port}`
  }

  /** Takes no more connections, ends the event streams, lets answers under way end, and then cuts what is left. */
  async close(graceMs: number): Promise<void> {
    this.#handler?.close()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    // Node itself closes those that are idle now, not those whose answer ends later.
    const idle = setInterval(() => {
      this.#server.closeIdleConnections()
    }, sweepMs)
    const overdue = setTimeout(() => {
      this.#server.closeAllConnections()
    }, graceMs)
    await closed
    clearInterval(idle)
    clearTimeout(overdue)
  }
}

/** Why it can't listen, for people. */
function whyNot(error: unknown, host: string, port: number): string {
  const place = `${host.includes(':') ? `[${host}]` : host}:${port}`
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return `${place} is in use already: by another \`serve\`, perhaps. Give another port with --port; 0 takes a free one.`
    case 'EACCES':
      return `This user may not listen on ${place}. Ports from 1024 on are free for all.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} is no address of this machine. Give another one with --host.`
    default:
      return `Listening on ${place} failed: ${error instanceof Error ? error.message : String(error)}`
  }
}

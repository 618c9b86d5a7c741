/**
 * Makes exchanges on connections of its own, and reads the bodies of plain responses from the socket itself. A body then
 * costs no more than its bytes: no parser goes through them, and no stream passes them on. Whatever is not plain is
 * handed over to undici together with its connection.
 */
import type { OnReadOpts, Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { Clock, Timer } from '../../util/clock.js'
import type { Exchange, ExchangeListener, ExchangeRequest } from '../exchange.js'
import type { Connect, ConnectTarget } from '../guard.js'
import { withoutBrackets } from '../host-text.js'
import { DirectConnection, directReads } from './direct-connection.js'
import { DirectExchange, type ExchangeOwner } from './direct-exchange.js'

/** Where to connect to, as undici's connectors take it. */
export interface DirectTarget extends ConnectTarget {
  /** With the port, unless it is the protocol's default. */
  host: string
}

/** What a {@link DirectClient} needs. */
export interface DirectClientOptions {
  clock: Clock
  /** Creates the connector, with the options for its sockets. */
  connector: (onread: OnReadOpts) => Connect<DirectTarget>
  /** Size of the next read, in bytes. */
  readBytes: () => number
  /** Whether errors may name hosts. */
  namesHosts: boolean
  /** See {@link ExchangeOwner.handOver}. */
  handOver: ExchangeOwner['handOver']
}

/** How long an idle connection is kept if the server doesn't say, in milliseconds. */
const defaultIdleMs = 4_000

/** An idle connection is closed this long before the server would close it, so that no request meets the end. */
const idleMarginMs = 2_000

const maxIdleMs = 600_000

/** More origins are not remembered. */
const maxOrigins = 1_000

/** Fields that decide about the connection itself, which only undici knows how to send. */
const connectionFields =
  /^(?:connection|content-length|expect|host|keep-alive|te|trailer|transfer-encoding|upgrade)$/i

const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** Whether a request consists only of what is written as it is. */
function isPlain({ headers }: ExchangeRequest): boolean {
  return Object.entries(headers).every(
    ([name, value]) => fieldName.test(name) && fieldValue.test(value) && !connectionFields.test(name),
  )
}

/** Connections by origin, and the exchanges on them. */
export class DirectClient implements ExchangeOwner {
  readonly clock: Clock
  readonly namesHosts: boolean
  readonly handOver: ExchangeOwner['handOver']
  readonly #makeConnector: () => Connect<DirectTarget>
  #connect: Connect<DirectTarget> | null = null
  /** Of each origin, the one that was used last at the end. */
  readonly #idle = new Map<string, { connection: DirectConnection; timer: Timer }[]>()
  readonly #connections = new Set<DirectConnection>()
  /** Fail those connections that are not open yet. */
  readonly #opening = new Set<(error: Error) => void>()
  /** Origins whose files come in responses that are not plain. */
  readonly #odd = new Set<string>()
  isClosed = false

  constructor({ clock, connector, readBytes, namesHosts, handOver }: DirectClientOptions) {
    this.clock = clock
    this.namesHosts = namesHosts
    this.handOver = handOver
    this.#makeConnector = () => connector(directReads(readBytes))
  }

  /** Whether a request without a proxy should be made here. */
  takes(request: ExchangeRequest): boolean {
    return !this.#odd.has(request.url.origin) && isPlain(request)
  }

  /** Leaves further requests of an origin to others. */
  avoid(origin: string): void {
    if (this.#odd.size >= maxOrigins) this.#odd.clear()
    this.#odd.add(origin)
  }

  /** Starts an exchange. The listener is never called from inside this call. */
  exchange(request: ExchangeRequest, listener: ExchangeListener): Exchange {
    const exchange = new DirectExchange(request, listener, this)
    void Promise.resolve().then(() => exchange.start())
    return exchange
  }

  /** See {@link ExchangeOwner.connect}. */
  connect(
    url: URL,
    callback: (error: Error | null, connection: DirectConnection | null) => void,
  ): () => void {
    const { protocol, host, port } = url
    const target = { hostname: withoutBrackets(url.hostname), protocol, host, port }
    let opening: unknown = null
    let isOver = false
    const settle = (): boolean => {
      const isFirst = !isOver
      isOver = true
      this.#opening.delete(fail)
      return isFirst
    }
    const giveUp = () => {
      if (!settle() || !(opening instanceof Duplex)) return
      // Nobody has been given it, and so nobody listens.
      opening.on('error', () => undefined)
      opening.destroy()
    }
    const fail = (error: Error) => {
      giveUp()
      callback(error, null)
    }
    this.#opening.add(fail)
    this.#connect ??= this.#makeConnector()
    opening = this.#connect(target, (error, socket) => {
      if (!settle()) socket?.destroy()
      else if (error === null) callback(null, this.#opened(url.origin, socket))
      else callback(error, null)
    })
    return giveUp
  }

  #opened(origin: string, socket: Socket): DirectConnection {
    const connection = new DirectConnection(socket, origin)
    this.#connections.add(connection)
    connection.onClose = () => {
      this.#connections.delete(connection)
      this.#forget(connection)
    }
    return connection
  }

  /** See {@link ExchangeOwner.release}. */
  release(connection: DirectConnection, idleMs: number | null): void {
    const ms = idleMs === null ? defaultIdleMs : Math.min(idleMs - idleMarginMs, maxIdleMs)
    if (this.isClosed || ms <= 0 || connection.isClosed) {
      connection.destroy()
      return
    }
    connection.rest()
    const timer = this.clock.timer(() => connection.destroy(), ms).unref()
    const idle = this.#idle.get(connection.origin) ?? []
    idle.push({ connection, timer })
    this.#idle.set(connection.origin, idle)
  }

  /** See {@link ExchangeOwner.take}. */
  take(origin: string): DirectConnection | null {
    const idle = this.#idle.get(origin) ?? []
    for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
      last.timer.cancel()
      if (last.connection.isClosed) continue
      last.connection.wake()
      return last.connection
    }
    this.#idle.delete(origin)
    return null
  }

  #forget(connection: DirectConnection): void {
    const idle = this.#idle.get(connection.origin)
    const at = idle?.findIndex((entry) => entry.connection === connection) ?? -1
    if (idle === undefined || at === -1) return
    for (const { timer } of idle.splice(at, 1)) timer.cancel()
    if (idle.length === 0) this.#idle.delete(connection.origin)
  }

  /** Destroys every connection. */
  close(): void {
    this.isClosed = true
    const error = Object.assign(new Error('The client was closed.'), { code: 'UND_ERR_DESTROYED' })
    for (const fail of [...this.#opening]) fail(error)
    for (const connection of [...this.#connections]) connection.destroy(error)
  }
}

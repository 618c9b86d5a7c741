/** One exchange on a connection of a {@link DirectClient}. */
import type { Socket } from 'node:net'
import { type ExchangePhase, networkError } from '../errors.js'
import { bugIn, type Exchange, type ExchangeListener, type ExchangeRequest } from '../exchange.js'
import type { DirectConnection, DirectReader } from './direct-connection.js'
import { parsePlainHead, type PlainHead } from './plain-head.js'

/** What an exchange needs of its client. */
export interface ExchangeOwner {
  /** Whether errors may name hosts. */
  readonly namesHosts: boolean
  /** Whether no connection can be opened any more. */
  readonly isClosed: boolean
  /** Takes an idle connection, if there is one. */
  take(origin: string): DirectConnection | null
  /**
   * Opens a connection.
   *
   * @returns gives up.
   */
  connect(url: URL, callback: (error: Error | null, connection: DirectConnection | null) => void): () => void
  /** Takes back a connection after a complete response, for as long as the server keeps it idle. */
  release(connection: DirectConnection, idleMs: number | null): void
  /**
   * Lets undici read the response to a request that was sent.
   *
   * @param received - what has arrived of the response; owned by the callee.
   */
  handOver(socket: Socket, received: Buffer, request: ExchangeRequest, listener: ExchangeListener): Exchange
}

/** A request that is written, and a response that is read, by hand. */
export class DirectExchange implements Exchange, DirectReader {
  readonly #request: ExchangeRequest
  readonly #listener: ExchangeListener
  readonly #owner: ExchangeOwner
  #connection: DirectConnection | null = null
  #giveUp: () => void = () => undefined
  /** Reads the response instead of this. */
  #other: Exchange | null = null
  #phase: ExchangePhase = 'connect'
  /** Whether the connection has served another exchange, and has told nothing of this one. */
  #isUsed = false
  #isPaused = false
  #isOver = false
  /** What has arrived of an incomplete head. */
  #begun: Buffer | null = null
  #head: PlainHead | null = null
  /** Bytes of the body that have not arrived. */
  #remaining = 0

  constructor(request: ExchangeRequest, listener: ExchangeListener, owner: ExchangeOwner) {
    this.#request = request
    this.#listener = listener
    this.#owner = owner
  }

  start(): void {
    if (this.#isOver) return
    const idle = this.#owner.take(this.#request.url.origin)
    if (idle === null) this.#connect()
    else this.#send(idle, true)
  }

  #connect(): void {
    try {
      this.#giveUp = this.#owner.connect(this.#request.url, (error, connection) => {
        if (connection === null) this.#fail(error)
        else this.#send(connection, false)
      })
    } catch (error) {
      this.#fail(error)
    }
  }

  #send(connection: DirectConnection, isUsed: boolean): void {
    this.#connection = connection
    this.#isUsed = isUsed
    this.#phase = 'headers'
    const { url, headers } = this.#request
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const path = url.pathname + url.search
    connection.send(
      `GET ${path} HTTP/1.1\r\nhost: ${url.host}\r\nconnection: keep-alive\r\n${fields.join('')}\r\n`,
      this,
    )
    this.#notify(() => this.#listener.onSent())
  }

  pause(): void {
    this.#other?.pause()
    if (this.#isOver) return
    this.#isPaused = true
    this.#connection?.pause()
  }

  resume(): void {
    this.#other?.resume()
    if (this.#isOver) return
    this.#isPaused = false
    this.#connection?.resume()
  }

  abort(): void {
    this.#other?.abort()
    if (this.#isOver) return
    this.#isOver = true
    this.#giveUp()
    this.#connection?.destroy()
  }

  onBytes(chunk: Buffer): void {
    this.#isUsed = false
    if (this.#head !== null) {
      this.#takeBody(chunk)
      return
    }
    const bytes = this.#begun === null ? chunk : Buffer.concat([this.#begun, chunk])
    const head = parsePlainHead(bytes)
    if (head === 'incomplete') this.#begun = Buffer.from(bytes)
    else if (head === 'odd') this.#handOver(Buffer.from(bytes))
    else this.#takeHead(head, bytes.subarray(head.headBytes))
  }

  #takeHead(head: PlainHead, rest: Buffer): void {
    this.#begun = null
    this.#head = head
    this.#phase = 'body'
    this.#remaining = head.bodyBytes
    const { status, headers } = head
    this.#notify(() => this.#listener.onHead({ status, headers }))
    this.#takeBody(rest)
  }

  #takeBody(bytes: Buffer): void {
    if (this.#isOver) return
    const isMore = bytes.length > this.#remaining
    const data = isMore ? bytes.subarray(0, this.#remaining) : bytes
    this.#remaining -= data.length
    if (data.length > 0) this.#notify(() => this.#listener.onData(data))
    if (this.#remaining === 0) this.#complete(isMore)
  }

  /** @param isMore - whether bytes follow that belong to no response, so that the connection is of no use. */
  #complete(isMore: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    const { isReusable = false, idleMs = null } = this.#head ?? {}
    const connection = this.#connection
    if (connection !== null && isReusable && !isMore) this.#owner.release(connection, idleMs)
    else connection?.destroy()
    this.#listener.onEnd()
  }

  onClosed(error: Error | null): void {
    // The server has closed an idle connection before it saw the request (RFC 9112 section 9.3.1).
    if (this.#isUsed && !this.#isOver && !this.#owner.isClosed) {
      this.#isUsed = false
      this.#connection = null
      this.#phase = 'connect'
      this.#connect()
    } else if (error !== null) this.#fail(error)
    else if (this.#begun === null) this.#fail(ended('UND_ERR_SOCKET'))
    else this.#fail(ended('HPE_INVALID_EOF_STATE'))
  }

  #handOver(received: Buffer): void {
    const connection = this.#connection
    if (connection === null) return
    this.#isOver = true
    this.#connection = null
    this.#other = this.#owner.handOver(connection.detach(), received, this.#request, this.#listener)
    if (this.#isPaused) this.#other.pause()
  }

  /** Calls the listener. If it throws, that is a bug. */
  #notify(call: () => void): void {
    const bug = bugIn(call)
    if (bug === null) return
    this.abort()
    this.#listener.onError(bug)
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#connection?.destroy()
    this.#listener.onError(networkError(error, this.#phase, this.#owner.namesHosts))
  }
}

function ended(code: string): Error {
  return Object.assign(new Error('the other side closed the connection'), { code })
}

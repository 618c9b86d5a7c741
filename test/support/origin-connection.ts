/** An accepted connection: it parses requests, writes with back-pressure, and can be ended in several ways. */
import type { Socket } from 'node:net'
import { parseRequest, type ParsedRequest } from './origin-http.js'

/**
 * Delay between the last data and an RST, in milliseconds. An RST discards data that is still in transit, and libuv
 * reports an orderly end to a client that sees data and RST in the same poll.
 */
export const beforeResetMs = 50

/**
 * Turns of the event loop after that delay. On a busy machine the timer may be long overdue when the loop comes round to it,
 * before a client in this process has been able to read anything at all.
 */
const turnsBeforeReset = 4

/** Resolves when a client in this process has been able to read what the kernel has for it. */
export async function clientsTurn(): Promise<void> {
  for (let turn = 0; turn < turnsBeforeReset; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Thrown when the client (or the test) ended the connection during a response. */
export class ConnectionGone extends Error {
  constructor() {
    super('The connection is gone.')
  }
}

/** Answers a request, and resolves to whether another one may follow on this connection. */
export type Responder = (connection: OriginConnection, request: ParsedRequest) => Promise<boolean>

/** An accepted connection. */
export class OriginConnection {
  #input: Buffer = Buffer.alloc(0)
  #busy = false
  #takenOver = false
  readonly #gone = new AbortController()

  constructor(
    readonly id: number,
    /** The socket to write to: the TLS socket, or the plain one. */
    readonly socket: Socket,
    /** The underlying TCP socket. */
    readonly tcp: Socket,
    readonly respond: Responder,
    idleMs: number,
  ) {
    tcp.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#gone.abort()
    })
    socket.setTimeout(idleMs, () => {
      if (!this.#busy) socket.end()
    })
    socket.on('data', (data: Buffer) => {
      if (this.#takenOver) return
      this.#input = this.#input.length === 0 ? data : Buffer.concat([this.#input, data])
      void this.#answer()
    })
  }

  async #answer(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      for (;;) {
        const parsed = parseRequest(this.#input)
        if (parsed === null) break
        this.#input = this.#input.subarray(parsed.length)
        if (!(await this.respond(this, parsed.request))) {
          this.#takenOver = true
          break
        }
      }
    } catch (error) {
      if (!(error instanceof ConnectionGone)) {
        const text = error instanceof Error ? error.message : String(error)
        this.socket.end(
          `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
        )
      }
    } finally {
      this.#busy = false
    }
  }

  /** Whether the connection has been closed. */
  get gone(): boolean {
    return this.#gone.signal.aborted || this.socket.destroyed
  }

  /** Writes data, and waits while the send buffer is full. */
  async write(data: Buffer | string): Promise<void> {
    if (this.gone) throw new ConnectionGone()
    if (this.socket.write(data)) return
    await this.#wait((done) => {
      this.socket.once('drain', done)
      return () => this.socket.off('drain', done)
    })
  }

  /** Waits until everything written so far has been handed to the operating system. */
  async flush(): Promise<void> {
    await this.#wait((done) => {
      this.socket.write('', () => {
        done()
      })
    })
  }

  /** Waits for a time, or with null until the connection is closed. */
  async sleep(ms: number | null): Promise<void> {
    await this.#wait((done) => {
      if (ms === null) return undefined
      const timer = setTimeout(done, ms)
      return () => {
        clearTimeout(timer)
      }
    })
  }

  /** Half-closes the connection: the client sees the end after all data that was written. */
  end(): void {
    this.socket.end()
  }

  /** Ends the connection immediately with RST. Data that has not been sent is lost. */
  reset(): void {
    // TLS sockets can't be reset themselves.
    if (!this.tcp.destroyed) this.tcp.resetAndDestroy()
    this.socket.destroy()
  }

  /** Ends the connection with RST when a client in this process has been able to take what was sent. */
  async resetAfterData(): Promise<void> {
    await this.sleep(beforeResetMs)
    await clientsTurn()
    this.reset()
  }

  /** Stops sending, and ends the connection with RST shortly afterwards. */
  resetSoon(): void {
    this.#takenOver = true
    this.#gone.abort()
    setTimeout(() => {
      void clientsTurn().then(() => {
        this.reset()
      })
    }, beforeResetMs).unref()
  }

  /** Ends the connection immediately with FIN. */
  destroy(): void {
    this.socket.destroy()
    this.tcp.destroy()
  }

  /** Resolves when `done` is called, and rejects when the connection is closed first. Cleans up in both cases. */
  async #wait(start: (done: () => void) => (() => unknown) | undefined | void): Promise<void> {
    if (this.gone) throw new ConnectionGone()
    const { signal } = this.#gone
    await new Promise<void>((resolve, reject) => {
      const fail = () => {
        stop?.()
        reject(new ConnectionGone())
      }
      signal.addEventListener('abort', fail, { once: true })
      const stop = start(() => {
        signal.removeEventListener('abort', fail)
        stop?.()
        resolve()
      })
    })
  }
}

/** One accepted connection: requests in, bytes out under back-pressure, and ways to end it. */
import type { Socket } from 'node:net'
import { parseRequest, type ParsedRequest } from './origin-http.js'

/**
 * How long nothing is sent before an RST, in milliseconds. An RST throws away what is still on the way; and a client
 * that finds data and RST in one poll is told of an orderly end (libuv does that).
 */
export const beforeResetMs = 50

/** The client (or the test) ended the connection under a response. */
export class ConnectionGone extends Error {
  constructor() {
    super('The connection is gone.')
  }
}

/** Answers one request; whether another one may follow on this connection. */
export type Responder = (connection: OriginConnection, request: ParsedRequest) => Promise<boolean>

/** See the head of this file. */
export class OriginConnection {
  #input: Buffer = Buffer.alloc(0)
  #busy = false
  #takenOver = false
  readonly #gone = new AbortController()

  constructor(
    readonly id: number,
    /** What is written to: the TLS socket, or the plain one. */
    readonly socket: Socket,
    /** The TCP socket below. */
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

  /** Whether nobody listens any more. */
  get gone(): boolean {
    return this.#gone.signal.aborted || this.socket.destroyed
  }

  /** Writes, and waits while the client doesn't keep up. */
  async write(data: Buffer | string): Promise<void> {
    if (this.gone) throw new ConnectionGone()
    if (this.socket.write(data)) return
    await this.#wait((done) => {
      this.socket.once('drain', done)
      return () => this.socket.off('drain', done)
    })
  }

  /** Waits until everything written so far is with the operating system. */
  async flush(): Promise<void> {
    await this.#wait((done) => {
      this.socket.write('', () => {
        done()
      })
    })
  }

  /** Waits that long, or, with null, until the connection is gone. */
  async sleep(ms: number | null): Promise<void> {
    await this.#wait((done) => {
      if (ms === null) return undefined
      const timer = setTimeout(done, ms)
      return () => {
        clearTimeout(timer)
      }
    })
  }

  /** Half-closes: the client reads the end after everything that was written. */
  end(): void {
    this.socket.end()
  }

  /** Ends with RST at once; what isn't sent is lost. */
  reset(): void {
    // TLS sockets have no reset of their own.
    if (!this.tcp.destroyed) this.tcp.resetAndDestroy()
    this.socket.destroy()
  }

  /** Says nothing more, then ends with RST. */
  resetSoon(): void {
    this.#takenOver = true
    this.#gone.abort()
    setTimeout(() => {
      this.reset()
    }, beforeResetMs).unref()
  }

  /** Ends with FIN at once. */
  destroy(): void {
    this.socket.destroy()
    this.tcp.destroy()
  }

  /** Settles by `done`, or fails when the connection goes away first; no listener or timer stays behind. */
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

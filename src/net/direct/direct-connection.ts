/** A socket whose bytes go to whoever reads from it, without passing through its stream. */
import type { OnReadOpts, Socket } from 'node:net'
import { largeReadBytes } from '../sockets.js'

/** Receives what happens on a {@link DirectConnection}. */
export interface DirectReader {
  /** The chunk is valid only during this call. */
  onBytes(chunk: Buffer): void
  /** The connection has ended; null if it did so in order. Nothing follows. */
  onClosed(error: Error | null): void
}

/** Readers by socket. */
const connections = new WeakMap<object, DirectConnection>()

/**
 * Creates the `onread` option for the sockets of direct connections. All of them are read into one buffer, since each
 * chunk is used up before the next one is read.
 *
 * @param readBytes - returns the size of the next read, at most {@link largeReadBytes}.
 */
export function directReads(readBytes: () => number): OnReadOpts {
  const memory = Buffer.allocUnsafeSlow(largeReadBytes)
  let current = memory
  return {
    // Node calls this when a socket opens, and after each callback.
    buffer() {
      const bytes = readBytes()
      if (current.length !== bytes) current = memory.subarray(0, bytes)
      return current
    },
    // Node calls this as a method of the socket.
    callback(this: Socket, count: number, buffer: Uint8Array): boolean {
      const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, count)
      const connection = connections.get(this)
      if (connection !== undefined) return connection.receive(chunk)
      // The reader has left it to somebody who uses it as a stream, and the memory is used again.
      return this.push(Buffer.from(chunk))
    },
  }
}

/** An open connection with at most one reader. */
export class DirectConnection {
  readonly origin: string
  /** Called once, when it has closed, before its reader is told. */
  onClose: () => void = () => undefined
  readonly #socket: Socket
  #reader: DirectReader | null = null
  #isPaused = false
  #isClosed = false
  readonly #onEnd = () => this.#closed(null)
  readonly #onError = (error: Error) => this.#closed(error)

  constructor(socket: Socket, origin: string) {
    this.#socket = socket
    this.origin = origin
    connections.set(socket, this)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onEnd)
    socket.on('error', this.#onError)
    // Without a reader of the stream, its end is never told.
    socket.resume()
  }

  /** Whether it can't be used any more. */
  get isClosed(): boolean {
    return this.#isClosed || this.#socket.destroyed || !this.#socket.writable
  }

  /** Sends a request, the response to which goes to the reader. */
  send(request: string, reader: DirectReader): void {
    this.#reader = reader
    this.#socket.write(request, 'latin1')
  }

  /** Takes bytes from the socket. Returns whether to read on. */
  receive(chunk: Buffer): boolean {
    // Bytes that nobody asked for can't be told from the response to the next request.
    if (this.#reader === null) this.destroy()
    else this.#reader.onBytes(chunk)
    return !this.#isPaused
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#socket.resume()
  }

  /** The response is complete. An idle connection doesn't keep the process alive. */
  rest(): void {
    this.#reader = null
    this.resume()
    this.#socket.unref()
  }

  wake(): void {
    this.#socket.ref()
  }

  /** Ends the connection, without notice to its reader unless there is an error to tell. */
  destroy(error: Error | null = null): void {
    if (error === null) this.#reader = null
    this.#socket.destroy()
    this.#closed(error)
  }

  /** Gives the socket away, which is an ordinary stream from now on. */
  detach(): Socket {
    const socket = this.#socket
    this.#reader = null
    connections.delete(socket)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onEnd)
    socket.off('error', this.#onError)
    this.#closed(null)
    return socket
  }

  #closed(error: Error | null): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const reader = this.#reader
    this.#reader = null
    this.onClose()
    reader?.onClosed(error)
  }
}

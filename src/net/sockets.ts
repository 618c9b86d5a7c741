/**
 * Works around bugs of undici 7 and libuv at the end of a connection, on the socket and before undici is
 * notified.
 */
import type { OnReadOpts, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { HeadReader } from './response-heads.js'

/** Is notified when a socket ends. */
export interface SocketEnds {
  /** Resumes paused responses for a moment. */
  release(): void
  /**
   * Whether a reset must be told from an orderly end, since an open response has a body that only the end
   * delimits.
   */
  readonly matters: boolean
  /** The end that undici is about to report is a reset, not the end of a body. */
  reset(): void
}

/** Must be called with every new socket, before undici adds its listeners. */
export function mendSocket(socket: Socket, ends: SocketEnds): void {
  mendHeads(socket)
  // If only the end of the connection delimits a body, undici takes ECONNRESET for that end, so that half a
  // file would pass as complete (FAULTS row 7). It treats any other code as an error.
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') error.code = 'UND_ERR_SOCKET'
  })
  socket.on('end', () => {
    if (ends.matters && wasReset(socket)) ends.reset()
    // If a connection ends while its response is paused, an assertion in undici fails where it can't be
    // caught (https://github.com/nodejs/undici/issues/5360). All data has been read by then, so little is
    // buffered by resuming.
    ends.release()
  })
}

/**
 * Passes the head of each response through a {@link HeadReader}. undici sends one request at a time, so the bytes that
 * arrive after a request has been written begin with a head. Bodies are passed on as they are.
 */
function mendHeads(socket: Socket): void {
  const reader = new HeadReader()
  let isReading = false
  const push = socket.push.bind(socket)
  const write: (...args: Parameters<Socket['write']>) => boolean = socket.write.bind(socket)
  const passOn = (chunk: Buffer): boolean => {
    let rest = chunk
    let goesOn = true
    while (isReading && rest.length > 0) {
      const taken = reader.take(rest)
      if (taken === null) return goesOn
      // undici takes an unexpected 100 for the end of the connection.
      if (taken.isFinal) goesOn = push(taken.head)
      rest = taken.rest
      reader.reset()
      isReading = !taken.isFinal
    }
    return rest.length > 0 ? push(rest) : goesOn
  }
  Object.assign(socket, {
    write(...args: Parameters<Socket['write']>): boolean {
      if (args[0].length > 0 && !isReading) {
        isReading = true
        reader.reset()
      }
      return write(...args)
    },
    push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
      if (!isReading) return push(chunk, encoding)
      if (chunk !== null) return passOn(chunk)
      isReading = false
      const { collected } = reader
      if (collected.length > 0) push(collected)
      return push(null)
    },
  })
}

/**
 * Prepares a socket on which a request was sent and a response has begun for somebody who takes it for a new one: the
 * first write, which is the same request, is dropped, and what has been received follows it.
 */
export function replayResponse(socket: Socket, received: Buffer): void {
  const push = socket.push.bind(socket)
  const write: (...args: Parameters<Socket['write']>) => boolean = socket.write.bind(socket)
  /** What arrives before the response can be replayed; null is the end. */
  let waiting: (Buffer | null)[] | null = [received]
  let isSent = false
  Object.assign(socket, {
    write(...args: Parameters<Socket['write']>): boolean {
      if (isSent || args[0].length === 0) return write(...args)
      isSent = true
      process.nextTick(() => {
        const chunks = waiting ?? []
        waiting = null
        // Not `push`: whoever has the socket now may have replaced it.
        for (const chunk of chunks) if (!socket.destroyed) socket.push(chunk)
      })
      return true
    },
    push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
      if (waiting === null) return push(chunk, encoding)
      waiting.push(chunk)
      return true
    },
  })
}

/**
 * Whether a connection that seems to have ended was in fact reset. libuv reports a reset as an orderly end if
 * it arrives while earlier data is still being read: it sees the hang-up but doesn't query the socket's
 * error. An empty write reveals that error. Over TLS the write must not be empty, and servers ignore an empty
 * line (RFC 9112 section 2.2).
 */
function wasReset(socket: Socket): boolean {
  if (socket.destroyed || !socket.writable) return false
  socket.write(socket instanceof TLSSocket ? '\r\n' : '')
  return socket.errored !== null
}

// ---- Reusable read buffers

/** Size of a read in bytes. Larger reads bring no gain and don't fit in the processor's cache. */
export const largeReadBytes = 256 * 1024

/** Size of a read under a rate limit, so that the data arrives in smaller portions. */
export const smallReadBytes = 16 * 1024

/**
 * Creates the `onread` option of `net.connect` and `tls.connect`; one can serve any number of sockets. By
 * default Node allocates a new buffer for every read of 64 KiB. At a gigabyte per second, allocating and
 * collecting these costs more than reading. The data is pushed into the socket's stream as usual, so that its
 * readers need no changes.
 *
 * A socket alternates between two buffers. A buffer is reused only after the stream has been drained, so a
 * reader must be done with a chunk when it takes the next one.
 *
 * @param readBytes - returns the size of the next read; called before each read.
 */
export function receiveInto(readBytes: () => number): OnReadOpts {
  const last = new WeakMap<Socket, Uint8Array>()
  let spare: Uint8Array | null = null
  return {
    // Node calls this when a socket opens, and after each callback.
    buffer() {
      const bytes = readBytes()
      const buffer = spare?.length === bytes ? spare : Buffer.allocUnsafeSlow(bytes)
      spare = null
      return buffer
    },
    // Node calls this as a method of the socket.
    callback(this: Socket, count: number, buffer: Uint8Array): boolean {
      spare = this.readableLength === 0 ? (last.get(this) ?? null) : null
      last.set(this, buffer)
      return this.push(buffer.subarray(0, count))
    },
  }
}

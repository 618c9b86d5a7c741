/** What undici 7 and libuv get wrong when a connection ends, mended on the socket before undici hears of it. */
import type { OnReadOpts, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** Hears of the ends of sockets. */
export interface SocketEnds {
  /** Lets responses that are paused go on for a moment. */
  release(): void
  /** Whether it matters how a connection ends: a body has no other end. */
  readonly matters: boolean
  /** The end that is about to be told is a reset, not what the server meant by it. */
  reset(): void
}

/** To be called with every new socket, before undici listens to it. */
export function mendSocket(socket: Socket, ends: SocketEnds): void {
  // undici takes a reset for the end of a body that has no other end, and half a file for a whole one (FAULTS row 7).
  // Any other code is an error to it.
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') error.code = 'UND_ERR_SOCKET'
  })
  socket.on('end', () => {
    if (ends.matters && wasReset(socket)) ends.reset()
    // The end of a connection while its response is paused is an assertion that fails where nobody can catch it
    // (https://github.com/nodejs/undici/issues/5360). All its data has been read by then, so letting go floods nobody.
    ends.release()
  })
}

/**
 * Whether a connection that seems to have ended was reset. libuv tells a reset as an orderly end when it arrives while
 * what came before is still being read: it sees the hang-up, and doesn't ask for the error behind it. A write that
 * carries nothing does; over TLS it must carry something, and an empty line means nothing to a server (RFC 9112 section
 * 2.2).
 */
function wasReset(socket: Socket): boolean {
  if (socket.destroyed || !socket.writable) return false
  socket.write(socket instanceof TLSSocket ? '\r\n' : '')
  return socket.errored !== null
}

// ---- Sockets that read into memory of ours, up to 256 KiB at a time. Node gives every read of 64 KiB a new buffer; at a gigabyte a second, making and collecting those costs more than the reading itself.

/** Bytes that one read takes at most; more bring no gain, and don't stay in the processor's cache. */
export const largeReadBytes = 256 * 1024

/** The same where bytes are counted out: what a rate limit lets through comes in smaller portions. */
export const smallReadBytes = 16 * 1024

/**
 * The `onread` option of `net.connect` and `tls.connect`, one for any number of sockets. What comes goes into the
 * socket's stream as usual, so that whoever reads the stream notices nothing.
 *
 * A socket fills two buffers in turn. One is filled again only when the stream has been read empty since; whoever reads
 * the stream must be done with a chunk when it takes the next one.
 *
 * @param readBytes - how much a socket shall read at once; asked before each read.
 */
export function receiveInto(readBytes: () => number): OnReadOpts {
  const last = new WeakMap<Socket, Uint8Array>()
  let spare: Uint8Array | null = null
  return {
    // Asked when a socket opens, and after each callback.
    buffer() {
      const bytes = readBytes()
      const buffer = spare?.length === bytes ? spare : Buffer.allocUnsafeSlow(bytes)
      spare = null
      return buffer
    },
    // Node calls it as a method of the socket.
    callback(this: Socket, count: number, buffer: Uint8Array): boolean {
      spare = this.readableLength === 0 ? (last.get(this) ?? null) : null
      last.set(this, buffer)
      return this.push(buffer.subarray(0, count))
    },
  }
}

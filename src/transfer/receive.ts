/**
 * Sockets that read into memory of ours, up to 256 KiB at a time. Node gives every read of 64 KiB a new buffer; at a
 * gigabyte a second, making and collecting those costs more than the reading itself.
 */
import type { OnReadOpts, Socket } from 'node:net'

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

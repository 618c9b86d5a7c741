/** What undici 7 gets wrong when a connection ends, mended on the socket before undici hears of it. */
import type { Socket } from 'node:net'

/**
 * To be called with every new socket, before undici listens to it.
 *
 * @param release - lets responses that are paused go on for a moment.
 */
export function mendSocket(socket: Socket, release: () => void): void {
  // undici takes a reset for the end of a body that has no other end, and half a file for a whole one (FAULTS row 7).
  // Any other code is an error to it.
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') error.code = 'UND_ERR_SOCKET'
  })
  // The end of a connection while its response is paused is an assertion that fails where nobody can catch it
  // (https://github.com/nodejs/undici/issues/5360). All its data has been read by then, so letting go floods nobody.
  socket.on('end', release)
}

/**
 * Tells a body that ends with its connection from one that a reset cut short. When a response has neither a length nor
 * chunks, undici takes both for the end of the body, and half a file would pass for a whole one (FAULTS row 7).
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'

const channel = 'undici:client:connected'
let users = 0
let resetting = false

/** Whether a socket's error is being handled right now: what undici ends at this moment has not ended by itself. */
export function isResetting(): boolean {
  return resetting
}

/** Begins to watch, until {@link unwatchResets} was called as often. */
export function watchResets(): void {
  users += 1
  if (users === 1) subscribe(channel, onConnected)
}

/** See {@link watchResets}. */
export function unwatchResets(): void {
  users -= 1
  if (users === 0) unsubscribe(channel, onConnected)
}

/** undici has its own listener on the socket by now: ours go before and behind it. */
function onConnected(message: unknown): void {
  if (typeof message !== 'object' || message === null || !('socket' in message)) return
  const { socket } = message
  if (!(socket instanceof Socket)) return
  socket.prependListener('error', () => {
    resetting = true
  })
  socket.on('error', () => {
    resetting = false
  })
}

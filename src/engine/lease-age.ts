/**
 * What is left of a lease when the message that brings it is received. A process may be stopped, or a thread busy, for
 * longer than the lease lasts while the message is on its way. Pure.
 */
import type { TransferCommand, TransferSpec } from './protocol.js'

/**
 * How long a message was on its way, in milliseconds.
 *
 * @param sentMs - when it was sent, by `monotonicMs`; undefined if it says nothing of a lease.
 */
export function ageOf(sentMs: number | undefined, nowMs: number): number {
  return sentMs === undefined ? 0 : Math.max(0, nowMs - sentMs)
}

/** A transfer whose description has been on its way for some milliseconds. */
export function agedSpec(spec: TransferSpec, ageMs: number): TransferSpec {
  const { lease } = spec
  if (lease === undefined) return spec
  return { ...spec, lease: { ...lease, validForMs: lease.validForMs - ageMs } }
}

/** The same for a command. */
export function agedCommand(command: TransferCommand, ageMs: number): TransferCommand {
  return command.type === 'lease' ? { ...command, validForMs: command.validForMs - ageMs } : command
}

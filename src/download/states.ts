import { DownloadError } from '../errors.js'

/** Every state of a download, in the order in which a lucky one passes them. */
export const downloadStates = [
  'queued',
  'resolving',
  'downloading',
  'verifying',
  'paused',
  'completed',
  'failed',
  'canceled',
] as const

/**
 * Where a download is in its life.
 *
 * - `queued`: waits for a free slot.
 * - `resolving`: asks the source, looks at what lies on disk.
 * - `downloading`: bytes arrive.
 * - `verifying`: all bytes are there; size, digest and format are checked.
 * - `paused`: stopped by the caller, bytes kept.
 * - `completed`, `failed`, `canceled`: settled.
 */
export type DownloadState = (typeof downloadStates)[number]

/** From each state, the states it may move to. Asking again for a settled one queues it anew. */
export const transitions: Readonly<Record<DownloadState, readonly DownloadState[]>> = {
  queued: ['resolving', 'paused', 'failed', 'canceled'],
  resolving: ['downloading', 'verifying', 'completed', 'queued', 'paused', 'failed', 'canceled'],
  downloading: ['resolving', 'verifying', 'completed', 'queued', 'paused', 'failed', 'canceled'],
  verifying: ['resolving', 'downloading', 'completed', 'queued', 'paused', 'failed', 'canceled'],
  paused: ['queued', 'failed', 'canceled'],
  completed: ['queued'],
  failed: ['queued', 'canceled'],
  canceled: ['queued'],
}

/** Whether `from → to` is in the table. */
export function canMove(from: DownloadState, to: DownloadState): boolean {
  return transitions[from].includes(to)
}

/**
 * The state after a move.
 *
 * @throws DownloadError `INVALID_STATE` when the table forbids it.
 */
export function move(from: DownloadState, to: DownloadState): DownloadState {
  if (!canMove(from, to)) {
    throw new DownloadError('INVALID_STATE', `A download that is ${from} cannot become ${to}.`)
  }
  return to
}

/** Whether the download holds a slot and works. */
export function isActive(state: DownloadState): boolean {
  return state === 'resolving' || state === 'downloading' || state === 'verifying'
}

/** Whether nothing more happens until the caller asks: completed, failed or canceled. */
export function isSettled(state: DownloadState): boolean {
  return state === 'completed' || state === 'failed' || state === 'canceled'
}

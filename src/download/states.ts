import { DownloadError } from '../errors.js'

/** All states of a download, in the order in which a successful one passes through them. */
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
 * State of a download.
 *
 * - `queued`: waits for a free slot.
 * - `resolving`: queries the source and checks which files exist on disk.
 * - `downloading`: receives bytes.
 * - `verifying`: has received all bytes; size, digest and format are checked.
 * - `paused`: stopped by the caller, bytes kept.
 * - `completed`, `failed`, `canceled`: settled.
 */
export type DownloadState = (typeof downloadStates)[number]

/** Allowed transitions from each state. A settled download that is requested again is queued again. */
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

/** Whether the transition from one state to another is allowed. */
export function canMove(from: DownloadState, to: DownloadState): boolean {
  return transitions[from].includes(to)
}

/**
 * Returns the state after a transition.
 *
 * @throws DownloadError `INVALID_STATE` when it is not allowed.
 */
export function move(from: DownloadState, to: DownloadState): DownloadState {
  if (!canMove(from, to)) {
    throw new DownloadError('INVALID_STATE', `A download that is ${from} cannot become ${to}.`)
  }
  return to
}

/** Whether the download holds a slot and is running. */
export function isActive(state: DownloadState): boolean {
  return state === 'resolving' || state === 'downloading' || state === 'verifying'
}

/** Whether the state stays as it is until the caller acts: completed, failed or canceled. */
export function isSettled(state: DownloadState): boolean {
  return state === 'completed' || state === 'failed' || state === 'canceled'
}

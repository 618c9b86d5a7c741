import { constants } from 'node:os'
import { surroundings } from './process/surroundings.js'

/** SIGBREAK is Ctrl-Break on Windows; the signal does not exist elsewhere. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK'] as const

/** State of signal handling. */
export interface Interruption {
  /** 128 plus the number of the first signal received; null before. */
  readonly exitCode: number | null
  /** Resolves when the action triggered by the signal has ended. */
  readonly closed: Promise<void>
  /** Restores the default handling of signals. */
  dispose(): void
}

/**
 * Runs an action on the first SIGINT, SIGTERM, SIGHUP or SIGBREAK, so that the run stops gracefully. A second
 * signal ends the process at once.
 *
 * @param action - called once; must not reject.
 */
export function onSignal(action: () => Promise<void>): Interruption {
  const { signals, exit } = surroundings()
  const state: { exitCode: number | null; closed: Promise<void> } = {
    exitCode: null,
    closed: Promise.resolve(),
  }
  const listener = (signal: NodeJS.Signals) => {
    if (state.exitCode !== null) exit(state.exitCode)
    state.exitCode = 128 + constants.signals[signal]
    state.closed = action()
  }
  for (const signal of stopSignals) signals.on(signal, listener)
  return {
    get exitCode() {
      return state.exitCode
    },
    get closed() {
      return state.closed
    },
    dispose() {
      for (const signal of stopSignals) signals.off(signal, listener)
    },
  }
}

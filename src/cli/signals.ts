import { constants } from 'node:os'

/** Ctrl-Break on Windows; elsewhere there is no such signal, and nobody sends it. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK'] as const

/** What a signal has done so far. */
export interface Interruption {
  /** 128 + the signal's number once one came, else null. */
  readonly exitCode: number | null
  /** Resolves when the action that the signal caused has ended. */
  readonly closed: Promise<void>
  /** Leaves signals to Node again. */
  dispose(): void
}

/**
 * Lets the first SIGINT, SIGTERM, SIGHUP or SIGBREAK stop the run in good order; a second one ends the process at once.
 *
 * @param action - called once; must not reject.
 */
export function onSignal(action: () => Promise<void>): Interruption {
  const state: { exitCode: number | null; closed: Promise<void> } = {
    exitCode: null,
    closed: Promise.resolve(),
  }
  const listener = (signal: NodeJS.Signals) => {
    if (state.exitCode !== null) process.exit(state.exitCode)
    state.exitCode = 128 + constants.signals[signal]
    state.closed = action()
  }
  for (const signal of stopSignals) process.on(signal, listener)
  return {
    get exitCode() {
      return state.exitCode
    },
    get closed() {
      return state.closed
    },
    dispose() {
      for (const signal of stopSignals) process.off(signal, listener)
    },
  }
}

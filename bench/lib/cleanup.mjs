/** What has to be undone when the benchmark ends, however it ends. */

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }

/** @type {Set<() => void>} */
const undos = new Set()

/**
 * Registers a synchronous undo. It runs at exit, newest first; the returned function takes it off again.
 * @param {() => void} undo
 */
export function atExit(undo) {
  undos.add(undo)
  return () => undos.delete(undo)
}

export function installCleanup() {
  // Everything runs in the exit handler, which also follows an uncaught error.
  process.on('exit', () => {
    for (const undo of [...undos].reverse()) {
      try {
        undo()
      } catch {
        // One failed undo must not keep the others from running.
      }
    }
  })
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => process.exit(code))
  }
}

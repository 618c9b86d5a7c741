import { setPriority } from 'node:os'

/** Nice value of a thread that works in the background: it gets a third of what the host's gets when both want to run. */
const background = 5

/**
 * Lets the host's own thread go first. On Linux the nice value belongs to the thread (sched(7), "The nice value");
 * elsewhere it would be that of the whole process, so nothing is done.
 */
export function yieldToHost(): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(0, background)
  } catch {
    // Not allowed here; it works without.
  }
}

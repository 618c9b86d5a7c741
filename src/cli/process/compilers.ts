/** How V8 compiles in a process of the command's own. */
import { setFlagsFromString } from 'node:v8'

/** The flag that says how often a function runs before it is optimized; V8 12 (Node 22) and later have another way. */
const hasBudget = process.versions.v8.startsWith('11.')

/**
 * Delays the optimizing compiler: most functions run only a few hundred times, so that it would cost more than it gains.
 * This must happen after everything is loaded, because compiled code that was kept is valid for the flags that it was made
 * with.
 */
export function tuneCompilers(): void {
  if (hasBudget) setFlagsFromString('--interrupt-budget=150000')
}

/** Sets what V8 sets by itself, so that compiled code can be kept for the next run. */
export function untuneCompilers(): void {
  if (hasBudget) setFlagsFromString('--interrupt-budget=67584')
}

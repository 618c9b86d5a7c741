import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

let cached: string | undefined

/**
 * Names this boot of the machine.
 *
 * What a killed process had written is still in the page cache, as long as the machine has not gone down; after a
 * power cut only what was synced is sure to be there. So a journal notes the boot that it was written in, and a
 * lock the boot that its owner lived in.
 *
 * On Linux the kernel gives an exact id. Elsewhere it is the time of the boot, told by a wall clock that may be set
 * meanwhile: two ids of one boot can then differ (`boot:…`). Readers must take a different id for "perhaps another
 * boot", the careful side; equal ones are of one boot, give or take 10 seconds.
 */
export function bootId(): string {
  cached ??= readBootId()
  return cached
}

/** Whether an id comes from the kernel, so that a different one proves another boot. */
export function isExactBootId(id: string): boolean {
  return id !== '' && !id.startsWith('boot:')
}

function readBootId(): string {
  try {
    const id = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    if (id !== '') return id
  } catch {
    // Not Linux, or /proc is hidden.
  }
  return `boot:${Math.round((Date.now() / 1000 - uptime()) / 10)}`
}

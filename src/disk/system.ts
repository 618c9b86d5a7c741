import { existsSync, readFileSync } from 'node:fs'
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

// ---- Where the build put a file that is not imported: the entry of a worker, a page.

/**
 * Such files lie beside the bundle; seen from the sources, in the build beside them.
 *
 * @param name - of the file in `dist`.
 * @returns null where it can't be found: a host that was bundled has left it behind.
 */
export function builtFile(name: string): URL | null {
  try {
    const fromSource = import.meta.url.endsWith('.ts')
    const file = new URL(fromSource ? `../../dist/${name}` : `./${name}`, import.meta.url)
    return file.protocol === 'file:' && existsSync(file) ? file : null
  } catch {
    // Bundled as CommonJS there is no address.
    return null
  }
}

// ---- umask

let mask: number | undefined

/**
 * Permissions of a file that anybody may make: 0666 less the umask that the process began with.
 *
 * The umask is read from proc_pid_status(5), since `process.umask()` sets it twice to read it once, which other threads
 * that make files at that moment would feel. Where there is no such file it is taken for the customary 022.
 */
export function defaultFileMode(): number {
  mask ??= readMask()
  return 0o666 & ~mask
}

function readMask(): number {
  try {
    const line = /^Umask:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))
    return line?.[1] === undefined ? 0o022 : Number.parseInt(line[1], 8)
  } catch {
    return 0o022
  }
}

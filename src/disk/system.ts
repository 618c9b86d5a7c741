import { homedir, hostname, uptime } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { systemClock } from '../util/clock.js'
import { existsSync, readFileSync, readlinkSync } from './fs.js'

let cached: string | undefined

/**
 * Identifies the current boot of the machine.
 *
 * Data written by a killed process is still in the page cache as long as the machine has not restarted; after
 * a power failure only synced data is certain to exist. So a journal records the boot in which it was
 * written, and a lock the boot in which its owner ran.
 *
 * On Linux the kernel provides an exact ID. Elsewhere the ID is the time of the boot (`boot:…`), rounded to
 * 10 seconds and computed from the wall clock, so that it can change within a boot when the clock is set. To
 * be safe, a different ID must be read as "possibly another boot".
 */
export function bootId(): string {
  cached ??= readBootId()
  return cached
}

/** Whether an ID comes from the kernel, so that a different one proves another boot. */
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
  return `boot:${Math.round((systemClock.wallNow() / 1000 - uptime()) / 10)}`
}

/**
 * The home folder of the user; null if there is none, as for a user of a container that has neither `HOME` nor an entry
 * in the password file.
 */
export function homeFolder(): string | null {
  try {
    const home = homedir()
    return isAbsolute(home) ? home : null
  } catch {
    return null
  }
}

let cachedHost: string | undefined

/**
 * Identifies the machine or container: host name and process namespace. Within one, process ids are comparable, and a
 * file has one page cache. Containers can have the same host name, or share a boot of the kernel, but reach a folder
 * through different mounts.
 */
export function hostId(): string {
  cachedHost ??= `${hostname()} ${processNamespace()}`.trim()
  return cachedHost
}

function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

// ---- Files of the build that are not imported, such as a worker's entry or a page.

/**
 * The URL of a file in `dist`, for code that runs from the bundle or from the sources.
 *
 * @param name - name of the file in `dist`.
 * @returns null when it doesn't exist, such as when the host has bundled this package without it.
 */
export function builtFile(name: string): URL | null {
  // Bundlers write `import.meta.url` out as an address of the machine that they run on; these two they leave alone, or
  // undefined, as it is in CommonJS.
  const { dirname: folder, filename } = import.meta as Partial<ImportMeta>
  if (folder === undefined || filename === undefined) return null
  const file = join(folder, filename.endsWith('.ts') ? '../../dist' : '', name)
  return existsSync(file) ? pathToFileURL(file) : null
}

// ---- umask

let mask: number | undefined

/**
 * The default permissions of a new file: 0666 minus the umask that the process had at its start.
 *
 * The umask is read from proc_pid_status(5), since `process.umask()` has to change it for a moment to read
 * it, which would affect files that other threads create meanwhile. Where that file is not available, the
 * usual 022 is assumed.
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

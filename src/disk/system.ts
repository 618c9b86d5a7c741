import { homedir, hostname, uptime } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { placesOf } from '../util/archives.js'
import { systemClock } from '../util/clock.js'
import { errnoOf } from './errors.js'
import { runtime } from '../util/runtime.js'
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

// ---- Processes, to tell whether the owner of a lock is alive.

/**
 * State and start time of a process on Linux (proc_pid_stat(5), fields 3 and 22); null elsewhere, and if there is no
 * such process.
 */
export function processStat(pid: number | 'self'): { state: string; startTime: string } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // Field 2, the command, is in parentheses and may itself contain spaces and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const state = fields[0]
    const startTime = fields[19]
    return state === undefined || startTime === undefined ? null : { state, startTime }
  } catch {
    return null
  }
}

/** Whether some process of this machine has an id; null if that can't be told. */
export function processExists(pid: number): boolean | null {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return errnoOf(error) === 'ESRCH' ? false : null
  }
}

/** A reading of two clocks that took longer was interrupted, in milliseconds. */
const promptMs = 1

/** How often the clocks are read at most. */
const maxReadings = 10

/**
 * When this process began, in milliseconds of the monotonic clock, to within a few milliseconds. The same in all of
 * its threads, whatever happens to the wall clock, and while the machine sleeps.
 *
 * @returns null where the monotonic clock begins with the process, as in Bun and Deno, and not with the boot.
 */
export function processStartMs(): number | null {
  let start = 0
  let shortest = Infinity
  for (let count = 0; count < maxReadings && shortest > promptMs; count += 1) {
    const before = Number(process.hrtime.bigint()) / 1e6
    const runningMs = process.uptime() * 1_000
    const took = Number(process.hrtime.bigint()) / 1e6 - before
    if (took >= shortest) continue
    shortest = took
    start = Math.round(before - runningMs)
  }
  return start > 1 ? start : null
}

// ---- Files of the build that are not imported, such as a worker's entry or a page.

/**
 * The URL of a file in `dist`, for code that runs from the bundle or from the sources. In an app of Electron the file beside
 * the archive comes first.
 *
 * @param name - name of the file in `dist`.
 * @returns null when it doesn't exist, such as when the host has bundled this package without it.
 */
export function builtFile(name: string): URL | null {
  // Bundlers write `import.meta.url` out as an address of the machine that they run on; these two they leave alone, or
  // undefined, as it is in CommonJS.
  const { dirname: folder, filename } = import.meta as Partial<ImportMeta>
  if (folder === undefined || filename === undefined) return null
  const path = join(folder, filename.endsWith('.ts') ? '../../dist' : '', name)
  const file = placesOf(path, runtime.hasArchives).find((place) => existsSync(place))
  return file === undefined ? null : pathToFileURL(file)
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

import { readFileSync } from 'node:fs'

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

/** Runs a program whose calls of `node:fs` fail as those of other systems and disks do. */
import { fileURLToPath, pathToFileURL } from 'node:url'
import { cliPath, RunningProcess, type RunOptions } from './process.js'

/** Calls that fail, in every thread. */
export interface FsFault {
  calls: readonly (
    | 'open'
    | 'rename'
    | 'unlink'
    | 'link'
    | 'symlink'
    | 'copyFile'
    | 'utimes'
    | 'chmod'
    | 'fchmod'
    | 'fsync'
    | 'fdatasync'
    | 'ftruncate'
    | 'lstat'
  )[]
  /** Pattern for the path; for `rename`, `link`, `symlink` and `copyFile`, the new one. Default: all paths. */
  path?: string
  code: string
  /** How often. Default: for ever. */
  times?: number
}

/** How the file system of a program misbehaves. */
export interface FaultyFs {
  faults?: readonly FsFault[]
  /** What `process.platform` says. */
  platform?: NodeJS.Platform
  /** Whether `fstat` reports another device than `lstat`, as libuv 1.49 and 1.50 on Windows. Default false. */
  otherDevice?: boolean
  /** Whether a read-only file can't be replaced, as on Windows. Default false. */
  keepsReadOnly?: boolean
  /** How many times faster clocks and waits run. Default 1. */
  speed?: number
}

const preload = pathToFileURL(fileURLToPath(new URL('faulty-fs.mjs', import.meta.url))).href

/** Starts Node with these arguments; default: the command. */
export function spawnFaulty(
  faulty: FaultyFs,
  args: readonly string[],
  { script = [cliPath], ...options }: RunOptions & { script?: readonly string[] } = {},
): RunningProcess {
  const env = { ...options.env, FAULTY_FS: JSON.stringify(faulty) }
  return new RunningProcess(process.execPath, ['--import', preload, ...script, ...args], { ...options, env })
}

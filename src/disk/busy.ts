/**
 * Files that another program has open. On Windows such a file can't be renamed, deleted or opened: virus scanners,
 * indexers, backups and programs that synchronize folders hold new files for some milliseconds, which fails with `EBUSY`,
 * `EPERM` or `EACCES`. So these calls are repeated there.
 */
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '../util/clock.js'
import { errnoOf, noteBusy } from './errors.js'
import { chmod, lstat, open, unlink } from './fs.js'

/** What lies at a path, as far as it explains why a call failed. */
export type Obstacle = 'folder' | 'read-only file' | 'other'

/** What to do about a failed call. */
export type CallVerdict = 'throw' | 'repeat' | 'make writable' | 'folder in the way'

/** A call on a file. */
export interface FileCall {
  name: 'open' | 'rename' | 'unlink'
  /** The file that is opened, deleted or replaced. */
  path: string
  /** Whether the file need not exist. Default false. */
  creates?: boolean
}

/** How long calls are repeated, in milliseconds. */
export const busyMs = 10_000

/**
 * After this many milliseconds it is found out whether a folder takes no new files at all. What does not exist yet is
 * rarely held by another program, and a missing permission is to be told soon.
 */
export const deniedMs = 1_000

const firstDelayMs = 10

const longestDelayMs = 250

/**
 * Decides what a failure means.
 *
 * - A folder in the way is `EPERM` on Windows, and on macOS for `unlink`; Linux has `EISDIR` for it.
 * - Windows does not replace a file with the read-only attribute, which on other systems protects the content only.
 * - All other refusals of Windows may be over in a moment.
 *
 * @param platform - as in `process.platform`.
 */
export function judgeFileFailure(
  errno: string | null,
  call: Pick<FileCall, 'name'>,
  obstacle: Obstacle,
  platform: NodeJS.Platform,
): CallVerdict {
  const windows = platform === 'win32'
  if (errno === 'EBUSY') return windows ? 'repeat' : 'throw'
  if (errno !== 'EPERM' && !(windows && errno === 'EACCES')) return 'throw'
  if (obstacle === 'folder') return 'folder in the way'
  if (!windows) return 'throw'
  return obstacle === 'read-only file' && call.name === 'rename' ? 'make writable' : 'repeat'
}

/** Whether a failure can be one that {@link judgeFileFailure} has an answer to. */
function isSuspect(errno: string | null): boolean {
  return errno === 'EPERM' || errno === 'EACCES' || errno === 'EBUSY'
}

/** What {@link patiently} needs to know and to do. */
export interface BusyContext {
  clock: Clock
  platform: NodeJS.Platform
  obstacleAt: (path: string) => Promise<Obstacle>
  makeWritable: (path: string) => Promise<void>
  /** Whether new files can be created in a folder. */
  takesFiles: (folder: string) => Promise<boolean>
}

const here = (): BusyContext => ({
  clock: systemClock,
  platform: process.platform,
  obstacleAt,
  makeWritable: (path) => chmod(path, 0o666),
  takesFiles,
})

/**
 * Makes a call, and on Windows repeats it for up to {@link busyMs} while another program has the file open.
 *
 * @param attempt - the call; rejects or throws with the error of the file system.
 * @throws the error of the last attempt, which `fsError` then turns into `FILE_BUSY`; `EISDIR` for a folder in the way.
 */
export async function patiently<T>(
  call: FileCall,
  attempt: () => T | Promise<T>,
  context: BusyContext | null = null,
): Promise<T> {
  let began: number | null = null
  let madeWritable = false
  let mayBeDenied = call.creates === true
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(longestDelayMs, delayMs * 2)) {
    try {
      return await attempt()
    } catch (error) {
      const errno = errnoOf(error)
      if (!isSuspect(errno)) throw error
      context ??= here()
      const { clock, platform, obstacleAt: look, makeWritable, takesFiles: takes } = context
      const verdict = judgeFileFailure(errno, call, await look(call.path), platform)
      if (verdict === 'throw') throw error
      if (verdict === 'folder in the way') throw folderInTheWay(call, error)
      if (verdict === 'make writable' && !madeWritable) {
        madeWritable = true
        await makeWritable(call.path).catch(() => undefined)
        continue
      }
      began ??= clock.now()
      const waitedMs = clock.now() - began
      if (mayBeDenied && errno !== 'EBUSY' && waitedMs >= deniedMs) {
        mayBeDenied = false
        if (!(await takes(dirname(call.path)))) throw error
      }
      if (waitedMs >= busyMs) throw noteBusy(error)
      await clock.sleep(Math.min(delayMs, busyMs - waitedMs))
    }
  }
}

function folderInTheWay({ name, path }: FileCall, cause: unknown): Error {
  const message = `EISDIR: illegal operation on a directory, ${name} '${path}'`
  return Object.assign(new Error(message, { cause }), { code: 'EISDIR', syscall: name, path })
}

async function obstacleAt(path: string): Promise<Obstacle> {
  const stats = await lstat(path).catch(() => null)
  if (stats?.isDirectory() === true) return 'folder'
  return stats?.isFile() === true && (stats.mode & 0o200) === 0 ? 'read-only file' : 'other'
}

async function takesFiles(folder: string): Promise<boolean> {
  const path = join(folder, `.${randomBytes(6).toString('hex')}.tmp`)
  try {
    await (await open(path, 'wx', 0o600)).close()
  } catch (error) {
    return !isSuspect(errnoOf(error))
  }
  await unlink(path).catch(() => undefined)
  return true
}

/** The target of a download: its folder and its lock, and whether it can be written. */
import { dirname } from 'node:path'
import { makeFolder } from '../disk/atomic.js'
import { errnoOf, fsError, isMissing } from '../disk/errors.js'
import { access, constants, rmdir } from '../disk/fs.js'
import { io } from '../disk/io.js'
import { requireNoLinks } from '../disk/links.js'
import { acquireLock, type FileLock, type LockWait } from '../disk/lock.js'
import { discardLeftover, type PartPaths, partPaths } from '../disk/part-paths.js'
import type { FileStats } from '../disk/stats.js'
import { DownloadError, isDownloadError } from '../errors.js'
import type { Clock } from '../util/clock.js'
import { inspectLeftover, type Leftover } from './part/journal.js'
import type { Lease } from './part/lease.js'
import { addressesOf, type TransferSpec } from './protocol.js'

/** Either the lock on the target, or the reason why it can't be written. */
type Claim = { lock: FileLock; refusal: null } | { lock: null; refusal: DownloadError }

/** A target that is reserved for this transfer until {@link release}. */
export class Target {
  readonly paths: PartPaths
  /** Metadata of the file that exists there, or null. */
  readonly existing: FileStats | null
  readonly #claim: Claim
  readonly #lease: Lease | null

  private constructor(paths: PartPaths, existing: FileStats | null, claim: Claim, lease: Lease | null) {
    this.paths = paths
    this.existing = existing
    this.#claim = claim
    this.#lease = lease
  }

  /**
   * Locks a target. If nothing can be written there but the file exists, the target is returned without a lock,
   * because the file may already be correct; see {@link requireWritable}.
   *
   * @param options - `root`: no folder below it may be a symbolic link; default: the directory. `wait`: see
   * {@link acquireLock}. `lease`: the right to write; default: none is needed.
   * @throws DownloadError `TARGET_NOT_REGULAR`, `PERMISSION`, `READ_ONLY`, `TARGET_LOCKED`, `TAKEN_OVER`, `DISK_IO`. No file or
   * folder is left behind in that case.
   */
  static async take(
    directory: string,
    filename: string,
    clock: Clock,
    {
      root = directory,
      wait = null,
      lease = null,
    }: { root?: string | undefined; wait?: LockWait | null; lease?: Lease | null } = {},
  ): Promise<Target> {
    const paths = partPaths(directory, filename)
    await requireNoLinks(root, directory)
    let lock: FileLock
    try {
      lock = await lockTarget(paths, clock, wait, lease)
    } catch (error) {
      return await Target.#takeWithoutLock(paths, error, lease)
    }
    try {
      return new Target(paths, await statTarget(paths.target), { lock, refusal: null }, lease)
    } catch (error) {
      await lock.release()
      await removeCreated(directory)
      throw error
    }
  }

  /**
   * Without a lock, the file may still exist, or there may be an obstacle that explains more than the failed lock.
   */
  static async #takeWithoutLock(paths: PartPaths, refusal: unknown, lease: Lease | null): Promise<Target> {
    const existing = await statTarget(paths.target).catch((reason: unknown) => {
      throw isDownloadError(reason, 'TARGET_NOT_REGULAR') ? reason : refusal
    })
    const readable = isDownloadError(refusal, 'READ_ONLY') || isDownloadError(refusal, 'PERMISSION')
    if (existing === null || !readable) throw refusal
    return new Target(paths, existing, { lock: null, refusal }, lease)
  }

  /**
   * Must be called before anything is written.
   *
   * @throws DownloadError `PERMISSION`, `READ_ONLY`.
   */
  requireWritable(): void {
    if (this.#claim.refusal !== null) throw this.#claim.refusal
  }

  /**
   * Must be called before anything is fetched that is to replace a file. Windows does not replace a file that another
   * program has open, which would otherwise show only in the end. Renaming it to its own name changes nothing, and is
   * refused for the same reasons.
   *
   * @throws DownloadError `FILE_BUSY`.
   */
  async requireFree(): Promise<void> {
    const { existing, paths } = this
    // A read-only file would have to be made writable first.
    if (process.platform !== 'win32' || existing === null || (existing.mode & 0o200) === 0) return
    try {
      await io.rename(paths.target, paths.target)
    } catch (error) {
      if (!isMissing(error)) throw fsError(error, 'checking whether the target can be replaced')
    }
  }

  /** Whether the target can be written. */
  get isWritable(): boolean {
    return this.#claim.refusal === null
  }

  /** Inspects the files that an earlier run left. */
  leftover(spec: TransferSpec): Promise<Leftover> {
    return inspectLeftover(this.paths, addressesOf(spec), spec.sha256, spec.remote === null, this.#lease)
  }

  /** Deletes the files that an earlier run left. */
  async discardLeftover(): Promise<void> {
    if (this.#claim.refusal !== null) return
    await this.#lease?.confirm()
    await discardLeftover(this.paths)
  }

  /**
   * Releases the target. Once the lease is lost, nothing on disk is touched.
   *
   * @param options - `empty`: nothing was kept, so folders that were created for the target are removed.
   */
  async release(options: { empty: boolean }): Promise<void> {
    await this.#claim.lock?.release()
    if (options.empty && this.#lease?.isHeld !== false) await removeCreated(this.paths.directory)
    else createdFolders.delete(this.paths.directory)
  }
}

/**
 * How a transfer waits for a lock whose owner may be dead.
 *
 * @param log - tells the user why nothing happens.
 */
export function lockWait(
  filename: string,
  signal: AbortSignal,
  log: (level: 'warn', message: string) => void,
): LockWait {
  return {
    signal,
    onWait: (ms) => {
      const seconds = Math.ceil(ms / 1_000)
      const message = `Another host or container holds ${filename}. If it gives no sign of life within ${seconds} s, this download takes over.`
      log('warn', message)
    },
  }
}

async function statTarget(path: string): Promise<FileStats | null> {
  let stat: FileStats | null
  try {
    stat = await io.lstatIfThere(path)
  } catch (error) {
    throw fsError(error, 'checking the target')
  }
  if (stat === null) return null
  if (!stat.isFile()) {
    const kind = stat.isDirectory()
      ? 'a folder'
      : stat.isSymbolicLink()
        ? 'a symbolic link'
        : 'a special file'
    throw new DownloadError('TARGET_NOT_REGULAR', `The target is ${kind}, not a regular file.`)
  }
  return stat
}

/**
 * How often locking is tried. A transfer that fails removes its empty folder, even if another one has just created or
 * found it. A round is only a few system calls.
 */
const maxRounds = 50

/**
 * Locks a target, and creates its folder if it is missing.
 *
 * @throws DownloadError `TARGET_LOCKED` and others. No file or folder is left behind in that case.
 */
async function lockTarget(
  paths: PartPaths,
  clock: Clock,
  wait: LockWait | null,
  lease: Lease | null,
): Promise<FileLock> {
  try {
    for (let round = 1; ; round += 1) {
      try {
        return await acquireLock(paths.lock, clock, wait, lease)
      } catch (error) {
        if (!isMissing(error) || round === maxRounds) throw error
      }
      await makeDirectory(paths.directory).catch((error: unknown) => {
        if (!isMissing(error) || round === maxRounds) throw error
      })
    }
  } catch (error) {
    await removeCreated(paths.directory)
    throw error
  }
}

/**
 * Folders that were created here and may be empty. Maps the folder of a target to the first folder that was created
 * for it. All transfers share this map, so that the last one that leaves nothing behind removes the folders.
 */
const createdFolders = new Map<string, { first: string }>()

async function makeDirectory(directory: string): Promise<void> {
  try {
    const first = await makeFolder(directory)
    const known = createdFolders.get(directory)?.first
    // Its parent may have been created earlier and still exist.
    if (first !== undefined)
      createdFolders.set(directory, {
        first: known !== undefined && known.length < first.length ? known : first,
      })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') {
      throw new DownloadError('TARGET_NOT_REGULAR', 'The target folder exists, but is not a folder.', {
        cause: error,
      })
    }
    throw fsError(
      isMissing(error) ? await mkdirFailure(directory, error) : error,
      'creating the target folder',
    )
  }
}

/**
 * Linux reports ENOENT for a folder that can't be created on a read-only file system. Its parent gives the real
 * reason.
 */
async function mkdirFailure(directory: string, error: unknown): Promise<unknown> {
  for (let folder = dirname(directory); dirname(folder) !== folder; folder = dirname(folder)) {
    try {
      await access(folder, constants.W_OK | constants.X_OK)
      return error
    } catch (reason) {
      if (!isMissing(reason)) return reason
    }
  }
  return error
}

/** Removes the folders that were created for a target, from the deepest up to the first that is not empty. */
async function removeCreated(directory: string): Promise<void> {
  const created = createdFolders.get(directory)
  if (created === undefined) return
  for (let folder = directory; folder.length >= created.first.length; folder = dirname(folder)) {
    try {
      await rmdir(folder)
    } catch {
      return
    }
  }
  // Unless they have been created again in the meantime.
  if (createdFolders.get(directory) === created) createdFolders.delete(directory)
}

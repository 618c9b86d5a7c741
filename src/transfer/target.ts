/** The place where a file goes: what lies there, whether it may be written, who else is at it. */
import { constants, type Stats } from 'node:fs'
import { lstat, mkdir, open, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DownloadError, isDownloadError } from '../errors.js'
import { errnoOf, fsError, withHandles } from '../files/fs-errors.js'
import { acquireLock, type FileLock } from '../files/lock.js'
import type { HashService } from './hasher.js'
import { discardLeftover, inspectLeftover, partPaths, type Leftover, type PartPaths } from './leftover.js'
import type { FileStamp, TransferSpec } from './protocol.js'

/** A target that is ours to write, until {@link release}. */
export class Target {
  readonly paths: PartPaths
  /** The file that lies there now, or null. */
  readonly existing: Stats | null
  readonly #lock: FileLock
  readonly #made: string | undefined

  private constructor(paths: PartPaths, existing: Stats | null, lock: FileLock, made: string | undefined) {
    this.paths = paths
    this.existing = existing
    this.#lock = lock
    this.#made = made
  }

  /**
   * Takes a target.
   *
   * @throws DownloadError `TARGET_NOT_REGULAR`, `PERMISSION`, `READ_ONLY`, `TARGET_LOCKED`, `DISK_IO`; nothing is
   * left behind then.
   */
  static async take(directory: string, filename: string): Promise<Target> {
    const paths = partPaths(directory, filename)
    const { lock, made } = await lockTarget(paths)
    try {
      return new Target(paths, await statTarget(paths.target), lock, made)
    } catch (error) {
      await lock.release()
      await removeMade(directory, made)
      throw error
    }
  }

  /** What an earlier run left. */
  leftover(spec: TransferSpec): Promise<Leftover> {
    return inspectLeftover(this.paths, spec.url, spec.sha256)
  }

  /** Deletes what an earlier run left. */
  discardLeftover(): Promise<void> {
    return discardLeftover(this.paths)
  }

  /**
   * Gives the target back.
   *
   * @param options - `empty`: nothing was kept, so folders that were made for it go too.
   */
  async release(options: { empty: boolean }): Promise<void> {
    await this.#lock.release()
    if (options.empty) await removeMade(this.paths.directory, this.#made)
  }
}

/** What is known of an existing file after a look at it. */
export type ExistingVerdict =
  | { kind: 'right'; size: number; sha256: string | null; verified: boolean; stamp: FileStamp | null }
  | { kind: 'wrong' }

/**
 * Whether the file that lies there already is the one that is wanted (transfer rule 11).
 *
 * With a digest it is hashed, unless its stamp is still that of the last time; with a size only that is compared;
 * with neither it is taken as it lies.
 */
export async function checkExisting(
  target: Target,
  spec: TransferSpec,
  hashes: HashService,
  aborted: AbortSignal,
): Promise<ExistingVerdict> {
  const { existing } = target
  if (existing === null || spec.force) return { kind: 'wrong' }
  const { size } = existing
  if (spec.size !== null && size !== spec.size) return { kind: 'wrong' }
  const known = spec.known
  const unchanged =
    known?.size === size &&
    known.mtimeMs === existing.mtimeMs &&
    (known.ino === 0 || known.ino === existing.ino)
  if (spec.sha256 === null) {
    return {
      kind: 'right',
      size,
      sha256: unchanged ? known.sha256 : null,
      verified: false,
      stamp: unchanged ? known : null,
    }
  }
  const sha256 = unchanged ? known.sha256 : await hashFile(target.paths.target, size, hashes, aborted)
  if (sha256 !== spec.sha256) return { kind: 'wrong' }
  return { kind: 'right', size, sha256, verified: true, stamp: stampOf(existing, sha256) }
}

/** Size, time and inode of a file, with its digest. */
export function stampOf(stat: Pick<Stats, 'size' | 'mtimeMs' | 'ino'>, sha256: string): FileStamp {
  return { size: stat.size, mtimeMs: stat.mtimeMs, ino: stat.ino, sha256 }
}

/**
 * Whether a kill came between the rename and the end of the last run: the journal then names the very file that lies
 * there (FAULTS row 31). Answers null, too, when something else is asked for now.
 */
export function wasPublished(target: Target, leftover: Leftover, wanted: TransferSpec): FileStamp | null {
  const { existing } = target
  const publishing = leftover.journal?.publishing ?? null
  if (existing === null || publishing === null || leftover.partExists) return null
  if (wanted.sha256 !== null && wanted.sha256 !== publishing.sha256) return null
  if (wanted.size !== null && wanted.size !== publishing.size) return null
  const same = String(existing.ino) === leftover.journal?.inode && existing.size === publishing.size
  return same ? stampOf(existing, publishing.sha256) : null
}

async function hashFile(
  path: string,
  size: number,
  hashes: HashService,
  aborted: AbortSignal,
): Promise<string> {
  const handle = await withHandles(() => open(path, constants.O_RDONLY | constants.O_NOFOLLOW))
  try {
    const hash = hashes.open(handle.fd, size)
    const stop = () => void hash.dispose()
    aborted.addEventListener('abort', stop)
    try {
      if (aborted.aborted) throw new DownloadError('CANCELED', 'Stopped while the existing file was checked.')
      hash.advance(size)
      return await hash.digest(size)
    } finally {
      aborted.removeEventListener('abort', stop)
      await hash.dispose()
    }
  } catch (error) {
    throw fsError(error, 'checking the existing file')
  } finally {
    await handle.close()
  }
}

async function statTarget(path: string): Promise<Stats | null> {
  let stat: Stats
  try {
    stat = await lstat(path)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT') return null
    throw fsError(error, 'looking at the target')
  }
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

/** Locks a target, and makes its folder when that is missing; `made` is the first folder that had to be made. */
async function lockTarget(paths: PartPaths): Promise<{ lock: FileLock; made: string | undefined }> {
  try {
    return { lock: await acquireLock(paths.lock), made: undefined }
  } catch (error) {
    if (!isDownloadError(error) || errnoOf(error.cause) !== 'ENOENT') throw await betterReason(paths, error)
  }
  const made = await makeDirectory(paths.directory)
  try {
    return { lock: await acquireLock(paths.lock), made }
  } catch (error) {
    await removeMade(paths.directory, made)
    throw error
  }
}

/** A folder that can't be written to may still hold something that tells more. */
async function betterReason(paths: PartPaths, error: unknown): Promise<unknown> {
  try {
    await statTarget(paths.target)
    return error
  } catch (reason) {
    return isDownloadError(reason, 'TARGET_NOT_REGULAR') ? reason : error
  }
}

/** Makes the folder; answers the first one that had to be made. */
async function makeDirectory(directory: string): Promise<string | undefined> {
  try {
    return await mkdir(directory, { recursive: true })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') {
      throw new DownloadError('TARGET_NOT_REGULAR', 'The target folder is not a folder.', { cause: error })
    }
    throw fsError(error, 'making the target folder')
  }
}

/** Removes the folders that were made for nothing, from the deepest up; stops at the first that isn't empty. */
async function removeMade(directory: string, first: string | undefined): Promise<void> {
  if (first === undefined) return
  for (let folder = directory; folder.length >= first.length; folder = dirname(folder)) {
    try {
      await rmdir(folder)
    } catch {
      return
    }
  }
}

/** The place where a file goes: what lies there, whether it may be written, who else is at it. */
import { constants, type Stats } from 'node:fs'
import { access, mkdir, open, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, fsError, isMissing, withHandles } from '../disk/errors.js'
import { io } from '../disk/io.js'
import { acquireLock, type FileLock } from '../disk/lock.js'
import { discardLeftover, type PartPaths, partPaths } from '../disk/part-paths.js'
import { type FileStamp, isSame, stampOf } from '../disk/stamp.js'
import { defaultFileMode } from '../disk/system.js'
import { DownloadError, isDownloadError } from '../errors.js'
import { type AdoptedBy, adoptFile } from '../layouts/adopt.js'
import type { HashService } from './hash/hasher.js'
import { inspectLeftover, type Leftover } from './part/journal.js'
import { addressesOf, type TransferEvent, type TransferResult, type TransferSpec } from './protocol.js'
import type { Share } from './shared.js'

/** What was got of a target: the lock, or why nothing can be written there. */
type Claim = { lock: FileLock; refusal: null } | { lock: null; refusal: DownloadError }

/** A target that is ours, until {@link release}. */
export class Target {
  readonly paths: PartPaths
  /** The file that lies there now, or null. */
  readonly existing: Stats | null
  readonly #claim: Claim

  private constructor(paths: PartPaths, existing: Stats | null, claim: Claim) {
    this.paths = paths
    this.existing = existing
    this.#claim = claim
  }

  /**
   * Takes a target. A file that lies where nothing can be written is taken too: it may be right, see
   * {@link requireWritable}.
   *
   * @throws DownloadError `TARGET_NOT_REGULAR`, `PERMISSION`, `READ_ONLY`, `TARGET_LOCKED`, `DISK_IO`; nothing is
   * left behind then.
   */
  static async take(directory: string, filename: string): Promise<Target> {
    const paths = partPaths(directory, filename)
    let lock: FileLock
    try {
      lock = await lockTarget(paths)
    } catch (error) {
      return await Target.#takeWithoutLock(paths, error)
    }
    try {
      return new Target(paths, await statTarget(paths.target), { lock, refusal: null })
    } catch (error) {
      await lock.release()
      await removeCreated(directory)
      throw error
    }
  }

  /** Where no lock can be made there may still be the very file, or something that tells more than the failure. */
  static async #takeWithoutLock(paths: PartPaths, refusal: unknown): Promise<Target> {
    const existing = await statTarget(paths.target).catch((reason: unknown) => {
      throw isDownloadError(reason, 'TARGET_NOT_REGULAR') ? reason : refusal
    })
    const readable = isDownloadError(refusal, 'READ_ONLY') || isDownloadError(refusal, 'PERMISSION')
    if (existing === null || !readable) throw refusal
    return new Target(paths, existing, { lock: null, refusal })
  }

  /**
   * Called before anything is written.
   *
   * @throws DownloadError `PERMISSION`, `READ_ONLY`.
   */
  requireWritable(): void {
    if (this.#claim.refusal !== null) throw this.#claim.refusal
  }

  /** Whether anything can be written there. */
  get isWritable(): boolean {
    return this.#claim.refusal === null
  }

  /** What an earlier run left. */
  leftover(spec: TransferSpec): Promise<Leftover> {
    return inspectLeftover(this.paths, addressesOf(spec), spec.sha256)
  }

  /** Deletes what an earlier run left. */
  async discardLeftover(): Promise<void> {
    if (this.#claim.refusal === null) await discardLeftover(this.paths)
  }

  /**
   * Gives the target back.
   *
   * @param options - `empty`: nothing was kept, so folders that were made for it go too.
   */
  async release(options: { empty: boolean }): Promise<void> {
    await this.#claim.lock?.release()
    if (options.empty) await removeCreated(this.paths.directory)
    else createdFolders.delete(this.paths.directory)
  }
}

/** What is known of an existing file after a look at it. */
export type ExistingVerdict =
  | {
      kind: 'right'
      size: number
      sha256: string | null
      verified: boolean
      stamp: FileStamp | null
      /** The cache's file that it was taken from just now. */
      adoptedFrom?: string
    }
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
  const known = spec.known !== null && isSame(existing, spec.known) ? spec.known : null
  if (spec.sha256 === null) {
    return {
      kind: 'right',
      size,
      sha256: known?.sha256 ?? null,
      verified: false,
      stamp: known,
    }
  }
  const sha256 = known?.sha256 ?? (await hashFile(target.paths.target, size, hashes, aborted))
  if (sha256 !== spec.sha256) return { kind: 'wrong' }
  return { kind: 'right', size, sha256, verified: true, stamp: stampOf(existing, sha256) }
}

/** What is told of a file that needn't be fetched. */
export function resultOf(
  existing: ExistingVerdict & { kind: 'right' },
  filename: string,
  path: string,
): TransferResult {
  const { size, sha256, verified, stamp, adoptedFrom = null } = existing
  const existed = adoptedFrom === null
  return { path, filename, size, sha256, verified, stamp, existed, fetchedBytes: 0, adoptedFrom }
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

/**
 * SHA-256 of a file's first bytes; a link isn't followed.
 *
 * @throws DownloadError.
 */
export async function hashFile(
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
  let stat: Stats | null
  try {
    stat = await io.lstatIfThere(path)
  } catch (error) {
    throw fsError(error, 'looking at the target')
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
 * Others that give up take their empty folder away, also from under who has just made or found it. A round is a few
 * calls, so many of them cost nothing.
 */
const maxRounds = 50

/**
 * Locks a target, and makes its folder when that is missing.
 *
 * @throws DownloadError; nothing is left behind then.
 */
async function lockTarget(paths: PartPaths): Promise<FileLock> {
  try {
    for (let round = 1; ; round += 1) {
      try {
        return await acquireLock(paths.lock)
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
 * Folders that were made here and may be empty: by the folder of the files, the first one that had to be made for it.
 * They are everybody's, so that the last one who leaves nothing behind takes them away.
 */
const createdFolders = new Map<string, { first: string }>()

async function makeDirectory(directory: string): Promise<void> {
  try {
    const first = await mkdir(directory, { recursive: true })
    const known = createdFolders.get(directory)?.first
    // What was made before may still be there, around it.
    if (first !== undefined)
      createdFolders.set(directory, {
        first: known !== undefined && known.length < first.length ? known : first,
      })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') {
      throw new DownloadError('TARGET_NOT_REGULAR', 'The target folder is not a folder.', { cause: error })
    }
    throw fsError(isMissing(error) ? await mkdirFailure(directory, error) : error, 'making the target folder')
  }
}

/** Linux says ENOENT of a folder that can't be made on a read-only file system; the one around it tells the truth. */
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

/** Removes the folders that were made for nothing, from the deepest up; stops at the first that isn't empty. */
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
  // Unless somebody has made them anew meanwhile.
  if (createdFolders.get(directory) === created) createdFolders.delete(directory)
}

// ---- Whether the file is there already: under its name, or in another program's cache.

const adoptionMethods: Readonly<Record<AdoptedBy, string>> = {
  reflink: 'its blocks are shared until one of them changes',
  link: 'as a hard link',
  copy: 'as a copy',
}

/** What lies under the name is looked at first; then the caches, when the digest is known and the caller allows it. */
export async function findFile(
  target: Target,
  spec: TransferSpec,
  { hashes, share: common }: { hashes: HashService; share: Pick<Share, 'index'> },
  aborted: AbortSignal,
  emit: (event: TransferEvent) => void,
): Promise<ExistingVerdict> {
  const existing = await checkExisting(target, spec, hashes, aborted)
  const { adopt = null, sha256, size, force } = spec
  if (existing.kind === 'right' || adopt === null || sha256 === null || force || !target.isWritable)
    return existing
  const { filename, repository, caches, share } = adopt
  const adopted = await adoptFile({
    wanted: { sha256, size, filename, repository },
    caches: common.index(caches),
    target: target.paths.target,
    temporary: target.paths.adopted,
    mode: target.existing === null ? defaultFileMode() : target.existing.mode & 0o777,
    share,
    hash: (path, bytes) => hashFile(path, bytes, hashes, aborted),
    signal: aborted,
    onRefused: ({ cache }, reason) => {
      emit({ type: 'log', level: 'warn', message: `A file of the ${cache} cache ${reason}; not using it.` })
    },
  })
  if (adopted === null) return existing
  const { from, cache, by, stats } = adopted
  emit({
    type: 'log',
    level: 'info',
    message: `Taken from the ${cache} cache, ${adoptionMethods[by]}; nothing to fetch.`,
  })
  return {
    kind: 'right',
    size: stats.size,
    sha256,
    verified: true,
    stamp: stampOf(stats, sha256),
    adoptedFrom: from,
  }
}

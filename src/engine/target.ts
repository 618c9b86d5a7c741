/** The target of a download: its lock, whether it can be written, and what exists there already. */
import { dirname } from 'node:path'
import { makeFolder } from '../disk/atomic.js'
import { errnoOf, fsError, isMissing } from '../disk/errors.js'
import { access, constants, rmdir } from '../disk/fs.js'
import { io } from '../disk/io.js'
import { requireNoLinks } from '../disk/links.js'
import { acquireLock, type FileLock, type LockWait } from '../disk/lock.js'
import { openNoFollow, readOnly } from '../disk/no-follow.js'
import { discardLeftover, type PartPaths, partPaths } from '../disk/part-paths.js'
import { type FileStamp, isSame, stampOf } from '../disk/stamp.js'
import type { FileStats } from '../disk/stats.js'
import { defaultFileMode } from '../disk/system.js'
import { DownloadError, isDownloadError } from '../errors.js'
import { type AdoptedBy, adoptFile } from '../layouts/adopt.js'
import { type CachedFile, inSnapshot } from '../layouts/cache-index.js'
import { checkingText } from '../util/checking.js'
import type { Clock } from '../util/clock.js'
import type { DigestAlgorithm, Verification } from '../util/digests.js'
import type { Digests } from './hash/algorithms.js'
import { algorithmsOf, checksOf, givenDigests, verificationOf } from './hash/expected.js'
import { usualAlgorithms } from './hash/hash-job.js'
import type { HashService } from './hash/hasher.js'
import { inspectLeftover, isForeign, type Leftover } from './part/journal.js'
import { beforeWrites, type Lease } from './part/lease.js'
import { addressesOf, type TransferEvent, type TransferResult, type TransferSpec } from './protocol.js'
import type { Reservation } from './reservation.js'
import type { Share } from './shared.js'
import { gitBlobOid } from './verify.js'

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

/** Result of checking an existing file. */
export type ExistingVerdict =
  | {
      kind: 'right'
      size: number
      sha256: string | null
      verification: Verification | null
      stamp: FileStamp | null
      /** The file in another program's cache that it was just taken from. */
      adoptedFrom?: string
    }
  | { kind: 'wrong' }

/** Computes digests of an existing file. */
type HashExisting = (path: string, size: number, algorithms: readonly DigestAlgorithm[]) => Promise<Digests>

/**
 * Checks whether an existing file is the requested one (transfer rule 11).
 *
 * With digests the file is hashed, unless its stamp has not changed since it was last verified. With only Git's id of it,
 * that is computed. With only a size, the size is compared. With none of them, the file is accepted without a check.
 */
export async function checkExisting(
  target: Target,
  spec: TransferSpec,
  hash: HashExisting,
): Promise<ExistingVerdict> {
  const { existing } = target
  if (existing === null || spec.force) return { kind: 'wrong' }
  const { size } = existing
  if (spec.size !== null && size !== spec.size) return { kind: 'wrong' }
  const known = spec.known !== null && isSame(existing, spec.known) ? spec.known : null
  const checks = checksOf({ ...spec, gitOid: null })
  const { gitOid = null } = spec
  // In a cache, the id is the name of the file already.
  if (checks.length === 0 && gitOid !== null && (spec.cache ?? null) === null) {
    if ((await gitBlobIdOf(target.paths.target, size)) !== gitOid) return { kind: 'wrong' }
    const sha256 = known?.sha256 ?? (await hash(target.paths.target, size, usualAlgorithms)).sha256 ?? null
    if (sha256 === null) return { kind: 'wrong' }
    const verification = { algorithm: 'git', value: gitOid, from: 'source' } as const
    return { kind: 'right', size, sha256, verification, stamp: stampOf(existing, sha256, verification) }
  }
  if (checks.length === 0) {
    // What a caller said once is nothing that this one says; but what the server said of the file still holds.
    const verification = known?.verification?.from === 'server' ? known.verification : null
    return { kind: 'right', size, sha256: known?.sha256 ?? null, verification, stamp: known }
  }
  const remembered: Digests = known === null ? {} : { ...digestOf(known.verification), sha256: known.sha256 }
  const isKnown = checks.every(({ algorithm }) => Object.hasOwn(remembered, algorithm))
  const found = isKnown ? remembered : await hash(target.paths.target, size, algorithmsOf(checks))
  const right = checks.every(({ algorithm, value }) => algorithm !== 'git' && found[algorithm] === value)
  const { sha256 = null } = found
  if (!right || sha256 === null) return { kind: 'wrong' }
  const verification = verificationOf(checks)
  return { kind: 'right', size, sha256, verification, stamp: stampOf(existing, sha256, verification) }
}

/** The digest that a file had when it was verified. */
function digestOf(verification: Verification | undefined): Digests {
  if (verification === undefined || verification.algorithm === 'git') return {}
  return { [verification.algorithm]: verification.value }
}

/** The result of a transfer for a file that need not be fetched. */
export function resultOf(
  existing: ExistingVerdict & { kind: 'right' },
  filename: string,
  path: string,
): TransferResult {
  const { size, sha256, verification, stamp, adoptedFrom = null } = existing
  const existed = adoptedFrom === null
  return { path, filename, size, sha256, verification, stamp, existed, fetchedBytes: 0, adoptedFrom }
}

/**
 * Detects that the last run was killed after the rename but before it ended: the journal then describes exactly the
 * file that exists (FAULTS row 31).
 *
 * @returns that file; null if there is none, if a different file is requested now, or if its SHA-256 does not tell.
 */
export function wasPublished(
  target: Target,
  leftover: Leftover,
  wanted: TransferSpec,
): (ExistingVerdict & { kind: 'right' }) | null {
  const { existing } = target
  const { journal, partExists } = leftover
  const publishing = journal?.publishing ?? null
  if (existing === null || journal === null || publishing === null || partExists) return null
  const { sha256, remote } = wanted
  if (isForeign(journal, { sha256, trusted: remote === null })) return null
  if (wanted.sha256 !== null && wanted.sha256 !== publishing.sha256) return null
  if (wanted.size !== null && wanted.size !== publishing.size) return null
  const checks = checksOf(
    { ...wanted, gitOid: null },
    journal.sha256 === null ? journal.identity.digests : [],
  )
  if (checks.some(({ algorithm, from }) => algorithm !== 'sha256' && from !== 'server')) return null
  const same = String(existing.ino) === journal.inode && existing.size === publishing.size
  if (!same) return null
  const { size, sha256: digest } = publishing
  const verification = verificationOf(checks)
  return { kind: 'right', size, sha256: digest, verification, stamp: stampOf(existing, digest, verification) }
}

/**
 * Computes digests of the first `size` bytes of a file. Symbolic links are not followed.
 *
 * @throws DownloadError `CANCELED` when aborted, `TRUNCATED`, `DISK_IO` and others.
 */
export async function hashFile(
  path: string,
  size: number,
  algorithms: readonly DigestAlgorithm[],
  hashes: HashService,
  aborted: AbortSignal,
): Promise<Digests> {
  const fd = await openNoFollow(path, readOnly)
  try {
    const hash = hashes.open(fd, size, null, algorithms)
    const stop = () => void hash.dispose()
    aborted.addEventListener('abort', stop)
    try {
      if (aborted.aborted) throw new DownloadError('CANCELED', 'Stopped while checking the existing file.')
      hash.advance(size)
      return await hash.digests(size)
    } finally {
      aborted.removeEventListener('abort', stop)
      await hash.dispose()
    }
  } catch (error) {
    throw fsError(error, 'checking the existing file')
  } finally {
    await io.close(fd)
  }
}

/** Computes Git's ID of a file. */
export async function gitBlobIdOf(path: string, size: number): Promise<string> {
  const fd = await openNoFollow(path, readOnly)
  try {
    return await gitBlobOid(async (position, length) => {
      const buffer = Buffer.alloc(length)
      return buffer.subarray(0, await io.read(fd, buffer, 0, length, position))
    }, size)
  } finally {
    await io.close(fd)
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

// ---- Looks for the file under its final name, and in the caches of other programs.

/** How a file was taken from a cache, for log messages. */
const adoptionMethods: Readonly<Record<AdoptedBy, string>> = {
  reflink: 'as a copy-on-write clone',
  link: 'as a hard link',
  copy: 'as a copy',
}

/** Reading a file of this size takes long enough to say so, in bytes. */
const largeBytes = 256 * 1024 * 1024

/**
 * Checks the target first; then its snapshot, where another program may have stored a file of a cache without a blob;
 * then the caches of other programs, if the caller allows it. Without a digest, only the target counts.
 */
export async function findFile(
  target: Target,
  spec: TransferSpec,
  {
    hashes,
    share: common,
    space,
    lease,
  }: {
    hashes: HashService
    share: Pick<Share, 'index'>
    space: Pick<Reservation, 'take'>
    lease: Lease | null
  },
  aborted: AbortSignal,
  emit: (event: TransferEvent) => void,
): Promise<ExistingVerdict> {
  const digests: HashExisting = (path, bytes, algorithms) => {
    if (bytes >= largeBytes) emit({ type: 'log', level: 'info', message: checkingText(bytes) })
    return hashFile(path, bytes, algorithms, hashes, aborted)
  }
  const hash = async (path: string, bytes: number) =>
    (await digests(path, bytes, usualAlgorithms)).sha256 ?? ''
  const existing = await checkExisting(target, spec, digests)
  const { adopt = null, cache = null, gitOid = null, sha256, size, force, digests: others = [] } = spec
  if (existing.kind === 'right' || force || !target.isWritable) return existing
  // A copy is compared with its SHA-256 only.
  if (others.length > 0) return existing
  const init = {
    target: target.paths.target,
    temporary: target.paths.adopted,
    mode: target.existing === null ? defaultFileMode() : target.existing.mode & 0o777,
    signal: aborted,
    reserve: (bytes: number) => space.take(bytes),
    before: beforeWrites(lease),
    confirm: async () => lease?.confirm(),
    onRefused: ({ cache: name }: CachedFile, reason: string) => {
      emit({ type: 'log', level: 'warn', message: `A file in the ${name} cache ${reason}; it is not used.` })
    },
  }
  const right = (stats: FileStats, digest: string) => {
    const verification = verificationOf(givenDigests({ ...spec, digests: [] }))
    const stamp = stampOf(stats, digest, verification)
    return { kind: 'right', size: stats.size, sha256: digest, verification, stamp } as const
  }
  // The name of a blob is its digest, of one kind or the other.
  const blob = sha256 ?? gitOid
  if (cache !== null && blob !== null && target.existing === null) {
    const wanted = { sha256: blob, size, filename: cache.path, repository: null }
    const how = { hash: sha256 === null ? gitBlobIdOf : hash, share: true }
    const own = await adoptFile({ ...init, ...how, wanted, caches: inSnapshot(cache) })
    if (own !== null) return right(own.stats, sha256 ?? (await hash(target.paths.target, own.stats.size)))
  }
  if (adopt === null || sha256 === null) return existing
  const { filename, repository, caches, share } = adopt
  const wanted = { sha256, size, filename, repository }
  const adopted = await adoptFile({ ...init, hash, wanted, caches: common.index(caches), share })
  if (adopted === null) return existing
  const { from, cache: name, by, stats } = adopted
  emit({
    type: 'log',
    level: 'info',
    message: `Taken from the ${name} cache ${adoptionMethods[by]}; nothing to download.`,
  })
  return { ...right(stats, sha256), adoptedFrom: from }
}

/**
 * Decides whether a file that exists already is the requested one, so that nothing need be fetched: under its final name, in
 * its snapshot, or in the cache of another program.
 */
import { basename } from 'node:path'
import { fsError } from '../disk/errors.js'
import { io } from '../disk/io.js'
import { openNoFollow, readOnly } from '../disk/no-follow.js'
import { type FileStamp, isSame, stampOf } from '../disk/stamp.js'
import type { FileStats } from '../disk/stats.js'
import { defaultFileMode } from '../disk/system.js'
import { DownloadError } from '../errors.js'
import { type AdoptedBy, adoptFile } from '../layouts/adopt.js'
import { type CachedFile, type CacheIndex, inSnapshot } from '../layouts/cache-index.js'
import { checkingText } from '../util/checking.js'
import type { DigestAlgorithm, Verification } from '../util/digests.js'
import type { Digests } from './hash/algorithms.js'
import { algorithmsOf, checksOf, givenDigests, verificationOf } from './hash/expected.js'
import { usualAlgorithms } from './hash/hash-job.js'
import type { HashService } from './hash/hasher.js'
import { isForeign, type Leftover } from './part/journal.js'
import { beforeWrites, type Lease } from './part/lease.js'
import type { TransferEvent, TransferResult, TransferSpec } from './protocol.js'
import type { Reservation } from './reservation.js'
import type { Share } from './shared.js'
import type { Target } from './target.js'
import { gitBlobOid } from './verify.js'

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
  const {
    adopt = null,
    cache = null,
    gitOid = null,
    sha256,
    size,
    force,
    digests: others = [],
    copies = [],
  } = spec
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
  if (blob !== null && copies.length > 0) {
    const how = { hash: sha256 === null ? gitBlobIdOf : hash, share: false }
    const wanted = { sha256: blob, size, filename: null, repository: null }
    const same = await adoptFile({ ...init, ...how, wanted, caches: filesAt(copies) })
    if (same !== null) {
      emit({
        type: 'log',
        level: 'info',
        message: `Copied from ${basename(same.from)}, as it was named before.`,
      })
      const digest = sha256 ?? (await hash(target.paths.target, same.stats.size))
      return { ...right(same.stats, digest), adoptedFrom: same.from }
    }
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

/** Files at known paths, as a cache. */
function filesAt(paths: readonly string[]): Pick<CacheIndex, 'find'> {
  return {
    async *find() {
      for (const path of paths) {
        const stats = await io.lstatIfThere(path).catch(() => null)
        if (stats?.isFile() === true) yield { path, size: stats.size, cache: 'own' }
      }
    },
  }
}

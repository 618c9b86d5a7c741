/**
 * Adopts a file from another program's cache instead of fetching it.
 *
 * It is first placed beside the target, in the cheapest way that works, and hashed there. What is published
 * is thus exactly what was checked, whatever happens to the original in the meantime.
 */
import { dirname } from 'node:path'
import { syncFolder } from '../disk/atomic.js'
import { copyContent } from '../disk/copy.js'
import { errnoOf, isRefusal, nullIfMissing } from '../disk/errors.js'
import { chmod, constants, copyFile, link, open } from '../disk/fs.js'
import { io } from '../disk/io.js'
import { ensureSpace } from '../disk/space.js'
import type { CacheIndex, CachedFile, WantedFile } from './cache-index.js'
import { type FileMetadata, isSame } from '../disk/stamp.js'
import type { FileStats } from '../disk/stats.js'

/**
 * How a file was adopted: as a reflink, which shares blocks until one of them changes; as a hard link; or as
 * a copy.
 */
export type AdoptedBy = 'reflink' | 'link' | 'copy'

/** Parameters of {@link adoptFile}. */
export interface AdoptInit {
  wanted: WantedFile
  caches: Pick<CacheIndex, 'find'>
  /** Final path of the file. */
  target: string
  /** Temporary path beside the target. An existing file is deleted first, and none is left at the end. */
  temporary: string
  /** Permissions of a reflink or copy; a hard link keeps its own. */
  mode: number
  /** Whether a hard link is acceptable: a change of the original in place then changes the target too. */
  share: boolean
  /** Computes the SHA-256 of a file of the given size in bytes. */
  hash: (path: string, size: number) => Promise<string>
  signal: AbortSignal
  /** Reserves disk space for the file, in bytes; rejects if there is none. */
  reserve: (bytes: number) => Promise<void>
  /** Called right before each call that changes the disk; what it throws ends the search. Default: nothing is called. */
  before?: (() => void) | undefined
  /** Called before the file gets its name; a rejection ends the search. Default: nothing is called. */
  confirm?: () => Promise<void>
  /** Called for a candidate that has different content or can't be used. */
  onRefused: (candidate: CachedFile, reason: string) => void
}

/** An adopted file, at its target. */
export interface Adopted {
  /** Path of the original. */
  from: string
  /** Name of the cache, for display. */
  cache: string
  /** How the file was adopted. */
  by: AdoptedBy
  stats: FileStats
}

/**
 * Candidates that had different content; they are not read again until they change. In this thread, by digest
 * and path.
 */
const refused = new Map<string, FileMetadata>()

const maxRefused = 1_000

/**
 * Searches for the file, and publishes it under its final name if its content is right.
 *
 * @returns null if no cache has it.
 * @throws what `hash` throws when the signal is aborted; file system errors of the target.
 */
export async function adoptFile(init: AdoptInit): Promise<Adopted | null> {
  const { wanted, caches, target, temporary, signal, before, onRefused } = init
  try {
    for await (const candidate of caches.find(wanted)) {
      if (candidate.path === target || (await isRefused(candidate, wanted))) continue
      signal.throwIfAborted()
      try {
        const adopted = await tryAdopt(candidate, init)
        if (adopted !== null) return adopted
        await refuse(candidate, wanted)
        onRefused(candidate, 'has different content')
      } catch (error) {
        if (signal.aborted) throw error
        before?.()
        onRefused(candidate, `can't be used (${errnoOf(error) ?? 'failed'})`)
      }
    }
    return null
  } finally {
    // Also removes what an earlier run left, even if no cache has the file any more.
    before?.()
    await io.unlink(temporary).catch(() => undefined)
  }
}

/** Tries to adopt a candidate. Returns null if it is not the wanted file. */
async function tryAdopt(candidate: CachedFile, init: AdoptInit): Promise<Adopted | null> {
  const { wanted, target, temporary, mode, hash, before } = init
  await init.reserve(candidate.size)
  const by = await placeBeside(candidate, init)
  const stats = await io.lstat(temporary)
  if (!stats.isFile() || stats.size !== (wanted.size ?? stats.size)) return null
  const sha256 = await hash(temporary, stats.size)
  if (sha256 !== wanted.sha256) return null
  // A reflink of a file that may not be written to has its permissions. A copy has been synced.
  before?.()
  if (by === 'reflink') await chmod(temporary, 0o600).catch(() => undefined)
  if (by !== 'copy') await syncFile(temporary, by === 'link')
  // Some file systems have no permissions, or let only their owner change them.
  if (by !== 'link') await chmod(temporary, mode).catch(() => undefined)
  const after = await io.lstat(temporary)
  // The file was modified while it was read.
  if (!isSame(after, stats)) return null
  await init.confirm?.()
  before?.()
  await io.rename(temporary, target)
  // The file has its name; a folder that can't be synced takes it only in a power failure.
  await syncFolder(dirname(target)).catch(() => undefined)
  return { from: candidate.path, cache: candidate.cache, by, stats: after }
}

async function placeBeside({ path, size }: CachedFile, init: AdoptInit): Promise<AdoptedBy> {
  const { temporary, target, share, signal, before } = init
  before?.()
  await io.unlink(temporary).catch(nullIfMissing)
  try {
    await copyFile(path, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE)
    return 'reflink'
  } catch {
    await io.unlink(temporary).catch(nullIfMissing)
  }
  if (share) {
    try {
      await link(path, temporary)
      return 'link'
    } catch {
      // The original is on another file system, or belongs to another user.
    }
  }
  await ensureSpace(dirname(target), size, 0)
  before?.()
  await copyContent(path, temporary, signal, before)
  return 'copy'
}

/** @param isShared - whether the file is another program's, which has synced it, or was never asked to. */
async function syncFile(path: string, isShared: boolean): Promise<void> {
  // Windows syncs only what is open for writing.
  const handle = await open(path, isShared ? 'r' : 'r+')
  try {
    await handle.datasync()
  } catch (error) {
    const isRefused = isShared && ['EACCES', 'EBADF'].includes(errnoOf(error) ?? '')
    if (!isRefused && !isRefusal(error)) throw error
  } finally {
    await handle.close()
  }
}

const keyOf = ({ path }: CachedFile, { sha256 }: WantedFile) => `${sha256} ${path}`

async function isRefused(candidate: CachedFile, wanted: WantedFile): Promise<boolean> {
  const known = refused.get(keyOf(candidate, wanted))
  if (known === undefined) return false
  const stats = await io.lstat(candidate.path).catch(() => null)
  return stats === null || isSame(stats, known)
}

async function refuse(candidate: CachedFile, wanted: WantedFile): Promise<void> {
  const stats = await io.lstat(candidate.path).catch(() => null)
  if (stats === null) return
  if (refused.size >= maxRefused) refused.clear()
  refused.set(keyOf(candidate, wanted), stats)
}

/**
 * Takes a file that lies in another program's cache instead of fetching it.
 *
 * It is brought beside the target first, by the cheapest way that works, and hashed there: what is published is what was
 * checked, whatever happens to the original meanwhile.
 */
import { constants, type Stats } from 'node:fs'
import { chmod, copyFile, link, lstat, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../disk/atomic.js'
import { errnoOf, nullIfMissing } from '../disk/errors.js'
import { io } from '../disk/io.js'
import { ensureSpace } from '../disk/space.js'
import type { CacheIndex, CachedFile, WantedFile } from './cache-index.js'
import { type FileMetadata, isSame } from '../disk/stamp.js'

/** How a file came: sharing its blocks until one of them changes, sharing all of it, or with bytes of its own. */
export type AdoptedBy = 'reflink' | 'link' | 'copy'

/** What {@link adoptFile} is to do. */
export interface AdoptInit {
  wanted: WantedFile
  caches: CacheIndex
  /** Where it goes. */
  target: string
  /** Beside it; deleted when it is there, and gone at the end. */
  temporary: string
  /** Permissions of a file with bytes of its own. */
  mode: number
  /** Whether a hard link will do: then whoever changes the original in place changes the target too. */
  share: boolean
  /** SHA-256 of a file with so many bytes. */
  hash: (path: string, size: number) => Promise<string>
  signal: AbortSignal
  /** Hears of a file that was not what it seemed to be, or couldn't be had. */
  onRefused: (candidate: CachedFile, reason: string) => void
}

/** A file that was adopted, and lies at its target. */
export interface Adopted {
  /** Where the original lies. */
  from: string
  /** Whose cache that is, for people. */
  cache: string
  /** How it came. */
  by: AdoptedBy
  stats: Stats
}

/** What was found wrong once is not looked at again until it changes. In this thread, by path. */
const refused = new Map<string, FileMetadata>()

const maxRefused = 1_000

/** Copied at a time. */
const copyBytes = 4 * 1024 * 1024

/**
 * Looks for the file, and puts it under its final name when it is the one.
 *
 * @returns null when no cache has it.
 * @throws what `hash` throws when the signal is aborted; what the file system throws for the target.
 */
export async function adoptFile(init: AdoptInit): Promise<Adopted | null> {
  const { wanted, caches, target, temporary, signal, onRefused } = init
  try {
    for await (const candidate of caches.find(wanted)) {
      if (candidate.path === target || (await isRefused(candidate, wanted))) continue
      signal.throwIfAborted()
      try {
        const adopted = await take(candidate, init)
        if (adopted !== null) return adopted
        await refuse(candidate, wanted)
        onRefused(candidate, 'has another content')
      } catch (error) {
        if (signal.aborted) throw error
        onRefused(candidate, `can't be used (${errnoOf(error) ?? 'failed'})`)
      }
    }
    return null
  } finally {
    // Also what an earlier run has left, when no cache has the file any more.
    await unlink(temporary).catch(() => undefined)
  }
}

/** Null when it isn't the one after all. */
async function take(candidate: CachedFile, init: AdoptInit): Promise<Adopted | null> {
  const { wanted, target, temporary, mode, hash } = init
  const by = await bring(candidate, init)
  const stats = await lstat(temporary)
  if (!stats.isFile() || stats.size !== (wanted.size ?? stats.size)) return null
  const sha256 = await hash(temporary, stats.size)
  if (sha256 !== wanted.sha256) return null
  if (by !== 'link') await chmod(temporary, mode)
  await syncFile(temporary)
  const after = await lstat(temporary)
  // Written to while it was read.
  if (!isSame(after, stats)) return null
  await io.rename(temporary, target)
  await syncFolder(dirname(target))
  return { from: candidate.path, cache: candidate.cache, by, stats: after }
}

async function bring({ path, size }: CachedFile, init: AdoptInit): Promise<AdoptedBy> {
  const { temporary, target, share } = init
  await unlink(temporary).catch(nullIfMissing)
  try {
    await copyFile(path, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE)
    return 'reflink'
  } catch {
    await unlink(temporary).catch(nullIfMissing)
  }
  if (share) {
    try {
      await link(path, temporary)
      return 'link'
    } catch {
      // Another file system, or a file that belongs to somebody else.
    }
  }
  await ensureSpace(dirname(target), size, 0)
  await copy(path, init)
  return 'copy'
}

/** Unlike the system's copying it can be stopped. */
async function copy(path: string, { temporary, signal }: AdoptInit): Promise<void> {
  const from = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const to = await open(temporary, 'wx', 0o600)
    try {
      const buffer = Buffer.allocUnsafe(copyBytes)
      for (let at = 0; ;) {
        signal.throwIfAborted()
        const { bytesRead } = await from.read(buffer, 0, buffer.length, at)
        if (bytesRead === 0) return
        await to.writeFile(buffer.subarray(0, bytesRead))
        at += bytesRead
      }
    } finally {
      await to.close()
    }
  } finally {
    await from.close()
  }
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY)
  try {
    await handle.datasync()
  } catch (error) {
    // A file of somebody else, opened for reading only, can't be synced everywhere (Windows); its writer has done so.
    if (!['EPERM', 'EACCES', 'EBADF', 'EINVAL'].includes(errnoOf(error) ?? '')) throw error
  } finally {
    await handle.close()
  }
}

const keyOf = ({ path }: CachedFile, { sha256 }: WantedFile) => `${sha256} ${path}`

async function isRefused(candidate: CachedFile, wanted: WantedFile): Promise<boolean> {
  const known = refused.get(keyOf(candidate, wanted))
  if (known === undefined) return false
  const stats = await lstat(candidate.path).catch(() => null)
  return stats === null || isSame(stats, known)
}

async function refuse(candidate: CachedFile, wanted: WantedFile): Promise<void> {
  const stats = await lstat(candidate.path).catch(() => null)
  if (stats === null) return
  if (refused.size >= maxRefused) refused.clear()
  refused.set(keyOf(candidate, wanted), stats)
}

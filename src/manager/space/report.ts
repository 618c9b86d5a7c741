/** What takes the space of a manager, model by model. */
import { basename, dirname, join, relative, sep } from 'node:path'
import { isInside } from '../../disk/inside.js'
import { targetOfPart } from '../../disk/part-paths.js'
import type { CountedFile } from './measure.js'

/** What takes disk space; see {@link DownloadManager.disk}. */
export interface DiskUsageEntry {
  /** Folder of the mode; null for what lies in the manager's own folder. */
  mode: string | null
  /** Name of the file, or of the folder of several files. */
  filename: string
  /** The same, for people: the repository in a Hugging Face cache. */
  name: string
  /** URL of the download that it belongs to; null if it belongs to none, or to several. */
  url: string | null
  /** Bytes on disk, those of unfinished files included. */
  bytes: number
  /** Whether it is never evicted, since it was pinned or a catalog requires it. */
  pinned: boolean
}

/** Disk usage of a manager, and its limits; see {@link DownloadManager.disk}. All sizes are in bytes. */
export interface DiskUsage {
  /**
   * What lies in the folders of the manager, whoever has put it there, and the files of its downloads elsewhere. A
   * file with several hard links counts once; of an unfinished file counts what has been written.
   */
  used: number
  /** Free space on the disk of the manager's folder; null if the file system does not tell. */
  free: number | null
  /** See {@link DownloadManagerOptions.maxDiskBytes}. */
  maxDiskBytes: number | null
  /** See {@link DownloadManagerOptions.minFreeBytes}. */
  minFreeBytes: number | null
  /** What takes the space, the largest first; at most 1,000 entries. */
  by: DiskUsageEntry[]
}

/** A download as the owner of files. */
export interface Owner {
  /** Absolute path of its file, or of the folder of its files. */
  path: string
  url: string
  mode: string | null
  filename: string
  pinned: boolean
}

const maxEntries = 1_000

const repository = /^(?:models|datasets|spaces)--(.+)$/

/**
 * Says what takes the space.
 *
 * @param folders - folders of the modes; the first one contains all others that are not links.
 */
export function usageByModel(
  files: readonly CountedFile[],
  owners: readonly Owner[],
  folders: readonly { mode: string | null; folder: string }[],
): DiskUsageEntry[] {
  const byPath = new Map<string, Owner[]>()
  for (const owner of owners) byPath.set(owner.path, [...(byPath.get(owner.path) ?? []), owner])
  const entries = new Map<string, DiskUsageEntry>()
  for (const { path, bytes } of files) {
    if (bytes === 0) continue
    const { key, ...told } = describe(path, byPath, folders)
    const entry = entries.get(key)
    if (entry === undefined) entries.set(key, { ...told, bytes })
    else entry.bytes += bytes
  }
  return [...entries.values()].sort((a, b) => b.bytes - a.bytes).slice(0, maxEntries)
}

function describe(
  path: string,
  byPath: ReadonlyMap<string, readonly Owner[]>,
  folders: readonly { mode: string | null; folder: string }[],
): Omit<DiskUsageEntry, 'bytes'> & { key: string } {
  const file = targetOfPart(path) ?? path
  for (let at = file; ; at = dirname(at)) {
    const [owner, ...others] = byPath.get(at) ?? []
    if (owner !== undefined) {
      const { mode, filename } = owner
      const pinned = owner.pinned || others.some((other) => other.pinned)
      const url = others.length === 0 ? owner.url : null
      return { key: at, mode, filename, name: nameOf(filename), url, pinned }
    }
    if (dirname(at) === at) break
  }
  const home = folders.findLast(({ folder }) => isInside(folder, file))
  const filename = home === undefined ? basename(file) : (relative(home.folder, file).split(sep)[0] ?? '')
  const mode = home?.mode ?? null
  const key = home === undefined ? file : join(home.folder, filename)
  return { key, mode, filename, name: nameOf(filename), url: null, pinned: false }
}

/** `models--owner--name` is shown as `owner/name`. */
function nameOf(filename: string): string {
  return repository.exec(filename)?.[1]?.replace('--', '/') ?? filename
}

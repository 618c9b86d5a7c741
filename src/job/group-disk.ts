/** Checks the files of a group on disk, and deletes those that belong to the download, but no others. */
import { basename, dirname, join, sep } from 'node:path'
import pLimit from 'p-limit'
import { rmdir } from '../disk/fs.js'
import { io } from '../disk/io.js'
import { linkBelow } from '../disk/links.js'
import { discardIfFree, partPaths, removeFiles } from '../disk/part-paths.js'
import { freeBytes, notEnoughSpace } from '../disk/space.js'
import { isUnchanged } from '../disk/stamp.js'
import type { GroupEntry, GroupFiles } from '../download/group.js'
import { refuseSize } from '../engine/fetch/remote-bounds.js'
import type { RemoteBounds } from '../engine/protocol.js'
import { DownloadError } from '../errors.js'
import { removeBlobs } from '../layouts/hf-files.js'
import { repositoryOf } from '../layouts/hf-paths.js'

/** Maximum number of concurrent file operations. */
const maxParallelOps = 16

/** Returns the entries whose file no longer matches its stamp, or that have no stamp. */
export async function changedFiles(entries: readonly GroupEntry[]): Promise<GroupEntry[]> {
  const verdicts = await pLimit(maxParallelOps).map(entries, async ({ path, stamp, blob }) =>
    stamp === null ? false : await isUnchanged(path, stamp, blob !== null),
  )
  return entries.filter((_, index) => verdicts[index] !== true)
}

/** Returns the entries whose file does not exist on disk. */
export async function missingFiles(entries: readonly GroupEntry[]): Promise<GroupEntry[]> {
  const absent = await pLimit(maxParallelOps).map(entries, async ({ path }) => {
    return (await io.lstatIfThere(path).catch(() => undefined)) === null
  })
  return entries.filter((_, index) => absent[index] === true)
}

/**
 * Checks that all missing files fit on the disk before any of them is fetched.
 *
 * @throws DownloadError `NO_SPACE`.
 */
export async function ensureGroupSpace(folder: string, missing: readonly GroupEntry[]): Promise<void> {
  const needed = (list: readonly GroupEntry[]) => list.reduce((sum, { size }) => sum + (size ?? 0), 0)
  const free = await freeBytes(folder)
  if (needed(missing) <= free) return
  // Existing bytes are measured only if they can make a difference.
  const present = await pLimit(maxParallelOps).map(missing, async ({ written, size }) => {
    const { target, part } = partPaths(dirname(written), basename(written))
    const [complete, partial] = await Promise.all(
      [target, part].map((one) => io.lstatIfThere(one).catch(() => null)),
    )
    if (complete?.isFile() === true && complete.size === size) return size
    return Math.min(size ?? 0, (partial?.blocks ?? 0) * 512)
  })
  const missingBytes = needed(missing) - present.reduce((sum, bytes) => sum + bytes, 0)
  if (missingBytes <= free) return
  throw notEnoughSpace(missingBytes, free)
}

/**
 * Checks that none of the missing files is too large for a remote caller, before any of them is fetched: without it,
 * the group could not be completed.
 *
 * @throws DownloadError `NO_SPACE`.
 */
export async function requireAllowedSizes(
  missing: readonly GroupEntry[],
  bounds: RemoteBounds | null | undefined,
): Promise<void> {
  for (const { filename, size, written } of missing) {
    const refusal = refuseSize(size, bounds)
    if (refusal === null) continue
    const existing = await io.lstatIfThere(written).catch(() => null)
    if (existing?.isFile() !== true || existing.size !== size)
      throw new DownloadError(refusal.code, `${filename}: ${refusal.message}`)
  }
}

/**
 * Deletes the partial bytes of unfinished files and the given complete files, then every empty folder of the
 * group.
 *
 * @param folder - folder of the group; files in a linked folder below it are left alone.
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function removeGroupFiles(
  folder: string,
  { parts, complete }: { parts: readonly string[]; complete: readonly string[] },
): Promise<void> {
  const linked = new Set<string>()
  for (const below of new Set([...parts, ...complete].map((path) => dirname(path)))) {
    if ((await linkBelow(folder, below)) !== null) linked.add(below)
  }
  // Nothing of the group is behind a link.
  const own = (paths: readonly string[]) => paths.filter((path) => !linked.has(dirname(path)))
  const slots = pLimit(maxParallelOps)
  await Promise.all([
    slots.map(own(parts), (path) => discardIfFree(partPaths(dirname(path), basename(path)))),
    slots.map(own(complete), (path) => removeFiles([path])),
  ])
  await removeEmpty(folder, [...parts, ...complete])
}

/**
 * Deletes what a canceled group has written: the partial bytes of unfinished files, and the files that it has
 * fetched. Files that existed before it began are kept.
 *
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function cancelGroup(group: GroupFiles): Promise<void> {
  const { files, pending, path } = group
  const blobs = new Set(files.filter(({ fetched }) => fetched).map(({ blob }) => blob))
  // In a cache, a blob that several files share was fetched for only one of them.
  const candidates = files.filter(({ fetched, blob }) => fetched || (blob !== null && blobs.has(blob)))
  const changed = new Set(await changedFiles(candidates))
  // A file that has been replaced since then is not ours.
  const ours = candidates.filter((entry) => !changed.has(entry))
  await removeEntries(path, { parts: pending, complete: ours })
  for (const entry of [...pending, ...ours]) group.lose(entry, 'canceled')
}

/**
 * Deletes the partial bytes of a group that is being removed.
 *
 * @param finished - whether to delete the complete files as well.
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function removeGroup({ files, pending, path }: GroupFiles, finished: boolean): Promise<void> {
  const complete = finished ? files.filter(({ isDone }) => isDone) : []
  await removeEntries(path, { parts: pending, complete })
}

async function removeEntries(
  folder: string,
  { parts, complete }: { parts: readonly GroupEntry[]; complete: readonly GroupEntry[] },
): Promise<void> {
  await removeGroupFiles(folder, {
    parts: parts.map(({ written }) => written),
    complete: complete.map(({ path }) => path),
  })
  if (parts.concat(complete).every(({ blob }) => blob === null)) return
  await removeBlobs(
    repositoryOf(folder),
    complete.flatMap(({ blob }) => blob ?? []),
  )
}

/**
 * Removes the empty folders among the parents of some files, up to and including the group's own, deepest
 * first.
 */
async function removeEmpty(group: string, paths: readonly string[]): Promise<void> {
  const folders = new Set<string>([group])
  for (const path of paths) {
    for (let folder = dirname(path); folder.startsWith(join(group, sep)); folder = dirname(folder)) {
      if (folders.has(folder)) break
      folders.add(folder)
    }
  }
  const deepestFirst = [...folders].sort((a, b) => b.length - a.length)
  // A folder that is not empty or does not exist is left as it is.
  for (const folder of deepestFirst) await rmdir(folder).catch(() => undefined)
}

/** A group's files on disk: looking at them, and taking away what is ours, and nothing else. */
import { rmdir } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import pLimit from 'p-limit'
import { io } from '../disk/io.js'
import { partPaths, removeFiles } from '../disk/part-paths.js'
import { freeBytes, notEnoughSpace } from '../disk/space.js'
import { isUnchanged } from '../disk/stamp.js'
import type { Entry, GroupFiles } from '../download/group.js'
import { removeBlobs } from '../layouts/hf-files.js'
import { repositoryOf } from '../layouts/hf-paths.js'

/** File operations at a time. */
const atATime = 16

/** Those whose files are no longer as their stamps say, or that have none. */
export async function changedFiles(entries: readonly Entry[]): Promise<Entry[]> {
  const verdicts = await pLimit(atATime).map(entries, async ({ path, stamp, blob }) =>
    stamp === null ? false : await isUnchanged(path, stamp, blob !== null),
  )
  return entries.filter((_, index) => verdicts[index] !== true)
}

/** Those under whose names nothing lies. */
export async function missingFiles(entries: readonly Entry[]): Promise<Entry[]> {
  const absent = await pLimit(atATime).map(entries, async ({ path }) => {
    return (await io.lstatIfThere(path).catch(() => undefined)) === null
  })
  return entries.filter((_, index) => absent[index] === true)
}

/**
 * Makes sure that all missing files fit, before a byte of them is fetched.
 *
 * @throws DownloadError `NO_SPACE`.
 */
export async function ensureGroupSpace(folder: string, missing: readonly Entry[]): Promise<void> {
  const needed = (list: readonly Entry[]) => list.reduce((sum, { size }) => sum + (size ?? 0), 0)
  const free = await freeBytes(folder)
  if (needed(missing) <= free) return
  // Only now is it worth a look at what of them lies there already.
  const there = await pLimit(atATime).map(missing, async ({ written, size }) => {
    const { target, part } = partPaths(dirname(written), basename(written))
    const [whole, begun] = await Promise.all(
      [target, part].map((one) => io.lstatIfThere(one).catch(() => null)),
    )
    if (whole?.isFile() === true && whole.size === size) return size
    return Math.min(size ?? 0, (begun?.blocks ?? 0) * 512)
  })
  const missingBytes = needed(missing) - there.reduce((sum, bytes) => sum + bytes, 0)
  if (missingBytes <= free) return
  throw notEnoughSpace(missingBytes, free)
}

/**
 * Deletes what was kept of unfinished files, and given files whole; then every folder of the group that is empty.
 *
 * @param folder - the group's.
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function removeGroupFiles(
  folder: string,
  { parts, whole }: { parts: readonly string[]; whole: readonly string[] },
): Promise<void> {
  const files = [
    ...parts.flatMap((path) => {
      const { part, journal } = partPaths(dirname(path), basename(path))
      return [part, journal]
    }),
    ...whole,
  ]
  await pLimit(atATime).map(files, (path) => removeFiles([path]))
  await removeEmpty(folder, [...parts, ...whole])
}

/**
 * Deletes what a canceled group brought: the bytes of unfinished files, and the files that it has finished. What lay
 * there before it began stays.
 *
 * @throws DownloadError as above.
 */
export async function cancelGroup(group: GroupFiles): Promise<void> {
  const { files, missing, path } = group
  const blobs = new Set(files.filter(({ fetched }) => fetched).map(({ blob }) => blob))
  // In a cache what several have in common was fetched for one of them.
  const candidates = files.filter(({ fetched, blob }) => fetched || (blob !== null && blobs.has(blob)))
  const changed = new Set(await changedFiles(candidates))
  // What somebody has put there since isn't ours.
  const brought = candidates.filter((entry) => !changed.has(entry))
  await removeEntries(path, { parts: missing, whole: brought })
  for (const entry of [...missing, ...brought]) group.lose(entry, 'canceled')
}

/**
 * Deletes the bytes of unfinished files of a group that is forgotten.
 *
 * @param finished - also delete the files that are there.
 * @throws DownloadError as above.
 */
export async function removeGroup({ files, missing, path }: GroupFiles, finished: boolean): Promise<void> {
  const whole = finished ? files.filter(({ isDone }) => isDone) : []
  await removeEntries(path, { parts: missing, whole })
}

async function removeEntries(
  folder: string,
  { parts, whole }: { parts: readonly Entry[]; whole: readonly Entry[] },
): Promise<void> {
  await removeGroupFiles(folder, {
    parts: parts.map(({ written }) => written),
    whole: whole.map(({ path }) => path),
  })
  if (parts.concat(whole).every(({ blob }) => blob === null)) return
  await removeBlobs(
    repositoryOf(folder),
    whole.flatMap(({ blob }) => blob ?? []),
  )
}

/** Removes the empty ones among the folders of some files, up to the group's own, the deepest first. */
async function removeEmpty(group: string, paths: readonly string[]): Promise<void> {
  const folders = new Set<string>([group])
  for (const path of paths) {
    for (let folder = dirname(path); folder.startsWith(join(group, sep)); folder = dirname(folder)) {
      if (folders.has(folder)) break
      folders.add(folder)
    }
  }
  const deepestFirst = [...folders].sort((a, b) => b.length - a.length)
  // One that isn't empty, or isn't there, stays as it is.
  for (const folder of deepestFirst) await rmdir(folder).catch(() => undefined)
}

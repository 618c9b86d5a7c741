/** Deletes the files of a finished download as a whole, and nothing else. */
import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { readdir, rm } from '../../disk/fs.js'
import { isInside } from '../../disk/inside.js'
import { io } from '../../disk/io.js'
import { isUnchanged } from '../../disk/stamp.js'
import { findFiles } from '../../disk/walk.js'
import type { Destinations } from '../../download/destination.js'
import type { Download } from '../../download/download.js'
import type { GroupFiles } from '../../download/group.js'
import { changedFiles, removeGroup } from '../../job/group-disk.js'

/** How the folder of a group is called from the moment that it is evicted until its files are deleted. */
const evictedPrefix = '.model-downloader-evicted-'

/** Whether the files of a download are in the manager's folders, and there through it alone, as far as the record tells. */
export function isEvictable(places: Destinations, { state, record }: Download): boolean {
  const isHere = isInside(places.directory, places.folderOf(record))
  return state === 'completed' && record.fetched === true && record.pinned !== true && isHere
}

/**
 * Deletes the files of a download, unless one of them has changed since they were fetched, or is behind a link.
 *
 * @returns whether they were deleted.
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function evictFiles(places: Destinations, download: Download): Promise<boolean> {
  const { record, groupFiles, path } = download
  if (await places.isBehindLink(record, groupFiles?.path ?? dirname(path))) return false
  if (groupFiles !== null) return await evictGroup(groupFiles, record.layout === 'flat')
  const written = places.writtenPath(record)
  if (written === null || record.stamp === null || !(await isUnchanged(written, record.stamp))) return false
  await places.deleteFile(record)
  return true
}

async function evictGroup(group: GroupFiles, hasOwnFolder: boolean): Promise<boolean> {
  if ((await changedFiles(group.files.filter(({ isRefused }) => !isRefused))).length > 0) return false
  const own = new Set(group.files.map(({ path }) => path))
  const others = hasOwnFolder && (await findFiles([group.path])).some(({ path }) => !own.has(path))
  if (!hasOwnFolder || others) {
    await removeGroup(group, true)
    return true
  }
  // Renamed first, so that nobody finds a part of it, even if this process is killed.
  const doomed = join(dirname(group.path), evictedPrefix + randomBytes(8).toString('hex'))
  await io.rename(group.path, doomed)
  await rm(doomed, { recursive: true, force: true, maxRetries: 3 })
  return true
}

/** Deletes what an eviction has left that was interrupted. Never rejects. */
export async function finishEvictions(places: Destinations): Promise<void> {
  for (const { folder } of places.modeFolders) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    for (const entry of entries) {
      if (entry.isDirectory() && basename(entry.name).startsWith(evictedPrefix))
        await rm(join(folder, entry.name), { recursive: true, force: true }).catch(() => undefined)
    }
  }
}

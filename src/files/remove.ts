/** Deletes finished files, groups and the bytes of unfinished downloads. */
import { basename, dirname, sep } from 'node:path'
import pLimit from 'p-limit'
import { fsError, isMissing } from '../disk/errors.js'
import { rmdir } from '../disk/fs.js'
import { isInside } from '../disk/inside.js'
import { io } from '../disk/io.js'
import { requireNoLinks } from '../disk/links.js'
import { acquireLock } from '../disk/lock.js'
import { partPaths, removeFiles } from '../disk/part-paths.js'
import { DownloadError } from '../errors.js'
import { removeBlobs, requireInside } from '../layouts/hf-files.js'
import { readRepository, removeFromCache } from '../layouts/hf-inventory.js'
import { planRemoval } from '../layouts/hf-usage.js'
import { repositoryAbove } from './inventory.js'
import { FileNotes } from './notes.js'
import type { StoredFile, StoredMember } from './stored.js'

/** Maximum number of concurrent file operations. */
const maxParallelOps = 16

/**
 * Deletes an entry of a folder.
 *
 * @param directory - absolute path of the folder of models. Nothing outside of it is deleted.
 * @throws DownloadError `ACCESS_DENIED` if it is outside of the folder; `TARGET_LOCKED` while one of its files is being
 * downloaded, before anything is deleted; `TARGET_NOT_REGULAR` behind a symbolic link; `PERMISSION`, `READ_ONLY`,
 * `DISK_IO`.
 */
export async function removeEntry(directory: string, entry: StoredFile): Promise<void> {
  const { files } = entry
  if (![entry, ...files].every(({ path }) => path !== directory && isInside(directory, path)))
    throw new DownloadError('ACCESS_DENIED', 'The file is not below the folder of models.')
  if (entry.layout === 'hf-cache') {
    await removeCached(entry)
    return
  }
  const folders = new Set(files.map(({ path }) => dirname(path)))
  for (const folder of folders) await requireNoLinks(directory, folder)
  const slots = pLimit(maxParallelOps)
  await slots.map(files, requireUnlocked)
  await slots.map(files, async ({ path }) => {
    const { target, part, journal, recent, adopted, lock } = partPaths(dirname(path), basename(path))
    await removeFiles([target, part, journal, recent, adopted, lock])
  })
  await new FileNotes().forget(files.map(({ path }) => path))
  if (entry.isGroup) await removeEmptyFolders(entry.path, folders)
}

/** A download holds the lock of its file as long as it runs. Only a lock that exists has to be tried. */
async function requireUnlocked({ path }: StoredMember): Promise<void> {
  const { lock } = partPaths(dirname(path), basename(path))
  try {
    if ((await io.lstatIfThere(lock)) === null) return
    const held = await acquireLock(lock)
    await held.release()
  } catch (error) {
    if (!isMissing(error)) throw fsError(error, 'checking whether the file is being downloaded')
  }
}

async function removeEmptyFolders(group: string, folders: ReadonlySet<string>): Promise<void> {
  const all = new Set<string>([group])
  for (const start of folders)
    for (let folder = start; folder.startsWith(group + sep); folder = dirname(folder)) all.add(folder)
  // One that is not empty has files that do not belong to the group.
  for (const folder of [...all].sort((a, b) => b.length - a.length))
    await rmdir(folder).catch(() => undefined)
}

/** Removes a snapshot, or one file of it, from a cache, with the blobs that no other snapshot uses. */
async function removeCached({ path, isGroup, files }: StoredFile): Promise<void> {
  const above = repositoryAbove(path)
  const folder = above === null ? '' : basename(above)
  const repository = above === null ? null : await readRepository(above, folder)
  const [, commit] = path
    .slice(above?.length ?? 0)
    .split(sep)
    .filter((name) => name !== '')
  if (above === null || repository === null || commit === undefined)
    throw new DownloadError('TARGET_NOT_REGULAR', 'The file is not in a repository of a cache.')
  const [only] = files
  if (isGroup || only === undefined) {
    await removeFromCache(dirname(above), repository, planRemoval(repository, [commit]))
    return
  }
  await requireUnlocked(only)
  const folders = path.slice(above.length + 1).split(sep)
  await requireInside(above, folders.slice(0, -1))
  await removeFiles([path])
  await removeBlobs(above, [basename(only.path)])
}

/** Symbolic links among the folders of a path, through which a file would end up elsewhere. */
import { join, relative, sep } from 'node:path'
import { DownloadError } from '../errors.js'
import { fsError } from './errors.js'
import { isInside } from './inside.js'
import { io } from './io.js'

/**
 * Returns the first folder below the root that is a symbolic link, or a junction on Windows; null if there is
 * none. Folders that do not exist yet are no links.
 *
 * @param root - absolute; it may be a link itself, because the host application named it.
 * @param folder - absolute; the root itself, or a folder below it.
 * @throws DownloadError `PERMISSION`, `DISK_IO` when that can't be found out.
 */
export async function linkBelow(root: string, folder: string): Promise<string | null> {
  if (!isInside(root, folder)) return null
  let path = root
  for (const name of relative(root, folder).split(sep)) {
    if (name === '') continue
    path = join(path, name)
    const stats = await io.lstatIfThere(path).catch((error: unknown) => {
      throw fsError(error, 'checking the target folder')
    })
    if (stats === null) return null
    if (stats.isSymbolicLink()) return path
  }
  return null
}

/**
 * Checks that no folder below the root is a link.
 *
 * @throws DownloadError `TARGET_NOT_REGULAR`, and the errors of {@link linkBelow}.
 */
export async function requireNoLinks(root: string, folder: string): Promise<void> {
  const link = await linkBelow(root, folder)
  if (link === null) return
  const name = relative(root, link)
  throw new DownloadError(
    'TARGET_NOT_REGULAR',
    `The folder ${name} is a symbolic link, which is not followed. Replace it with a folder, or allow links to the folders of modes with linkedModes.`,
  )
}

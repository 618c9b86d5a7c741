/**
 * Electron packs an app into `app.asar`, which its own functions for files take for a folder. A thread, or another program,
 * can't always read from it. Files that must be real are put beside it, under `app.asar.unpacked`, with the same paths
 * (https://www.electronjs.org/docs/latest/tutorial/asar-archives).
 */

/** The folder that is an archive, with the separator that follows it. */
const archive = /\.asar(?=[\\/])/

/** Whether a path leads into an archive. Pure. */
export function isInArchive(path: string): boolean {
  return archive.test(path)
}

/**
 * Where a file may be: beside the archive that its path leads into, and then at the path itself. Pure.
 *
 * @param hasArchives - see `Runtime.hasArchives`. Elsewhere a folder is a folder, whatever it is called.
 */
export function placesOf(path: string, hasArchives: boolean): string[] {
  return hasArchives && isInArchive(path) ? [path.replace(archive, '.asar.unpacked'), path] : [path]
}

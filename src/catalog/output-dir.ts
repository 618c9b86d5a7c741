/**
 * Validation of the output folder of a preload: it must be inside the roots, even after symbolic links are
 * resolved.
 */
import { dirname, join, type PlatformPath, posix, sep, win32 } from 'node:path'
import { isMissing } from '../disk/errors.js'
import { lstat, realpath } from '../disk/fs.js'
import { isInside } from '../disk/inside.js'
import { checkFilename } from '../disk/names.js'
import { DownloadError, isDownloadError } from '../errors.js'

/** Rules for {@link outputDirectory}. All paths are absolute. */
export interface OutputRules {
  /** Base of relative folders, and the default folder. */
  base: string
  roots: readonly string[]
}

/** A folder and the root that contains it. */
interface Inside {
  root: string
  directory: string
}

/**
 * Returns the requested folder as an absolute path.
 *
 * @param given - the folder as given; undefined or blank selects the base, which need not be inside a root.
 * @param modes - sub-folders for the files; none of them may lead outside the roots through a symbolic link.
 * @throws DownloadError `UNSAFE_FILENAME` for a folder outside the roots, and for names that are not safe on
 * every platform.
 */
export async function outputDirectory(
  given: string | undefined,
  modes: readonly (string | null)[],
  rules: OutputRules,
): Promise<string> {
  if (given === undefined || given.trim() === '') return rules.base
  const { root, directory } = insideRoots(given, rules, sep === '\\' ? win32 : posix)
  const realRoot = await realPathOf(root)
  // Links directly inside a root were created by the host application, for example to a larger disk.
  const folders = directory === root ? [] : modes.map((mode) => join(directory, mode ?? ''))
  for (const folder of [directory, ...folders]) {
    if (!isInside(realRoot, await realPathOf(folder))) throw refused()
  }
  return directory
}

/**
 * Validates a folder by its path alone, without access to the file system. Pure.
 *
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function insideRoots(given: string, { base, roots }: OutputRules, path: PlatformPath): Inside {
  const segments = given.split(path.sep === '\\' ? /[\\/]/ : '/')
  // `a/../b` is another folder than it seems if `a` is a link.
  if (/\p{Cc}/u.test(given) || segments.includes('..')) throw refused()
  if (path.sep === '\\') {
    // `C:x` is relative to the current folder of drive C; `\\?\` and `\\.\` paths may be devices.
    if (/^[a-z]:(?![\\/])/i.test(given) || /^[\\/]{2}[?.]/.test(given)) throw refused()
  } else if (given.includes('\\') || /^[a-z]:/i.test(given) || given.startsWith('//')) {
    // On Windows, these paths would be folders elsewhere.
    throw refused()
  }
  const directory = path.resolve(base, given)
  const root = roots.find((candidate) => isInside(candidate, directory, path))
  if (root === undefined) throw refused()
  for (const name of path.relative(root, directory).split(path.sep)) {
    if (name !== '') checkFolderName(name)
  }
  return { root, directory }
}

function checkFolderName(name: string): void {
  try {
    checkFilename(name)
  } catch (error) {
    if (!isDownloadError(error)) throw error
    throw refused(error.message.replace('The file name', 'The folder name'))
  }
}

/**
 * Resolves symbolic links. Components that do not exist yet are kept, because they will be created as they
 * are written.
 */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (!isMissing(error) || (await exists(path))) throw refused()
  }
  const parent = dirname(path)
  return parent === path ? path : join(await realPathOf(parent), path.slice(parent.length))
}

/**
 * Whether something exists at a path. A dangling link counts as existing, because its target could be created
 * later.
 */
async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch {
    return false
  }
}

/** The message does not reveal folders of this machine, because callers see it. */
function refused(message = 'The folder must be inside one of the allowed folders.'): DownloadError {
  return new DownloadError('UNSAFE_FILENAME', message, { issues: [{ path: 'output_dir', message }] })
}

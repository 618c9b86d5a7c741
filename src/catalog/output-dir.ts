/** Where a preload may put files: inside the roots, also behind symbolic links. */
import { lstat, realpath } from 'node:fs/promises'
import { dirname, join, type PlatformPath, posix, sep, win32 } from 'node:path'
import { isMissing } from '../disk/errors.js'
import { isInside } from '../disk/inside.js'
import { checkFilename } from '../disk/names.js'
import { DownloadError, isDownloadError } from '../errors.js'

/** What {@link outputDirectory} judges by. All paths are absolute. */
export interface OutputRules {
  /** What a relative folder is relative to, and what is taken when none is given. */
  base: string
  roots: readonly string[]
}

/** A folder and the root that it lies in. */
interface Inside {
  root: string
  directory: string
}

/**
 * The folder that was asked for, absolute.
 *
 * @param given - as it came; undefined or blank means the base, which needs no root.
 * @param modes - sub-folders that files will go to; none of them may lead outside by a symbolic link either.
 * @throws DownloadError `UNSAFE_FILENAME` for a folder outside the roots, and for names that are not safe everywhere.
 */
export async function outputDirectory(
  given: string | undefined,
  modes: readonly (string | null)[],
  rules: OutputRules,
): Promise<string> {
  if (given === undefined || given.trim() === '') return rules.base
  const { root, directory } = insideRoots(given, rules, sep === '\\' ? win32 : posix)
  const realRoot = await realPathOf(root)
  // What lies directly in a root is the host's own doing, a link to a bigger disk for example.
  const folders = directory === root ? [] : modes.map((mode) => join(directory, mode ?? ''))
  for (const folder of [directory, ...folders]) {
    if (!isInside(realRoot, await realPathOf(folder))) throw refused()
  }
  return directory
}

/**
 * The same by the spelling alone. Pure.
 *
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function insideRoots(given: string, { base, roots }: OutputRules, path: PlatformPath): Inside {
  const segments = given.split(path.sep === '\\' ? /[\\/]/ : '/')
  // `a/../b` may mean another folder than it seems to when `a` is a link.
  if (/\p{Cc}/u.test(given) || segments.includes('..')) throw refused()
  if (path.sep === '\\') {
    // `C:x` is relative to wherever drive C is; `\\?\` and `\\.\` are not files.
    if (/^[a-z]:(?![\\/])/i.test(given) || /^[\\/]{2}[?.]/.test(given)) throw refused()
  } else if (given.includes('\\') || /^[a-z]:/i.test(given) || given.startsWith('//')) {
    // They mean a folder elsewhere to Windows.
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

/** Where a path really leads; what isn't there yet will be made as it is spelled. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (!isMissing(error) || (await isThere(path))) throw refused()
  }
  const parent = dirname(path)
  return parent === path ? path : join(await realPathOf(parent), path.slice(parent.length))
}

/** A link that leads nowhere is there, and could be made to lead somewhere. */
async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch {
    return false
  }
}

/** Says nothing of the folders of this machine: it is shown to whoever asked. */
function refused(message = 'The folder must lie inside the allowed ones.'): DownloadError {
  return new DownloadError('UNSAFE_FILENAME', message, { issues: [{ path: 'output_dir', message }] })
}

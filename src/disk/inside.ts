import * as nodePath from 'node:path'

/**
 * Whether a path is a folder or lies below it, by the spelling alone: links are not looked at.
 *
 * @param folder - absolute.
 * @param path - absolute.
 * @param platform - whose paths these are. Default: this machine's.
 */
export function isInside(
  folder: string,
  path: string,
  platform: Pick<nodePath.PlatformPath, 'relative' | 'sep' | 'isAbsolute'> = nodePath,
): boolean {
  const way = platform.relative(folder, path)
  // On Windows the way to another drive is the whole path.
  return way !== '..' && !way.startsWith(`..${platform.sep}`) && !platform.isAbsolute(way)
}

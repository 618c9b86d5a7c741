import nodePath from 'node:path'

/**
 * Whether a path is a folder itself or is inside it. Only the paths are compared; symlinks are not resolved.
 *
 * @param folder - absolute.
 * @param path - absolute.
 * @param platform - the path conventions to use. Default: this machine's.
 */
export function isInside(
  folder: string,
  path: string,
  platform: Pick<nodePath.PlatformPath, 'relative' | 'sep' | 'isAbsolute'> = nodePath,
): boolean {
  const relative = platform.relative(folder, path)
  // On Windows the relative path to another drive is an absolute one.
  return relative !== '..' && !relative.startsWith(`..${platform.sep}`) && !platform.isAbsolute(relative)
}

/** Finds out which files folders contain, and how much of the disk they take. */
import { join } from 'node:path'
import pLimit from 'p-limit'
import { type Dirent, readdir } from './fs.js'
import { io } from './io.js'
import type { FileStats } from './stats.js'

/** A file as a {@link findFiles} finds it. */
export interface FoundFile {
  /** Absolute path. */
  path: string
  /** Length in bytes. */
  size: number
  /** Bytes that are allocated on the disk; less than `size` for a file with holes. */
  allocated: number
  /** Number of hard links. */
  links: number
  /** The file system that it is on; see {@link volumeOf}. */
  volume: string
  /** Identifies the content on its file system: hard links have the same. */
  inode: bigint
  /** Time of the last access, in milliseconds since the Unix epoch. */
  atimeMs: number
}

/** Maximum number of concurrent file operations. */
const maxParallelOps = 32

/**
 * Maximum number of files that are looked at. The folder of a manager has far fewer, unless somebody has made it a
 * home folder or the root of a disk.
 */
const maxFiles = 500_000

/**
 * Finds all regular files in folders and below them. Symbolic links are not followed, except the given folders
 * themselves. What disappears or can't be read is left out.
 *
 * @param folders - absolute paths; one inside another is walked only once.
 * @param skips - folders with these names are left out.
 */
export async function findFiles(
  folders: readonly string[],
  skips: ReadonlySet<string> = new Set(),
): Promise<FoundFile[]> {
  const limit = pLimit(maxParallelOps)
  const found: FoundFile[] = []
  const seen = new Set<string>()
  const visit = async (folder: string): Promise<void> => {
    if (seen.has(folder) || seen.size + found.length >= maxFiles) return
    seen.add(folder)
    const entries = await limit(() => readdir(folder, { withFileTypes: true }).catch(() => []))
    const below: string[] = []
    await limit.map(
      entries.filter((entry) => {
        if (entry.isDirectory() && !skips.has(entry.name)) below.push(join(folder, entry.name))
        return entry.isFile()
      }),
      async ({ name }) => {
        const file = found.length >= maxFiles ? null : await lookAt(join(folder, name))
        if (file !== null) found.push(file)
      },
    )
    for (const each of below) await visit(each)
  }
  for (const folder of folders) await visit(folder)
  return found
}

/**
 * Lists everything in a folder and below it. Symbolic links are not followed, except the given folder itself: Node's
 * own recursive `readdir` follows them in some versions, round and round where they lead upwards.
 *
 * @returns entries with the folder that each is in. What is below and disappears or can't be read is left out.
 * @throws the error of the file system for the folder itself.
 */
export async function entriesBelow(folder: string): Promise<Dirent[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const folders = entries.filter((entry) => entry.isDirectory())
  for (let next = folders.pop(); next !== undefined && entries.length < maxFiles; next = folders.pop()) {
    const below = await readdir(join(next.parentPath, next.name), { withFileTypes: true }).catch(() => [])
    entries.push(...below)
    folders.push(...below.filter((entry) => entry.isDirectory()))
  }
  return entries
}

/** Looks at one file; null if there is none, or no regular one. */
export async function lookAt(path: string): Promise<FoundFile | null> {
  const stats = await io.lstat(path).catch(() => null)
  return stats?.isFile() === true ? describeFile(path, stats) : null
}

function describeFile(path: string, { size, blocks, nlink, dev, ino, atimeMs }: FileStats): FoundFile {
  return {
    path,
    size,
    allocated: Math.min(size, blocks * 512),
    links: nlink,
    volume: String(dev),
    inode: ino,
    atimeMs,
  }
}

/** Measures how much of the disk the files of a manager take. */
import { basename, dirname } from 'node:path'
import { isInside } from '../../disk/inside.js'
import { targetOfPart, partPaths } from '../../disk/part-paths.js'
import { type FoundFile, findFiles, lookAt } from '../../disk/walk.js'
import type { Destinations } from '../../download/destination.js'
import type { Download } from '../../download/download.js'

/** Name of the folder of records, which is not counted. */
const recordsFolder = '.model-downloader'

/** A file as it counts towards the budget. */
export interface CountedFile {
  /** Absolute path. */
  path: string
  /**
   * What it counts, in bytes: its size; of an unfinished file what is allocated of it, unless another process is
   * writing it, which will need the rest as well. Further hard links of a file count nothing.
   */
  bytes: number
  /** How much of `bytes` is not allocated yet. */
  pending: number
  /** What deleting it would give back, in bytes: nothing if it has another hard link. */
  freeable: number
  /** The file system that it is on; see {@link volumeOf}. */
  volume: string
  /** Time of the last access, in milliseconds since the Unix epoch. */
  atimeMs: number
}

/**
 * Finds the files in the folders of a manager, whoever has put them there, and those of its downloads elsewhere.
 *
 * @param isWriting - whether this manager writes an unfinished file, given the path of the finished one.
 */
export async function countFiles(
  places: Destinations,
  downloads: readonly Download[],
  isWriting: (target: string) => boolean,
): Promise<CountedFile[]> {
  const folders = places.modeFolders.map(({ folder }) => folder)
  const files = await findFiles(folders, new Set([recordsFolder]))
  const known = new Set(files.map(({ path }) => path))
  for (const download of downloads) {
    const { directory } = download.record
    if (directory === null || isInside(places.directory, places.folderOf(download.record))) continue
    for (const target of writtenFiles(places, download)) {
      const { part, lock } = partPaths(dirname(target), basename(target))
      for (const path of [target, part, lock]) {
        const file = known.has(path) ? null : await lookAt(path)
        known.add(path)
        if (file !== null) files.push(file)
      }
    }
  }
  return spaceOfEach(files, isWriting)
}

/** The files that a download writes: in a cache these are the blobs. Empty while they are not known. */
export function writtenFiles(places: Destinations, { record, groupFiles }: Download): string[] {
  if (groupFiles !== null) return groupFiles.files.flatMap((file) => (file.isRefused ? [] : file.written))
  const written = record.named ? places.writtenPath(record) : null
  return written === null ? [] : [written]
}

/** Decides what each file counts. Pure. */
export function spaceOfEach(
  files: readonly FoundFile[],
  isWriting: (target: string) => boolean = () => false,
): CountedFile[] {
  const paths = new Set(files.map(({ path }) => path))
  const inodes = new Set<string>()
  return files.map(({ path, size, allocated, links, volume, inode, atimeMs }) => {
    const target = targetOfPart(path)
    const isPart = target !== null && path === `${target}.part`
    // Whoever holds the lock extends the part to the full length beforehand, and will fill it.
    const isForeign = isPart && paths.has(`${path}.lock`) && !isWriting(target)
    // What is there beside the bytes themselves is too small to matter.
    const isNote = target !== null && !isPart && !path.endsWith('.adopt')
    const bytes = isNote ? 0 : isPart && !isForeign ? allocated : size
    const content = `${volume}:${inode}`
    const isFirst = links <= 1 || !inodes.has(content)
    if (links > 1) inodes.add(content)
    return {
      path,
      bytes: isFirst ? bytes : 0,
      pending: isForeign ? size - allocated : 0,
      freeable: links <= 1 ? allocated : 0,
      volume,
      atimeMs,
    }
  })
}

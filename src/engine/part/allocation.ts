/**
 * How long a part file is from the start.
 *
 * On most file systems a part gets its full length at once: what has not been written is a hole that costs nothing, and
 * the length shows whether another program has truncated the part. But exFAT, NTFS, FAT and HFS+ have no holes (NTFS
 * only for files that ask for them). They fill the space before the first write far ahead with zeros, so that half of
 * what reaches the disk is zeros, and the write takes as long as they do. There a part grows as it is written, and no
 * segment begins far ahead of the others (`windowFor` in `engine/fetch/segments.ts`).
 */

/**
 * How much a part is extended by to see what that costs, in bytes. More than the cluster of any usual file system, and
 * so little that filling it does not matter.
 */
export const trialBytes = 1024 * 1024

/** What is known of a part file, and of what extending it did. */
export interface Extension {
  /** Same as `process.platform`. */
  platform: string
  /** Length before and after, in bytes. */
  from: number
  to: number
  /** Allocated units of 512 bytes before and after. */
  blocksBefore: number
  blocksAfter: number
}

/**
 * Whether a file system fills gaps with zeros: it allocates space for bytes that nobody has written.
 *
 * NTFS allocates it too, but Windows can have none else that matter: ReFS fills gaps in the same way.
 */
export function fillsGaps({ platform, from, to, blocksBefore, blocksAfter }: Extension): boolean {
  if (platform === 'win32') return true
  // A file system without holes allocates all of it. One that has them allocates at most its own metadata.
  const allocated = (blocksAfter - blocksBefore) * 512
  return to > from && allocated * 2 >= to - from
}

/**
 * How a part of a known size is extended.
 *
 * @param length - its present length in bytes.
 * @param total - its final length in bytes.
 * @param isNew - whether the part is new, and not one of an earlier run.
 * @returns `none`: it grows as it is written. `full`: to its final length. `trial`: by {@link trialBytes} first, to see
 * whether the file system fills gaps.
 */
export function extensionOf(
  { length, total, isNew }: { length: number; total: number; isNew: boolean },
  platform: string,
): 'none' | 'full' | 'trial' {
  // Whoever made it so long has paid for it.
  if (length >= total) return 'full'
  if (platform === 'win32') return 'none'
  if (isNew && total <= unsizedBytes) return 'none'
  return total - length <= trialBytes ? 'full' : 'trial'
}

/** A new part up to this size is filled by a single write, and does not need its full length beforehand, in bytes. */
export const unsizedBytes = 256 * 1024

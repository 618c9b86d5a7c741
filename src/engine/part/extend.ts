/** Extends a part file to its full length, where that costs nothing. */
import { io } from '../../disk/io.js'
import { setLength } from './part-io.js'
import { extensionOf, fillsGaps, trialBytes } from './allocation.js'

/** What became of it. */
export interface Extended {
  /** Whether the file has its full length. */
  sized: boolean
  /** Whether its file system fills gaps with zeros, see {@link fillsGaps}. */
  filling: boolean
}

/**
 * Extends an open part file to its full length, unless the file system would fill it with zeros.
 *
 * @param total - size of the file in bytes; null if unknown.
 * @param isNew - whether the part was just created.
 * @param options - `platform`: for tests; default: `process.platform`. `before`: called right before each change of the
 * length; what it throws is thrown.
 * @throws the error of the file system.
 */
export async function extend(
  fd: number,
  total: number | null,
  isNew: boolean,
  { platform = process.platform, before }: { platform?: string; before?: (() => void) | undefined } = {},
): Promise<Extended> {
  const isWindows = platform === 'win32'
  if (total === null) return { sized: false, filling: isWindows }
  const old = isNew ? { size: 0, blocks: 0 } : await io.fstat(fd)
  const how = extensionOf({ length: old.size, total, isNew }, platform)
  if (how === 'trial') {
    const to = old.size + trialBytes
    before?.()
    if (!(await setLength(fd, to))) return { sized: false, filling: isWindows }
    const { blocks } = await io.fstat(fd)
    if (fillsGaps({ platform, from: old.size, to, blocksBefore: old.blocks, blocksAfter: blocks })) {
      before?.()
      await io.ftruncate(fd, old.size)
      return { sized: false, filling: true }
    }
  }
  if (how === 'none') return { sized: false, filling: isWindows }
  before?.()
  return { sized: await setLength(fd, total), filling: isWindows }
}

/** What the disk view shows. Pure. */
import type { DiskUsage, WireDownload } from '../../client/index.js'

/** A file or folder on the disk. */
export type DiskEntry = DiskUsage['by'][number]

/** The files of a mode. */
export interface DiskGroup {
  /** Null for files outside of all modes. */
  readonly mode: string | null
  readonly bytes: number
  /** Part of the whole bar, from 0 to 1. */
  readonly share: number
  /** The largest first. */
  readonly entries: readonly DiskEntry[]
}

/** What the view shows. */
export interface DiskView {
  /** The largest first. */
  readonly groups: readonly DiskGroup[]
  /** What else the models take, of which no files are told; part of the whole bar. */
  readonly unlisted: number
  /** Whether there is little room left, so that downloads may soon be refused. */
  readonly isTight: boolean
}

/** Part of the whole from which there is little room left. */
const tight = 0.9

/** Groups the files by mode, and relates them to the budget, or to the disk when there is none. */
export function diskViewOf({ used, free, maxDiskBytes, minFreeBytes, by }: DiskUsage): DiskView {
  // What a file system does not tell is not taken for little.
  const room = free === null ? Infinity : Math.max(0, free - (minFreeBytes ?? 0))
  const whole = Math.max(1, used, maxDiskBytes ?? (Number.isFinite(room) ? used + room : used))
  const byMode = new Map<string | null, DiskEntry[]>()
  for (const entry of by) byMode.set(entry.mode, [...(byMode.get(entry.mode) ?? []), entry])
  const groups = [...byMode].map(([mode, entries]): DiskGroup => {
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0)
    return { mode, bytes, share: bytes / whole, entries: entries.sort((a, b) => b.bytes - a.bytes) }
  })
  const fill = Math.max(maxDiskBytes === null ? 0 : used / whole, used / (used + room || 1))
  const unlisted = Math.max(0, used - groups.reduce((sum, { bytes }) => sum + bytes, 0)) / whole
  return { groups: groups.sort((a, b) => b.bytes - a.bytes), unlisted, isTight: fill >= tight }
}

/** The finished download of a file, through which it can be deleted; null for a file of another origin. */
export function downloadOf({ url }: DiskEntry, downloads: readonly WireDownload[]): WireDownload | null {
  return downloads.find((download) => download.state === 'completed' && download.url === url) ?? null
}

/** Downloads of several files, as the wire tells of them. Pure. */
import type { WireDownload } from '../client/index.js'

/** One file of a group. */
export type GroupFile = NonNullable<WireDownload['files']>[number]

/** How many files there are and how many are done; null for a single file, and where the server is too old to say. */
export function groupOf(download: WireDownload): { count: number; completed: number } | null {
  const { file_count: count, files_completed: completed } = download
  return typeof count === 'number' ? { count, completed: completed ?? 0 } : null
}

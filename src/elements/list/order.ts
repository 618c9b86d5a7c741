/** Decides which section a download is listed in, and which actions it offers. Pure. */
import type { WireDownload } from '../client/index.js'

/** The two sections of the list. */
export interface Sections {
  /** Downloads that are running, queued, paused or failed, in order of arrival. */
  readonly active: readonly WireDownload[]
  /** Completed and canceled downloads, the latest first. */
  readonly settled: readonly WireDownload[]
}

/** Whether a download stands among the settled ones. A failed one wants attention, so it stays where it was. */
function isSettled({ state }: WireDownload): boolean {
  return state === 'completed' || state === 'canceled'
}

/**
 * Divides downloads into sections. A row keeps its place while it is in progress, and moves once, when it ends.
 *
 * @param downloads - in order of arrival.
 * @param held - the previous sections while the user points at a row, so that no row moves away under the pointer.
 */
export function sectionsOf(downloads: readonly WireDownload[], held: Sections | null = null): Sections {
  const places = new Map<string, 'active' | 'settled'>()
  for (const { url } of held?.active ?? []) places.set(url, 'active')
  for (const { url } of held?.settled ?? []) places.set(url, 'settled')
  const isBelow = (download: WireDownload) => {
    const place = places.get(download.url)
    return place === undefined ? isSettled(download) : place === 'settled'
  }
  const settled = downloads.filter(isBelow)
  const ended = new Map(settled.map((download) => [download, Date.parse(download.finished_at ?? '') || 0]))
  const order = new Map(held?.settled.map(({ url }, index) => [url, index]))
  settled.sort((a, b) => {
    const before = order.get(a.url)
    const after = order.get(b.url)
    if (before !== undefined && after !== undefined) return before - after
    return (ended.get(b) ?? 0) - (ended.get(a) ?? 0)
  })
  return { active: downloads.filter((download) => !isBelow(download)), settled }
}

/** Totals over all active downloads. */
export interface Totals {
  readonly running: number
  readonly waiting: number
  readonly bytesPerSecond: number
}

/** Counts running and queued downloads, and adds up their speeds. */
export function totalsOf(downloads: readonly WireDownload[]): Totals {
  let running = 0
  let waiting = 0
  let bytesPerSecond = 0
  for (const { state, bytes_per_second: speed } of downloads) {
    if (state === 'queued') waiting++
    if (state !== 'downloading' && state !== 'resolving' && state !== 'verifying') continue
    running++
    bytesPerSecond += speed
  }
  return { running, waiting, bytesPerSecond }
}

/** An action on a download. */
export type RowAction = 'pause' | 'resume' | 'cancel' | 'retry' | 'remove'

/** The actions that a state allows, the most likely first. */
export function actionsFor(state: WireDownload['state']): readonly RowAction[] {
  switch (state) {
    case 'queued':
    case 'resolving':
    case 'downloading':
    case 'verifying':
      return ['pause', 'cancel']
    case 'paused':
      return ['resume', 'cancel']
    case 'failed':
    case 'canceled':
      return ['retry', 'remove']
    case 'completed':
      return ['remove']
  }
}

// ---- Downloads of several files.

/** One file of a group. */
export type WireGroupFile = NonNullable<WireDownload['files']>[number]

/** The number of files and of completed ones; null for a single file, or when an older server doesn't report them. */
export function groupOf(download: WireDownload): { count: number; completed: number } | null {
  const { file_count: count, files_completed: completed } = download
  return typeof count === 'number' ? { count, completed: completed ?? 0 } : null
}

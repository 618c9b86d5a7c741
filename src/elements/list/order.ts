/** Decides which section a download is listed in, in which order, and which actions it offers. Pure. */
import type { WireDownload } from '../../client/index.js'

/** The sections of the list, from top to bottom. */
export const sectionNames = ['attention', 'running', 'waiting', 'paused', 'finished'] as const

/** Name of a section. */
export type SectionName = (typeof sectionNames)[number]

/** The downloads of each section, in the order in which they are shown. */
export type Sections = Readonly<Record<SectionName, readonly WireDownload[]>>

const sectionByState: Readonly<Record<WireDownload['state'], SectionName>> = {
  failed: 'attention',
  resolving: 'running',
  downloading: 'running',
  verifying: 'running',
  queued: 'waiting',
  paused: 'paused',
  completed: 'finished',
  canceled: 'finished',
}

/** The section of a download. */
export function sectionOf({ state }: Pick<WireDownload, 'state'>): SectionName {
  return sectionByState[state]
}

/** What a list can be sorted by; `standard` is the order that fits each section. */
export const sortings = ['standard', 'newest', 'name', 'largest', 'progress'] as const

/** One of {@link sortings}. */
export type Sorting = (typeof sortings)[number]

type Compare = (a: WireDownload, b: WireDownload) => number

/** Times come in one format, in which the later one is also the greater text. */
const later = (a: string | null, b: string | null) =>
  (a ?? '') < (b ?? '') ? 1 : (a ?? '') > (b ?? '') ? -1 : 0

const names = new Intl.Collator(undefined, { numeric: true })

const orders: Readonly<Record<Exclude<Sorting, 'standard'>, Compare>> = {
  newest: (a, b) => later(a.created_at, b.created_at),
  name: (a, b) => names.compare(a.filename, b.filename),
  largest: (a, b) => b.total - a.total,
  progress: (a, b) => b.progress - a.progress,
}

/** The order that fits a section; null for the order of arrival. */
const standard: Readonly<Record<SectionName, Compare | null>> = {
  attention: (a, b) => later(a.finished_at, b.finished_at),
  running: null,
  // That in which they will start.
  waiting: (a, b) => (b.priority ?? 0) - (a.priority ?? 0),
  paused: null,
  finished: (a, b) => later(a.finished_at, b.finished_at),
}

/**
 * Divides downloads into sections.
 *
 * @param downloads - in order of arrival.
 * @param held - the previous sections while the user points at a row, so that no row moves away under the pointer.
 */
export function sectionsOf(
  downloads: readonly WireDownload[],
  sorting: Sorting = 'standard',
  held: Sections | null = null,
): Sections {
  const places = new Map<string, { section: SectionName; index: number }>()
  for (const section of held === null ? [] : sectionNames)
    for (const [index, { url }] of held?.[section].entries() ?? []) places.set(url, { section, index })
  const found: Record<SectionName, WireDownload[]> = {
    ...{ attention: [], running: [], waiting: [], paused: [], finished: [] },
  }
  for (const download of downloads)
    found[places.get(download.url)?.section ?? sectionOf(download)].push(download)
  for (const section of sectionNames) {
    const compare = sorting === 'standard' ? standard[section] : orders[sorting]
    if (compare !== null) found[section].sort(compare)
    if (places.size === 0) continue
    const indexOf = ({ url }: WireDownload) => places.get(url)?.index ?? Infinity
    found[section].sort((a, b) => (indexOf(a) === indexOf(b) ? 0 : indexOf(a) - indexOf(b)))
  }
  return found
}

// ---- What is shown of a long list.

/** What the user looks for. */
export interface Filter {
  /** Words that the name or the address contains. */
  readonly text: string
  /** Empty for all. */
  readonly section: SectionName | ''
  /** Empty for all. */
  readonly mode: string
}

/** The filter that shows everything. */
export const noFilter: Filter = { text: '', section: '', mode: '' }

/** Whether a filter shows everything. */
export function showsAll({ text, section, mode }: Filter): boolean {
  return text.trim() === '' && section === '' && mode === ''
}

/** The downloads that a filter shows. */
export function filtered(downloads: readonly WireDownload[], filter: Filter): readonly WireDownload[] {
  if (showsAll(filter)) return downloads
  const words = filter.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  return downloads.filter((download) => {
    if (filter.section !== '' && sectionOf(download) !== filter.section) return false
    if (filter.mode !== '' && download.mode !== filter.mode) return false
    const text = `${download.filename} ${download.url}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

/** The modes that occur, in alphabetical order. */
export function modesOf(downloads: readonly WireDownload[]): readonly string[] {
  return [...new Set(downloads.map(({ mode }) => mode ?? ''))].filter((mode) => mode !== '').sort()
}

/** Totals over all downloads. */
export interface Totals {
  readonly counts: Readonly<Record<SectionName, number>>
  readonly bytesPerSecond: number
}

/** Counts the downloads of each section, and adds up the speeds of those that run. */
export function totalsOf(downloads: readonly WireDownload[]): Totals {
  const counts = { attention: 0, running: 0, waiting: 0, paused: 0, finished: 0 }
  let bytesPerSecond = 0
  for (const download of downloads) {
    const section = sectionOf(download)
    counts[section]++
    if (section === 'running') bytesPerSecond += download.bytes_per_second
  }
  return { counts, bytesPerSecond }
}

// ---- Actions

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

/** Actions on many downloads. */
export const bulkActions = ['pauseAll', 'resumeAll', 'retryFailed', 'clearFinished'] as const

/** One of {@link bulkActions}. */
export type BulkAction = (typeof bulkActions)[number]

const bulk: Readonly<Record<BulkAction, { from: readonly SectionName[]; action: RowAction }>> = {
  // Those that wait come first: they would start as soon as a running one is paused.
  pauseAll: { from: ['waiting', 'running'], action: 'pause' },
  resumeAll: { from: ['paused'], action: 'resume' },
  retryFailed: { from: ['attention'], action: 'retry' },
  clearFinished: { from: ['finished'], action: 'remove' },
}

/** The action on each download, and the downloads that it applies to, in the order in which it is to be done. */
export function bulkOf(
  action: BulkAction,
  downloads: readonly WireDownload[],
): { action: RowAction; urls: readonly string[] } {
  const { from, action: each } = bulk[action]
  const urls = from.flatMap((section) =>
    downloads.filter((download) => sectionOf(download) === section).map(({ url }) => url),
  )
  return { action: each, urls }
}

// ---- Downloads of several files.

/** One file of a group. */
export type WireGroupFile = NonNullable<WireDownload['files']>[number]

/** The number of files and of completed ones; null for a single file, or when an older server doesn't report them. */
export function groupOf(download: WireDownload): { count: number; completed: number } | null {
  const { file_count: count, files_completed: completed } = download
  return typeof count === 'number' ? { count, completed: completed ?? 0 } : null
}

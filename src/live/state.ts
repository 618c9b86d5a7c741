/** What is watched, and how news change it. Pure; what did not change stays the same object. */
import type { DownloadsChange, ModelsStatus, PreloadStatus, WireDownload } from '../client/index.js'
import type { Followed } from './hub.js'

/** All downloads of a server, as they were told last. */
export interface DownloadsSnapshot extends Followed {
  /** In order of arrival. One that did not change is the same object as before. */
  readonly downloads: readonly WireDownload[]
  /** The same by URL. */
  readonly byUrl: ReadonlyMap<string, WireDownload>
}

/** One download, as it was told last. */
export interface DownloadSnapshot extends Followed {
  /** Null while it is not known. */
  readonly download: WireDownload | null
}

/** The preload of a server and the models of its catalog, as they were told last. */
export interface PreloadSnapshot extends Followed {
  /** How the running preload is, or how the last one ended; `logs` grows line by line. Null until it is told. */
  readonly preload: PreloadStatus | null
  /** Which models are there; asked for again whenever one may have come. Null until it is told. */
  readonly models: ModelsStatus | null
}

/** What the server tells of a preload, one or the other. */
export interface PreloadNews {
  readonly preload?: PreloadStatus
  readonly models?: ModelsStatus
}

const unheard = { connection: 'idle', error: null, loaded: false } as const

/** Before the server was heard. */
export const noDownloads: DownloadsSnapshot = { ...unheard, downloads: [], byUrl: new Map() }

/** Before the server was heard. */
export const noPreload: PreloadSnapshot = { ...unheard, preload: null, models: null }

/** The state after changes. The same object when nothing is other. */
export function reduceDownloads(
  state: DownloadsSnapshot,
  changes: readonly DownloadsChange[],
): DownloadsSnapshot {
  let byUrl: Map<string, WireDownload> | null = null
  for (const change of changes) {
    const known: ReadonlyMap<string, WireDownload> = byUrl ?? state.byUrl
    if (change.type === 'snapshot') {
      const all = Object.entries(change.downloads)
      byUrl = new Map(all.map(([url, download]) => [url, kept(known.get(url), download)]))
      continue
    }
    const { url } = change.download
    byUrl ??= new Map(known)
    if (change.type === 'removed') byUrl.delete(url)
    else byUrl.set(url, kept(known.get(url), change.download))
  }
  if (byUrl === null) return state
  const downloads = [...byUrl.values()]
  if (!isEqual(downloads, state.downloads)) return { ...state, loaded: true, downloads, byUrl }
  return state.loaded ? state : { ...state, loaded: true }
}

/** The state after news. The same object when nothing is other. */
export function reducePreload(state: PreloadSnapshot, news: readonly PreloadNews[]): PreloadSnapshot {
  let { preload, models } = state
  for (const told of news) {
    models = told.models ?? models
    if (told.preload !== undefined) preload = withKept(preload, told.preload)
  }
  if (preload === state.preload && models === state.models) return state
  return { ...state, loaded: true, preload, models }
}

function withKept(before: PreloadStatus | null, now: PreloadStatus): PreloadStatus {
  const downloads = before?.downloads ?? null
  if (downloads === null || now.downloads === null) return now
  const each = Object.entries(now.downloads).map(
    ([key, download]) => [key, kept(downloads[key], download)] as const,
  )
  return { ...now, downloads: Object.fromEntries(each) }
}

/** What was there before, when it says the same. */
function kept<T>(before: T | undefined, now: T): T {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(now) ? before : now
}

function isEqual(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index])
}

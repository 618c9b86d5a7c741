/** The snapshots, and the reducers that apply news to them. Pure. Unchanged parts stay the same objects. */
import type { DownloadsChange, ModelsStatus, PreloadStatus, WireDownload } from '../client/index.js'
import type { Followed } from './hub.js'

/** All downloads of a server, as last reported. */
export interface DownloadsSnapshot extends Followed {
  /** In order of arrival. An unchanged download is the same object as before. */
  readonly downloads: readonly WireDownload[]
  /** The same downloads by URL. */
  readonly byUrl: ReadonlyMap<string, WireDownload>
}

/** One download, as last reported. */
export interface DownloadSnapshot extends Followed {
  /** Null while the server doesn't know it. */
  readonly download: WireDownload | null
}

/** The preload of a server and the models of its catalog, as last reported. */
export interface PreloadSnapshot extends Followed {
  /** Status of the running or the last preload; `logs` grows line by line. Null until it has arrived. */
  readonly preload: PreloadStatus | null
  /** Which models are on disk; requested again whenever that may have changed. Null until it has arrived. */
  readonly models: ModelsStatus | null
}

/** News about the preload or about the models of the catalog. */
export interface PreloadNews {
  readonly preload?: PreloadStatus
  readonly models?: ModelsStatus
}

const unheard = { connection: 'idle', error: null, loaded: false } as const

/** The snapshot before any data has arrived. */
export const noDownloads: DownloadsSnapshot = { ...unheard, downloads: [], byUrl: new Map() }

/** The snapshot before any data has arrived. */
export const noPreload: PreloadSnapshot = { ...unheard, preload: null, models: null }

/** Applies changes to a snapshot. Returns the same object when nothing changed. */
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

/** Applies news to a snapshot. Returns the same object when nothing changed. */
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

/** The previous object when it has the same content, otherwise the new one. */
function kept<T>(before: T | undefined, now: T): T {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(now) ? before : now
}

function isEqual(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index])
}

/**
 * What a server does, as stores that parts of a page watch: the one source of all bindings. One connection per client for
 * the downloads and one for the preload, however many watch; none while nobody does.
 */
export { liveDownload, liveDownloads, type DownloadActions, type DownloadsActions } from './views.js'

export type { Connection, Followed } from './hub.js'

export { livePreload, type PreloadActions } from './views.js'

export type { DownloadsSnapshot, DownloadSnapshot, PreloadSnapshot } from './state.js'

export type { LiveStore } from './store.js'

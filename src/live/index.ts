/**
 * Stores that follow a server, for parts of a page to subscribe to. All framework bindings are built on them. There is
 * one connection per client for the downloads and one for the preload, regardless of the number of subscribers, and
 * none while there are no subscribers.
 */
export { liveDownload, liveDownloads, type DownloadActions, type DownloadsActions } from './views.js'

export type { Connection, Followed } from './hub.js'

export { livePreload, type PreloadActions } from './views.js'

export type { DownloadsSnapshot, DownloadSnapshot, PreloadSnapshot } from './state.js'

export type { LiveStore } from './store.js'

export { downloadLogs } from './logs.js'

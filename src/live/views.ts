import type {
  Client,
  DownloadRequest,
  DownloadsChange,
  FollowOptions,
  PreloadOptions,
  PreloadStatus,
} from '../client/index.js'
import { Hub } from './hub.js'
import { downloadLogs } from './logs.js'
import {
  type DownloadSnapshot,
  type DownloadsSnapshot,
  noDownloads,
  noPreload,
  type PreloadNews,
  type PreloadSnapshot,
  reduceDownloads,
  reducePreload,
} from './state.js'
import { createStore, type LiveStore } from './store.js'

/** Actions on the downloads of a server. Each resolves to whether it succeeded; `error` says why not. */
export interface DownloadsActions {
  /** Starts a download, or joins the existing one of the same URL. */
  readonly start: (request: DownloadRequest) => Promise<boolean>
  /** Stops a download and keeps its bytes. */
  readonly pause: (url: string) => Promise<boolean>
  /** Queues a paused download again. */
  readonly resume: (url: string) => Promise<boolean>
  /** Stops a download and deletes its bytes. */
  readonly cancel: (url: string) => Promise<boolean>
  /** Restarts a failed or canceled download. */
  readonly retry: (url: string) => Promise<boolean>
  /** Removes a download from the list. `deleteFile`: also deletes the finished file; default false. */
  readonly remove: (url: string, options?: { deleteFile?: boolean }) => Promise<boolean>
}

/** Actions on one download. Each resolves to whether it succeeded; `error` says why not. */
export interface DownloadActions {
  /** Starts it, or joins it when it exists already. */
  readonly start: (options?: Omit<DownloadRequest, 'url'>) => Promise<boolean>
  /** Stops it and keeps its bytes. */
  readonly pause: () => Promise<boolean>
  /** Queues it again after a pause. */
  readonly resume: () => Promise<boolean>
  /** Stops it and deletes its bytes. */
  readonly cancel: () => Promise<boolean>
  /** Restarts it after it failed or was canceled. */
  readonly retry: () => Promise<boolean>
  /** Removes it from the list. `deleteFile`: also deletes the finished file; default false. */
  readonly remove: (options?: { deleteFile?: boolean }) => Promise<boolean>
}

const hubs = new WeakMap<Client, Hub<DownloadsSnapshot, DownloadsChange>>()

function hubOf(client: Client): Hub<DownloadsSnapshot, DownloadsChange> {
  const known = hubs.get(client)
  if (known !== undefined) return known
  const { add } = downloadLogs(client)
  const hub = new Hub(noDownloads, (options) => client.followAll({ ...options, onLog: add }), reduceDownloads)
  hubs.set(client, hub)
  return hub
}

/** A store of all downloads of a server. */
export function liveDownloads(client: Client): LiveStore<DownloadsSnapshot, DownloadsActions> {
  return createStore(
    hubOf(client),
    (state) => state,
    (attempt) => ({
      start: (request) => attempt(() => client.download(request)),
      pause: (url) => attempt(() => client.pause(url)),
      resume: (url) => attempt(() => client.resume(url)),
      cancel: (url) => attempt(() => client.cancel(url)),
      retry: (url) => attempt(() => client.retry(url)),
      remove: (url, options) => attempt(() => client.remove(url, options)),
    }),
  )
}

/**
 * A store of one download.
 *
 * @param url - the URL, or a function that returns it. The function is called whenever the snapshot is read, for parts
 * of a page whose URL changes.
 */
export function liveDownload(
  client: Client,
  url: string | (() => string),
): LiveStore<DownloadSnapshot, DownloadActions> {
  const urlOf = typeof url === 'string' ? () => url : url
  return createStore(
    hubOf(client),
    ({ byUrl, connection, error, loaded }) => ({
      download: byUrl.get(urlOf()) ?? null,
      connection,
      error,
      loaded,
    }),
    (attempt) => ({
      start: (options) => attempt(() => client.download({ ...options, url: urlOf() })),
      pause: () => attempt(() => client.pause(urlOf())),
      resume: () => attempt(() => client.resume(urlOf())),
      cancel: () => attempt(() => client.cancel(urlOf())),
      retry: () => attempt(() => client.retry(urlOf())),
      remove: (options) => attempt(() => client.remove(urlOf(), options)),
    }),
  )
}

// ---- preload

/** Actions on the preload. Each resolves to whether it succeeded; `error` says why not. */
export interface PreloadActions {
  /** Starts the preload. */
  readonly start: (request?: PreloadOptions) => Promise<boolean>
  /** Cancels the preload. Does nothing when none is running. */
  readonly cancel: () => Promise<boolean>
}

const preloadHubs = new WeakMap<Client, Hub<PreloadSnapshot, PreloadNews>>()

function preloadHubOf(client: Client): Hub<PreloadSnapshot, PreloadNews> {
  const known = preloadHubs.get(client)
  if (known !== undefined) return known
  const hub = new Hub(noPreload, (options) => news(client, options), reducePreload)
  preloadHubs.set(client, hub)
  return hub
}

/** A store of the preload and of the models in a server's catalog. */
export function livePreload(client: Client): LiveStore<PreloadSnapshot, PreloadActions> {
  return createStore(
    preloadHubOf(client),
    (state) => state,
    (attempt) => ({
      start: (request) => attempt(() => client.preload.start(request)),
      cancel: () => attempt(() => client.preload.cancel()),
    }),
  )
}

/** Follows the preload endlessly, and requests the models whenever they may have changed. */
async function* news(client: Client, options: FollowOptions): AsyncGenerator<PreloadNews, void, void> {
  let last: PreloadStatus | null = null
  for await (const preload of client.preload.follow({ ...options, endless: true })) {
    yield { preload }
    const mayDiffer = last?.running !== preload.running || last.completed !== preload.completed
    last = preload
    if (mayDiffer) yield { models: await client.modelsStatus({ signal: options.signal }) }
  }
}

'use client'
/** React hooks that follow a model-downloader server. The logic is in `src/live`. */
import * as react from 'react'
import { DownloadError, type Client } from '../src/client/index.js'
import * as live from '../src/live/index.js'

export type { Connection, PreloadActions, PreloadSnapshot } from '../src/live/index.js'
export type { DownloadActions, DownloadSnapshot } from '../src/live/index.js'
export type { DownloadsActions, DownloadsSnapshot } from '../src/live/index.js'

/** What a hook returns: the snapshot and the actions. It stays the same object until the snapshot changes. */
export type Live<S extends live.Followed, A> = S & A & Pick<live.LiveStore<S, A>, 'refresh'>

const Context = react.createContext<Client | null>(null)

/** Provides the client for the hooks below it. Create the client once, outside of components or in a `useState`. */
export function DownloadProvider(props: { client: Client; children?: react.ReactNode }): react.ReactElement {
  return react.createElement(Context.Provider, { value: props.client }, props.children)
}

/**
 * The client of the nearest provider.
 *
 * @throws DownloadError `INVALID_OPTIONS` when there is no provider.
 */
export function useClient(): Client {
  const client = react.useContext(Context)
  if (client !== null) return client
  throw new DownloadError(
    'INVALID_OPTIONS',
    'Hooks of model-downloader need a <DownloadProvider> above them.',
  )
}

function useLive<S extends live.Followed, A>(
  make: (client: Client) => live.LiveStore<S, A>,
  of = '',
): Live<S, A> {
  const client = useClient()
  // `make` is a new function on each render, but makes the same store for the same `of`.
  const store = react.useMemo(() => make(client), [client, of])
  const snapshot = react.useSyncExternalStore(store.subscribe, store.getSnapshot, store.getServerSnapshot)
  return react.useMemo(() => ({ ...snapshot, ...store.actions, refresh: store.refresh }), [snapshot, store])
}

/** Follows one download, and returns its actions. All hooks of a client share one connection. */
export function useDownload(url: string): Live<live.DownloadSnapshot, live.DownloadActions> {
  return useLive((client) => live.liveDownload(client, url), url)
}

/** Follows all downloads, and returns their actions. */
export function useDownloads(): Live<live.DownloadsSnapshot, live.DownloadsActions> {
  return useLive(live.liveDownloads)
}

/** Follows the preload and the models of the server's catalog, and returns the preload's actions. */
export function usePreload(): Live<live.PreloadSnapshot, live.PreloadActions> {
  return useLive(live.livePreload)
}

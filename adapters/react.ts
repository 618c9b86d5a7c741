'use client'
/** What a model-downloader server does, as hooks of React. No logic of its own: `src/live` has it. */
import * as react from 'react'
import { DownloadError, type Client } from '../src/client/index.js'
import * as live from '../src/live/index.js'

export type { Connection, PreloadActions, PreloadSnapshot } from '../src/live/index.js'
export type { DownloadActions, DownloadSnapshot } from '../src/live/index.js'
export type { DownloadsActions, DownloadsSnapshot } from '../src/live/index.js'

/** What a hook gives: how things are, and what can be done. The same object until something is other. */
export type Live<S extends live.Followed, A> = S & A & Pick<live.LiveStore<S, A>, 'refresh'>

const Context = react.createContext<Client | null>(null)

/** Says which server the hooks below it speak to; a client made once, outside of components or in a `useState`. */
export function DownloadProvider(props: { client: Client; children?: react.ReactNode }): react.ReactElement {
  return react.createElement(Context.Provider, { value: props.client }, props.children)
}

/**
 * The client of the provider above.
 *
 * @throws DownloadError `INVALID_OPTIONS` when there is none.
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
  // `make` is another function each time, and says the same for the same `of`.
  const store = react.useMemo(() => make(client), [client, of])
  const snapshot = react.useSyncExternalStore(store.subscribe, store.getSnapshot, store.getServerSnapshot)
  return react.useMemo(() => ({ ...snapshot, ...store.actions, refresh: store.refresh }), [snapshot, store])
}

/** One download, and what can be done with it. A page of a hundred of them has one connection. */
export function useDownload(url: string): Live<live.DownloadSnapshot, live.DownloadActions> {
  return useLive((client) => live.liveDownload(client, url), url)
}

/** All downloads, and what can be done with each. */
export function useDownloads(): Live<live.DownloadsSnapshot, live.DownloadsActions> {
  return useLive(live.liveDownloads)
}

/** The preload of the server's catalog and its models, and what can be done. */
export function usePreload(): Live<live.PreloadSnapshot, live.PreloadActions> {
  return useLive(live.livePreload)
}

/** What a model-downloader server does, as composables of Vue. No logic of its own: `src/live` has it. */
import * as vue from 'vue'
import { DownloadError, type Client } from '../src/client/index.js'
import * as live from '../src/live/index.js'

export type { Connection, PreloadActions, PreloadSnapshot } from '../src/live/index.js'
export type { DownloadActions, DownloadSnapshot } from '../src/live/index.js'
export type { DownloadsActions, DownloadsSnapshot } from '../src/live/index.js'

/** What a composable gives: a ref of each field, and what can be done. */
export type Live<S extends live.Followed, A> = { readonly [K in keyof S]: vue.ComputedRef<S[K]> } & A &
  Pick<live.LiveStore<S, A>, 'refresh'>

const key: vue.InjectionKey<Client> = Symbol('model-downloader')

/** Says which server the composables speak to: `app.use(modelDownloader, client)`. */
export const modelDownloader: vue.FunctionPlugin<[client: Client]> = (app, client) => app.provide(key, client)

/**
 * The client that the app was given.
 *
 * @throws DownloadError `INVALID_OPTIONS` when it was given none.
 */
export function useClient(): Client {
  const client = vue.hasInjectionContext() ? vue.inject(key, null) : null
  if (client !== null) return client
  throw new DownloadError('INVALID_OPTIONS', 'The app was given no client: app.use(modelDownloader, client).')
}

function useLive<S extends live.Followed, A>(store: live.LiveStore<S, A>): Live<S, A> {
  /** Notifications; none before it watches. */
  const told = vue.shallowRef(0)
  let end = () => {}
  const watch = () => {
    end = store.subscribe(() => told.value++)
    told.value++
  }
  // Not on a server, and not before a page has taken over what the server drew.
  if (vue.getCurrentInstance() === null) watch()
  else vue.onMounted(watch)
  vue.onScopeDispose(() => end())
  const snapshot = vue.computed(() => (told.value === 0 ? store.getServerSnapshot() : store.getSnapshot()))
  const keys = Object.keys(snapshot.value) as (keyof S)[]
  const refs = Object.fromEntries(keys.map((key) => [key, vue.computed(() => snapshot.value[key])]))
  // One for each key of the snapshot.
  return { ...(refs as unknown as Live<S, unknown>), ...store.actions, refresh: store.refresh }
}

/** One download, whose URL may change, and what can be done with it. `client`: default the app's. */
export const useDownload = (url: vue.MaybeRefOrGetter<string>, client: Client = useClient()) =>
  useLive(live.liveDownload(client, () => vue.toValue(url)))

/** All downloads, and what can be done with each. `client`: default the app's. */
export const useDownloads = (client: Client = useClient()) => useLive(live.liveDownloads(client))

/** The preload of the server's catalog and its models, and what can be done. `client`: default the app's. */
export const usePreload = (client: Client = useClient()) => useLive(live.livePreload(client))

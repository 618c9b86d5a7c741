/** Vue composables that follow a model-downloader server. The logic is in `src/live`. */
import * as vue from 'vue'
import { DownloadError, type Client } from '../src/client/index.js'
import * as live from '../src/live/index.js'

export type { Connection, PreloadActions, PreloadSnapshot } from '../src/live/index.js'
export type { DownloadActions, DownloadSnapshot } from '../src/live/index.js'
export type { DownloadsActions, DownloadsSnapshot } from '../src/live/index.js'

/** What a composable returns: a ref for each field of the snapshot, and the actions. */
export type Live<S extends live.Followed, A> = { readonly [K in keyof S]: vue.ComputedRef<S[K]> } & A &
  Pick<live.LiveStore<S, A>, 'refresh'>

const key: vue.InjectionKey<Client> = Symbol('model-downloader')

/** Provides the client for the composables of an app: `app.use(modelDownloader, client)`. */
export const modelDownloader: vue.FunctionPlugin<[client: Client]> = (app, client) => app.provide(key, client)

/**
 * The client that was provided to the app.
 *
 * @throws DownloadError `INVALID_OPTIONS` when none was provided.
 */
export function useClient(): Client {
  const client = vue.hasInjectionContext() ? vue.inject(key, null) : null
  if (client !== null) return client
  throw new DownloadError(
    'INVALID_OPTIONS',
    'The app has no client. Call app.use(modelDownloader, client) first.',
  )
}

function useLive<S extends live.Followed, A>(store: live.LiveStore<S, A>): Live<S, A> {
  /** Number of notifications; 0 until the composable has subscribed. */
  const told = vue.shallowRef(0)
  let end = () => {}
  const watch = () => {
    end = store.subscribe(() => told.value++)
    told.value++
  }
  // Within a component, subscribe only when it is mounted: not on a server, and not before hydration.
  if (vue.getCurrentInstance() === null) watch()
  else vue.onMounted(watch)
  vue.onScopeDispose(() => end())
  const snapshot = vue.computed(() => (told.value === 0 ? store.getServerSnapshot() : store.getSnapshot()))
  const keys = Object.keys(snapshot.value) as (keyof S)[]
  const refs = Object.fromEntries(keys.map((key) => [key, vue.computed(() => snapshot.value[key])]))
  // There is one ref for each key of the snapshot.
  return { ...(refs as unknown as Live<S, unknown>), ...store.actions, refresh: store.refresh }
}

/** Follows one download, whose URL may change, and returns its actions. `client`: default that of the app. */
export const useDownload = (url: vue.MaybeRefOrGetter<string>, client: Client = useClient()) =>
  useLive(live.liveDownload(client, () => vue.toValue(url)))

/** Follows all downloads, and returns their actions. `client`: default that of the app. */
export const useDownloads = (client: Client = useClient()) => useLive(live.liveDownloads(client))

/** Follows the preload and the models of the catalog, and returns its actions. `client`: default that of the app. */
export const usePreload = (client: Client = useClient()) => useLive(live.livePreload(client))

import type { Client, FollowOptions, PreloadOptions, PreloadStatus } from '../client/index.js'
import { Hub } from './hub.js'
import { noPreload, reducePreload, type PreloadNews, type PreloadSnapshot } from './state.js'
import { createStore, type LiveStore } from './store.js'

/** What can be done with the preload. Resolves with whether it worked; `error` says why not. */
export interface PreloadActions {
  /** Starts it. */
  readonly start: (request?: PreloadOptions) => Promise<boolean>
  /** Stops it. Harmless when it does not run. */
  readonly cancel: () => Promise<boolean>
}

const hubs = new WeakMap<Client, Hub<PreloadSnapshot, PreloadNews>>()

function hubOf(client: Client): Hub<PreloadSnapshot, PreloadNews> {
  const known = hubs.get(client)
  if (known !== undefined) return known
  const hub = new Hub(noPreload, (options) => news(client, options), reducePreload)
  hubs.set(client, hub)
  return hub
}

/** The preload and the models of a server's catalog. */
export function livePreload(client: Client): LiveStore<PreloadSnapshot, PreloadActions> {
  return createStore(
    hubOf(client),
    (state) => state,
    (attempt) => ({
      start: (request) => attempt(() => client.preload.start(request)),
      cancel: () => attempt(() => client.preload.cancel()),
    }),
  )
}

/** The preload without an end, and the models whenever one may have come. */
async function* news(client: Client, options: FollowOptions): AsyncGenerator<PreloadNews, void, void> {
  let last: PreloadStatus | null = null
  for await (const preload of client.preload.follow({ ...options, endless: true })) {
    yield { preload }
    const mayDiffer = last?.running !== preload.running || last.completed !== preload.completed
    last = preload
    if (mayDiffer) yield { models: await client.modelsStatus({ signal: options.signal }) }
  }
}

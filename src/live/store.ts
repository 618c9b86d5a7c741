import type { DownloadError } from '../client/index.js'
import type { Followed, Watched } from './hub.js'

/**
 * A store for one part of a page: a snapshot to subscribe to, and actions. It has the shape that React's
 * `useSyncExternalStore` and similar APIs expect. All stores of a client share its connection, so each part of a page
 * may create its own.
 */
export interface LiveStore<S extends Followed, A> {
  /**
   * Calls `onChange` when the snapshot has changed, at most once per frame. Returns a function that unsubscribes.
   * Subscribing opens the connection, so read the snapshot again afterwards.
   */
  readonly subscribe: (onChange: () => void) => () => void
  /** The current snapshot. It stays the same object until it changes. */
  readonly getSnapshot: () => S
  /** The snapshot before any data has arrived, for server-side rendering and hydration. */
  readonly getServerSnapshot: () => S
  /** Clears the last failure and reconnects immediately, for example after the user has signed in. */
  readonly refresh: () => void
  /** The actions. They never reject but resolve to whether they succeeded; the snapshot's `error` says why not. */
  readonly actions: A
}

/** Runs an action and resolves to whether it succeeded. */
export type Attempt = (work: () => Promise<unknown>) => Promise<boolean>

/**
 * Creates a store on top of a hub.
 *
 * @param select - selects the part of the state that the store exposes.
 * @param bind - creates the actions.
 */
export function createStore<P extends Followed, S extends Followed, A>(
  hub: Watched<P>,
  select: (state: P) => S,
  bind: (attempt: Attempt) => A,
): LiveStore<S, A> {
  const initial = select(hub.initial)
  const watchers = new Set<() => void>()
  let last = initial
  let failure: DownloadError | null = null

  const getSnapshot = () => {
    const selected = select(hub.state)
    const now = failure === null ? selected : { ...selected, error: failure }
    if (!isShallowEqual(last, now)) last = now
    return last
  }

  const fail = (error: DownloadError | null) => {
    if (error === failure) return
    failure = error
    for (const tell of [...watchers]) tell()
  }

  return {
    subscribe(onChange) {
      let seen = getSnapshot()
      const tell = () => {
        const now = getSnapshot()
        if (now === seen) return
        seen = now
        onChange()
      }
      watchers.add(tell)
      const end = hub.watch(tell)
      return () => {
        watchers.delete(tell)
        end()
      }
    },
    getSnapshot,
    getServerSnapshot: () => initial,
    refresh() {
      fail(null)
      hub.refresh()
    },
    actions: bind(async (work) => {
      fail(null)
      try {
        await work()
        return true
      } catch (error) {
        // The client rejects with a DownloadError only.
        fail(error as DownloadError)
        return false
      }
    }),
  }
}

function isShallowEqual<S extends object>(a: S, b: S): boolean {
  // Both objects come from the same function, so they have the same keys.
  return a === b || (Object.keys(b) as (keyof S)[]).every((key) => a[key] === b[key])
}

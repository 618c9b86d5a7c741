import type { DownloadError } from '../client/index.js'
import type { Followed, Watched } from './hub.js'

/**
 * What one part of a page watches, and does. Fits React's `useSyncExternalStore` and everything like it. All stores of
 * a client share its connection, so that each part of a page may have its own.
 */
export interface LiveStore<S extends Followed, A> {
  /**
   * Calls `onChange` when the snapshot has become another, at most once a frame; returns what ends that. Watching is
   * what opens the connection: look at the snapshot again after it.
   */
  readonly subscribe: (onChange: () => void) => () => void
  /** How it is now: the same object until it is other. */
  readonly getSnapshot: () => S
  /** How it is before the server was heard: for what is drawn on a server, and drawn over it in a page. */
  readonly getServerSnapshot: () => S
  /** Forgets the last failure and connects anew at once, for example when the user has signed in. */
  readonly refresh: () => void
  /** What can be done. Never rejects: resolves with whether it worked, and the snapshot's `error` says why not. */
  readonly actions: A
}

/** Does something, and resolves with whether it worked. */
export type Attempt = (work: () => Promise<unknown>) => Promise<boolean>

/**
 * A store over a hub.
 *
 * @param select - the part of the state that it shows.
 * @param bind - makes the actions.
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
        // The client rejects with nothing else.
        fail(error as DownloadError)
        return false
      }
    }),
  }
}

function isShallowEqual<S extends object>(a: S, b: S): boolean {
  // Both have the same keys: they come from the same function.
  return a === b || (Object.keys(b) as (keyof S)[]).every((key) => a[key] === b[key])
}

import type { DownloadError, FollowConnection, FollowOptions } from '../client/index.js'

/** How the server is heard; `idle` while nobody watches. */
export type Connection = 'idle' | FollowConnection

/** What every snapshot says besides its news. */
export interface Followed {
  /** How the server is heard. */
  readonly connection: Connection
  /** Why it is not heard (no connection, no permission), or why the last action failed; else null. */
  readonly error: DownloadError | null
  /** Whether the server has ever told how things are. Until then the rest is empty. */
  readonly loaded: boolean
}

/** For how long the connection outlives its last watcher, in milliseconds: a page often draws a part anew. */
const graceMs = 1_000

/** Shortest time between two notifications in milliseconds: about one frame of a screen. */
const frameMs = 16

/** Waits between attempts once following was given up, in milliseconds. */
const firstWaitMs = 1_000

const longestWaitMs = 30_000

/** What a page has besides the language, and other runtimes may lack. */
const page = globalThis as typeof globalThis & {
  addEventListener?: (type: 'online', listener: () => void, options: { signal: AbortSignal }) => void
}

/** What {@link Hub} shows to those who watch. */
export interface Watched<S> {
  /** How it is before the server was heard. */
  readonly initial: S
  /** How it is; the same object until it is other. */
  readonly state: S
  /** Calls `notify` after changes, until the returned function is called. */
  watch(notify: () => void): () => void
  /** Connects anew at once, if somebody watches. */
  refresh(): void
}

/**
 * One connection that all share who watch the same: it opens with the first and closes a little after the last. Every
 * failure is followed by another try. What comes within a frame is told at once, and only when something is other.
 */
export class Hub<S extends Followed, T> implements Watched<S> {
  readonly initial: S
  readonly #follow: (options: FollowOptions) => AsyncIterable<T>
  readonly #reduce: (state: S, news: readonly T[]) => S
  readonly #watchers = new Set<{ readonly notify: () => void }>()
  #state: S
  /** The state that the watchers were told of last. */
  #told: S
  #news: T[] = []
  #run: AbortController | null = null
  #frame: ReturnType<typeof setTimeout> | undefined
  #grace: ReturnType<typeof setTimeout> | undefined

  /**
   * @param follow - opens the connection; as {@link Client.followAll} does.
   * @param reduce - the state after some news; the same object when they change nothing.
   */
  constructor(
    initial: S,
    follow: (options: FollowOptions) => AsyncIterable<T>,
    reduce: (state: S, news: readonly T[]) => S,
  ) {
    this.initial = this.#state = this.#told = initial
    this.#follow = follow
    this.#reduce = reduce
  }

  get state(): S {
    return this.#state
  }

  watch(notify: () => void): () => void {
    const watcher = { notify }
    this.#watchers.add(watcher)
    clearTimeout(this.#grace)
    if (this.#run === null) this.#connect()
    return () => {
      if (!this.#watchers.delete(watcher) || this.#watchers.size > 0) return
      this.#grace = setTimeout(() => {
        this.#run?.abort()
        this.#run = null
        this.#become('idle')
      }, graceMs)
    }
  }

  refresh(): void {
    if (this.#run === null) return
    this.#run.abort()
    this.#connect()
  }

  #connect(): void {
    const { signal } = (this.#run = new AbortController())
    this.#become('connecting')
    const onOnline = () => {
      if (this.#state.connection === 'offline') this.refresh()
    }
    page.addEventListener?.('online', onOnline, { signal })
    void this.#keepFollowing(signal)
  }

  async #keepFollowing(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; failures++) {
      let longest = Math.min(longestWaitMs, firstWaitMs * 2 ** failures)
      try {
        const onConnection: FollowOptions['onConnection'] = (connection, error) => {
          if (!signal.aborted) this.#become(connection, error)
        }
        for await (const news of this.#follow({ signal, onConnection })) {
          if (signal.aborted) return
          failures = 0
          this.#news.push(news)
          this.#schedule()
        }
      } catch (cause) {
        if (signal.aborted) return
        // The client rejects with nothing else.
        const error = cause as DownloadError
        this.#become('offline', error)
        if (!error.retryable) longest = longestWaitMs
      }
      await wait(longest * (0.5 + Math.random() / 2), signal)
      if (signal.aborted) return
    }
  }

  #become(connection: Connection, error: DownloadError | null = null): void {
    // What was told before it counts as before it.
    this.#take()
    if (connection === this.#state.connection && error === this.#state.error) return
    this.#state = { ...this.#state, connection, error }
    this.#schedule()
  }

  #take(): void {
    const news = this.#news
    if (news.length === 0) return
    this.#news = []
    this.#state = this.#reduce(this.#state, news)
  }

  #schedule(): void {
    if (this.#frame !== undefined) return
    this.#frame = setTimeout(() => {
      this.#frame = undefined
      this.#take()
      if (this.#state === this.#told) return
      this.#told = this.#state
      for (const { notify } of [...this.#watchers]) {
        try {
          notify()
        } catch (error) {
          // The others must hear of it all the same; the page hears of the error.
          setTimeout(() => {
            throw error
          })
        }
      }
    }, frameMs)
  }
}

/** Waits, at most until the signal is aborted. */
async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}

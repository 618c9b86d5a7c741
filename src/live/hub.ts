import type { DownloadError, FollowConnection, FollowOptions } from '../client/index.js'

/** State of the connection to the server; `idle` while nobody is subscribed. */
export type Connection = 'idle' | FollowConnection

/** Fields that every snapshot has. */
export interface Followed {
  /** State of the connection to the server. */
  readonly connection: Connection
  /** Why the connection or the last action failed; null when neither did. */
  readonly error: DownloadError | null
  /** Whether data has arrived from the server. Until then the other fields are empty. */
  readonly loaded: boolean
}

/** How long the connection outlives its last subscriber, in milliseconds: pages often unmount and remount a part. */
const graceMs = 1_000

/** Minimum time between two notifications, in milliseconds: about one frame. */
const frameMs = 16

/** First and longest delay before following is started again after it failed, in milliseconds. */
const firstWaitMs = 1_000

const longestWaitMs = 30_000

/** Browser globals that other runtimes may lack. */
const page = globalThis as typeof globalThis & {
  addEventListener?: (type: 'online', listener: () => void, options: { signal: AbortSignal }) => void
}

/** The interface of {@link Hub} for its subscribers. */
export interface Watched<S> {
  /** The state before any data has arrived. */
  readonly initial: S
  /** The current state. It stays the same object until it changes. */
  readonly state: S
  /** Subscribes: `notify` is called after changes until the returned function is called. */
  watch(notify: () => void): () => void
  /** Reconnects immediately if there are subscribers. */
  refresh(): void
}

/**
 * A connection that all subscribers of the same data share. It opens with the first subscriber and closes shortly after
 * the last has left. After a failure it reconnects. Changes within one frame are reported in a single notification.
 */
export class Hub<S extends Followed, T> implements Watched<S> {
  readonly initial: S
  readonly #follow: (options: FollowOptions) => AsyncIterable<T>
  readonly #reduce: (state: S, news: readonly T[]) => S
  readonly #watchers = new Set<{ readonly notify: () => void }>()
  #state: S
  /** The state at the last notification. */
  #told: S
  #news: T[] = []
  #run: AbortController | null = null
  #frame: ReturnType<typeof setTimeout> | undefined
  #grace: ReturnType<typeof setTimeout> | undefined

  /**
   * @param follow - opens the connection, for example with {@link Client.followAll}.
   * @param reduce - returns the state after some news, or the same object when they change nothing.
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
        // The client rejects with a DownloadError only.
        const error = cause as DownloadError
        this.#become('offline', error)
        if (!error.retryable) longest = longestWaitMs
      }
      await wait(longest * (0.5 + Math.random() / 2), signal)
      if (signal.aborted) return
    }
  }

  #become(connection: Connection, error: DownloadError | null = null): void {
    // News that arrived before the change of the connection must be applied before it.
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
          // The other subscribers must still be notified. The error is rethrown as an uncaught one.
          setTimeout(() => {
            throw error
          })
        }
      }
    }, frameMs)
  }
}

/** Waits until the time is up or the signal is aborted. */
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

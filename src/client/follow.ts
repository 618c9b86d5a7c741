import type { DownloadError } from '../errors.js'
import { parseObject, toClientError, type CallOptions, type Http } from './http.js'
import { SseParser, type SseEvent } from './sse.js'
import { EventStream } from './stream.js'
import { sleep } from './wait.js'

/**
 * How the server is heard: by a stream of events (`live`) or by `polling`; not yet, or not just now (`connecting`); or
 * not any more (`offline`), and it is asked again and again.
 */
export type FollowConnection = 'connecting' | 'live' | 'polling' | 'offline'

/** How to follow. The defaults suit a server that speaks for itself and one behind proxies. */
export interface FollowOptions extends CallOptions {
  /** Time between two questions where there is no stream, in milliseconds. Default 1,000. */
  pollIntervalMs?: number
  /** Longest wait for a stream's first byte, in milliseconds; then the server is polled. Default 5,000. */
  firstByteMs?: number
  /** Longest silence of a stream, in milliseconds; then it is asked for again. Servers ping every 15 s. Default 45,000. */
  idleMs?: number
  /** Failures in a row after which following fails, once the server has answered; before that 3. Default 20. */
  maxFailures?: number
  /** Hears how the server is heard when that changes; `connecting` at first. `error`: why it is `offline`, else null. */
  onConnection?: (connection: FollowConnection, error: DownloadError | null) => void
}

/** What is followed. Keeps what it needs between events by itself. */
export interface Subject<T> {
  /** Path of the stream of events. */
  readonly events: string
  /** What an event tells; may be nothing. Throws what following ends with. */
  read(name: string, data: object): T[]
  /** Asks once, where there is no stream. */
  poll(signal: AbortSignal): Promise<T[]>
  /** Whether nothing can come after it. */
  isLast(value: T): boolean
}

/** Failures in a row that end it when the server has never answered: most likely the address is wrong. */
const firstFailures = 3

/** After how long a stream that breaks off is no failure to open one. */
const longAgeMs = 10_000

const stopped = Symbol('stopped')

/**
 * Follows a subject: over server-sent events, asked for again when they break off, or by polling where there are
 * none. Every wait in it has an end, and so has every row of failures.
 *
 * `return()`, which a `break` calls, ends it at once, also while a value is awaited.
 */
export function follow<T>(
  http: Http,
  subject: Subject<T>,
  options: FollowOptions = {},
): AsyncGenerator<T, void, void> {
  const stop = new AbortController()
  const values = run(new Follower(http, subject, options, stop.signal), options.signal, stop)
  // By itself a generator that awaits notices a return only when the awaited thing has come.
  const end = values.return.bind(values)
  values.return = async (value) => {
    stop.abort(stopped)
    return await end(value)
  }
  return values
}

async function* run<T>(
  follower: Follower<T>,
  outer: AbortSignal | undefined,
  stop: AbortController,
): AsyncGenerator<T, void, void> {
  const onAbort = () => {
    stop.abort(outer?.reason)
  }
  outer?.addEventListener('abort', onAbort)
  if (outer?.aborted === true) onAbort()
  try {
    for (;;) {
      for (const value of await follower.next()) {
        // What came before an abort is not news after it.
        if (stop.signal.aborted) break
        yield value
        if (follower.subject.isLast(value)) return
      }
    }
  } catch (error) {
    if (stop.signal.reason !== stopped) throw error
  } finally {
    outer?.removeEventListener('abort', onAbort)
    stop.abort(stopped)
  }
}

/** The next news of a subject, from wherever they can be had. */
class Follower<T> {
  #parser = new SseParser()
  #stream: EventStream | null = null
  /** Came together with one that was handed on. */
  #events: SseEvent[] = []
  #isPolling = false
  #polls = 0
  #failures = 0
  /** Whether the server ever answered, and whether by a stream. */
  #answered = false
  #streamed = false
  #connection: FollowConnection = 'connecting'

  constructor(
    readonly http: Http,
    readonly subject: Subject<T>,
    readonly options: FollowOptions,
    readonly signal: AbortSignal,
  ) {}

  /**
   * What comes next; may be nothing yet.
   *
   * @throws DownloadError when there is no hope.
   */
  async next(): Promise<T[]> {
    try {
      return await (this.#isPolling ? this.#poll() : this.#read())
    } catch (error) {
      // Long streams break off now and then, also when there was no news.
      if ((this.#stream?.ageMs ?? 0) > longAgeMs) this.#alive()
      this.#stream?.close()
      this.#stream = null
      await this.#recover(toClientError(error))
      return []
    }
  }

  async #poll(): Promise<T[]> {
    if (this.#polls++ > 0) await sleep(this.options.pollIntervalMs ?? 1_000, this.signal)
    const values = await this.subject.poll(this.signal)
    this.#alive()
    this.#tell('polling')
    return values
  }

  async #read(): Promise<T[]> {
    const { firstByteMs = 5_000, idleMs = 45_000 } = this.options
    if (this.#stream === null) {
      this.#parser = new SseParser(this.#parser)
      this.#stream = await EventStream.open(
        this.http,
        this.subject.events,
        this.#parser,
        firstByteMs,
        this.signal,
      )
      this.#isPolling = this.#stream === null
      if (this.#stream === null) return []
      this.#tell('live')
    }
    if (this.#events.length === 0) this.#events = await this.#stream.read(idleMs)
    const next = this.#events.shift()
    if (next === undefined) return []
    // One at a time: the one that ends it must not be lost to a bad one behind it.
    const values = this.subject.read(next.event, parseObject(next.data))
    this.#streamed = true
    this.#alive()
    return values
  }

  #alive(): void {
    this.#answered = true
    this.#failures = 0
  }

  #tell(connection: FollowConnection, error: DownloadError | null = null): void {
    if (connection === this.#connection) return
    this.#connection = connection
    this.options.onConnection?.(connection, error)
  }

  /** Waits until it is time to try again, or throws what it can't do anything about. */
  async #recover(error: DownloadError): Promise<void> {
    const { code, retryable, retryAfterMs = 0 } = error
    // No byte came: something in between holds the stream back. Or it garbles it. Then there is no stream.
    if (!this.#isPolling && (code === 'PROTOCOL_ERROR' || (code === 'STALLED' && !this.#streamed))) {
      this.#isPolling = true
      return
    }
    // A proxy whose server is just starting again may say that there is nothing.
    const mayPass = retryable || (this.#answered && code === 'NOT_FOUND')
    const { maxFailures = 20, pollIntervalMs = 1_000 } = this.options
    const limit = this.#answered ? maxFailures : Math.min(firstFailures, maxFailures)
    if (!mayPass || ++this.#failures >= limit) throw error
    // That a stream breaks off is usual; that it can't be opened again is not.
    if (this.#answered && this.#failures === 1) this.#tell('connecting')
    else this.#tell('offline', error)
    const longest = Math.min(30_000, (this.#parser.retryMs ?? pollIntervalMs) * 2 ** (this.#failures - 1))
    // All clients of a server that starts again shall not come at the same time.
    const delay = Math.max(100, longest * (0.5 + Math.random() / 2), Math.min(retryAfterMs, 60_000))
    await sleep(delay, this.signal)
  }
}

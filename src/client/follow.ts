import { DownloadError } from '../errors.js'
import type { DownloadList, PreloadLog, PreloadStatus, WireDownload, WireSnapshot } from '../http/schemas.js'
import { EventStream, type SseEvent, SseParser } from './events.js'
import { type CallOptions, type Http, parseObject, unexpectedResponse, sleep, toClientError } from './http.js'

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

// ---- subjects

/** One piece of news about all downloads. */
export type DownloadsChange =
  /** All there are, keyed by URL; forget what you knew. */
  | { type: 'snapshot'; downloads: Record<string, WireDownload> }
  /** One is new, or is other than it was. */
  | { type: 'changed'; download: WireDownload }
  /** One was forgotten; this is how it was. */
  | { type: 'removed'; download: WireDownload }

/** Lines of a preload's log that are kept, as many as the server keeps. */
const maxLogLines = 500

/** One download: how it is, whenever that is news. */
export function oneDownload(
  events: string,
  ask: (signal: AbortSignal) => Promise<WireDownload>,
): Subject<WireDownload> {
  let last = ''
  const isLast = ({ status }: WireDownload) => status !== 'downloading'
  const news = (download: WireDownload) => {
    const before = last
    last = JSON.stringify(download)
    return last === before ? [] : [download]
  }
  return {
    events,
    read(name, data) {
      if (!isAboutOne(name) && name !== 'snapshot' && name !== 'removed') return []
      const download = known<WireDownload>(data, 'url')
      if (name === 'removed' && !isLast(download))
        throw new DownloadError('UNKNOWN_DOWNLOAD', 'The download was removed.')
      return news(download)
    },
    poll: async (signal) => news(await ask(signal)),
    isLast,
  }
}

/** All downloads: a snapshot, then what changes. */
export function allDownloads(
  events: string,
  ask: (signal: AbortSignal) => AsyncIterable<DownloadList>,
): Subject<DownloadsChange> {
  let polled: Record<string, WireDownload> | null = null
  return {
    events,
    read(name, data) {
      if (name === 'snapshot') {
        return [{ type: 'snapshot', downloads: known<WireSnapshot>(data, 'downloads').downloads }]
      }
      if (name !== 'removed' && !isAboutOne(name)) return []
      const download = known<WireDownload>(data, 'url')
      return [{ type: name === 'removed' ? 'removed' : 'changed', download }]
    },
    async poll(signal) {
      const downloads: Record<string, WireDownload> = {}
      for await (const page of ask(signal)) Object.assign(downloads, page.downloads)
      const before = polled
      polled = downloads
      return before === null ? [{ type: 'snapshot', downloads }] : difference(before, downloads)
    },
    isLast: () => false,
  }
}

function difference(
  before: Record<string, WireDownload>,
  now: Record<string, WireDownload>,
): DownloadsChange[] {
  const changes: DownloadsChange[] = []
  for (const [url, download] of Object.entries(before))
    if (!(url in now)) changes.push({ type: 'removed', download })
  for (const [url, download] of Object.entries(now))
    if (JSON.stringify(download) !== JSON.stringify(before[url])) changes.push({ type: 'changed', download })
  return changes
}

/** A preload: how it is, with its log, whenever that is news. */
export function currentPreload(
  events: string,
  ask: (signal: AbortSignal) => Promise<PreloadStatus>,
  endless: boolean,
): Subject<PreloadStatus> {
  let last: PreloadStatus | null = null
  const news = (status: PreloadStatus) => {
    const before = last
    last = status
    return JSON.stringify(status) === JSON.stringify(before) ? [] : [status]
  }
  return {
    events,
    read(name, data) {
      if (name === 'status') return news(known(data, 'logs'))
      if (name !== 'log' || last === null) return []
      const { line } = known<PreloadLog>(data, 'line')
      return news({ ...last, logs: [...last.logs, line].slice(-maxLogLines) })
    },
    poll: async (signal) => news(await ask(signal)),
    isLast: ({ running }) => !running && !endless,
  }
}

const isAboutOne = (name: string) => name === 'progress' || name === 'state'

/**
 * Data as what the server promises it to be; the rest of it is trusted.
 *
 * @throws DownloadError `PROTOCOL_ERROR` unless it has the member that tells it from something else.
 */
function known<T>(data: object, member: keyof T & string): T {
  if (member in data) return data as T
  throw unexpectedResponse(undefined)
}

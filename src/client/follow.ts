import { DownloadError } from '../errors.js'
import type {
  DownloadList,
  PreloadLog,
  PreloadStatus,
  WireDownload,
  WireLog,
  WireSnapshot,
} from '../http/schemas.js'
import { EventStream, type SseEvent, SseParser } from './events.js'
import { type CallOptions, type Http, parseObject, unexpectedResponse, sleep, toClientError } from './http.js'

/**
 * State of the connection to the server: `connecting` at first and while a stream that broke off is reopened, `live`
 * while server-sent events arrive, `polling` where they are not available, and `offline` while the server can't be
 * reached and attempts continue.
 */
export type FollowConnection = 'connecting' | 'live' | 'polling' | 'offline'

/** Options for following. The defaults suit a server that is reached directly as well as one behind proxies. */
export interface FollowOptions extends CallOptions {
  /** Interval of polling where there is no event stream, in milliseconds. Default: 1,000. */
  pollIntervalMs?: number
  /** Maximum wait for the first byte of an event stream, in milliseconds; then the server is polled. Default: 5,000. */
  firstByteMs?: number
  /** Maximum silence of a stream, in milliseconds; then it is reopened. Servers ping every 15 s. Default: 45,000. */
  idleMs?: number
  /** Failures in a row after which following gives up; at most 3 until the server has answered once. Default: 20. */
  maxFailures?: number
  /** Called when the state changes, which is `connecting` at first. `error`: why it is `offline`, otherwise null. */
  onConnection?: (connection: FollowConnection, error: DownloadError | null) => void
  /** Called for each message of the log of a download that is followed, as far as the server sends events. */
  onLog?: (log: DownloadLog) => void
}

/** A message of the log of a download. `at` is ISO 8601 in UTC. */
export type DownloadLog = WireLog

/** What is followed. A subject keeps its own state between events. */
export interface Subject<T> {
  /** Path of the event stream. */
  readonly events: string
  /** The values that an event results in, if any. Throws an error that ends following. */
  read(name: string, data: object): T[]
  /** Requests the values once, where there is no event stream. */
  poll(signal: AbortSignal): Promise<T[]>
  /** Whether following ends after this value. */
  isLast(value: T): boolean
}

/** Failures in a row to give up after when the server has never answered, because the address is probably wrong. */
const firstFailures = 3

/** Age from which a stream that breaks off no longer counts as a failure to open one, in milliseconds. */
const longAgeMs = 10_000

const stopped = Symbol('stopped')

/**
 * Follows a subject with server-sent events, which are reopened when they break off, or by polling where they are not
 * available. Every wait and every series of failures is bounded.
 *
 * `return()`, which `break` calls, ends the generator immediately, even while it waits for a value.
 */
export function follow<T>(
  http: Http,
  subject: Subject<T>,
  options: FollowOptions = {},
): AsyncGenerator<T, void, void> {
  const stop = new AbortController()
  const values = run(new Follower(http, subject, options, stop.signal), options.signal, stop)
  // A generator that is awaiting something handles a return only after that has settled.
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
        // After an abort, values that arrived before it are not yielded any more.
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

/** Reads the values of a subject from the event stream, or by polling. */
class Follower<T> {
  #parser = new SseParser()
  #stream: EventStream | null = null
  /** Events that were received and are not processed yet. */
  #events: SseEvent[] = []
  #isPolling = false
  #polls = 0
  #failures = 0
  /** Whether the server has ever answered, and whether it did so with an event stream. */
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
   * The next values, which may be none.
   *
   * @throws DownloadError when following can't continue.
   */
  async next(): Promise<T[]> {
    try {
      return await (this.#isPolling ? this.#poll() : this.#read())
    } catch (error) {
      // Long-lived streams break off now and then, even without having delivered an event.
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
    // Events are processed one at a time, so that a final event is not lost to an invalid one behind it.
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

  /** Waits until the next attempt, or throws the error when another attempt would not help. */
  async #recover(error: DownloadError): Promise<void> {
    const { code, retryable, retryAfterMs = 0 } = error
    // An intermediary buffers or corrupts the stream, so poll instead.
    if (!this.#isPolling && (code === 'PROTOCOL_ERROR' || (code === 'STALLED' && !this.#streamed))) {
      this.#isPolling = true
      return
    }
    // A proxy may answer with 404 while its server restarts.
    const mayPass = retryable || (this.#answered && code === 'NOT_FOUND')
    const { maxFailures = 20, pollIntervalMs = 1_000 } = this.options
    const limit = this.#answered ? maxFailures : Math.min(firstFailures, maxFailures)
    if (!mayPass || ++this.#failures >= limit) throw error
    // It is normal that a stream breaks off, but not that it can't be reopened.
    if (this.#answered && this.#failures === 1) this.#tell('connecting')
    else this.#tell('offline', error)
    const longest = Math.min(30_000, (this.#parser.retryMs ?? pollIntervalMs) * 2 ** (this.#failures - 1))
    // The jitter prevents all clients of a restarted server from reconnecting at the same time.
    const delay = Math.max(100, longest * (0.5 + Math.random() / 2), Math.min(retryAfterMs, 60_000))
    await sleep(delay, this.signal)
  }
}

// ---- subjects

/** A change in the list of downloads. */
export type DownloadsChange =
  /** All downloads by URL. It replaces everything that was received before. */
  | { type: 'snapshot'; downloads: Record<string, WireDownload> }
  /** A download is new or has changed. */
  | { type: 'changed'; download: WireDownload }
  /** A download was removed; this is its last status. */
  | { type: 'removed'; download: WireDownload }

/** Maximum number of log lines that are kept, the same as on the server. */
const maxLogLines = 500

/** The subject of one download: its status whenever that has changed. */
export function oneDownload(
  events: string,
  ask: (signal: AbortSignal) => Promise<WireDownload>,
  onLog: FollowOptions['onLog'],
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
      if (name === 'log') onLog?.(known<WireLog>(data, 'message'))
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

/** The subject of all downloads: a snapshot, then the changes. */
export function allDownloads(
  events: string,
  ask: (signal: AbortSignal) => AsyncIterable<DownloadList>,
  onLog: FollowOptions['onLog'],
): Subject<DownloadsChange> {
  let polled: Record<string, WireDownload> | null = null
  /** The pages of a snapshot that is not complete yet. */
  let pages: Map<string, WireDownload> | null = null
  const addPage = (all: Map<string, WireDownload>, data: object): DownloadsChange[] => {
    const { downloads, next_cursor: next = null } = known<WireSnapshot>(data, 'downloads')
    for (const [url, download] of Object.entries(downloads)) {
      // An event may have told of it before its page came, but here is its place.
      all.delete(url)
      all.set(url, download)
    }
    pages = next === null ? null : all
    return next === null ? [{ type: 'snapshot', downloads: Object.fromEntries(all) }] : []
  }
  return {
    events,
    read(name, data) {
      if (name === 'snapshot') return addPage(new Map(), data)
      // Without the pages before it, as in the middle of a stream, a page says too little.
      if (name === 'snapshot_page') return pages === null ? [] : addPage(pages, data)
      if (name === 'log') onLog?.(known<WireLog>(data, 'message'))
      if (name !== 'removed' && !isAboutOne(name)) return []
      const download = known<WireDownload>(data, 'url')
      if (pages === null) return [{ type: name === 'removed' ? 'removed' : 'changed', download }]
      if (name === 'removed') pages.delete(download.url)
      else pages.set(download.url, download)
      return []
    },
    async poll(signal) {
      pages = null
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

/**
 * Something that is told as a whole with each `status` event, whenever it is news. It never ends.
 *
 * @param member - what a status has at least.
 */
export function wholeStatus<T extends object>(
  events: string,
  member: keyof T & string,
  ask: (signal: AbortSignal) => Promise<T>,
): Subject<T> {
  let last = ''
  const news = (status: T) => {
    const before = last
    last = JSON.stringify(status)
    return last === before ? [] : [status]
  }
  return {
    events,
    read: (name, data) => (name === 'status' ? news(known<T>(data, member)) : []),
    poll: async (signal) => news(await ask(signal)),
    isLast: () => false,
  }
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
 * Casts data to the type that the server promises. Only the given member is checked.
 *
 * @throws DownloadError `PROTOCOL_ERROR` when the data lacks the member.
 */
function known<T>(data: object, member: keyof T & string): T {
  if (member in data) return data as T
  throw unexpectedResponse(undefined)
}

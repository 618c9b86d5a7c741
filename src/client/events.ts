import { createParser, type EventSourceParser } from 'eventsource-parser'
import { DownloadError } from '../errors.js'
import { errorOf, type Http, within } from './http.js'

/** Statuses that say: there is no such stream here. */
const noStream = [404, 405, 406, 501]

/** One open stream of events. It ends with its signal, also while nobody reads. */
export class EventStream {
  readonly #parser: SseParser
  readonly #signal: AbortSignal
  readonly #controller = new AbortController()
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null
  /** The first bytes: they were waited for to see that the stream flows. */
  #first: Uint8Array | null = null
  #openedAt = 0

  private constructor(parser: SseParser, signal: AbortSignal) {
    this.#parser = parser
    this.#signal = signal
    signal.addEventListener('abort', this.close)
  }

  /**
   * Opens a stream and waits for its first byte.
   *
   * @returns null when the server has no stream there.
   * @throws DownloadError `STALLED` when no byte comes within `firstByteMs`; what the server answers with; whatever
   * `fetch` throws.
   */
  static async open(
    http: Http,
    path: string,
    parser: SseParser,
    firstByteMs: number,
    signal: AbortSignal,
  ): Promise<EventStream | null> {
    const stream = new EventStream(parser, signal)
    try {
      const isOpen = await within(() => stream.#open(http, path), firstByteMs, signal)
      stream.#openedAt = performance.now()
      if (isOpen) return stream
    } catch (error) {
      stream.close()
      throw error
    }
    stream.close()
    return null
  }

  /** How long ago it was opened, in milliseconds. */
  get ageMs(): number {
    return performance.now() - this.#openedAt
  }

  /**
   * The events that come next; may be none yet.
   *
   * @param idleMs - longest silence in milliseconds.
   * @throws DownloadError `CONNECT_FAILED` at the end of the stream, `STALLED` after silence, `CANCELED`; whatever the
   * network throws.
   */
  async read(idleMs: number): Promise<SseEvent[]> {
    const bytes = this.#first ?? (await within(() => this.#chunk(), idleMs, this.#signal))
    this.#first = null
    return this.#parser.push(bytes)
  }

  /** Frees the connection. */
  readonly close = (): void => {
    this.#signal.removeEventListener('abort', this.close)
    this.#controller.abort()
    // A fetch that is not the platform's own may not tie the body to the signal. That it failed before is no news.
    this.#reader?.cancel().catch(() => undefined)
  }

  async #open(http: Http, path: string): Promise<boolean> {
    const { lastEventId } = this.#parser
    const headers: Record<string, string> = { accept: 'text/event-stream' }
    // Other characters do not fit into a header.
    if (/^[\x20-\x7e]+$/.test(lastEventId)) headers['last-event-id'] = lastEventId
    const response = await http.open(path, { headers }, this.#controller.signal)
    const type = response.headers.get('content-type') ?? ''
    if (response.ok && response.body !== null && /^text\/event-stream\b/i.test(type)) {
      this.#reader = response.body.getReader()
      if (this.#controller.signal.aborted) this.close()
      this.#first = await this.#chunk()
      return true
    }
    if (!response.ok && !noStream.includes(response.status)) throw await errorOf(response)
    return false
  }

  async #chunk(): Promise<Uint8Array> {
    const { done, value } = (await this.#reader?.read()) ?? { done: true }
    if (value !== undefined && !done) return value
    throw new DownloadError('CONNECT_FAILED', 'The stream ended.', { retryable: true })
  }
}

// ---- sse

/** One event of a stream. */
export interface SseEvent {
  /** Its name; `message` when the stream names none. */
  event: string
  /** Its data, lines joined by LF. */
  data: string
}

/**
 * The most characters that one event may have, in lines that are complete or not. A server sends the states of at most
 * 1,000 downloads in one event, and of fewer if their addresses are long.
 */
const maxEventLength = 16 * 1024 * 1024

/**
 * Reads server-sent events out of bytes, as the HTML standard says (section 9.2.6, "Interpreting an event stream").
 * Does no input or output; chunks may end anywhere, also inside a character or between CR and LF. A line that ends with
 * CR alone, which no known server sends, may be read only with the lines after it.
 *
 * @example
 * const parser = new SseParser()
 * for (const chunk of chunks) for (const { event, data } of parser.push(chunk)) …
 */
export class SseParser {
  /** The value of `Last-Event-ID` when the stream is requested again; empty until an event has had an id. */
  lastEventId: string
  /** How long to wait before reconnecting, in milliseconds; null until the stream has said so. */
  retryMs: number | null

  // Drops one byte order mark at the start, and puts U+FFFD where bytes are not UTF-8.
  readonly #decoder = new TextDecoder()
  readonly #parser: EventSourceParser
  #events: SseEvent[] = []
  #isTooLong = false

  /** @param before - the parser of the stream that this one continues. Default: none. */
  constructor({
    lastEventId = '',
    retryMs = null,
  }: Partial<Pick<SseParser, 'lastEventId' | 'retryMs'>> = {}) {
    this.lastEventId = lastEventId
    this.retryMs = retryMs
    this.#parser = createParser({
      maxBufferSize: maxEventLength,
      onEvent: ({ event = 'message', data, id }) => {
        this.#events.push({ event, data })
        this.lastEventId = id ?? this.lastEventId
      },
      onRetry: (milliseconds) => {
        this.retryMs = milliseconds
      },
      // The other errors are fields that no standard knows, which are ignored.
      onError: ({ type }) => {
        this.#isTooLong ||= type === 'max-buffer-size-exceeded'
      },
    })
  }

  /**
   * The events that these bytes complete. What is incomplete at the end of the stream is not an event.
   *
   * @throws DownloadError `PROTOCOL_ERROR` when an event has more than 16 Mi characters.
   */
  push(bytes: Uint8Array): SseEvent[] {
    if (!this.#isTooLong) this.#parser.feed(this.#decoder.decode(bytes, { stream: true }))
    const events = this.#events
    this.#events = []
    if (this.#isTooLong && events.length === 0) {
      throw new DownloadError('PROTOCOL_ERROR', 'The server sent an event that is too long.')
    }
    return events
  }
}

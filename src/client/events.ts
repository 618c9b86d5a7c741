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
 * Reads server-sent events out of bytes, as the HTML standard says (section 9.2.6, "Interpreting an event stream").
 * Does no input or output; chunks may end anywhere, also inside a character or between CR and LF.
 *
 * @example
 * const parser = new SseParser()
 * for (const chunk of chunks) for (const { event, data } of parser.push(chunk)) …
 */
export class SseParser {
  /** What `Last-Event-ID` says when the stream is asked for again; empty while no event had an id. */
  lastEventId: string
  /** How long to wait before asking again, in milliseconds; null while the stream has not said. */
  retryMs: number | null

  // Drops one byte order mark at the start, and puts U+FFFD where bytes are no UTF-8.
  readonly #decoder = new TextDecoder()
  /** The line that has no end yet, in pieces: joining them once keeps a long line in small chunks linear. */
  #line: string[] = []
  /** The last text ended with CR; an LF at the start of the next belongs to it. */
  #afterCr = false
  #event = ''
  #data: string[] = []
  #id: string

  /** @param before - the parser of the stream that this one continues. Default: none. */
  constructor({
    lastEventId = '',
    retryMs = null,
  }: Partial<Pick<SseParser, 'lastEventId' | 'retryMs'>> = {}) {
    this.lastEventId = this.#id = lastEventId
    this.retryMs = retryMs
  }

  /** The events that these bytes complete. What the stream leaves incomplete at its end is no event. */
  push(bytes: Uint8Array): SseEvent[] {
    const events: SseEvent[] = []
    let text = this.#decoder.decode(bytes, { stream: true })
    // No character yet: what is known of the last one still holds.
    if (text === '') return events
    if (this.#afterCr && text.startsWith('\n')) text = text.slice(1)
    this.#afterCr = text.endsWith('\r')
    const lines = text.split(/\r\n|\r|\n/)
    // A split gives one piece at least; the last one has no end yet.
    const rest = lines.pop() ?? ''
    for (const line of lines) {
      const event = this.#take(this.#line.join('') + line)
      this.#line = []
      if (event !== null) events.push(event)
    }
    if (rest !== '') this.#line.push(rest)
    return events
  }

  /** One whole line; an empty one ends an event. */
  #take(line: string): SseEvent | null {
    if (line === '') return this.#dispatch()
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') this.#event = value
    else if (field === 'data') this.#data.push(value)
    else if (field === 'id') {
      if (!value.includes('\0')) this.#id = value
    } else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value)
    // Comments (no name before the colon) and names that nobody knows say nothing.
    return null
  }

  #dispatch(): SseEvent | null {
    const event = { event: this.#event || 'message', data: this.#data.join('\n') }
    const isEmpty = this.#data.length === 0
    this.lastEventId = this.#id
    this.#event = ''
    this.#data = []
    return isEmpty ? null : event
  }
}

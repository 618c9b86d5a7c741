import { DownloadError } from '../errors.js'
import { errorOf, type Http } from './http.js'
import type { SseEvent, SseParser } from './sse.js'
import { within } from './wait.js'

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

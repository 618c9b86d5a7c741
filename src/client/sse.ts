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

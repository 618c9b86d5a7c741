/** A single ranged GET: follows redirects, runs timers, and writes the body to the part file in batches. */
import { asDownloadError } from '../../disk/errors.js'
import { DownloadError } from '../../errors.js'
import type { Coding } from '../../net/content-coding.js'
import { BodyDecoder } from '../../net/decoder.js'
import type { HostGate } from '../../net/host-gate.js'
import { type Exchange, requestHeaders, type ResponseHead } from '../../net/exchange.js'
import type { HttpClient } from '../../net/http.js'
import type { ProxySetting } from '../../net/proxies.js'
import { followRedirect, headersOf, type Hop, isRedirect } from '../../net/redirects.js'
import type { TransferTuning } from '../../net/tuning.js'
import type { Clock, Timer } from '../../util/clock.js'
import { BatchWriter, type BufferPool, type ByteSink } from '../part/batch-writer.js'
import type { FoundConnections } from './connection-ramp.js'
import type { TokenBucket } from './rate-limit.js'
import { dropBody } from './redirect-body.js'
import { endedEarly, type Outcome } from './outcome.js'

/** Settings and services that a connection needs. */
export interface ConnectionContext {
  http: Pick<HttpClient, 'exchange' | 'beGentle' | 'secrets'>
  tuning: TransferTuning
  /** Rate limits that apply. */
  buckets: readonly TokenBucket[]
  /** Which proxy is used. */
  proxy: ProxySetting
  /** Headers that ask for what else is to be told of the file. Default: none. */
  ask?: Readonly<Record<string, string>>
  /** Buffers that collect bytes before they are written, for the given number of connections. */
  batchesFor: (connections: number) => BufferPool
  /** How many connections servers are worth. */
  found: FoundConnections
  clock: Clock
  /** Servers that asked to wait. */
  gate: HostGate
}

/** Callbacks of a connection. */
export interface ConnectionListener {
  /**
   * The head of the final response arrived. The body is paused until {@link FetchConnection.accept} or
   * {@link FetchConnection.stop} is called, now or later.
   */
  onHead(connection: FetchConnection, head: ResponseHead): void
  /** Bytes arrived. */
  onBytes(connection: FetchConnection, count: number): void
  /**
   * The last byte of the range arrived, but the body goes on.
   *
   * @returns one past the last byte to take from the same body now, or null to end the connection.
   */
  onRangeEnd(connection: FetchConnection): number | null
  /** The connection ended. Always called once, as the last call. */
  onClose(connection: FetchConnection, outcome: Outcome): void
}

/** Longest pause for a rate limit before the limit is checked again, in milliseconds. */
const limiterSliceMs = 200

/** How long to wait for the end of a message after its last byte, in milliseconds. */
const messageEndMs = 1_000

/** One connection. It is started once and ends with a single `onClose`. */
export class FetchConnection {
  readonly id: number
  /** The last hop after redirects; valid from `onHead` on. */
  hop: Hop
  /** First byte that has not arrived yet. */
  position: number
  /** One past the last byte to fetch; null while the size of the file is unknown. */
  end: number | null
  /** Bytes received. */
  receivedBytes = 0
  /** When the response was accepted, in monotonic milliseconds; null before. */
  acceptedAt: number | null = null
  /** Time from the request to the head of its response, in milliseconds; null before. */
  answerMs: number | null = null

  readonly #headersTimeoutMs: number
  readonly #firstHop: Hop
  readonly #context: ConnectionContext
  readonly #listener: ConnectionListener
  #writer: BatchWriter | null = null
  #exchange: Exchange | null = null
  #decoder: BodyDecoder | null = null
  #state: 'idle' | 'waiting' | 'held' | 'body' | 'closing' | 'closed' = 'idle'
  /** One past the last byte of the response body; null if the head does not say. */
  #bodyEnd: number | null = null
  /** One past the last byte to take while {@link end} is unknown. */
  #limit: number | null = null
  /** Bytes on disk that the body must begin with. */
  #overlap: Buffer | null = null
  #held: Buffer[] = []
  #heldEnd = false
  /** Why a held response was cut. What has been received of it is used before. */
  #heldError: DownloadError | null = null
  /** Somebody waits for the first bytes of a held response. */
  #peek: { bytes: number; settle: () => void } | null = null
  #deadline: number | null = null
  #lastByteAt = 0
  #slowWindow = { at: 0, bytes: 0 }
  #blocked = 0
  #limiter: Timer | null = null

  constructor(
    id: number,
    segment: { hop: Hop; start: number; end: number | null; headersTimeoutMs: number },
    context: ConnectionContext,
    listener: ConnectionListener,
  ) {
    this.id = id
    this.hop = segment.hop
    this.#firstHop = segment.hop
    this.position = segment.start
    this.end = segment.end
    this.#headersTimeoutMs = segment.headersTimeoutMs
    this.#context = context
    this.#listener = listener
  }

  /** Sends the request with the given range headers. */
  start(range: Readonly<Record<string, string>>): void {
    this.#state = 'waiting'
    this.#request(range)
  }

  #request(range: Readonly<Record<string, string>>): void {
    const { http, proxy, clock, buckets } = this.#context
    if (buckets.some((bucket) => bucket.limit !== null)) http.beGentle()
    const exchange = http.exchange(
      { url: this.hop.url, headers: requestHeaders(headersOf(this.hop), range), proxy },
      {
        onSent: () => {
          this.#deadline = clock.now() + this.#headersTimeoutMs
        },
        onHead: (head) => {
          const now = clock.now()
          this.answerMs = now - (this.#deadline ?? now) + this.#headersTimeoutMs
          this.#deadline = null
          if (isRedirect(head.status)) this.#redirect(exchange, head, range)
          else this.#onHead(head)
        },
        onData: (chunk) => {
          if (exchange !== this.#exchange) return
          if (this.#decoder === null) this.#onData(chunk)
          else this.#decode(this.#decoder, chunk)
        },
        onEnd: () => {
          if (exchange !== this.#exchange) return
          if (this.#decoder === null) this.#onEnd()
          else this.#decoder.end()
        },
        onError: (error) => {
          if (exchange === this.#exchange) this.#onError(error)
        },
      },
    )
    this.#exchange = exchange
  }

  #redirect(exchange: Exchange, head: ResponseHead, range: Readonly<Record<string, string>>): void {
    if (exchange !== this.#exchange) return
    const { tuning, clock, gate } = this.#context
    try {
      this.hop = followRedirect(this.hop, head, tuning.maxRedirects, clock.wallNow())
    } catch (error) {
      this.#fail(asDownloadError(error))
      return
    }
    this.#exchange = null
    dropBody(exchange, head, clock)
    const waitMs = gate.wait(this.hop.url.origin, clock.now())
    if (waitMs <= 0) {
      this.#request(range)
      return
    }
    // The target asked to wait. It is requested anew afterwards, because its signature may expire until then.
    this.#limiter = clock.timer(() => {
      this.#limiter = null
      this.hop = this.#firstHop
      this.#request(range)
    }, Math.ceil(waitMs))
  }

  #onHead(head: ResponseHead): void {
    this.#state = 'held'
    this.#body?.pause()
    const { digests } = this.hop
    this.#listener.onHead(this, digests === undefined ? head : { ...head, linked: digests })
  }

  /**
   * Decodes the body of a held response. Positions and counts are then those of decoded bytes. Must be called before
   * anything else is done with the response.
   */
  decode(codings: readonly Coding[]): void {
    const exchange = this.#exchange
    if (this.#state !== 'held' || exchange === null) return
    this.#decoder = new BodyDecoder(codings, exchange, {
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => this.#onEnd(),
      onError: (error) => this.#fail(error),
    })
    const held = this.#held
    this.#held = []
    for (const chunk of held) this.#decode(this.#decoder, chunk)
    if (this.#heldEnd) this.#decoder.end()
    this.#heldEnd = false
  }

  #decode(decoder: BodyDecoder, chunk: Buffer): void {
    this.#lastByteAt = this.#context.clock.now()
    decoder.write(chunk)
  }

  /** Whether the body is being decoded. */
  get isDecoded(): boolean {
    return this.#decoder !== null
  }

  /** Whether it reads nothing now, because of a rate limit or a slow disk. */
  get isHeldBack(): boolean {
    return this.#blocked > 0
  }

  /** Whether everything has arrived that the head announced. */
  get isMessageEnd(): boolean {
    return this.#bodyEnd !== null && this.position >= this.#bodyEnd
  }

  /** What the body is read from. */
  get #body(): Exchange | null {
    return this.#decoder ?? this.#exchange
  }

  /** Whether the connection has ended. */
  get isClosed(): boolean {
    return this.#state === 'closing' || this.#state === 'closed'
  }

  /**
   * Reads the first bytes of the body while the response is held, or all of a shorter body. They remain part of the
   * body.
   *
   * @throws DownloadError `TRUNCATED` when the connection ends before.
   */
  async peek(bytes: number): Promise<Buffer> {
    const enough = () => this.#heldEnd || this.#held.reduce((sum, { length }) => sum + length, 0) >= bytes
    this.#lastByteAt = this.#context.clock.now()
    if (this.#state === 'held' && this.#heldError === null && !enough()) {
      await new Promise<void>((resolve) => {
        this.#peek = {
          bytes,
          settle: () => {
            if (!this.isClosed && this.#heldError === null && !enough()) return
            this.#peek = null
            this.#body?.pause()
            resolve()
          },
        }
        this.#body?.resume()
      })
    }
    // Without the first bytes, what follows is of no use either.
    if (this.#heldError !== null && !enough()) this.#fail(this.#heldError)
    if (this.#state !== 'held') throw endedEarly()
    return Buffer.concat(this.#held).subarray(0, bytes)
  }

  /**
   * Accepts the response and reads its body.
   *
   * @param options - `position`: first byte of the body, if it is not the one requested; `end`: one past the last
   * byte to fetch; `limit`: the same if `end` is unknown, though the body may end before; `bodyEnd`: one past the last
   * byte of the body; `overlap`: bytes on disk that the body must begin with, or it fails with `SOURCE_CHANGED`;
   * `connections`: how many share the memory for what is not written yet. Default 1.
   */
  accept(
    sink: ByteSink,
    options: {
      position?: number
      end: number | null
      limit?: number | null
      bodyEnd: number | null
      overlap?: Buffer | null
      connections?: number
    },
  ): void {
    if (this.#state !== 'held') return
    this.position = options.position ?? this.position
    this.end = options.end
    this.#limit = options.limit ?? null
    this.#bodyEnd = options.bodyEnd
    this.#overlap = options.overlap ?? null
    this.#state = 'body'
    const now = this.#context.clock.now()
    this.acceptedAt = now
    this.#lastByteAt = now
    this.#slowWindow = { at: now, bytes: 0 }
    const begin = this.position + (this.#overlap?.length ?? 0)
    this.#writer = new BatchWriter(sink, this.#context.batchesFor(options.connections ?? 1), begin, {
      hold: () => this.#block(),
      release: () => this.#unblock(),
      failed: () => {
        this.stop()
      },
    })
    const held = this.#held
    this.#held = []
    for (const chunk of held) this.#onData(chunk)
    if (this.#heldEnd) this.#onEnd()
    else if (this.#heldError === null) this.#body?.resume()
    else if (this.end !== null && this.position >= this.end) this.#finish()
    else this.#fail(this.#heldError)
  }

  /** Stops this connection at `end`, because another one fetches the rest. */
  shrink(end: number): void {
    this.end = end
    if (this.#state === 'body' && this.position >= end) this.#finish()
  }

  /** Stops the connection after writing the bytes received so far. Does nothing when closed. */
  stop(outcome: Outcome = { kind: 'stopped' }): void {
    void this.#close(outcome)
  }

  /** Runs the timers; to be called a few times a second. */
  tick(now: number): void {
    if (this.#state === 'waiting' && this.#deadline !== null && now >= this.#deadline) {
      this.#stall('The server did not respond in time.')
      return
    }
    if (this.#peek !== null && now - this.#lastByteAt >= this.#context.tuning.bodyTimeoutMs)
      this.#stall('The server stopped sending at the beginning of the file.')
    if (this.#state !== 'body') return
    this.#writer?.flushOld(now)
    const { tuning, buckets } = this.#context
    if (this.#blocked > 0 || buckets.some((bucket) => bucket.limit !== null)) {
      // Under a rate limit a low speed is not the server's fault, and while we pause the body neither is silence.
      if (this.#blocked > 0) this.#lastByteAt = now
      this.#slowWindow = { at: now, bytes: this.receivedBytes }
    }
    if (this.end !== null && this.position >= this.end && now - this.#lastByteAt >= messageEndMs) {
      this.#finish()
    } else if (now - this.#lastByteAt >= tuning.bodyTimeoutMs) {
      this.#stall('The server stopped sending in the middle of the file.')
    } else if (now - this.#slowWindow.at >= tuning.lowSpeedTimeMs) {
      const speed = ((this.receivedBytes - this.#slowWindow.bytes) * 1000) / (now - this.#slowWindow.at)
      this.#slowWindow = { at: now, bytes: this.receivedBytes }
      if (speed < tuning.lowSpeedBytesPerSecond) this.#stall('The server is sending too slowly.')
    }
  }

  #stall(message: string): void {
    this.#fail(new DownloadError('STALLED', message, { retryable: true }))
  }

  #fail(error: DownloadError): void {
    void this.#close({ kind: 'failed', error, local: false })
  }

  #onError(error: DownloadError): void {
    if (this.#state !== 'held') this.#fail(error)
    else {
      this.#heldError = error
      this.#peek?.settle()
    }
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'held') {
      this.#held.push(Buffer.from(chunk))
      this.#lastByteAt = this.#context.clock.now()
      this.#peek?.settle()
      return
    }
    if (this.#state !== 'body') return
    let data = chunk
    this.#lastByteAt = this.#context.clock.now()
    this.receivedBytes += data.length
    if (this.#overlap !== null) {
      const rest = this.#compareOverlap(data)
      if (rest === null) return
      data = rest
    }
    this.#extend(data.length)
    const end = this.end ?? this.#limit
    const surplus = end !== null && data.length > end - this.position
    if (surplus) data = data.subarray(0, end - this.position)
    if (data.length > 0) this.#collect(data)
    // A synchronous write may have failed already.
    if ((this.#writer?.error ?? null) !== null) return
    if (end !== null && this.position >= end) {
      // If the message ends here as well, wait for its end, so that the connection can be reused.
      if (surplus || this.#bodyEnd !== end) this.#finish()
      return
    }
    this.#throttle(chunk.length)
  }

  /**
   * Compares the body with bytes on disk.
   *
   * @returns the data after the compared bytes; null if the bytes differ and the connection has failed.
   */
  #compareOverlap(data: Buffer): Buffer | null {
    const overlap = this.#overlap ?? Buffer.alloc(0)
    const count = Math.min(overlap.length, data.length)
    if (data.compare(overlap, 0, count, 0, count) !== 0) {
      const message = 'The bytes on disk differ from those on the server.'
      this.#fail(new DownloadError('SOURCE_CHANGED', message, { retryable: true }))
      return null
    }
    this.position += count
    this.#overlap = count === overlap.length ? null : overlap.subarray(count)
    return data.subarray(count)
  }

  /** Moves the end of the range, as long as the next `count` bytes reach it and the bytes after it are wanted too. */
  #extend(count: number): void {
    while (this.end !== null && count >= this.end - this.position) {
      if (this.#bodyEnd !== null && this.#bodyEnd <= this.end) return
      const end = this.#listener.onRangeEnd(this)
      if (end === null) return
      this.end = Math.min(end, this.#bodyEnd ?? end)
    }
  }

  #collect(data: Buffer): void {
    this.position += data.length
    this.#listener.onBytes(this, data.length)
    this.#writer?.take(data, this.#lastByteAt)
  }

  #throttle(count: number): void {
    let delay = 0
    for (const bucket of this.#context.buckets) delay = Math.max(delay, bucket.take(count))
    if (delay < 1 || this.#limiter !== null) return
    this.#context.http.beGentle()
    this.#block()
    // Wait in slices, so that a raised limit takes effect soon.
    this.#limiter = this.#context.clock.timer(
      () => {
        this.#limiter = null
        if (this.#state === 'body') this.#throttle(0)
        this.#unblock()
      },
      Math.min(delay, limiterSliceMs),
    )
  }

  #block(): void {
    this.#blocked += 1
    this.#body?.pause()
  }

  #unblock(): void {
    this.#blocked -= 1
    if (this.#blocked === 0 && this.#state === 'body') this.#body?.resume()
  }

  #onEnd(): void {
    if (this.#state === 'held') {
      this.#heldEnd = true
      this.#peek?.settle()
      return
    }
    if (this.#state !== 'body') return
    this.end ??= this.position
    if (this.#overlap === null && this.position >= this.end) {
      this.#finish()
      return
    }
    this.#fail(endedEarly())
  }

  #finish(): void {
    void this.#close({ kind: 'done' })
  }

  async #close(outcome: Outcome): Promise<void> {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#state = 'closing'
    this.#peek?.settle()
    this.#limiter?.cancel()
    this.#body?.abort()
    this.#held = []
    this.#writer?.flush()
    await this.#writer?.drain()
    this.#state = 'closed'
    // A failed write takes precedence over any other outcome, because bytes are missing.
    const failed = this.#writer?.error ?? null
    this.#listener.onClose(
      this,
      failed === null ? outcome : { kind: 'failed', error: asDownloadError(failed.cause), local: true },
    )
  }
}

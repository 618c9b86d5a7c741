/** One ranged GET and its life: redirects, timers, the body into batches, the batches into the part file. */
import { DownloadError, toDownloadError } from '../../errors.js'
import { type Exchange, type HttpClient, requestHeaders, type ResponseHead } from '../../net/http.js'
import { type Hop, isRedirect, nextHop } from '../../net/redirects.js'
import type { TransferTuning } from '../../net/tuning.js'
import { BatchWriter, type BufferPool, type ByteSink } from '../part/batch-writer.js'
import type { TokenBucket } from './rate-limit.js'

/** What a connection needs from its surroundings. */
export interface ConnectionContext {
  http: HttpClient
  tuning: TransferTuning
  /** Buckets that bytes are taken from. */
  buckets: readonly TokenBucket[]
  proxy: boolean
  /** Buffers in which bytes are collected before a write. */
  batches: BufferPool
  /** Monotonic milliseconds. */
  now: () => number
}

/** How a connection ended. */
export type Outcome =
  /** Everything up to its end is written. */
  | { kind: 'done' }
  /** Stopped by us; what had come is written. */
  | { kind: 'stopped' }
  /** `local`: the disk failed, not the network. */
  | { kind: 'failed'; error: DownloadError; local: boolean }

/** Hears what a connection does. */
export interface ConnectionListener {
  /**
   * A final response came. The body waits until {@link FetchConnection.accept} or {@link FetchConnection.stop} is called, now
   * or later.
   */
  onHead(connection: FetchConnection, head: ResponseHead): void
  /** Bytes came in. */
  onBytes(connection: FetchConnection, count: number): void
  /** The last call. */
  onClose(connection: FetchConnection, outcome: Outcome): void
}

/** Longest sleep for the sake of a rate limit before it is looked at again. */
const limiterSliceMs = 200

/** How long the end of a message is awaited when all its bytes have come. */
const messageEndMs = 1_000

/** Longest body of a redirect that is read to its end, and how long that may take. */
const maxRedirectBodyBytes = 16 * 1024

const redirectBodyMs = 1_000

/** One connection. It is started once and ends with one `onClose`. */
export class FetchConnection {
  readonly id: number
  /** Address of the last hop; valid from `onHead` on. */
  hop: Hop
  /** First byte that has not come in yet. */
  position: number
  /** One past the last byte that is wanted; null while the file's end is unknown. */
  end: number | null
  /** Bytes received. */
  receivedBytes = 0
  /** When the body began, in monotonic milliseconds; null before. */
  acceptedAt: number | null = null
  /** From the request to the head of its answer, in milliseconds; null while there is none. */
  answerMs: number | null = null

  readonly #context: ConnectionContext
  readonly #listener: ConnectionListener
  #writer: BatchWriter | null = null
  #exchange: Exchange | null = null
  #state: 'idle' | 'waiting' | 'held' | 'body' | 'closing' | 'closed' = 'idle'
  /** One past the last byte of the response body, when the head told. */
  #bodyEnd: number | null = null
  /** Kept bytes that the body must begin with. */
  #overlap: Buffer | null = null
  #held: Buffer[] = []
  #heldEnd = false
  #deadline: number | null = null
  #lastByteAt = 0
  #slowWindow = { at: 0, bytes: 0 }
  #blocked = 0
  #limiter: NodeJS.Timeout | null = null

  constructor(
    id: number,
    segment: { hop: Hop; start: number; end: number | null },
    context: ConnectionContext,
    listener: ConnectionListener,
  ) {
    this.id = id
    this.hop = segment.hop
    this.position = segment.start
    this.end = segment.end
    this.#context = context
    this.#listener = listener
  }

  /** Sends the request, with the range headers given. */
  start(range: Readonly<Record<string, string>>): void {
    this.#state = 'waiting'
    this.#request(range)
  }

  #request(range: Readonly<Record<string, string>>): void {
    const { http, proxy, tuning, now, buckets } = this.#context
    if (buckets.some((bucket) => bucket.limit !== null)) http.beGentle()
    const exchange = http.exchange(
      { url: this.hop.url, headers: requestHeaders(this.hop.headers, range), proxy },
      {
        onSent: () => {
          this.#deadline = now() + tuning.headersTimeoutMs
        },
        onHead: (head) => {
          this.answerMs = now() - (this.#deadline ?? now()) + tuning.headersTimeoutMs
          this.#deadline = null
          if (isRedirect(head.status)) this.#redirect(exchange, head, range)
          else this.#onHead(head)
        },
        onData: (chunk) => {
          if (exchange === this.#exchange) this.#onData(chunk)
        },
        onEnd: () => {
          if (exchange === this.#exchange) this.#onEnd()
        },
        onError: (error) => {
          if (exchange === this.#exchange) void this.#close({ kind: 'failed', error, local: false })
        },
      },
    )
    this.#exchange = exchange
  }

  #redirect(exchange: Exchange, head: ResponseHead, range: Readonly<Record<string, string>>): void {
    if (exchange !== this.#exchange) return
    const location = head.headers['location']
    try {
      this.hop = nextHop(
        this.hop,
        typeof location === 'string' ? location : null,
        this.#context.tuning.maxRedirects,
      )
    } catch (error) {
      void this.#close({ kind: 'failed', error: toDownloadError(error), local: false })
      return
    }
    this.#exchange = null
    dropBody(exchange, head)
    this.#request(range)
  }

  #onHead(head: ResponseHead): void {
    this.#state = 'held'
    this.#exchange?.pause()
    this.#listener.onHead(this, head)
  }

  /**
   * Takes the body.
   *
   * @param options - `position`: byte that the body begins with, when it isn't the one asked for; `end`: one past the
   * last byte wanted; `bodyEnd`: one past the last byte of the body; `overlap`: kept bytes that the body must begin
   * with, else the connection fails with `SOURCE_CHANGED`.
   */
  accept(
    sink: ByteSink,
    options: { position?: number; end: number | null; bodyEnd: number | null; overlap?: Buffer | null },
  ): void {
    if (this.#state !== 'held') return
    this.position = options.position ?? this.position
    this.end = options.end
    this.#bodyEnd = options.bodyEnd
    this.#overlap = options.overlap ?? null
    this.#state = 'body'
    const now = this.#context.now()
    this.acceptedAt = now
    this.#lastByteAt = now
    this.#slowWindow = { at: now, bytes: 0 }
    const begin = this.position + (this.#overlap?.length ?? 0)
    this.#writer = new BatchWriter(sink, this.#context.batches, begin, {
      hold: () => {
        this.#block()
      },
      release: () => {
        this.#unblock()
      },
      failed: () => {
        this.stop()
      },
    })
    const held = this.#held
    this.#held = []
    for (const chunk of held) this.#onData(chunk)
    if (this.#heldEnd) this.#onEnd()
    else this.#exchange?.resume()
  }

  /** Gives the part from `end` on to somebody else. */
  shrink(end: number): void {
    this.end = end
    if (this.#state === 'body' && this.position >= end) this.#finish()
  }

  /** Stops; what has come in is written first. Harmless when closed. */
  stop(outcome: Outcome = { kind: 'stopped' }): void {
    void this.#close(outcome)
  }

  /** Looks after timers; to be called a few times a second. */
  tick(now: number): void {
    if (this.#state === 'waiting' && this.#deadline !== null && now >= this.#deadline) {
      this.#stall('The server sent no answer in time.')
      return
    }
    if (this.#state !== 'body') return
    this.#writer?.flushOld(now)
    const { tuning, buckets } = this.#context
    if (this.#blocked > 0 || buckets.some((bucket) => bucket.limit !== null)) {
      // Our own doing: neither silence nor slowness can be held against the server, silence without a block can.
      if (this.#blocked > 0) this.#lastByteAt = now
      this.#slowWindow = { at: now, bytes: this.receivedBytes }
    }
    if (this.end !== null && this.position >= this.end && now - this.#lastByteAt >= messageEndMs) {
      this.#finish()
    } else if (now - this.#lastByteAt >= tuning.bodyTimeoutMs) {
      this.#stall('The server went silent in the middle of the file.')
    } else if (now - this.#slowWindow.at >= tuning.lowSpeedTimeMs) {
      const speed = ((this.receivedBytes - this.#slowWindow.bytes) * 1000) / (now - this.#slowWindow.at)
      this.#slowWindow = { at: now, bytes: this.receivedBytes }
      if (speed < tuning.lowSpeedBytesPerSecond) this.#stall('The server sends next to nothing.')
    }
  }

  #stall(message: string): void {
    const error = new DownloadError('STALLED', message, { retryable: true })
    void this.#close({ kind: 'failed', error, local: false })
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'held') {
      this.#held.push(Buffer.from(chunk))
      return
    }
    if (this.#state !== 'body') return
    let data = chunk
    this.#lastByteAt = this.#context.now()
    this.receivedBytes += data.length
    if (this.#overlap !== null) {
      const rest = this.#compareOverlap(data)
      if (rest === null) return
      data = rest
    }
    const surplus = this.end !== null && data.length > this.end - this.position
    if (surplus) data = data.subarray(0, (this.end ?? 0) - this.position)
    if (data.length > 0) this.#collect(data)
    // Writing may have failed on the spot.
    if ((this.#writer?.error ?? null) !== null) return
    if (this.end !== null && this.position >= this.end) {
      // The message may end right here by itself; then the connection can serve the next request.
      if (surplus || this.#bodyEnd !== this.end) this.#finish()
      return
    }
    this.#throttle(chunk.length)
  }

  /** Compares with the kept bytes; answers what lies behind them, or null when it failed. */
  #compareOverlap(data: Buffer): Buffer | null {
    const overlap = this.#overlap ?? Buffer.alloc(0)
    const count = Math.min(overlap.length, data.length)
    if (data.compare(overlap, 0, count, 0, count) !== 0) {
      const message = 'The bytes on disk are not those that the server has now.'
      const error = new DownloadError('SOURCE_CHANGED', message, { retryable: true })
      void this.#close({ kind: 'failed', error, local: false })
      return null
    }
    this.position += count
    this.#overlap = count === overlap.length ? null : overlap.subarray(count)
    return data.subarray(count)
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
    // In slices, so that a raised limit is felt soon.
    this.#limiter = setTimeout(
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
    this.#exchange?.pause()
  }

  #unblock(): void {
    this.#blocked -= 1
    if (this.#blocked === 0 && this.#state === 'body') this.#exchange?.resume()
  }

  #onEnd(): void {
    if (this.#state === 'held') {
      this.#heldEnd = true
      return
    }
    if (this.#state !== 'body') return
    this.end ??= this.position
    if (this.#overlap === null && this.position >= this.end) {
      this.#finish()
      return
    }
    void this.#close({ kind: 'failed', error: endedEarly(), local: false })
  }

  #finish(): void {
    void this.#close({ kind: 'done' })
  }

  async #close(outcome: Outcome): Promise<void> {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#state = 'closing'
    if (this.#limiter !== null) clearTimeout(this.#limiter)
    this.#exchange?.abort()
    this.#held = []
    this.#writer?.flush()
    await this.#writer?.drain()
    this.#state = 'closed'
    // A write that failed outranks whatever ended the connection: bytes are missing.
    const failed = this.#writer?.error ?? null
    this.#listener.onClose(
      this,
      failed === null ? outcome : { kind: 'failed', error: toDownloadError(failed.cause), local: true },
    )
  }
}

/** The body of a redirect goes with its connection, unless it is a few words: when they are read, that serves the next request. */
function dropBody(exchange: Exchange, { headers }: ResponseHead): void {
  const length = headers['content-length']
  if (typeof length !== 'string' || !/^\d{1,5}$/.test(length) || Number(length) > maxRedirectBodyBytes)
    exchange.abort()
  else if (length !== '0') setTimeout(() => exchange.abort(), redirectBodyMs).unref()
}

/** A body that is shorter than the file. */
export function endedEarly(): DownloadError {
  return new DownloadError('TRUNCATED', 'The body ended too early.', { retryable: true })
}

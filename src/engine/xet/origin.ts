/**
 * A file of the Xet store as a server with ranges would serve it: a request for bytes of the file is answered by a 206
 * with total and ETag, and then by these bytes in order. So the rest of the engine knows nothing of chunks and plans, and
 * a part that was begun over HTTP goes on over Xet and back.
 */
import { asDownloadError } from '../../disk/errors.js'
import { codeOfStatus, DownloadError, isRetryableStatus } from '../../errors.js'
import { bugIn, type Exchange, type ExchangeListener, type ExchangeRequest } from '../../net/exchange.js'
import type { HttpClient } from '../../net/http.js'
import { ChunkReader } from './chunk.js'
import { pieceAt } from './delta.js'
import { type ChunkDecoder, chunkDecoder } from './decoder.js'
import { planBytes, rangeWith, type SignedRange } from './plan.js'
import { ChunkSequence } from './sequence.js'
import { LinkRefused, UpstreamAnswer, type XetStore } from './store.js'

/** Sends requests to addresses of `xetUrl` to the store, and all others to the client. */
export function withXet(
  http: HttpClient,
  store: XetStore,
  url: string,
): Pick<HttpClient, 'exchange' | 'beGentle' | 'secrets'> {
  return {
    secrets: http.secrets,
    beGentle: () => http.beGentle(),
    exchange: (request, listener) => {
      if (request.url.href !== url) return http.exchange(request, listener)
      const exchange = new XetExchange(store, listener)
      void exchange.run(request)
      return exchange
    },
  }
}

/** How much of an older version is read at once, in bytes. */
const copyBytes = 256 * 1024

/** A part of a xorb that is being read. */
interface Reading {
  readonly range: SignedRange
  readonly xorb: string
  readonly chunks: ChunkReader
  exchange: Exchange | null
  /** The chunk that comes next in the body. */
  chunk: number
  hasEnded: boolean
  /** Called once, with the error if it failed. */
  done: (error: Error | null) => void
}

/** One request for bytes of the file. */
class XetExchange implements Exchange {
  readonly #store: XetStore
  readonly #listener: ExchangeListener
  readonly #decoder: ChunkDecoder = chunkDecoder()
  #over = false
  #paused = false
  #wake: (() => void) | null = null
  #abortRequest: (() => void) | null = null
  #reading: Reading | null = null
  #sequence: ChunkSequence | null = null
  #hasHead = false
  #hasSent = false
  #position = 0
  #end = 0
  /** A link was refused, and no byte has come since. */
  #isRefused = false
  #isWhole = false

  constructor(store: XetStore, listener: ExchangeListener) {
    this.#store = store
    this.#listener = listener
  }

  async run({ headers }: ExchangeRequest): Promise<void> {
    // The listener is never called from inside the call that starts the exchange.
    await Promise.resolve()
    try {
      const { failure, size } = this.#store
      if (failure !== null) throw failure
      const range = /^bytes=(\d+)-(\d*)$/.exec(headers['range'] ?? '')
      this.#isWhole = range === null
      this.#position = Number(range?.[1] ?? 0)
      this.#end = range?.[2] ? Math.min(size, Number(range[2]) + 1) : size
      if (this.#position >= size)
        throw new UpstreamAnswer({ status: 416, headers: { 'content-range': `bytes */${size}` } })
      while (this.#position < this.#end && !this.#over) await this.#readNext()
      await this.#unpaused()
      if (this.#finish()) this.#listener.onEnd()
    } catch (error) {
      this.#fail(error)
    }
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    void Promise.resolve().then(() => {
      if (this.#paused || this.#over) return
      this.#wake?.()
      const reading = this.#reading
      if (reading === null) return
      this.#process(reading)
      if (this.#reading === reading && !this.#isHeld()) reading.exchange?.resume()
    })
  }

  abort(): void {
    this.#finish()
  }

  /** Whether it may not go on now. A method, since the value changes during calls. */
  #isHeld(): boolean {
    return this.#paused || this.#over
  }

  #finish(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#abortRequest?.()
    this.#reading?.exchange?.abort()
    this.#reading?.done(null)
    this.#wake?.()
    return true
  }

  #fail(error: unknown): void {
    if (this.#over) return
    if (error instanceof UpstreamAnswer && !this.#hasHead) {
      // The exchange is aborted by whoever judges this.
      this.#listener.onHead(error.head)
      return
    }
    const failure = failureOf(error)
    if (this.#finish()) this.#listener.onError(failure)
  }

  /** Reads what one plan covers, or less if a link has expired. */
  async #readNext(): Promise<void> {
    const shared = await this.#store.shared(() => this.#noteSent())
    const piece = pieceAt(shared, this.#position, this.#end)
    if (piece.from !== null && (await this.#copy(piece.from, piece.end))) return
    const length = Math.min(planBytes, piece.end - this.#position)
    const plan = await this.#store.plan(
      this.#position,
      length,
      () => this.#noteSent(),
      (abort) => (this.#abortRequest = abort),
    )
    this.#abortRequest = null
    const sequence = new ChunkSequence(plan, length, this.#store.budget)
    this.#sequence = sequence
    try {
      for (;;) {
        await this.#drain(sequence)
        const { next } = sequence
        if (next === null || this.#over) return
        const range = rangeWith(plan.ranges.get(next.xorb) ?? [], next.chunk)
        if (range === null) throw broken('has no range for a chunk')
        await this.#read(range, next.xorb)
      }
    } catch (error) {
      if (!(error instanceof LinkRefused)) throw error
      this.#onRefused(error)
    } finally {
      sequence.dispose()
    }
  }

  #noteSent(): void {
    if (!this.#hasSent && !this.#over) this.#listener.onSent()
    this.#hasSent = true
  }

  /**
   * Copies bytes up to `end` from the older version, a part of them at a time.
   *
   * @returns whether any could be read.
   */
  async #copy(from: number, end: number): Promise<boolean> {
    const bytes = await this.#store.copy(from, Math.min(copyBytes, end - this.#position))
    if (bytes === null) return false
    this.#noteSent()
    if (!this.#over) this.#sendHead()
    await this.#unpaused()
    if (!this.#over) this.#emit(bytes)
    return true
  }

  /** A link is refused: a fresh plan has fresh links. If one of those is refused, too, the edge is at fault. */
  #onRefused({ host, line }: LinkRefused): void {
    if (!this.#isRefused) {
      this.#isRefused = true
      return
    }
    this.#store.log(`${host} refuses a link of the Xet store that was just signed: ${line}`)
    const message = `${host} refuses a fresh link of the Xet store (HTTP 403).`
    this.#store.failure ??= new DownloadError('ACCESS_DENIED', message, { status: 403 })
    throw this.#store.failure
  }

  /** Hands on what has been kept, as far as it comes next. */
  async #drain(sequence: ChunkSequence): Promise<void> {
    for (;;) {
      await this.#unpaused()
      const bytes = this.#over ? null : sequence.takeKept()
      if (bytes === null) return
      this.#emit(bytes)
    }
  }

  async #unpaused(): Promise<void> {
    while (this.#paused && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
  }

  #read(range: SignedRange, xorb: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const chunks = new ChunkReader()
      const reading: Reading = {
        range,
        xorb,
        chunks,
        exchange: null,
        chunk: range.start,
        hasEnded: false,
        done: (error) => {
          this.#reading = null
          if (error === null) resolve()
          else reject(error)
        },
      }
      const isCurrent = () => this.#reading === reading
      this.#reading = reading
      reading.exchange = this.#store.read(range, {
        onHead: () => {
          if (isCurrent()) this.#sendHead()
          if (this.#isHeld()) reading.exchange?.pause()
        },
        onData: (chunk) => {
          if (!isCurrent()) return
          chunks.push(chunk)
          this.#process(reading)
        },
        onEnd: () => {
          reading.hasEnded = true
          if (isCurrent()) this.#process(reading)
        },
        onError: (error) => {
          if (isCurrent()) reading.done(error)
        },
      })
      // It was aborted in the meantime.
      if (this.#over) reading.exchange.abort()
    })
  }

  #sendHead(): void {
    if (this.#hasHead) return
    this.#hasHead = true
    const { size, etag } = this.#store
    const [from, to] = [this.#position, this.#end]
    this.#listener.onHead({
      status: this.#isWhole ? 200 : 206,
      headers: {
        'accept-ranges': 'bytes',
        'content-length': String(to - from),
        etag,
        ...(this.#isWhole ? {} : { 'content-range': `bytes ${from}-${to - 1}/${size}` }),
      },
    })
  }

  /** Goes through the chunks that have arrived, until there are none or the reader pauses. */
  #process(reading: Reading): void {
    try {
      while (!this.#isHeld()) {
        const chunk = reading.chunks.next()
        if (chunk === 'invalid') throw broken('sent something that is no chunk')
        if (chunk === null) {
          if (reading.hasEnded) this.#endOf(reading)
          return
        }
        if (reading.chunk >= reading.range.end) throw broken('sent more chunks than the plan says')
        this.#take(reading, chunk)
        if (this.#reading !== reading) return
      }
      reading.chunks.keep()
      reading.exchange?.pause()
    } catch (error) {
      reading.exchange?.abort()
      reading.done(error instanceof Error ? error : asDownloadError(error))
    }
  }

  #take(reading: Reading, packed: { scheme: 0 | 1 | 2; bytes: Uint8Array; raw: number }): void {
    const { xorb, range } = reading
    const sequence = this.#sequence
    const index = reading.chunk
    reading.chunk += 1
    if (sequence?.needs(xorb, index) === true) {
      const data = this.#decoder.unpack(packed.scheme, packed.bytes, packed.raw)
      if (data === null) throw broken('sent a chunk that cannot be unpacked')
      const bytes = sequence.take(xorb, index, data)
      if (bytes !== null) this.#emit(bytes)
    }
    if (this.#over || reading.chunk >= range.end) return
    if (sequence?.isWorthReading(xorb, reading.chunk, range.end) === true) return
    reading.exchange?.abort()
    reading.done(null)
  }

  #endOf(reading: Reading): void {
    const isComplete = reading.chunk === reading.range.end && reading.chunks.isBetweenChunks
    const message = 'A part of a xorb ended before it was complete.'
    reading.done(isComplete ? null : new DownloadError('TRUNCATED', message, { retryable: true }))
  }

  #emit(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#isRefused = false
    this.#position += bytes.length
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const bug = bugIn(() => this.#listener.onData(chunk))
    if (bug !== null) throw bug
  }
}

/** The error of a request whose bytes have begun, or that no later one would mend. */
function failureOf(error: unknown): DownloadError {
  if (!(error instanceof UpstreamAnswer)) return asDownloadError(error)
  const { status } = error.head
  const message = `The Xet store answered with HTTP ${status}.`
  return new DownloadError(codeOfStatus(status), message, { status, retryable: isRetryableStatus(status) })
}

function broken(what: string): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', `The Xet store ${what}.`, { retryable: true })
}

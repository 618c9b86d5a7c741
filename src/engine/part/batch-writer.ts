/** What one connection brings, on its way to the disk: collected in batches, so that there are few writes. */

/** Where a connection puts bytes. */
export interface ByteSink {
  /** Writes all of it, or rejects. The buffer is the sink's until then. */
  write(buffer: Buffer, position: number): Promise<void>
  /** Writes all of it before it returns, or throws. */
  writeNow(buffer: Buffer, position: number): void
  /** Whether {@link writeNow} is the one to use. */
  readonly blocks: boolean
}

/** What a {@link BatchWriter} tells its owner. */
export interface BatchWriterHost {
  /** More would pile up: bring nothing until {@link release}. Calls come in pairs. */
  hold(): void
  release(): void
  /** A write failed; told once. */
  failed(error: unknown): void
}

/** Writes under way before the socket has to wait. */
const maxWritesInFlight = 2

/** A batch is written after this long, full or not, so that a kill loses little of a slow connection. In milliseconds. */
const batchAgeMs = 15

/** What comes in pieces of this size needs no collecting, where a write costs no more than its system call. In bytes. */
const directBytes = 64 * 1024

/** Takes bytes in order, from one position on. */
export class BatchWriter {
  readonly #sink: ByteSink
  readonly #pool: BufferPool
  readonly #host: BatchWriterHost
  #batch: Buffer | null = null
  #bytes = 0
  /** Where the batch begins. */
  #start: number
  #since = 0
  #writes = 0
  #error: { cause: unknown } | null = null
  #drained: (() => void) | null = null

  constructor(sink: ByteSink, pool: BufferPool, position: number, host: BatchWriterHost) {
    this.#sink = sink
    this.#pool = pool
    this.#start = position
    this.#host = host
  }

  /** Why a write failed, once one has. */
  get error(): { cause: unknown } | null {
    return this.#error
  }

  /** Takes bytes; the memory is the caller's again afterwards. `now` in monotonic milliseconds. */
  take(data: Buffer, now: number): void {
    if (this.#sink.blocks && data.length >= directBytes) {
      this.flush()
      if (this.#error === null) this.#writeNow(data)
      return
    }
    let taken = 0
    while (taken < data.length && this.#error === null) {
      if (this.#bytes === 0) this.#since = now
      this.#batch ??= this.#pool.take()
      const count = data.copy(this.#batch, this.#bytes, taken)
      taken += count
      this.#bytes += count
      if (this.#bytes === this.#batch.length) this.flush()
    }
    this.flushOld(now)
  }

  /** Writes a batch that has waited long enough. */
  flushOld(now: number): void {
    if (this.#bytes > 0 && now - this.#since >= batchAgeMs) this.flush()
  }

  /** Writes what is collected; nothing any more after a failure. */
  flush(): void {
    const batch = this.#batch
    if (batch === null || this.#bytes === 0 || this.#error !== null) return
    const data = batch.subarray(0, this.#bytes)
    if (this.#sink.blocks) {
      this.#bytes = 0
      this.#writeNow(data)
      return
    }
    this.#batch = null
    this.#bytes = 0
    const position = this.#start
    this.#start += data.length
    this.#writes += 1
    const full = this.#writes >= maxWritesInFlight
    if (full) this.#host.hold()
    this.#sink.write(data, position).then(
      () => this.#written(batch, full),
      (error: unknown) => {
        this.#fail(error)
        this.#written(batch, full)
      },
    )
  }

  /** Resolves when no write is under way. To be called once, when nothing more comes. */
  async drain(): Promise<void> {
    if (this.#writes > 0) await new Promise<void>((resolve) => (this.#drained = resolve))
    if (this.#batch !== null) this.#pool.give(this.#batch)
    this.#batch = null
  }

  #writeNow(data: Buffer): void {
    try {
      this.#sink.writeNow(data, this.#start)
      this.#start += data.length
    } catch (error) {
      this.#fail(error)
    }
  }

  #written(batch: Buffer, release: boolean): void {
    this.#pool.give(batch)
    this.#writes -= 1
    if (release) this.#host.release()
    if (this.#writes === 0) this.#drained?.()
  }

  #fail(cause: unknown): void {
    if (this.#error !== null) return
    this.#error = { cause }
    this.#host.failed(cause)
  }
}

// ---- buffer-pool

/** Buffers of one size that are used again and again, so that the garbage collector has nothing to do with them. */
export class BufferPool {
  /** Size of each, in bytes. */
  readonly bytes: number
  readonly #spare: Buffer[] = []
  readonly #keep: number

  /**
   * @param bytes - size of each buffer.
   * @param keep - how many are kept that nobody uses.
   */
  constructor(bytes: number, keep: number) {
    this.bytes = bytes
    this.#keep = keep
  }

  /** A buffer with anything in it. */
  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.bytes)
  }

  /** Gives one back. Nobody may touch it afterwards. */
  give(buffer: Buffer): void {
    if (this.#spare.length < this.#keep) this.#spare.push(buffer)
  }
}

/** Kept over all transfers, in bytes, for each size of buffer. */
const keptBytes = 16 << 20

/** Pools by the number of connections: the more of them, the smaller the buffers, so that memory stays flat. */
export function batchPools(): (connections: number) => BufferPool {
  const pools = new Map<number, BufferPool>()
  return (connections) => {
    // Powers of two, so that transfers share them.
    const size = connections <= 4 ? 1 << 20 : connections <= 8 ? 1 << 19 : 1 << 18
    const pool = pools.get(size) ?? new BufferPool(size, keptBytes / size)
    pools.set(size, pool)
    return pool
  }
}
